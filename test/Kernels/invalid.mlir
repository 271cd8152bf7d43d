// RUN: quern-opt %s --convert-quern-to-kernel --split-input-file --verify-diagnostics

quern.model @m kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    quern.return %x : tensor<4x8xf32>
  }
  // expected-error @below {{result 0 of program @p updates no argument of its name and role}}
  quern.function @p(%x: tensor<4x8xf32>) -> (tensor<4x8xf32> {quern.updates = "z"}) attributes {program} {
    quern.return %x : tensor<4x8xf32>
  }
}

// -----

quern.model @m kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    quern.return %x : tensor<4x8xf32>
  }
  quern.function @p(%x: tensor<4x8xf32>) -> (tensor<8x4xf32> {quern.name = "y"}) attributes {program} {
    %shape = arith.constant dense<[8, 4]> : tensor<2xi32>
    // expected-error @below {{tensor.reshape has no kernel}}
    %y = tensor.reshape %x(%shape) : (tensor<4x8xf32>, tensor<2xi32>) -> tensor<8x4xf32>
    quern.return %y : tensor<8x4xf32>
  }
}

// -----

quern.model @a kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    quern.return %x : tensor<4x8xf32>
  }
}
// expected-error @below {{a file holds one model; @a stands before this one}}
quern.model @b kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    quern.return %x : tensor<4x8xf32>
  }
}
