// RUN: quern-opt %s --quern-derive=programs=prefill | FileCheck %s

// Results along the sequence are those of the last position: what treats positions alone sees it alone, wherever the
// sequence stands; attention, which does not, gives all positions. Where nothing follows the sequence, all stays.

// CHECK: quern.function @prefill(%x: tensor<2x?x4xf32>
// CHECK-SAME: -> (tensor<2x1x2x2xf32> {{{.*}}quern.role = "output"}, tensor<2x1x4xf32> {{{.*}}quern.role = "output"}, tensor<2x4x1xf32> {{{.*}}quern.role = "output"}, tensor<4xf32> {{{.*}}quern.role = "output"}
// CHECK: %[[X:.*]] = quern.last %x dimension 1 : tensor<2x?x4xf32>
// CHECK: %[[H:.*]] = quern.split_heads %x heads 2 : tensor<2x?x4xf32>
// CHECK: %[[A:.*]] = quern.attention %[[H]],
// CHECK: %[[AL:.*]] = quern.last %[[A]] dimension 1 : tensor<2x?x2x2xf32>
// CHECK: %[[M:.*]] = quern.merge_heads %[[AL]] : tensor<2x1x2x2xf32>
// CHECK: %[[N:.*]], %[[S:.*]] = quern.residual_norm rms %[[M]], %[[X]] weight %{{.*}} epsilon {{.*}} : tensor<2x1x4xf32>, tensor<2x1x4xf32>, tensor<4xf32>
// CHECK: %[[F:.*]] = quern.full 2.000000e+00 like %[[N]] : tensor<2x1x4xf32>
// CHECK: %[[Y:.*]] = arith.mulf %[[N]], %[[F]] : tensor<2x1x4xf32>
// CHECK: %[[Z:.*]] = arith.addf %[[Y]], %[[S]] : tensor<2x1x4xf32>
// CHECK: %[[TL:.*]] = quern.last %{{.*}} dimension 2 : tensor<2x4x?xf32>
// CHECK: quern.return %[[AL]], %[[Z]], %[[TL]], %w,
quern.model @m kind("test") {
  quern.parameter @w : tensor<4xf32> init(ones)
  quern.function @forward(%x: tensor<2x?x4xf32> {quern.dims = ["", "sequence", ""]}) -> (tensor<2x?x2x2xf32>, tensor<2x?x4xf32>, tensor<2x4x?xf32>, tensor<4xf32>) {
    %w = quern.read @w : tensor<4xf32>
    %h = quern.split_heads %x heads 2 : tensor<2x?x4xf32>
    %a = quern.attention %h, %h, %h causal : tensor<2x?x2x2xf32>, tensor<2x?x2x2xf32>, tensor<2x?x2x2xf32>
    %m = quern.merge_heads %a : tensor<2x?x2x2xf32>
    %n, %s = quern.residual_norm rms %m, %x weight %w epsilon 1.0e-05 : tensor<2x?x4xf32>, tensor<2x?x4xf32>, tensor<4xf32>
    %two = quern.full 2.0 like %n : tensor<2x?x4xf32>
    %y = arith.mulf %n, %two : tensor<2x?x4xf32>
    %z = arith.addf %y, %s : tensor<2x?x4xf32>
    %t = quern.transpose %x [0, 2, 1] : tensor<2x?x4xf32>
    quern.return %a, %z, %t, %w : tensor<2x?x2x2xf32>, tensor<2x?x4xf32>, tensor<2x4x?xf32>, tensor<4xf32>
  }
}
