// RUN: quern-opt %s -split-input-file -quern-emit-nvidia -verify-diagnostics | FileCheck %s

// A kernel becomes a host function that asks for launches, and device code. Kernels of equal types share both.

// CHECK-LABEL: func.func @sm_80.f(
// CHECK-SAME:    %[[X:.*]]: memref<?x768xf32>, %[[Y:.*]]: memref<?x768xf32>, %[[ARENA:.*]]: memref<?xi8> {quern.arena})
// CHECK:         call @sm_80.norm_0(%[[X]], %[[Y]], %{{.*}})
// CHECK-NEXT:    call @sm_80.norm_0(%[[Y]], %[[X]], %{{.*}})
// CHECK-NEXT:    return
func.func @sm_80.f(%x: memref<?x768xf32>, %y: memref<?x768xf32>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  kernel.norm rms %x into %y {epsilon = 1.0e-5} : (memref<?x768xf32>, memref<?x768xf32>) -> ()
  kernel.norm rms %y into %x {epsilon = 1.0e-5} : (memref<?x768xf32>, memref<?x768xf32>) -> ()
  return
}

// The size that is known at run time only is a parameter; what types say is not.
// CHECK:       gpu.module @sm_80
// CHECK:         gpu.func @norm_0_0(%{{.*}}: !llvm.ptr<1>, %{{.*}}: i64, %{{.*}}: !llvm.ptr<1>, %{{.*}}: i64, %{{.*}}: i64) kernel
// CHECK-SAME:      known_block_size = array<i32: 256, 1, 1>
// CHECK:           gpu.shuffle xor
// CHECK-NOT:     gpu.func

// A host function fills in a launch.
// CHECK:       func.func private @sm_80.norm_0(
// CHECK:         llvm.mlir.addressof @sm_80.norm_0_0.kernel
// CHECK:         llvm.call @quern_device_launch

// -----

// What is not for a GPU stays as it is.
// CHECK-LABEL: func.func @g(
// CHECK:         kernel.norm
// CHECK-NOT:   gpu.module
func.func @g(%x: memref<?x768xf32>, %y: memref<?x768xf32>) {
  kernel.norm rms %x into %y {epsilon = 1.0e-5} : (memref<?x768xf32>, memref<?x768xf32>) -> ()
  return
}

// -----

// A constant of the host is no memory of the device: it travels with the code, to the end of the arena.
memref.global "private" constant @table : memref<2x2xf32> = dense<[[1.0, 2.0], [3.0, 4.0]]>

// CHECK-LABEL: func.func @sm_90a.f(
// CHECK:         %[[PLACE:.*]] = memref.view {{.*}} to memref<2x2xf32>
// CHECK-NOT:     memref.get_global
// CHECK:         llvm.call @quern_device_launch
// CHECK:         call @sm_90a.generic_0(%[[PLACE]], %{{.*}})
// CHECK:       func.func @sm_90a.f.arena_bytes
// CHECK:         %[[MORE:.*]] = arith.constant 256 : i64
// CHECK:         arith.addi %{{.*}}, %[[MORE]]
// CHECK:       gpu.module @sm_90a
// CHECK:         memref.global "private" constant @constant_0_values : memref<4xf32, #gpu.address_space<global>> = dense<[1.0{{.*}}, 2.0{{.*}}, 3.0{{.*}}, 4.0{{.*}}]>
#map = affine_map<(i, j) -> (i, j)>
func.func @sm_90a.f(%y: memref<2x2xf32>, %arena: memref<?xi8> {quern.arena}) attributes {quern.target = "sm_90a"} {
  %c = memref.get_global @table : memref<2x2xf32>
  linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}
      ins(%c : memref<2x2xf32>) outs(%y : memref<2x2xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  }
  return
}
func.func @sm_90a.f.arena_bytes(%y: memref<2x2xf32>) -> i64 attributes {quern.target = "sm_90a"} {
  %c = arith.constant 64 : i64
  return %c : i64
}

// -----

// expected-error @below {{program 'sm_80.f' has no arena, where launches keep what passes between them}}
func.func @sm_80.f(%x: memref<4x8xf32>) attributes {quern.target = "sm_80"} {
  kernel.norm rms %x into %x {epsilon = 1.0e-5} : (memref<4x8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

memref.global @state : memref<4x8xf32>
func.func @sm_80.f(%x: memref<4x8xf32>, %arena: memref<?xi8> {quern.arena}) attributes {quern.target = "sm_80"} {
  // expected-error @below {{refers to 'state', which is no constant; a program for a GPU reads its arguments and constants only}}
  %s = memref.get_global @state : memref<4x8xf32>
  kernel.norm rms %s into %x {epsilon = 1.0e-5} : (memref<4x8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

// expected-error @below {{there is no GPU architecture 'sm_20'; there are sm_80, sm_86}}
module {
  func.func @sm_20.f(%x: memref<4x8xf32>, %arena: memref<?xi8> {quern.arena}) attributes {quern.target = "sm_20"} {
    kernel.norm rms %x into %x {epsilon = 1.0e-5} : (memref<4x8xf32>, memref<4x8xf32>) -> ()
    return
  }
}
