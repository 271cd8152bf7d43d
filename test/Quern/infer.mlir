// Results follow from operands: dynamic sizes stay dynamic, known ones are taken from whichever has them.
// RUN: quern-opt %s --mlir-print-op-generic | FileCheck %s

quern.function @infer(%tokens: tensor<?x5xi32>, %table: tensor<17x8xf64>, %q: tensor<?x5x4x8xf32>, %k: tensor<2x?x2x8xf32>,
                      %v: tensor<?x7x2x6xf32>, %a: tensor<?x3x4xf32>, %b: tensor<2x4x?xf32>, %x: tensor<2x?x6xf32>) {
  // CHECK: "quern.embedding"{{.*}} -> tensor<?x5x8xf64>
  %0 = quern.embedding %tokens, %table : tensor<?x5xi32>, tensor<17x8xf64>
  // CHECK: "quern.attention"{{.*}} -> tensor<2x5x4x6xf32>
  %1 = quern.attention %q, %k, %v : tensor<?x5x4x8xf32>, tensor<2x?x2x8xf32>, tensor<?x7x2x6xf32>
  // CHECK: "quern.attention_forward"{{.*}} -> (tensor<2x5x4x6xf32>, tensor<2x4x5xf32>)
  %2:2 = quern.attention_forward %q, %k, %v scale 1.0 : tensor<?x5x4x8xf32>, tensor<2x?x2x8xf32>, tensor<?x7x2x6xf32>
  // CHECK: "quern.matmul"{{.*}} -> tensor<2x3x?xf32>
  %3 = quern.matmul %a, %b : tensor<?x3x4xf32>, tensor<2x4x?xf32>
  // CHECK: "quern.causal_mask"{{.*}} -> tensor<2x?x6xi1>
  %4 = quern.causal_mask like %x : tensor<2x?x6xf32>
  // CHECK: "quern.split"{{.*}} -> (tensor<2x?x1xf32>, tensor<2x?x5xf32>)
  %5:2 = quern.split %x dimension 2 sizes [1, 5] : tensor<2x?x6xf32>
  // CHECK: "quern.merge_heads"{{.*}} -> tensor<?x5x32xf32>
  %6 = quern.merge_heads %q : tensor<?x5x4x8xf32>
  // CHECK: "quern.sum"{{.*}} -> tensor<?xf32>
  %7 = quern.sum %x dimensions [0, 2] : tensor<2x?x6xf32>
  quern.return
}
