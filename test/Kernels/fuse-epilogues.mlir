// RUN: quern-opt %s --quern-fuse-epilogues --canonicalize --cse -split-input-file | FileCheck %s

#same = affine_map<(i, j) -> (i, j)>
#column = affine_map<(i, j) -> (j)>
#one = affine_map<(i, j) -> ()>
#swapped = affine_map<(i, j) -> (j, i)>

// SwiGLU moves into the later product, in the place of the gate, which nothing else needs.
// CHECK-LABEL: @swiglu(
// CHECK-SAME:    %[[X:.*]]: tensor<?x8xf32>, %[[G:.*]]: tensor<8x6xf32>, %[[U:.*]]: tensor<8x6xf32>
// CHECK:         %[[GATE:.*]] = kernel.gemm %[[X]], %[[G]] into
// CHECK:         %[[Y:.*]] = kernel.gemm %[[X]], %[[U]] with %[[GATE]] into %[[GATE]] : {{.*}} epilogue (%sum: f32, %x: f32) {
// CHECK-NEXT:      %[[ONE:.*]] = arith.constant 1.0
// CHECK-NEXT:      %[[N:.*]] = arith.negf %x
// CHECK:           %[[S:.*]] = arith.mulf %{{.*}}, %sum
// CHECK-NEXT:      kernel.yield %[[S]] : f32
// CHECK-NEXT:    }
// CHECK-NEXT:    return %[[Y]]
func.func @swiglu(%x: tensor<?x8xf32>, %g: tensor<8x6xf32>, %u: tensor<8x6xf32>, %n: index) -> tensor<?x6xf32> {
  %one = arith.constant 1.0 : f32
  %e = tensor.empty(%n) : tensor<?x6xf32>
  %gate = kernel.gemm %x, %g into %e : (tensor<?x8xf32>, tensor<8x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32>
  %up = kernel.gemm %x, %u into %e : (tensor<?x8xf32>, tensor<8x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32>
  %y = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%gate, %up : tensor<?x6xf32>, tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) {
  ^bb0(%0: f32, %1: f32, %out: f32):
    %2 = arith.negf %0 : f32
    %3 = math.exp %2 : f32
    %4 = arith.addf %3, %one : f32
    %5 = arith.divf %0, %4 : f32
    %6 = arith.mulf %5, %1 : f32
    linalg.yield %6 : f32
  } -> tensor<?x6xf32>
  return %y : tensor<?x6xf32>
}

// What else needs the sum has it as one more output. Two works, in the backward pass of SwiGLU, become one region with what
// both read once.
// CHECK-LABEL: @several(
// CHECK-SAME:    %{{.*}}: tensor<4x8xf32>, %{{.*}}: tensor<8x6xf32>, %[[P:.*]]: tensor<4x6xf32>, %[[Q:.*]]: tensor<4x6xf32>
// CHECK:         %[[ALL:.*]]:3 = kernel.gemm {{.*}} with %[[P]], %[[Q]] into %{{.*}}, %{{.*}}, %{{.*}} epilogue (%sum: f32, %x: f32, %x_0: f32) {
// CHECK-NEXT:      %[[A:.*]] = arith.mulf %sum, %x : f32
// CHECK-NEXT:      %[[B:.*]] = arith.mulf %sum, %x_0 : f32
// CHECK-NEXT:      %[[C:.*]] = arith.addf %[[B]], %x : f32
// CHECK-NEXT:      kernel.yield %sum, %[[A]], %[[C]] : f32, f32, f32
// CHECK-NEXT:    }
// CHECK-NEXT:    return %[[ALL]]#1, %[[ALL]]#2, %[[ALL]]#0
func.func @several(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %p: tensor<4x6xf32>, %q: tensor<4x6xf32>)
    -> (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
  %e = tensor.empty() : tensor<4x6xf32>
  %sum = kernel.gemm %a, %b into %e : (tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %y = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%sum, %p : tensor<4x6xf32>, tensor<4x6xf32>) outs(%e : tensor<4x6xf32>) {
  ^bb0(%0: f32, %1: f32, %out: f32):
    %2 = arith.mulf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<4x6xf32>
  %z = linalg.generic {indexing_maps = [#same, #same, #same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%q, %sum, %p : tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) outs(%e : tensor<4x6xf32>) {
  ^bb0(%0: f32, %1: f32, %2: f32, %out: f32):
    %3 = arith.mulf %1, %0 : f32
    %4 = arith.addf %3, %2 : f32
    linalg.yield %4 : f32
  } -> tensor<4x6xf32>
  return %y, %z, %sum : tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
}

// After bias, activation and residual; with a vector, a number, a view that is taken in between, and an old value that is updated.
// CHECK-LABEL: @kinds(
// CHECK-SAME:    %[[S:[a-z0-9]+]]: tensor<2x4x6xf32>, %[[V:[a-z0-9]+]]: tensor<6xf32>, %[[N:[a-z0-9]+]]: tensor<f32>, %[[OLD:[a-z0-9]+]]: tensor<4x6xf32>
// CHECK:         %[[VIEW:.*]] = tensor.extract_slice %[[S]]
// CHECK:         kernel.gemm {{.*}} bias %[[V]] residual %{{.*}} with %[[VIEW]], %[[V]], %[[N]], %[[OLD]] into %[[OLD]] {activation = 1 : i32}
// CHECK-NOT:     linalg.generic
func.func @kinds(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %s: tensor<2x4x6xf32>, %v: tensor<6xf32>, %n: tensor<f32>,
                 %old: tensor<4x6xf32>, %r: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %sum = kernel.gemm %a, %b bias %v residual %r into %e {activation = 1 : i32}
      : (tensor<4x8xf32>, tensor<8x6xf32>, tensor<6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %view = tensor.extract_slice %s[1, 0, 0] [1, 4, 6] [1, 1, 1] : tensor<2x4x6xf32> to tensor<4x6xf32>
  %y = linalg.generic {indexing_maps = [#same, #same, #column, #one, #same], iterator_types = ["parallel", "parallel"]}
      ins(%sum, %view, %v, %n : tensor<4x6xf32>, tensor<4x6xf32>, tensor<6xf32>, tensor<f32>) outs(%old : tensor<4x6xf32>) {
  ^bb0(%0: f32, %1: f32, %2: f32, %3: f32, %out: f32):
    %4 = arith.mulf %0, %1 : f32
    %5 = arith.mulf %4, %2 : f32
    %6 = arith.mulf %5, %3 : f32
    %7 = arith.addf %6, %out : f32
    linalg.yield %7 : f32
  } -> tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}

// 16-bit floats are f32 in regions.
// CHECK-LABEL: @casts(
// CHECK:         kernel.gemm {{.*}} -> tensor<4x6xbf16> epilogue (%sum: f32, %x: f32) {
// CHECK-NEXT:      %[[S:.*]] = arith.addf %sum, %x : f32
// CHECK-NEXT:      kernel.yield %[[S]] : f32
func.func @casts(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %p: tensor<4x6xbf16>) -> tensor<4x6xbf16> {
  %e = tensor.empty() : tensor<4x6xf32>
  %f = tensor.empty() : tensor<4x6xbf16>
  %sum = kernel.gemm %a, %b into %e : (tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %y = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%sum, %p : tensor<4x6xf32>, tensor<4x6xbf16>) outs(%f : tensor<4x6xbf16>) {
  ^bb0(%0: f32, %1: bf16, %out: bf16):
    %2 = arith.extf %1 : bf16 to f32
    %3 = arith.addf %0, %2 : f32
    %4 = arith.truncf %3 : f32 to bf16
    linalg.yield %4 : bf16
  } -> tensor<4x6xbf16>
  return %y : tensor<4x6xbf16>
}

// An operand that is made later: the product waits for it.
// CHECK-LABEL: @later(
// CHECK:         %[[P:.*]] = kernel.softmax
// CHECK:         kernel.gemm {{.*}} with %[[P]] into
// CHECK-NOT:     linalg.generic
func.func @later(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %p: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %sum = kernel.gemm %a, %b into %e : (tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %later = kernel.softmax %p into %e : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %y = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%sum, %later : tensor<4x6xf32>, tensor<4x6xf32>) outs(%e : tensor<4x6xf32>) {
  ^bb0(%0: f32, %1: f32, %out: f32):
    %2 = arith.mulf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}

// Unless what it multiplies is overwritten by then.
// CHECK-LABEL: @overwritten(
// CHECK:         kernel.gemm
// CHECK-NOT:     epilogue
// CHECK:         kernel.softmax
// CHECK:         linalg.generic
func.func @overwritten(%a: tensor<4x6xf32>, %b: tensor<6x6xf32>) -> tensor<4x6xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %sum = kernel.gemm %a, %b into %e : (tensor<4x6xf32>, tensor<6x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %later = kernel.softmax %a into %a : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %y = linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%sum, %later : tensor<4x6xf32>, tensor<4x6xf32>) outs(%e : tensor<4x6xf32>) {
  ^bb0(%0: f32, %1: f32, %out: f32):
    %2 = arith.mulf %0, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}

// Work that overwrites a factor stays apart: as one, they would need a copy of it.
// CHECK-LABEL: @factor(
// CHECK:         kernel.gemm
// CHECK-NOT:     epilogue
// CHECK:         linalg.generic
func.func @factor(%a: tensor<4x6xf32>, %b: tensor<6x6xf32>) -> tensor<4x6xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %sum = kernel.gemm %a, %b into %e : (tensor<4x6xf32>, tensor<6x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %y = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%sum : tensor<4x6xf32>) outs(%a : tensor<4x6xf32>) {
  ^bb0(%0: f32, %out: f32):
    %1 = arith.addf %0, %out : f32
    linalg.yield %1 : f32
  } -> tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}

// Near misses: a transpose, a sum over rows, an index, a product that adds to what C holds.
// CHECK-LABEL: @misses(
// CHECK-NOT:     epilogue
// CHECK:         return
func.func @misses(%a: tensor<6x8xf32>, %b: tensor<8x6xf32>, %c: tensor<6x6xf32>, %v: tensor<6xf32>)
    -> (tensor<6x6xf32>, tensor<6xf32>, tensor<6x6xi32>, tensor<6x6xf32>) {
  %e = tensor.empty() : tensor<6x6xf32>
  %i = tensor.empty() : tensor<6x6xi32>
  %0 = kernel.gemm %a, %b into %e : (tensor<6x8xf32>, tensor<8x6xf32>, tensor<6x6xf32>) -> tensor<6x6xf32>
  %1 = linalg.generic {indexing_maps = [#swapped, #same], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<6x6xf32>) outs(%e : tensor<6x6xf32>) {
  ^bb0(%x: f32, %out: f32):
    %n = arith.negf %x : f32
    linalg.yield %n : f32
  } -> tensor<6x6xf32>
  %2 = linalg.generic {indexing_maps = [#same, #column], iterator_types = ["reduction", "parallel"]}
      ins(%0 : tensor<6x6xf32>) outs(%v : tensor<6xf32>) {
  ^bb0(%x: f32, %out: f32):
    %n = arith.addf %x, %out : f32
    linalg.yield %n : f32
  } -> tensor<6xf32>
  %3 = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<6x6xf32>) outs(%i : tensor<6x6xi32>) {
  ^bb0(%x: f32, %out: i32):
    %k = linalg.index 0 : index
    %m = arith.index_cast %k : index to i32
    %f = arith.fptosi %x : f32 to i32
    %n = arith.addi %m, %f : i32
    linalg.yield %n : i32
  } -> tensor<6x6xi32>
  %4 = kernel.gemm %a, %b into %c {accumulate} : (tensor<6x8xf32>, tensor<8x6xf32>, tensor<6x6xf32>) -> tensor<6x6xf32>
  %5 = linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
      ins(%4 : tensor<6x6xf32>) outs(%e : tensor<6x6xf32>) {
  ^bb0(%x: f32, %out: f32):
    %n = arith.negf %x : f32
    linalg.yield %n : f32
  } -> tensor<6x6xf32>
  return %1, %2, %3, %5 : tensor<6x6xf32>, tensor<6xf32>, tensor<6x6xi32>, tensor<6x6xf32>
}
