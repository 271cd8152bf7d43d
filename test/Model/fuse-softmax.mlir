// RUN: quern-opt %s -quern-fuse-softmax | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward

// CHECK-LABEL: quern.model @plain
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.softmax %x
// CHECK-NEXT: quern.return %[[Y]]
quern.model @plain kind("test") {
  quern.function @forward(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>) {
    %e = math.exp %x : tensor<2x8xf32>
    %s = quern.sum %e dimensions [1] : tensor<2x8xf32>
    %c = tensor.expand_shape %s [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
    %d = quern.broadcast %c like %e : tensor<2x1xf32>, tensor<2x8xf32>
    %y = arith.divf %e, %d : tensor<2x8xf32>
    quern.return %y : tensor<2x8xf32>
  }
}

// With the maximum and the reciprocal of the sum; reductions in linalg.

#full = affine_map<(r, c) -> (r, c)>
#row = affine_map<(r, c) -> (r)>

// CHECK-LABEL: quern.model @stable
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.softmax %x
// CHECK-NEXT: quern.return %[[Y]]
quern.model @stable kind("test") {
  quern.function @forward(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>) {
    %lowest = arith.constant dense<-3.40282347E+38> : tensor<2xf32>
    %zero = arith.constant dense<0.0> : tensor<2xf32>
    %one = arith.constant dense<1.0> : tensor<2xf32>
    %e0 = tensor.empty() : tensor<2x8xf32>
    %m = linalg.generic {indexing_maps = [#full, #row], iterator_types = ["parallel", "reduction"]}
        ins(%x : tensor<2x8xf32>) outs(%lowest : tensor<2xf32>) {
    ^bb0(%in: f32, %acc: f32):
      %0 = arith.maxnumf %acc, %in : f32
      linalg.yield %0 : f32
    } -> tensor<2xf32>
    %ms = linalg.broadcast ins(%m : tensor<2xf32>) outs(%e0 : tensor<2x8xf32>) dimensions = [1]
    %shifted = arith.subf %x, %ms : tensor<2x8xf32>
    %e = math.exp %shifted : tensor<2x8xf32>
    %s = linalg.reduce { arith.addf } ins(%e : tensor<2x8xf32>) outs(%zero : tensor<2xf32>) dimensions = [1]
    %r = arith.divf %one, %s : tensor<2xf32>
    %rs = linalg.broadcast ins(%r : tensor<2xf32>) outs(%e0 : tensor<2x8xf32>) dimensions = [1]
    %y = arith.mulf %rs, %e : tensor<2x8xf32>
    quern.return %y : tensor<2x8xf32>
  }
}

//===- Near misses ------------------------------------------------------------------------------===//

// The exponentials are wanted as well.

// CHECK-LABEL: quern.model @exponentials_read
// CHECK-NOT: quern.softmax
// CHECK: quern.return
quern.model @exponentials_read kind("test") {
  quern.function @forward(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>, tensor<2x8xf32>) {
    %e = math.exp %x : tensor<2x8xf32>
    %s = quern.sum %e dimensions [1] : tensor<2x8xf32>
    %c = tensor.expand_shape %s [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
    %d = quern.broadcast %c like %e : tensor<2x1xf32>, tensor<2x8xf32>
    %y = arith.divf %e, %d : tensor<2x8xf32>
    quern.return %y, %e : tensor<2x8xf32>, tensor<2x8xf32>
  }
}

// The sum is that of other exponentials.

// CHECK-LABEL: quern.model @other_sum
// CHECK-NOT: quern.softmax
// CHECK: quern.return
quern.model @other_sum kind("test") {
  quern.function @forward(%x: tensor<2x8xf32>, %z: tensor<2x8xf32>) -> (tensor<2x8xf32>) {
    %e = math.exp %x : tensor<2x8xf32>
    %f = math.exp %z : tensor<2x8xf32>
    %s = quern.sum %f dimensions [1] : tensor<2x8xf32>
    %c = tensor.expand_shape %s [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
    %d = quern.broadcast %c like %e : tensor<2x1xf32>, tensor<2x8xf32>
    %y = arith.divf %e, %d : tensor<2x8xf32>
    quern.return %y : tensor<2x8xf32>
  }
}

// The sum starts from 1, as in "softmax plus one".

// CHECK-LABEL: quern.model @plus_one
// CHECK-NOT: quern.softmax
// CHECK: quern.return
quern.model @plus_one kind("test") {
  quern.function @forward(%x: tensor<2x8xf32>) -> (tensor<2x8xf32>) {
    %one = arith.constant dense<1.0> : tensor<2xf32>
    %e0 = tensor.empty() : tensor<2x8xf32>
    %e = math.exp %x : tensor<2x8xf32>
    %s = linalg.reduce { arith.addf } ins(%e : tensor<2x8xf32>) outs(%one : tensor<2xf32>) dimensions = [1]
    %d = linalg.broadcast ins(%s : tensor<2xf32>) outs(%e0 : tensor<2x8xf32>) dimensions = [1]
    %y = arith.divf %e, %d : tensor<2x8xf32>
    quern.return %y : tensor<2x8xf32>
  }
}

// A shift by something else than the maximum stays in the exponent, of which softmax is taken.

// CHECK-LABEL: quern.model @other_shift
// CHECK: %[[D:.*]] = arith.subf %x, %z
// CHECK-NEXT: %[[Y:.*]] = quern.softmax %[[D]]
// CHECK-NEXT: quern.return %[[Y]]
quern.model @other_shift kind("test") {
  quern.function @forward(%x: tensor<2x8xf32>, %z: tensor<2x8xf32>) -> (tensor<2x8xf32>) {
    %shifted = arith.subf %x, %z : tensor<2x8xf32>
    %e = math.exp %shifted : tensor<2x8xf32>
    %s = quern.sum %e dimensions [1] : tensor<2x8xf32>
    %c = tensor.expand_shape %s [[0, 1]] output_shape [2, 1] : tensor<2xf32> into tensor<2x1xf32>
    %d = quern.broadcast %c like %e : tensor<2x1xf32>, tensor<2x8xf32>
    %y = arith.divf %e, %d : tensor<2x8xf32>
    quern.return %y : tensor<2x8xf32>
  }
}
