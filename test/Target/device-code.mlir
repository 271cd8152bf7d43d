// RUN: quern-opt %s -split-input-file -quern-device-code -verify-diagnostics | FileCheck %s

// CHECK:     quern.device_code = {sm_80 = "{{.*}}.target sm_80{{.*}}.visible .entry store(
// CHECK-NOT: gpu.module
gpu.module @sm_80 {
  llvm.func @store(%p: !llvm.ptr<1>, %x: f32) attributes {gpu.kernel, nvvm.kernel} {
    llvm.store %x, %p : f32, !llvm.ptr<1>
    llvm.return
  }
}

// -----

// expected-error @below {{there is no GPU architecture 'kernels'}}
gpu.module @kernels {
  llvm.func @empty() attributes {gpu.kernel, nvvm.kernel} {
    llvm.return
  }
}

// -----

// expected-error @below {{device code calls '__nv_sinf', which no GPU has}}
gpu.module @sm_80 {
  llvm.func @__nv_sinf(f32) -> f32
  llvm.func @calls(%p: !llvm.ptr<1>, %x: f32) attributes {gpu.kernel, nvvm.kernel} {
    %y = llvm.call @__nv_sinf(%x) : (f32) -> f32
    llvm.store %y, %p : f32, !llvm.ptr<1>
    llvm.return
  }
}
