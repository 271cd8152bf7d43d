// RUN: quern-opt %s -quern-export-programs=cpu=x86-64-v3 | FileCheck %s

// Programs of a device stand in a table of their own, under the names that they have on the host; its code goes along as text.

module attributes {quern.model = "{\"model\": \"m\", \"kind\": \"kernels\"}",
                   quern.device_code = {sm_80 = ".version 8.3", sm_90a = ".version 8.4"}} {
  func.func @nvidia.f(%y: memref<f32>, %arena: memref<?xi8> {quern.arena})
      attributes {quern.program, quern.target = "nvidia"} {
    return
  }
  func.func @nvidia.f.arena_bytes(%y: memref<f32>) -> i64 {
    %c = arith.constant 64 : i64
    return %c : i64
  }
}

// CHECK-NOT:   quern.device_code
// CHECK:       llvm.mlir.global external constant @quern_programs()
// CHECK-SAME:    !llvm.array<1 x struct<(ptr, ptr, ptr)>>
// CHECK:       llvm.mlir.global internal constant @nvidia.f.name("f\00")
// CHECK:       llvm.mlir.global external constant @quern_device_programs()
// CHECK-SAME:    !llvm.array<2 x struct<(ptr, ptr, ptr)>>
// CHECK:         llvm.mlir.addressof @nvidia.f.run
// CHECK:       llvm.mlir.global internal constant @device_code.sm_80.name("sm_80\00")
// CHECK:       llvm.mlir.global internal constant @device_code.sm_80(".version 8.3\00")
// CHECK:       @device_code.sm_90a(".version 8.4\00")
// CHECK:       llvm.mlir.global external constant @quern_device_codes()
// CHECK-SAME:    !llvm.array<3 x struct<(ptr, ptr)>>
// CHECK:       \22device\22:{\22architectures\22:[\22sm_80\22,\22sm_90a\22],\22kind\22:\22nvidia\22,\22precision\22:\22f32\22}
