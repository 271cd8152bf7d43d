// RUN: quern-opt %s -split-input-file -verify-diagnostics -quern-inline-calls | FileCheck %s

// What forward calls is inlined into it first; forward itself stays.

// CHECK-LABEL: quern.model @nested
quern.model @nested kind("causal_lm") {
  quern.parameter @w : tensor<4x4xf32> init(zeros)
  // CHECK: quern.function @loss
  // CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>
  // CHECK-NEXT: %[[W:.*]] = quern.read @w
  // CHECK-NEXT: %[[Y:.*]] = quern.linear %[[X]], %[[W]]
  // CHECK-NEXT: %[[Z:.*]] = quern.relu %[[Y]]
  // CHECK-NEXT: %[[S:.*]] = quern.sum %[[Z]] dimensions [0, 1]
  // CHECK-NEXT: quern.return %[[S]]
  quern.function @loss(%x: tensor<?x4xf32>) -> (tensor<f32>) {
    %y = quern.call @forward(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %s = quern.sum %y dimensions [0, 1] : tensor<?x4xf32>
    quern.return %s : tensor<f32>
  }
  // CHECK: quern.function @forward
  // CHECK-NEXT: quern.read
  // CHECK-NEXT: quern.linear
  // CHECK-NEXT: quern.relu
  // CHECK-NEXT: quern.return
  quern.function @forward(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    %w = quern.read @w : tensor<4x4xf32>
    %y = quern.linear %x, %w : tensor<?x4xf32>, tensor<4x4xf32>
    %z = quern.call @activate(%y) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    quern.return %z : tensor<?x4xf32>
  }
  quern.function @activate(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    %y = quern.relu %x : tensor<?x4xf32>
    quern.return %y : tensor<?x4xf32>
  }
}

// -----

// A function that returns its argument.

// CHECK-LABEL: quern.model @identity
quern.model @identity kind("causal_lm") {
  // CHECK: quern.function @forward
  // CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>
  // CHECK-NEXT: quern.return %[[X]]
  quern.function @forward(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    %y = quern.call @same(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    quern.return %y : tensor<?x4xf32>
  }
  quern.function @same(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    quern.return %x : tensor<?x4xf32>
  }
}

// -----

quern.model @recursive kind("causal_lm") {
  // expected-error @below {{quern.model (C3): a function calls itself: @forward -> @other -> @forward}}
  quern.function @forward(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    %y = quern.call @other(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    quern.return %y : tensor<?x4xf32>
  }
  quern.function @other(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    %y = quern.call @forward(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    quern.return %y : tensor<?x4xf32>
  }
}

// -----

quern.model @layers_read kind("causal_lm") {
  quern.parameter @w : tensor<4x4xf32> init(zeros)
  quern.layers @block count(2) (%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
    // expected-error @below {{layers @block call @map, which reads parameters of the model; layers take these as arguments of quern.apply}}
    %y = quern.call @map(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    quern.yield %y : tensor<?x4xf32>
  }
  quern.function @map(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    %w = quern.read @w : tensor<4x4xf32>
    %y = quern.linear %x, %w : tensor<?x4xf32>, tensor<4x4xf32>
    quern.return %y : tensor<?x4xf32>
  }
  quern.function @forward(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>) {
    %y = quern.apply @block(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    quern.return %y : tensor<?x4xf32>
  }
}
