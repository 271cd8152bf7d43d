// What quern-reference prints, writes and refuses.
// RUN: quern-reference %s --function sums --random 1 --range n=3:4 | FileCheck %s --check-prefix=SUMS
// RUN: quern-reference %s --function loops --random 1 --range n=2:3 | FileCheck %s --check-prefix=LOOPS
// RUN: quern-reference %s %s --compare loops --random 7 | FileCheck %s --check-prefix=SAME
// RUN: not quern-reference %s --function sums 2>&1 | FileCheck %s --check-prefix=NOVALUE
// RUN: not quern-reference %s --function none 2>&1 | FileCheck %s --check-prefix=NOFUNCTION
// RUN: not quern-reference %s --function unknown --random 1 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not quern-reference %s --function rows --random 1 2>&1 | FileCheck %s --check-prefix=TOKEN
// RUN: not quern-reference %s %s 2>&1 | FileCheck %s --check-prefix=SECOND
// RUN: not quern-reference %s --random 1 --dims batch=0 2>&1 | FileCheck %s --check-prefix=SIZE
// RUN: not quern-reference %s --random 1 --range n=2:2 2>&1 | FileCheck %s --check-prefix=EMPTY
// RUN: not quern-reference %s --inputs %t.missing 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not quern-reference %s --function deep --random 1 2>&1 | FileCheck %s --check-prefix=NOSIZE

// SUMS: result0 2: 18 6
// SUMS-NEXT: doubled 2x3: 6 6 6 6 6 6
// NOVALUE: tool.mlir:[[@LINE+1]]:{{.*}} error: no value is given for argument n of @sums
quern.function @sums(%n: tensor<2x3xi32>)
    -> (tensor<2xf32>, tensor<2x3xi32> {quern.name = "doubled"}) {
  %x = arith.sitofp %n : tensor<2x3xi32> to tensor<2x3xf32>
  %a = quern.sum %x dimensions [0, 1] : tensor<2x3xf32>
  %b = quern.sum %x dimensions [0] : tensor<2x3xf32>
  %b0, %rest = quern.split %b dimension 0 sizes [1, 2] : tensor<3xf32>
  %a1 = tensor.expand_shape %a [] output_shape [1] : tensor<f32> into tensor<1xf32>
  %y = quern.concatenate %a1, %b0 dimension 0 : tensor<1xf32>, tensor<1xf32>
  %d = arith.addi %n, %n : tensor<2x3xi32>
  quern.return %y, %d : tensor<2xf32>, tensor<2x3xi32>
}

// Each step doubles what is carried and adds x; the slices are what was carried.
// LOOPS: result0 2: 30 30
// LOOPS-NEXT: result1 3x2: 2 2 6 6 14 14
// LOOPS-NEXT: result2 3x2: 26 26 24 24 18 18
// SAME: @loops result0 2: largest difference 0 of
// SAME: @loops result2 3x2: largest difference 0 of
quern.function @loops(%n: tensor<2xi32>) -> (tensor<2xf32>, tensor<3x2xf32>, tensor<3x2xf32>) {
  %x0 = arith.sitofp %n : tensor<2xi32> to tensor<2xf32>
  %z = quern.full 0.0 like %x0 : tensor<2xf32>
  %y, %s = quern.scan 3 carry (%x = %x0 : tensor<2xf32>) -> (tensor<2xf32>, tensor<3x2xf32>) {
    %d = arith.addf %x, %x : tensor<2xf32>
    %h = arith.addf %d, %x0 : tensor<2xf32>
    quern.yield %h, %x : tensor<2xf32>, tensor<2xf32>
  }
  // Backwards over the slices: running sums from the last one.
  %last, %sums = quern.scan 3 reverse carry (%a = %z : tensor<2xf32>) slices (%w = %s : tensor<3x2xf32>)
      -> (tensor<2xf32>, tensor<3x2xf32>) {
    %b = arith.addf %a, %w : tensor<2xf32>
    %c = arith.addf %b, %x0 : tensor<2xf32>
    quern.yield %b, %c : tensor<2xf32>, tensor<2xf32>
  }
  %more = quern.broadcast %x0 like %sums : tensor<2xf32>, tensor<3x2xf32>
  %r = arith.addf %sums, %more : tensor<3x2xf32>
  quern.return %y, %s, %r : tensor<2xf32>, tensor<3x2xf32>, tensor<3x2xf32>
}

// UNKNOWN: tool.mlir:[[@LINE+3]]:{{.*}} error: the reference interpreter does not know math.cbrt
// UNKNOWN-NOT: see current operation
quern.function @unknown(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = math.cbrt %x : tensor<4xf32>
  quern.return %y : tensor<4xf32>
}

// TOKEN: tool.mlir:[[@LINE+2]]:{{.*}} error: token {{[23]}} is no row of a table of 2
quern.function @rows(%tokens: tensor<?x?xi32>, %table: tensor<2x3xf32>) -> tensor<?x?x3xf32> {
  %y = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<2x3xf32>
  quern.return %y : tensor<?x?x3xf32>
}

// NOSIZE: error: no size is given for dimension "x.2"
quern.function @deep(%x: tensor<?x?x?xf32>) -> tensor<?x?x?xf32> {
  quern.return %x : tensor<?x?x?xf32>
}

// NOFUNCTION: quern-reference: there is no function @none
// SECOND: quern-reference: a second file needs --compare or --check-gradient
// SIZE: quern-reference: the size of batch must be positive, not 0
// EMPTY: quern-reference: the range of n is empty: 2:2
// MISSING: quern-reference: {{.*}}.missing
