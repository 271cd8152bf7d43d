// RUN: quern-opt %s -quern-fuse-norms | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2

// Rows have statistics [..., 1] or [...], brought to full size at any step.

// CHECK-LABEL: quern.model @rms
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.rms_norm %x weight %w epsilon 9.9999999999999995E-7 :
// CHECK-NEXT: quern.return %[[Y]]
quern.model @rms kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %w: tensor<8xf32>) -> (tensor<?x8xf32>) {
    %xx = arith.mulf %x, %x : tensor<?x8xf32>
    %sum = quern.sum %xx dimensions [1] : tensor<?x8xf32>
    %n = quern.full 8.0 like %sum : tensor<?xf32>
    %epsilon = quern.full 1.0e-6 like %sum : tensor<?xf32>
    %mean = arith.divf %sum, %n : tensor<?xf32>
    %shifted = arith.addf %mean, %epsilon : tensor<?xf32>
    %r = math.rsqrt %shifted : tensor<?xf32>
    %c0 = arith.constant 0 : index
    %rows = tensor.dim %r, %c0 : tensor<?xf32>
    %column = tensor.expand_shape %r [[0, 1]] output_shape [%rows, 1] : tensor<?xf32> into tensor<?x1xf32>
    %rs = quern.broadcast %column like %x : tensor<?x1xf32>, tensor<?x8xf32>
    %y = arith.mulf %x, %rs : tensor<?x8xf32>
    %ws = quern.broadcast %w like %x : tensor<8xf32>, tensor<?x8xf32>
    %z = arith.mulf %ws, %y : tensor<?x8xf32>
    quern.return %z : tensor<?x8xf32>
  }
}

// CHECK-LABEL: quern.model @layer
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.layer_norm %x weight %w bias %b epsilon 1.000000e-03 :
// CHECK-NEXT: quern.return %[[Y]]
quern.model @layer kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>) -> (tensor<4x8xf32>) {
    %eighth = arith.constant dense<0.125> : tensor<4x1xf32>
    %eighths = arith.constant dense<0.125> : tensor<4x8xf32>
    %epsilon = quern.full 1.0e-3 like %x : tensor<4x8xf32>
    %sum = quern.sum %x dimensions [1] : tensor<4x8xf32>
    %column = tensor.expand_shape %sum [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
    %mean = arith.mulf %column, %eighth : tensor<4x1xf32>
    %means = quern.broadcast %mean like %x : tensor<4x1xf32>, tensor<4x8xf32>
    %d = arith.subf %x, %means : tensor<4x8xf32>
    %dd = arith.mulf %d, %d : tensor<4x8xf32>
    %dsum = quern.sum %dd dimensions [1] : tensor<4x8xf32>
    %e = tensor.empty() : tensor<4x8xf32>
    %dsums = linalg.broadcast ins(%dsum : tensor<4xf32>) outs(%e : tensor<4x8xf32>) dimensions = [1]
    %variance = arith.mulf %eighths, %dsums : tensor<4x8xf32>
    %shifted = arith.addf %epsilon, %variance : tensor<4x8xf32>
    %root = math.sqrt %shifted : tensor<4x8xf32>
    %xhat = arith.divf %d, %root : tensor<4x8xf32>
    %ws = quern.broadcast %w like %x : tensor<8xf32>, tensor<4x8xf32>
    %bs = quern.broadcast %b like %x : tensor<8xf32>, tensor<4x8xf32>
    %y = arith.mulf %xhat, %ws : tensor<4x8xf32>
    %z = arith.addf %y, %bs : tensor<4x8xf32>
    quern.return %z : tensor<4x8xf32>
  }
}

//===- Near misses ------------------------------------------------------------------------------===//

// The unbiased variance divides by N - 1; the divisor of the mean is right.

// CHECK-LABEL: quern.model @unbiased
// CHECK-NOT: _norm
// CHECK: quern.return
quern.model @unbiased kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>) {
    %xx = arith.mulf %x, %x : tensor<4x8xf32>
    %sum = quern.sum %xx dimensions [1] : tensor<4x8xf32>
    %n = quern.full 7.0 like %sum : tensor<4xf32>
    %epsilon = quern.full 1.0e-6 like %sum : tensor<4xf32>
    %mean = arith.divf %sum, %n : tensor<4xf32>
    %shifted = arith.addf %mean, %epsilon : tensor<4xf32>
    %r = math.rsqrt %shifted : tensor<4xf32>
    %column = tensor.expand_shape %r [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
    %rs = quern.broadcast %column like %x : tensor<4x1xf32>, tensor<4x8xf32>
    %y = arith.mulf %x, %rs : tensor<4x8xf32>
    quern.return %y : tensor<4x8xf32>
  }
}

// Another tensor's mean square.

// CHECK-LABEL: quern.model @other_tensor
// CHECK-NOT: _norm
// CHECK: quern.return
quern.model @other_tensor kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>, %z: tensor<4x8xf32>) -> (tensor<4x8xf32>) {
    %zz = arith.mulf %z, %z : tensor<4x8xf32>
    %sum = quern.sum %zz dimensions [1] : tensor<4x8xf32>
    %n = quern.full 8.0 like %sum : tensor<4xf32>
    %epsilon = quern.full 1.0e-6 like %sum : tensor<4xf32>
    %mean = arith.divf %sum, %n : tensor<4xf32>
    %shifted = arith.addf %mean, %epsilon : tensor<4xf32>
    %r = math.rsqrt %shifted : tensor<4xf32>
    %column = tensor.expand_shape %r [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
    %rs = quern.broadcast %column like %x : tensor<4x1xf32>, tensor<4x8xf32>
    %y = arith.mulf %x, %rs : tensor<4x8xf32>
    quern.return %y : tensor<4x8xf32>
  }
}

// Statistics over columns, of a square matrix.

// CHECK-LABEL: quern.model @columns
// CHECK-NOT: _norm
// CHECK: quern.return
quern.model @columns kind("test") {
  quern.function @forward(%x: tensor<8x8xf32>) -> (tensor<8x8xf32>) {
    %xx = arith.mulf %x, %x : tensor<8x8xf32>
    %sum = quern.sum %xx dimensions [1] : tensor<8x8xf32>
    %n = quern.full 8.0 like %sum : tensor<8xf32>
    %epsilon = quern.full 1.0e-6 like %sum : tensor<8xf32>
    %mean = arith.divf %sum, %n : tensor<8xf32>
    %shifted = arith.addf %mean, %epsilon : tensor<8xf32>
    %r = math.rsqrt %shifted : tensor<8xf32>
    %rs = quern.broadcast %r like %x : tensor<8xf32>, tensor<8x8xf32>
    %y = arith.mulf %x, %rs : tensor<8x8xf32>
    quern.return %y : tensor<8x8xf32>
  }
}

// The mean is that of another tensor: an RMS norm of the difference, no layer norm.

// CHECK-LABEL: quern.model @other_mean
// CHECK-NOT: layer_norm
// CHECK: quern.rms_norm
quern.model @other_mean kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>, %z: tensor<4x8xf32>) -> (tensor<4x8xf32>) {
    %sum = quern.sum %z dimensions [1] : tensor<4x8xf32>
    %n = quern.full 8.0 like %sum : tensor<4xf32>
    %mean = arith.divf %sum, %n : tensor<4xf32>
    %column = tensor.expand_shape %mean [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
    %means = quern.broadcast %column like %x : tensor<4x1xf32>, tensor<4x8xf32>
    %d = arith.subf %x, %means : tensor<4x8xf32>
    %dd = arith.mulf %d, %d : tensor<4x8xf32>
    %dsum = quern.sum %dd dimensions [1] : tensor<4x8xf32>
    %variance = arith.divf %dsum, %n : tensor<4xf32>
    %epsilon = quern.full 1.0e-6 like %sum : tensor<4xf32>
    %shifted = arith.addf %variance, %epsilon : tensor<4xf32>
    %r = math.rsqrt %shifted : tensor<4xf32>
    %rcolumn = tensor.expand_shape %r [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
    %rs = quern.broadcast %rcolumn like %x : tensor<4x1xf32>, tensor<4x8xf32>
    %y = arith.mulf %d, %rs : tensor<4x8xf32>
    quern.return %y : tensor<4x8xf32>
  }
}
