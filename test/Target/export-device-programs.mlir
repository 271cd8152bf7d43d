// RUN: split-file %s %t
// RUN: quern-opt %t/good.mlir -quern-export-programs=cpu=x86-64-v3 | FileCheck %s
// RUN: not quern-opt %t/missing.mlir -quern-export-programs=cpu=x86-64-v3 2>&1 | FileCheck %s --check-prefix=MISSING

// Programs of a device stand beside its code, under the names that they have on the host.

//--- good.mlir
module attributes {quern.model = "{\"model\": \"m\", \"kind\": \"kernels\"}",
                   quern.device_code = {sm_80 = ".version 8.3", sm_90a = ".version 8.4"}} {
  func.func @sm_80.f(%y: memref<f32>, %arena: memref<?xi8> {quern.arena})
      attributes {quern.program, quern.target = "sm_80"} {
    return
  }
  func.func @sm_80.f.arena_bytes(%y: memref<f32>) -> i64 {
    %c = arith.constant 64 : i64
    return %c : i64
  }
}

// CHECK:       llvm.mlir.global external constant @quern_programs()
// CHECK-SAME:    !llvm.array<1 x struct<(ptr, ptr, ptr)>>
// CHECK:       llvm.mlir.global internal constant @device_code.sm_80.name("sm_80\00")
// CHECK:       llvm.mlir.global internal constant @device_code.sm_80("(\B5/\FD{{.*}}.version 8.3{{.*}}")
// CHECK:       llvm.mlir.global internal constant @sm_80.f.name("f\00")
// CHECK:       llvm.mlir.global internal constant @device_code.sm_80.programs()
// CHECK-SAME:    !llvm.array<2 x struct<(ptr, ptr, ptr)>>
// CHECK:         llvm.mlir.addressof @sm_80.f.run
// CHECK:       @device_code.sm_90a("(\B5/\FD{{.*}}.version 8.4
// CHECK:       @device_code.sm_90a.programs() {{.*}} !llvm.array<1 x
// CHECK:       llvm.mlir.global external constant @quern_device_codes()
// CHECK-SAME:    !llvm.array<3 x struct<(ptr, ptr, ptr, i64)>>
// CHECK:       \22device\22:{\22architectures\22:[\22sm_80\22,\22sm_90a\22],\22kind\22:\22nvidia\22,\22precision\22:\22f32\22}

//--- missing.mlir
// MISSING: error: program 'sm_80.f' is for "sm_80", but there is no code for it
module attributes {quern.model = "{}"} {
  func.func @sm_80.f(%y: memref<f32>, %arena: memref<?xi8> {quern.arena})
      attributes {quern.program, quern.target = "sm_80"} {
    return
  }
}
