// RUN: quern-opt %s -split-input-file -quern-precision=precision=bf16 -cse -verify-diagnostics | FileCheck %s
// RUN: quern-opt %s -split-input-file -quern-precision=precision=auto -verify-diagnostics | FileCheck %s --check-prefix=AUTO
// RUN: sed 's/, quern.target = "sm_80"//' %s | quern-opt -split-input-file -quern-precision=precision=bf16 | FileCheck %s --check-prefix=HOST
// RUN: sed 's/, quern.target = "sm_80"//' %s | quern-opt -split-input-file '-quern-precision=precision=bf16 weight-copies=false' | FileCheck %s --check-prefix=PLAIN
// RUN: sed 's/, quern.target = "sm_80"//' %s | quern-opt -split-input-file -quern-precision=precision=auto | FileCheck %s --check-prefix=HOST-AUTO

// A program for a GPU that trains: activations are bf16; the parameter is cast once, whole, outside of the loop, and its
// gradient is f32.

// CHECK-LABEL: func.func @train(
// CHECK-SAME:    quern.precision = "bf16"
// CHECK:         %[[X:.*]] = bufferization.to_tensor %arg0 {{.*}} to tensor<?x8xf32>
// CHECK:         %[[W:.*]] = bufferization.to_tensor %arg1 {{.*}} to tensor<2x8x8xf32>
// CHECK:         %[[W16:.*]] = linalg.generic {{.*}} ins(%[[W]] : tensor<2x8x8xf32>) outs(%{{.*}} : tensor<2x8x8xbf16>)
// CHECK:           arith.truncf %{{.*}} : f32 to bf16
// CHECK:         %[[Y:.*]] = kernel.norm rms %[[X]] into %{{.*}} -> tensor<?x8xbf16>
// CHECK:         scf.for {{.*}} iter_args(%[[CARRIED:.*]] = %[[Y]], %{{.*}} = %{{.*}}) -> (tensor<?x8xbf16>, tensor<2x8x8xf32>)
// CHECK:           %[[SLICE:.*]] = tensor.extract_slice %[[W16]]{{.*}} : tensor<2x8x8xbf16> to tensor<8x8xbf16>
// CHECK:           %[[Z:.*]] = kernel.gemm %[[CARRIED]], %[[SLICE]] into {{.*}} -> tensor<?x8xbf16>
// CHECK:           linalg.generic {{.*}} ins(%[[Z]] : tensor<?x8xbf16>) outs(%{{.*}} : tensor<?x8xbf16>)
// CHECK:             %[[WIDE:.*]] = arith.extf %{{.*}} : bf16 to f32
// CHECK:             arith.mulf %[[WIDE]], %[[WIDE]] : f32
// CHECK:           kernel.gemm %[[CARRIED]], %[[Z]] into {{.*}} {transpose_a} : (tensor<?x8xbf16>, tensor<?x8xbf16>, tensor<8x8xf32>) -> tensor<8x8xf32>

// AUTO-LABEL:  func.func @train(
// AUTO:          kernel.norm rms {{.*}} -> tensor<?x8xbf16>

// So it is for a processor, which changes nothing unasked.

// HOST-LABEL:  func.func @train(
// HOST-SAME:     memref<2x8x8xf32> {quern.role = "parameter"}
// HOST:          %[[W:.*]] = bufferization.to_tensor %{{.*}} to tensor<2x8x8xf32>
// HOST:          %[[W16:.*]] = linalg.generic {{.*}} ins(%[[W]] : tensor<2x8x8xf32>) outs(%{{.*}} : tensor<2x8x8xbf16>)
// HOST:            arith.truncf %{{.*}} : f32 to bf16
// HOST:          %[[Y:.*]] = kernel.norm rms {{.*}} -> tensor<?x8xbf16>
// HOST:          scf.for {{.*}} iter_args(%[[CARRIED:.*]] = %[[Y]], %{{.*}} = %{{.*}}) -> (tensor<?x8xbf16>, tensor<2x8x8xf32>)
// HOST:            %[[SLICE:.*]] = tensor.extract_slice %[[W16]]{{.*}} : tensor<2x8x8xbf16> to tensor<8x8xbf16>
// HOST:            %[[Z:.*]] = kernel.gemm %[[CARRIED]], %[[SLICE]] into {{.*}} : (tensor<?x8xbf16>, tensor<8x8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
// HOST:            linalg.generic {{.*}} ins(%[[Z]] : tensor<?x8xbf16>) outs(%{{.*}} : tensor<?x8xbf16>)
// HOST:            kernel.gemm %[[CARRIED]], %[[Z]] into {{.*}} {transpose_a} : (tensor<?x8xbf16>, tensor<?x8xbf16>, tensor<8x8xf32>) -> tensor<8x8xf32>
// HOST-AUTO-LABEL: func.func @train(
// HOST-AUTO-NOT:   bf16

// Without copies of weights, products take the weights themselves.

// PLAIN-LABEL: func.func @train(
// PLAIN:         scf.for
// PLAIN:           %[[SLICE:.*]] = tensor.extract_slice {{.*}} : tensor<2x8x8xf32> to tensor<8x8xf32>
// PLAIN:           kernel.gemm {{.*}}, %[[SLICE]] into {{.*}} : (tensor<?x8xbf16>, tensor<8x8xf32>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
func.func @train(%arg0: memref<?x8xf32>, %arg1: memref<2x8x8xf32> {quern.role = "parameter"},
    %arg2: memref<2x8x8xf32> {quern.role = "gradient"}) attributes {quern.program, quern.target = "sm_80"} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %n = memref.dim %arg0, %c0 : memref<?x8xf32>
  %x = bufferization.to_tensor %arg0 restrict : memref<?x8xf32> to tensor<?x8xf32>
  %w = bufferization.to_tensor %arg1 restrict : memref<2x8x8xf32> to tensor<2x8x8xf32>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %g = tensor.empty() : tensor<2x8x8xf32>
  %h = tensor.empty() : tensor<8x8xf32>
  %y = kernel.norm rms %x into %e {epsilon = 1.0e-5} : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %r:2 = scf.for %i = %c0 to %c2 step %c1 iter_args(%a = %y, %b = %g) -> (tensor<?x8xf32>, tensor<2x8x8xf32>) {
    %s = tensor.extract_slice %w[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<2x8x8xf32> to tensor<8x8xf32>
    %z = kernel.gemm %a, %s into %e : (tensor<?x8xf32>, tensor<8x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    %q = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
        iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
    ^bb0(%in: f32, %out: f32):
      %m = arith.mulf %in, %in : f32
      linalg.yield %m : f32
    } -> tensor<?x8xf32>
    %dw = kernel.gemm %a, %z into %h {transpose_a} : (tensor<?x8xf32>, tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
    %t = tensor.insert_slice %dw into %b[%i, 0, 0] [1, 8, 8] [1, 1, 1] : tensor<8x8xf32> into tensor<2x8x8xf32>
    scf.yield %q, %t : tensor<?x8xf32>, tensor<2x8x8xf32>
  }
  bufferization.materialize_in_destination %r#1 in restrict writable %arg2 : (tensor<2x8x8xf32>, memref<2x8x8xf32>) -> ()
  return
}

// -----

// What goes out of the program has the type of the program's memory; the kernel that makes it widens.

// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    memref<16x8xbf16> {quern.role = "parameter"}, %{{.*}}: memref<8x16xbf16> {quern.role = "parameter"}
// CHECK:         kernel.embedding {{.*}} -> tensor<1x?x8xbf16>
// CHECK:         kernel.gemm %{{.*}}, %{{.*}} into {{.*}} : (tensor<1x?x8xbf16>, tensor<8x16xbf16>, tensor<1x?x16xf32>) -> tensor<1x?x16xf32>
// CHECK:         bufferization.materialize_in_destination
// AUTO-LABEL:  func.func @forward(
// AUTO:          kernel.embedding {{.*}} -> tensor<1x?x8xbf16>
func.func @forward(%tokens: memref<1x?xi32>, %table: memref<16x8xf32> {quern.role = "parameter"},
    %head: memref<8x16xf32> {quern.role = "parameter"}, %logits: memref<1x?x16xf32>)
    attributes {quern.program, quern.target = "sm_80"} {
  %c1 = arith.constant 1 : index
  %n = memref.dim %tokens, %c1 : memref<1x?xi32>
  %0 = bufferization.to_tensor %tokens restrict : memref<1x?xi32> to tensor<1x?xi32>
  %1 = bufferization.to_tensor %table restrict : memref<16x8xf32> to tensor<16x8xf32>
  %2 = bufferization.to_tensor %head restrict : memref<8x16xf32> to tensor<8x16xf32>
  %3 = tensor.empty(%n) : tensor<1x?x8xf32>
  %4 = kernel.embedding %0, %1 into %3 : (tensor<1x?xi32>, tensor<16x8xf32>, tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %5 = tensor.empty(%n) : tensor<1x?x16xf32>
  %6 = kernel.gemm %4, %2 into %5 : (tensor<1x?x8xf32>, tensor<8x16xf32>, tensor<1x?x16xf32>) -> tensor<1x?x16xf32>
  bufferization.materialize_in_destination %6 in restrict writable %logits : (tensor<1x?x16xf32>, memref<1x?x16xf32>) -> ()
  return
}

// -----

// Gradients of attention are bf16; its sums over rows, the log-sum-exp and D, are not.

// CHECK-LABEL: func.func @attention_backward(
// CHECK:         kernel.attention_backward
// CHECK-SAME:      -> (tensor<1x4x2x8xbf16>, tensor<1x4x2x8xbf16>, tensor<1x4x2x8xbf16>, tensor<1x2x4xf32>)
func.func @attention_backward(%x: memref<1x4x2x8xf32>, %y: memref<1x4x2x8xf32>) attributes {quern.program, quern.target = "sm_80"} {
  %0 = bufferization.to_tensor %x restrict : memref<1x4x2x8xf32> to tensor<1x4x2x8xf32>
  %1 = tensor.empty() : tensor<1x4x2x8xf32>
  %2 = tensor.empty() : tensor<1x2x4xf32>
  %3 = kernel.norm rms %0 into %1 {epsilon = 1.0e-5} : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32>
  %4:2 = kernel.attention %3, %3, %3 into %1, %2 {causal, scale = 1.0}
    : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x2x4xf32>)
      -> (tensor<1x4x2x8xf32>, tensor<1x2x4xf32>)
  %5:4 = kernel.attention_backward %3, %3, %3, %4#0, %4#1, %3 into %1, %1, %1, %2 {causal, scale = 1.0}
    : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x2x4xf32>,
       tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x2x4xf32>)
      -> (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x2x4xf32>)
  %6 = kernel.norm rms %5#0 into %1 {epsilon = 1.0e-5} : (tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32>
  bufferization.materialize_in_destination %6 in restrict writable %y : (tensor<1x4x2x8xf32>, memref<1x4x2x8xf32>) -> ()
  return
}

// -----

// Logits that a token is drawn from keep f32, as those do that a program returns: both ways of generating agree.

// CHECK-LABEL: func.func @generate(
// CHECK:         kernel.embedding {{.*}} -> tensor<1x1x8xbf16>
// CHECK:         kernel.gemm {{.*}} : (tensor<1x8xbf16>, tensor<8x16xbf16>, tensor<1x16xf32>) -> tensor<1x16xf32>
// CHECK:         kernel.sample %{{.*}} : (tensor<1x16xf32>,
func.func @generate(%tokens: memref<1x1xi32>, %table: memref<16x8xf32> {quern.role = "parameter"},
    %head: memref<8x16xf32> {quern.role = "parameter"}, %real: memref<f64>, %whole: memref<i64>, %drawn: memref<1xi32>)
    attributes {quern.program, quern.target = "sm_80"} {
  %0 = bufferization.to_tensor %tokens restrict : memref<1x1xi32> to tensor<1x1xi32>
  %1 = bufferization.to_tensor %table restrict : memref<16x8xf32> to tensor<16x8xf32>
  %2 = bufferization.to_tensor %head restrict : memref<8x16xf32> to tensor<8x16xf32>
  %r = bufferization.to_tensor %real restrict : memref<f64> to tensor<f64>
  %i = bufferization.to_tensor %whole restrict : memref<i64> to tensor<i64>
  %3 = tensor.empty() : tensor<1x1x8xf32>
  %4 = kernel.embedding %0, %1 into %3 : (tensor<1x1xi32>, tensor<16x8xf32>, tensor<1x1x8xf32>) -> tensor<1x1x8xf32>
  %5 = tensor.collapse_shape %4 [[0, 1], [2]] : tensor<1x1x8xf32> into tensor<1x8xf32>
  %6 = tensor.empty() : tensor<1x16xf32>
  %7 = kernel.gemm %5, %2 into %6 : (tensor<1x8xf32>, tensor<8x16xf32>, tensor<1x16xf32>) -> tensor<1x16xf32>
  %8 = tensor.empty() : tensor<1xi32>
  %9:2 = kernel.sample %7 temperature %r top_k %i top_p %r seed %i index %i into %8, %8
    : (tensor<1x16xf32>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i64>, tensor<i64>, tensor<1xi32>, tensor<1xi32>)
      -> (tensor<1xi32>, tensor<1xi32>)
  bufferization.materialize_in_destination %9#0 in restrict writable %drawn : (tensor<1xi32>, memref<1xi32>) -> ()
  return
}

// -----

// What is neither an activation nor a parameter, such as what a program is given, is a factor as it is on a processor; matrix
// instructions of a GPU take it in bf16.

// CHECK-LABEL: func.func @given(
// CHECK:         arith.truncf
// CHECK:         kernel.gemm {{.*}} : (tensor<4x8xbf16>, tensor<8x8xbf16>, tensor<4x8xbf16>) -> tensor<4x8xbf16>
// HOST-LABEL:  func.func @given(
// HOST-NOT:      arith.truncf
// HOST:          kernel.gemm {{.*}} : (tensor<4x8xbf16>, tensor<8x8xf32>, tensor<4x8xbf16>) -> tensor<4x8xbf16>
func.func @given(%x: memref<4x8xf32>, %a: memref<8x8xf32>, %w: memref<8x8xf32> {quern.role = "parameter"},
    %g: memref<8x8xf32> {quern.role = "gradient"}) attributes {quern.program, quern.target = "sm_80"} {
  %0 = bufferization.to_tensor %x restrict : memref<4x8xf32> to tensor<4x8xf32>
  %1 = bufferization.to_tensor %a restrict : memref<8x8xf32> to tensor<8x8xf32>
  %2 = tensor.empty() : tensor<4x8xf32>
  %3 = tensor.empty() : tensor<8x8xf32>
  %4 = kernel.norm rms %0 into %2 {epsilon = 1.0e-5} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %5 = kernel.gemm %4, %1 into %2 : (tensor<4x8xf32>, tensor<8x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %6 = kernel.gemm %5, %4 into %3 {transpose_a} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  bufferization.materialize_in_destination %6 in restrict writable %g : (tensor<8x8xf32>, memref<8x8xf32>) -> ()
  return
}
