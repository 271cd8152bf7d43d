// RUN: quern-opt %s | quern-opt | FileCheck %s
// RUN: quern-opt %s --mlir-print-op-generic | quern-opt | FileCheck %s

// A model with parameters inside and outside of layers, functions that call and apply.

// CHECK-LABEL: quern.model @tiny kind("causal_lm") context(16) {
quern.model @tiny kind("causal_lm") context(16) {
  // CHECK: quern.parameter @token : tensor<17x8xf32> init(normal, 2.000000e-02) decay file("wte.weight")
  quern.parameter @token : tensor<17x8xf32> init(normal, 0.02) decay file("wte.weight")
  // CHECK: quern.parameter @zeros : tensor<8xf32> init(zeros)
  quern.parameter @zeros : tensor<8xf32> init(zeros)
  // CHECK: quern.parameter @ones : tensor<8xf32> init(ones) {note = "kept"}
  quern.parameter @ones : tensor<8xf32> init(ones) {note = "kept"}
  // CHECK: quern.parameter @uniform : tensor<8x8xf64> init(uniform, 1.000000e-01) decay
  quern.parameter @uniform : tensor<8x8xf64> init(uniform, 0.1) decay

  // CHECK: quern.layers @block count(3) file("h.{layer}.") (%[[X:.*]]: tensor<?x?x8xf32>, %[[S:.*]]: tensor<8xf32>) -> tensor<?x?x8xf32> {
  quern.layers @block count(3) file("h.{layer}.") (%x: tensor<?x?x8xf32>, %b: tensor<8xf32>)
      -> tensor<?x?x8xf32> {
    // CHECK: quern.parameter @w : tensor<8x8xf32> init(residual, 2.000000e-02) decay file("w.weight")
    quern.parameter @w : tensor<8x8xf32> init(residual, 0.02) decay file("w.weight")
    // CHECK: %[[W:.*]] = quern.read @w : tensor<8x8xf32>
    %w = quern.read @w : tensor<8x8xf32>
    %h = quern.linear %x, %w bias %b : tensor<?x?x8xf32>, tensor<8x8xf32>, tensor<8xf32>
    // CHECK: quern.yield %{{.*}} : tensor<?x?x8xf32>
    quern.yield %h : tensor<?x?x8xf32>
  }
  // CHECK: quern.layers @pair count(1) (%{{.*}}: tensor<4xf32>, %{{.*}}: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {note = 1 : i64} {
  quern.layers @pair count(1) (%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
      attributes {note = 1} {
    quern.yield %y, %x : tensor<4xf32>, tensor<4xf32>
  }
  // The name that files and command lines use is the SSA name, unless another is given.
  // CHECK: quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"], quern.name = "tokens"}) -> (tensor<?x?x17xf32> {quern.name = "logits"}) {
  quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<?x?x17xf32> {quern.name = "logits"}) {
    %table = quern.read @token : tensor<17x8xf32>
    %bias = quern.read @zeros : tensor<8xf32>
    %x = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<17x8xf32>
    // CHECK: quern.apply @block(%{{.*}}, %{{.*}}) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    %y = quern.apply @block(%x, %bias) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
    %logits = quern.linear %y, %table transposed : tensor<?x?x8xf32>, tensor<17x8xf32>
    // CHECK: quern.return %{{.*}} : tensor<?x?x17xf32>
    quern.return %logits : tensor<?x?x17xf32>
  }
  // CHECK: quern.function @loss(%tokens: {{.*}}, %labels: {{.*}}quern.name = "labels"
  quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32> {quern.name = "labels"})
      -> tensor<f32> {
    // CHECK: quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x17xf32>
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x17xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x17xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
  quern.function @nothing() {
    quern.return
  }
}

// A function outside of a model: a derived program, or a test.
// CHECK: quern.function @scans(
// CHECK-SAME: attributes {program}
quern.function @scans(%x0: tensor<4xf32> {quern.role = "input"}, %ws: tensor<3x4xf32>)
    -> (tensor<4xf32>, tensor<3x4xf32>) attributes {program} {
  // CHECK: quern.scan 3 carry (%[[X:.*]] = %x0 : tensor<4xf32>) slices (%[[W:.*]] = %ws : tensor<3x4xf32>) -> (tensor<4xf32>, tensor<3x4xf32>) {
  %y, %saved = quern.scan 3 carry (%x = %x0 : tensor<4xf32>) slices (%w = %ws : tensor<3x4xf32>)
      -> (tensor<4xf32>, tensor<3x4xf32>) {
    %h = arith.addf %x, %w : tensor<4xf32>
    // CHECK: quern.yield %{{.*}}, %[[X]] : tensor<4xf32>, tensor<4xf32>
    quern.yield %h, %x : tensor<4xf32>, tensor<4xf32>
  }
  // CHECK: quern.scan 3 reverse slices (%{{.*}} = %ws : tensor<3x4xf32>) -> tensor<3x4xf32> attributes {note = "n"} {
  %z = quern.scan 3 reverse slices (%w = %ws : tensor<3x4xf32>) -> (tensor<3x4xf32>)
      attributes {note = "n"} {
    %h = arith.addf %w, %y : tensor<4xf32>
    quern.yield %h : tensor<4xf32>
  }
  quern.return %y, %z : tensor<4xf32>, tensor<3x4xf32>
}
