// RUN: quern-opt %S/Inputs/gpt.mlir --quern-derive --quern-set-shapes=dims=batch=4,sequence=8 -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir
// RUN: quern-opt %S/Inputs/gpt.mlir --quern-derive='programs=decode' --quern-set-shapes='dims=batch=1,capacity=8 decoders' | FileCheck %s --check-prefix=DECODER
// RUN: not quern-opt %S/Inputs/gpt.mlir --quern-derive --quern-set-shapes=dims=batches=4 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not quern-opt %S/Inputs/gpt.mlir --quern-derive --quern-set-shapes=dims=batch=0 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: not quern-opt %S/Inputs/gpt.mlir --quern-derive --quern-set-shapes=dims=batch=2,batch=3 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not quern-opt %S/Inputs/gpt.mlir --quern-derive --quern-set-shapes=dims=sequence=9 2>&1 | FileCheck %s --check-prefix=LONG
// RUN: not quern-opt %t.mlir --quern-set-shapes=dims=batch=5 2>&1 | FileCheck %s --check-prefix=FIXED
// RUN: quern-reference %S/Inputs/gpt.mlir %t.mlir --check-gradient --random 1 --dims batch=4,sequence=8 --range tokens=0:11 targets=-1:11

// Everything that was open is known, in loops too; decoders stay open.
// CHECK: quern.function @forward(%tokens: tensor<4x8xi32>
// CHECK-NOT: tensor<{{[^>]*}}?
// CHECK: quern.function @gradients(%tokens: tensor<4x8xi32>
// CHECK-NOT: tensor<{{[^>]*}}?
// CHECK: quern.scan 2 reverse carry (%{{.*}} : tensor<4x8x6xf32>)
// CHECK-NOT: tensor<{{[^>]*}}?
// CHECK: quern.function @train_step(%tokens: tensor<4x8xi32>
// CHECK-NOT: tensor<{{[^>]*}}?
// CHECK: quern.function @prefill(%tokens: tensor<?x?xi32>
// CHECK: quern.function @decode(%tokens: tensor<?x1xi32>

// DECODER: quern.function @decode(%tokens: tensor<1x1xi32>
// DECODER-SAME: tensor<2x1x8x2x3xf32>
// DECODER: quern.cache_append {{.*}} : tensor<1x8x2x3xf32>, tensor<1x1x2x3xf32>, tensor<i32>

// UNKNOWN: error: no program of @gpt has a dimension 'batches'; there are batch, sequence, capacity
// ZERO: error: 'batch=0' is no size of a dimension; write NAME=SIZE with a positive size, such as batch=4
// TWICE: error: dimension 'batch' cannot be 2 and 3
// LONG: gpt.mlir:{{.*}}: error: quern.position_embedding (C3): a sequence of 9 tokens is longer than the table of 8 positions
// FIXED: error: dimension 'batch' of %tokens in @forward is 4 in the text; it cannot become 5
