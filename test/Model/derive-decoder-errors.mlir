// What looks across the sequence is named, at its place.
// RUN: quern-opt %s --quern-derive=programs=decode --split-input-file --verify-diagnostics

quern.model @bidirectional kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<?x?x4xf32> {
    %h = quern.split_heads %x heads 2 : tensor<?x?x4xf32>
    // expected-error @+1 {{prefill and decode cannot be derived: 'quern.attention' looks across the sequence (without 'causal', a query sees keys that come after it)}}
    %a = quern.attention %h, %h, %h : tensor<?x?x2x2xf32>, tensor<?x?x2x2xf32>, tensor<?x?x2x2xf32>
    %m = quern.merge_heads %a : tensor<?x?x2x2xf32>
    quern.return %m : tensor<?x?x4xf32>
  }
}

// -----

quern.model @lengths kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]}, %n: tensor<?xi32> {quern.dims = ["batch"]}) -> tensor<?x?x2x2xf32> {
    %h = quern.split_heads %x heads 2 : tensor<?x?x4xf32>
    // expected-error @+1 {{'quern.attention' looks across the sequence (with lengths)}}
    %a = quern.attention %h, %h, %h lengths %n causal : tensor<?x?x2x2xf32>, tensor<?x?x2x2xf32>, tensor<?x?x2x2xf32>, tensor<?xi32>
    quern.return %a : tensor<?x?x2x2xf32>
  }
}

// -----

quern.model @by_hand kind("test") {
  quern.layers @block count(2) (%x: tensor<?x?x4xf32>) -> tensor<?x?x4xf32> {
    // expected-error @+1 {{'quern.matmul' looks across the sequence (every position meets every other)}}
    %s = quern.matmul %x, %x transpose_b : tensor<?x?x4xf32>, tensor<?x?x4xf32>
    %p = quern.softmax %s : tensor<?x?x?xf32>
    %a = quern.matmul %p, %x : tensor<?x?x?xf32>, tensor<?x?x4xf32>
    quern.yield %a : tensor<?x?x4xf32>
  }
  quern.function @forward(%x: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<?x?x4xf32> {
    %y = quern.apply @block(%x) : (tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
    quern.return %y : tensor<?x?x4xf32>
  }
}

// -----

quern.model @mean kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<?x4xf32> {
    // expected-error @+1 {{'quern.sum' looks across the sequence (it sums over positions)}}
    %s = quern.sum %x dimensions [1] : tensor<?x?x4xf32>
    quern.return %s : tensor<?x4xf32>
  }
}

// -----

quern.model @transposed kind("test") {
  quern.function @forward(%x: tensor<?x?x4xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<?x4x?xf32> {
    %t = quern.transpose %x [0, 2, 1] : tensor<?x?x4xf32>
    // expected-error @+1 {{'quern.softmax' looks across the sequence (along its last dimension)}}
    %p = quern.softmax %t : tensor<?x4x?xf32>
    quern.return %p : tensor<?x4x?xf32>
  }
}

// -----

quern.model @mixed kind("test") {
  quern.parameter @table : tensor<8x4xf32> init(ones)
  quern.function @forward(%x: tensor<8x4xf32> {quern.dims = ["sequence", ""]}) -> tensor<8x4xf32> {
    %t = quern.read @table : tensor<8x4xf32>
    // expected-error @+1 {{'arith.addf' mixes a tensor that goes along the sequence with one that does not: 'tensor<8x4xf32>'}}
    %y = arith.addf %x, %t : tensor<8x4xf32>
    quern.return %y : tensor<8x4xf32>
  }
}

// -----

quern.model @nameless kind("test") {
  // expected-error @+1 {{prefill and decode cannot be derived: no input of the forward function has a dimension named 'sequence'; name it in the text}}
  quern.function @forward(%x: tensor<?x?x4xf32>) -> tensor<?x?x4xf32> {
    quern.return %x : tensor<?x?x4xf32>
  }
}
