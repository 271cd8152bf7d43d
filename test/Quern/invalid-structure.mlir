// What models, layers, functions and references refuse, each with the number of its constraint.
// RUN: quern-opt %s -split-input-file -verify-diagnostics

// expected-error @below {{quern.model (C1): model @m has no function @forward; add quern.function @forward}}
quern.model @m kind("causal_lm") {
}

// -----

// expected-error @below {{quern.model (C2): context must be positive, not 0}}
quern.model @m kind("causal_lm") context(0) {
  quern.function @forward() {
    quern.return
  }
}

// -----

// expected-error @below {{quern.model (C2): context must be positive, not -4}}
quern.model @m kind("causal_lm") context(-4) {
  quern.function @forward() {
    quern.return
  }
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.model (C3): layers apply themselves: @a -> @b -> @a}}
  quern.layers @a count(2) (%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.apply @b(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.yield %y : tensor<4xf32>
  }
  quern.layers @b count(2) (%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.apply @a(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.yield %y : tensor<4xf32>
  }
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.apply @a(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.model (C3): a function calls itself: @forward -> @forward}}
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.call @forward(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  // A cycle through both; the way to it is not part of it.
  // expected-error @below {{quern.model (C3): layers apply themselves: @block -> @helper -> @block}}
  quern.layers @block count(2) (%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.call @helper(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.yield %y : tensor<4xf32>
  }
  quern.function @helper(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.apply @block(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.call @helper(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.parameter @a : tensor<4xf32> init(zeros) file("same")
  // expected-error @below {{quern.model (C4): parameters a and b are both "same" in weight files; name one of them with file("...")}}
  quern.parameter @b : tensor<4xf32> init(zeros) file("same")
  quern.function @forward() {
    quern.return
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.function @forward() {
    quern.return
  }
  // expected-error @below {{quern.model (C5): a model holds parameters, layers and functions, not arith.constant}}
  %0 = arith.constant 1 : i32
}

// -----

quern.model @m kind("causal_lm") {
  // expected-note @below {{see existing symbol definition here}}
  quern.parameter @w : tensor<4xf32> init(zeros)
  // expected-error @below {{redefinition of symbol named 'w'}}
  quern.parameter @w : tensor<4xf32> init(zeros) file("other")
  quern.function @forward() {
    quern.return
  }
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.parameter (C1): parameter @w must be a float tensor, not 'tensor<4xi32>'}}
  quern.parameter @w : tensor<4xi32> init(zeros)
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.parameter (C1): parameter @w needs static, positive dimensions, not 'tensor<4x0xf32>'}}
  quern.parameter @w : tensor<4x0xf32> init(zeros)
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.parameter (C1): parameter @w needs static, positive dimensions, not 'tensor<4x?xf32>'}}
  quern.parameter @w : tensor<4x?xf32> init(zeros)
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{expected non-function type}}
  quern.parameter @w : tensor<4x-3xf32> init(zeros)
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.parameter (C2): initializer normal of @w needs a positive scale, such as init(normal, 0.02)}}
  quern.parameter @w : tensor<4xf32> init(normal)
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.parameter (C2): initializer uniform of @w needs a positive scale}}
  quern.parameter @w : tensor<4xf32> init(uniform, -0.1)
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.parameter (C2): initializer ones of @w takes no scale}}
  quern.parameter @w : tensor<4xf32> init(ones, 2.0)
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.parameter (C3): initializer residual of @w scales with the number of layers, and it stands in none}}
  quern.parameter @w : tensor<4xf32> init(residual, 0.02)
}

// -----

// expected-error @below {{'quern.parameter' op expects parent op to be one of 'quern.model, quern.layers'}}
quern.parameter @w : tensor<4xf32> init(zeros)

// -----

// expected-error @below {{'quern.layers' op expects parent op 'quern.model'}}
quern.layers @block count(1) (%x: tensor<4xf32>) -> tensor<4xf32> {
  quern.yield %x : tensor<4xf32>
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.layers (C1): count must be positive, not 0}}
  quern.layers @block count(0) (%x: tensor<4xf32>) -> tensor<4xf32> {
    quern.yield %x : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.layers (C1): count must be positive, not -2}}
  quern.layers @block count(-2) (%x: tensor<4xf32>) -> tensor<4xf32> {
    quern.yield %x : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.layers @block count(2) (%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = quern.split_heads %x heads 2 : tensor<4xf32>
    // expected-error @below {{quern.layers (C2): value 0 that @block yields is 'tensor<2x2xf32>', but the next layer takes 'tensor<4xf32>'}}
    quern.yield %y : tensor<2x2xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.layers (C3): @block yields 0 values and has 1 arguments; it must yield one value or more, for the next layer's arguments}}
  quern.layers @block count(2) (%x: tensor<4xf32>) {
    quern.yield
  }
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.layers (C3): @block yields 2 values and has 1 arguments}}
  quern.layers @block count(2) (%x: tensor<4xf32>) {
    quern.yield %x, %x : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  // expected-error @below {{quern.layers (C4): arguments of @block must be ranked tensors, not 'f32'}}
  quern.layers @block count(2) (%x: f32) -> f32 {
    quern.yield %x : f32
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.layers @block count(2) (%x: tensor<4xf32>) {
    // expected-error @below {{block with no terminator}}
    %y = arith.addf %x, %x : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    // expected-error @below {{quern.read (C1): unknown parameter @w}}
    %w = quern.read @w : tensor<4xf32>
    quern.return %w : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.parameter @w : tensor<4xf32> init(zeros)
  quern.layers @block count(2) (%x: tensor<4xf32>) -> tensor<4xf32> {
    // expected-error @below {{quern.read (C1): unknown parameter @w in layers @block; the model has one of that name, which layers take as an argument of quern.apply}}
    %w = quern.read @w : tensor<4xf32>
    quern.yield %w : tensor<4xf32>
  }
  quern.function @forward() {
    quern.return
  }
}

// -----

// Outside of a model there is nothing to read.
quern.function @forward() -> tensor<4xf32> {
  // expected-error @below {{quern.read (C1): unknown parameter @w}}
  %w = quern.read @w : tensor<4xf32>
  quern.return %w : tensor<4xf32>
}

// -----

quern.model @m kind("causal_lm") {
  quern.parameter @w : tensor<4xf32> init(zeros)
  quern.function @forward() -> tensor<5xf32> {
    // expected-error @below {{quern.read (C2): parameter @w is 'tensor<4xf32>', not 'tensor<5xf32>'}}
    %w = quern.read @w : tensor<5xf32>
    quern.return %w : tensor<5xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    // expected-error @below {{quern.apply (C1): the model has no layers @forward}}
    %y = quern.apply @forward(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
}

// -----

quern.model @m kind("causal_lm") {
  quern.layers @block count(2) (%x: tensor<4xf32>, %s: tensor<f32>) -> tensor<4xf32> {
    quern.yield %x : tensor<4xf32>
  }
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    // expected-error @below {{quern.apply (C2): @block takes ('tensor<4xf32>', 'tensor<f32>') and gives ('tensor<4xf32>'), not ('tensor<4xf32>') and ('tensor<4xf32>')}}
    %y = quern.apply @block(%x) : (tensor<4xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
}

// -----

quern.function @outside() {
  // expected-error @below {{quern.call (C1): the model has no function @forward}}
  quern.call @forward() : () -> ()
  quern.return
}

// -----

quern.model @m kind("causal_lm") {
  quern.function @forward(%x: tensor<4xf32>) -> tensor<4xf32> {
    quern.return %x : tensor<4xf32>
  }
  quern.function @loss(%x: tensor<5xf32>) -> tensor<4xf32> {
    // expected-error @below {{quern.call (C2): @forward takes ('tensor<4xf32>') and gives ('tensor<4xf32>'), not ('tensor<5xf32>') and ('tensor<4xf32>')}}
    %y = quern.call @forward(%x) : (tensor<5xf32>) -> tensor<4xf32>
    quern.return %y : tensor<4xf32>
  }
}

// -----

// expected-error @below {{quern.function (C1): arguments and results of @f must be ranked tensors, not 'f32'}}
quern.function @f(%x: f32) {
  quern.return
}

// -----

// expected-error @below {{quern.function (C1): @f has a tensor of no elements: 'tensor<4x0xf32>'}}
quern.function @f(%x: tensor<4x0xf32>) {
  quern.return
}

// -----

// expected-error @below {{quern.function (C2): quern.dims of argument 0 of @f must name each dimension of 'tensor<?x?xi32>', such as ["batch", "sequence"]}}
quern.function @f(%x: tensor<?x?xi32> {quern.dims = ["batch"]}) {
  quern.return
}

// -----

// expected-error @below {{quern.function (C2): dimension "batch" of @f is both 4 and 5}}
quern.function @f(%x: tensor<4x?xi32> {quern.dims = ["batch", "sequence"]}, %y: tensor<5xi32> {quern.dims = ["batch"]}) {
  quern.return
}

// -----

// expected-error @below {{quern.function (C3): @f has two arguments named x}}
quern.function @f(%x: tensor<4xi32>, %y: tensor<4xi32> {quern.name = "x"}) {
  quern.return
}

// -----

// expected-error @below {{function @f does not end in quern.return}}
quern.function @f(%x: tensor<4xf32>) {
  %y = arith.addf %x, %x : tensor<4xf32>
}

// -----

quern.function @f(%x: tensor<4xf32>) -> tensor<5xf32> {
  // expected-error @below {{quern.return (C1): @f declares ('tensor<5xf32>') and returns ('tensor<4xf32>')}}
  quern.return %x : tensor<4xf32>
}

// -----

quern.function @f(%x: tensor<4xf32>, %w: tensor<2x4xf32>) {
  // expected-error @below {{quern.scan (C1): a stacked tensor of type 'tensor<2x4xf32>' does not have 3 slices}}
  quern.scan 3 slices (%s = %w : tensor<2x4xf32>) {
    quern.yield
  }
  quern.return
}

// -----

quern.function @f(%x: tensor<4xf32>) {
  // expected-error @below {{quern.scan (C2): carried value 0 changes its type from 'tensor<4xf32>' to 'tensor<2x2xf32>'}}
  %y = quern.scan 3 carry (%c = %x : tensor<4xf32>) -> tensor<4xf32> {
    %h = quern.split_heads %c heads 2 : tensor<4xf32>
    quern.yield %h : tensor<2x2xf32>
  }
  quern.return
}

// -----

quern.function @f(%x: tensor<4xf32>) {
  // expected-error @below {{quern.scan (C3): yields 'tensor<4xf32>' for a stack of type 'tensor<3x5xf32>'}}
  %y = quern.scan 3 -> tensor<3x5xf32> {
    quern.yield %x : tensor<4xf32>
  }
  quern.return
}

// -----

quern.function @f(%x: tensor<4xf32>) {
  // expected-error @below {{quern.scan (C4): count must be positive, not 0}}
  %y = quern.scan 0 carry (%c = %x : tensor<4xf32>) -> tensor<4xf32> {
    quern.yield %c : tensor<4xf32>
  }
  quern.return
}

// -----

quern.function @f(%x: tensor<f32>) {
  // expected-error @below {{a scan takes ranked tensors, and slices need a first dimension}}
  quern.scan 2 slices (%s = %x : tensor<f32>) {
    quern.yield
  }
  quern.return
}

// -----

quern.function @f(%x: tensor<4xf32>) {
  // expected-error @below {{quern.scan: 1 operands and 0 results do not fit a body with 1 arguments and 0 yielded values}}
  quern.scan 2 carry (%c = %x : tensor<4xf32>) {
    quern.yield
  }
  quern.return
}
