// RUN: quern-opt %s -quern-export-programs=cpu=x86-64-v3 | FileCheck %s

module attributes {quern.model = "{\"model\": \"m\", \"kind\": \"kernels\"}"} {
  func.func @f(%x: memref<?x32xf32>, %y: memref<f32>, %arena: memref<?xi8> {quern.arena})
      attributes {quern.program} {
    return
  }
  func.func @f.arena_bytes(%x: memref<?x32xf32>, %y: memref<f32>) -> i64 {
    %c = arith.constant 64 : i64
    return %c : i64
  }
}

// The formula is called with the same tensors as the program, but for the arena.
// CHECK-LABEL: llvm.func internal @f.arena(
// CHECK-SAME:      %[[ARGUMENTS:.*]]: !llvm.ptr) -> i64
// CHECK:         %[[SLOT:.*]] = llvm.getelementptr %[[ARGUMENTS]][0]
// CHECK:         %[[DESCRIPTOR:.*]] = llvm.load %[[SLOT]]
// CHECK:         %[[X:.*]] = llvm.load %[[DESCRIPTOR]] : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>
// CHECK:         builtin.unrealized_conversion_cast %[[X]] : {{.*}} to memref<?x32xf32>
// CHECK:         llvm.load %{{.*}} : !llvm.ptr -> !llvm.struct<(ptr, ptr, i64)>
// CHECK:         func.call @f.arena_bytes

// CHECK-LABEL: llvm.func internal @f.run(
// CHECK-SAME:      %{{.*}}: !llvm.ptr, %[[ARENA:.*]]: !llvm.ptr)
// CHECK:         %[[BYTES:.*]] = func.call @f.arena_bytes
// CHECK:         llvm.insertvalue %[[ARENA]], %{{.*}}[0]
// CHECK:         llvm.insertvalue %[[BYTES]], %{{.*}}[3, 0]
// CHECK:         func.call @f(

// CHECK:         llvm.mlir.global internal constant @f.name("f\00")
// CHECK:         llvm.mlir.global external constant @quern_programs()
// CHECK-SAME:      !llvm.array<2 x struct<(ptr, ptr, ptr)>>
// Nothing was compiled for a device: the table holds the row that ends it.
// CHECK:         llvm.mlir.global external constant @quern_device_codes()
// CHECK-SAME:      !llvm.array<1 x struct<(ptr, ptr, ptr, i64)>>
// CHECK:         llvm.mlir.global external constant @quern_module_json(
// CHECK-SAME:      \22kind\22:\22kernels\22
// CHECK-SAME:      \22target\22:{\22cpu\22:\22x86-64-v3\22,\22precision\22:\22f32\22,\22requires\22:[{{.*}}\22avx2\22
