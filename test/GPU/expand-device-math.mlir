// RUN: quern-opt %s -split-input-file -pass-pipeline='builtin.module(gpu.module(quern-expand-device-math))' -verify-diagnostics | FileCheck %s

gpu.module @sm_80 {
  // CHECK-LABEL: gpu.func @exp
  // CHECK:         %[[T:.*]] = arith.mulf
  // CHECK:         llvm.call_intrinsic "llvm.nvvm.ex2.approx"(%[[T]]) : (f32) -> f32
  // CHECK-NOT:     math.
  // CHECK:         gpu.return
  gpu.func @exp(%x: f32, %p: !llvm.ptr<1>) kernel {
    %y = math.exp %x : f32
    llvm.store %y, %p : f32, !llvm.ptr<1>
    gpu.return
  }

  // The backend has instructions for these; as ops of the LLVM dialect they would call libdevice.
  // CHECK-LABEL: gpu.func @native
  // CHECK:         llvm.call_intrinsic "llvm.sqrt"(%{{.*}}) : (f64) -> f64
  // CHECK:         llvm.call_intrinsic "llvm.fma"
  gpu.func @native(%x: f64, %p: !llvm.ptr<1>) kernel {
    %y = math.sqrt %x : f64
    %z = math.fma %y, %x, %x : f64
    llvm.store %z, %p : f64, !llvm.ptr<1>
    gpu.return
  }
}

// -----

gpu.module @sm_80 {
  gpu.func @wide(%x: f64, %p: !llvm.ptr<1>) kernel {
    // expected-error @below {{'math.exp' on 'f64' has no form for NVIDIA GPUs; compile with --target=cpu, or use exp,}}
    %y = math.exp %x : f64
    llvm.store %y, %p : f64, !llvm.ptr<1>
    gpu.return
  }
}

// -----

gpu.module @sm_80 {
  gpu.func @other(%x: f32, %p: !llvm.ptr<1>) kernel {
    // expected-error @below {{'math.tan' on 'f32' has no form for NVIDIA GPUs}}
    %y = math.tan %x : f32
    llvm.store %y, %p : f32, !llvm.ptr<1>
    gpu.return
  }
}
