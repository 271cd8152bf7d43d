// A wrong gradient, a missing one and a missing program are found.
// RUN: quern-opt %s --quern-derive=programs=gradients -o %t.mlir
// RUN: quern-reference %s %t.mlir --check-gradient --random 1 --dims batch=3,sequence=2 | FileCheck %s
// RUN: sed 's/scale 5.000000e-01/scale 5.100000e-01/' %t.mlir > %t.wrong.mlir
// RUN: not quern-reference %s %t.wrong.mlir --check-gradient --random 1 2>&1 | FileCheck %s --check-prefix=WRONG
// RUN: sed 's/quern.role = "gradient"/quern.role = "output"/g' %t.mlir > %t.missing.mlir
// RUN: not quern-reference %s %t.missing.mlir --check-gradient --random 1 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not quern-reference %s %s --check-gradient --random 1 2>&1 | FileCheck %s --check-prefix=PROGRAM
// RUN: quern-reference %s %t.mlir --compare forward --random 1
// RUN: sed 's/epsilon 1.000000e-03/epsilon 1.000000e-04/' %t.mlir > %t.other.mlir
// RUN: not quern-reference %s %t.other.mlir --compare forward --random 1 2>&1 | FileCheck %s --check-prefix=COMPARE

// CHECK: @m table 5x4: largest difference {{[0-9.]+}}e-{{[01][0-9]}} of
// CHECK: @m block.w 3x4x12: largest difference {{[0-9.]+}}e-{{[01][0-9]}} of
// CHECK: @m unused 2: largest difference 0 of 0 (no gradient)

// WRONG: check-gradient.mlir:[[@LINE+8]]:{{.*}} error: wrong gradient: @m table 5x4
// WRONG: error: wrong gradient: @m block.w 3x4x12

// MISSING: error: wrong gradient: @m table 5x4: {{.*}} (no gradient)

// PROGRAM: error: @loss has no counterpart @gradients in

quern.model @m kind("x") {
  quern.parameter @table : tensor<5x4xf32> init(normal, 0.02) decay file("wte.weight")
  quern.layers @block count(3) file("h.{layer}.") (%x: tensor<?x?x4xf32>, %s: tensor<4xf32>) -> tensor<?x?x4xf32> {
    quern.parameter @w : tensor<4x12xf32> init(normal, 0.02)
    %w = quern.read @w : tensor<4x12xf32>
    %n = quern.layer_norm %x weight %s epsilon 1.0e-3 : tensor<?x?x4xf32>, tensor<4xf32>
    %qkv = quern.linear %n, %w : tensor<?x?x4xf32>, tensor<4x12xf32>
    %qs, %ks, %vs = quern.split %qkv dimension 2 sizes [4, 4, 4] : tensor<?x?x12xf32>
    %q = quern.split_heads %qs heads 1 : tensor<?x?x4xf32>
    %k = quern.split_heads %ks heads 1 : tensor<?x?x4xf32>
    %v = quern.split_heads %vs heads 1 : tensor<?x?x4xf32>
    %a = quern.attention %q, %k, %v causal : tensor<?x?x1x4xf32>, tensor<?x?x1x4xf32>, tensor<?x?x1x4xf32>
    %m = quern.merge_heads %a : tensor<?x?x1x4xf32>
    %y = arith.addf %x, %m : tensor<?x?x4xf32>
    quern.yield %y : tensor<?x?x4xf32>
  }
  // What all layers share.
  quern.parameter @scale : tensor<4xf32> init(ones)
  quern.parameter @unused : tensor<2xf32> init(ones)
  // COMPARE: error: @forward logits {{.*}}: largest difference {{.*}} of {{.*}}, more than 1.00e-09
  quern.function @forward(%tokens: tensor<?x?xi32>) -> (tensor<?x?x5xf32> {quern.name = "logits"}) {
    %t = quern.read @table : tensor<5x4xf32>
    %s = quern.read @scale : tensor<4xf32>
    %x = quern.embedding %tokens, %t : tensor<?x?xi32>, tensor<5x4xf32>
    %y = quern.apply @block(%x, %s) : (tensor<?x?x4xf32>, tensor<4xf32>) -> tensor<?x?x4xf32>
    %l = quern.linear %y, %t transposed : tensor<?x?x4xf32>, tensor<5x4xf32>
    quern.return %l : tensor<?x?x5xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32>) -> tensor<f32> {
    %l = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x5xf32>
    %loss = quern.cross_entropy %l, %targets : tensor<?x?x5xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
