// What cannot be derived is an error that names the op and its place.
// RUN: quern-opt %s --quern-derive=programs=gradients,decode --split-input-file --verify-diagnostics

quern.model @no_rule kind("test") {
  quern.parameter @w : tensor<4xf32> init(ones)
  quern.function @forward(%x: tensor<4xf32> {quern.dims = ["sequence"]}) -> tensor<4xf32> {
    quern.return %x : tensor<4xf32>
  }
  quern.function @loss(%x: tensor<4xf32>) -> tensor<f32> {
    %w = quern.read @w : tensor<4xf32>
    // expected-error @+1 {{'math.floor' has no gradient rule, and the loss depends on parameters through it}}
    %y = math.floor %w : tensor<4xf32>
    %s = quern.sum %y dimensions [0] : tensor<4xf32>
    quern.return %s : tensor<f32>
  }
}

// -----

quern.model @no_rule_in_layers kind("test") {
  quern.layers @block count(2) (%x: tensor<4xf32>) -> tensor<4xf32> {
    quern.parameter @w : tensor<4xf32> init(ones)
    %w = quern.read @w : tensor<4xf32>
    %z = arith.mulf %x, %w : tensor<4xf32>
    // expected-error @+1 {{'math.ceil' has no gradient rule}}
    %y = math.ceil %z : tensor<4xf32>
    quern.yield %y : tensor<4xf32>
  }
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.apply @block(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
  quern.function @loss(%x: tensor<4xf32>) -> tensor<f32> {
    %y = quern.call @forward(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %s = quern.sum %y dimensions [0] : tensor<4xf32>
    quern.return %s : tensor<f32>
  }
}

// -----

quern.model @not_scalar kind("test") {
  quern.parameter @w : tensor<4xf32> init(ones)
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    quern.return %x : tensor<4xf32>
  }
  // expected-error @+1 {{the first result of @loss must be a scalar such as tensor<f32>}}
  quern.function @loss(%x: tensor<4xf32>) -> tensor<4xf32> {
    %w = quern.read @w : tensor<4xf32>
    %y = arith.mulf %x, %w : tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
}

// -----

// expected-error @+1 {{model @no_loss has no function @loss, which gradients derives from}}
quern.model @no_loss kind("test") {
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    quern.return %x : tensor<4xf32>
  }
}

// -----

quern.model @mask_gradient kind("test") {
  quern.parameter @bias : tensor<3x3xf32> init(zeros)
  quern.function @forward(%q: tensor<1x3x1x2xf32>) -> tensor<1x3x1x2xf32> {
    %m = quern.read @bias : tensor<3x3xf32>
    // expected-error @+1 {{quern.attention has no gradient rule for its mask, which depends on a parameter here}}
    %y = quern.attention %q, %q, %q mask %m : tensor<1x3x1x2xf32>, tensor<1x3x1x2xf32>, tensor<1x3x1x2xf32>, tensor<3x3xf32>
    quern.return %y : tensor<1x3x1x2xf32>
  }
  quern.function @loss(%q: tensor<1x3x1x2xf32>) -> tensor<f32> {
    %y = quern.call @forward(%q) : (tensor<1x3x1x2xf32>) -> tensor<1x3x1x2xf32>
    %s = quern.sum %y dimensions [0, 1, 2, 3] : tensor<1x3x1x2xf32>
    quern.return %s : tensor<f32>
  }
}

// -----

quern.model @circle kind("test") {
  // expected-error @+1 {{quern.model (C3): a function calls itself: @forward -> @other -> @forward}}
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.call @other(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
  quern.function @other(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.call @forward(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
  quern.function @loss(%x: tensor<4xf32>) -> tensor<f32> {
    %y = quern.call @forward(%x) : (tensor<4xf32>) -> tensor<4xf32>
    %s = quern.sum %y dimensions [0] : tensor<4xf32>
    quern.return %s : tensor<f32>
  }
}

// -----

// Shapes that the layers leave open must fit where the layers are applied.
quern.model @misfit kind("test") {
  quern.layers @block count(2) (%x: tensor<?x4xf32>, %c: tensor<?x4xf32>) -> tensor<?x4xf32> {
    // expected-error @+1 {{arith.addf: operands of shapes 'tensor<5x4xf32>' and 'tensor<4x4xf32>' do not fit}}
    %s = arith.addf %x, %c : tensor<?x4xf32>
    quern.yield %s : tensor<?x4xf32>
  }
  quern.function @forward(%x: tensor<5x4xf32>) -> tensor<?x4xf32> {
    %c = arith.constant dense<1.0> : tensor<4x4xf32>
    %y = quern.apply @block(%x, %c) : (tensor<5x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    quern.return %y : tensor<?x4xf32>
  }
  quern.function @loss(%x: tensor<5x4xf32>) -> tensor<f32> {
    %y = quern.call @forward(%x) : (tensor<5x4xf32>) -> tensor<?x4xf32>
    %s = quern.sum %y dimensions [0, 1] : tensor<?x4xf32>
    quern.return %s : tensor<f32>
  }
}
