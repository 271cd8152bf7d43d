//===- Emitters.h - One emitter a kernel ------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Each emitter writes the body of one kernel for one set of types and attributes. The op stands on
/// memrefs; `operands` are the values that its operands have inside the kernel's function (use
/// `OpTy::Adaptor(operands, op)`). It fails with a diagnostic on the op where it cannot emit it.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_EMITTERS_H
#define QUERN_LIB_CPU_EMITTERS_H

#include "dialects/Kernel/Kernel.h"
#include "quern/CPU/Emission.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace quern::cpu {

#define QUERN_EMITTER(Op)                                                                          \
  llvm::LogicalResult emit(Op op, mlir::ValueRange operands, Emission &emission)

// Gemm*.cpp
QUERN_EMITTER(kernel::GemmOp);
QUERN_EMITTER(kernel::BatchGemmOp);
QUERN_EMITTER(kernel::GemmAdamWOp);
// Attention*.cpp
QUERN_EMITTER(kernel::AttentionOp);
QUERN_EMITTER(kernel::CachedAttentionOp);
QUERN_EMITTER(kernel::AttentionBackwardOp);
// Softmax.cpp, CrossEntropy.cpp
QUERN_EMITTER(kernel::SoftmaxOp);
QUERN_EMITTER(kernel::SoftmaxBackwardOp);
QUERN_EMITTER(kernel::CountTargetsOp);
QUERN_EMITTER(kernel::CrossEntropyOp);
QUERN_EMITTER(kernel::CrossEntropyGradientOp);
// Norm*.cpp
QUERN_EMITTER(kernel::NormOp);
QUERN_EMITTER(kernel::NormBackwardOp);
// Embedding.cpp, Rotary.cpp, Cache.cpp
QUERN_EMITTER(kernel::EmbeddingOp);
QUERN_EMITTER(kernel::PositionEmbeddingOp);
QUERN_EMITTER(kernel::EmbeddingBackwardOp);
QUERN_EMITTER(kernel::PositionEmbeddingBackwardOp);
QUERN_EMITTER(kernel::RotaryOp);
QUERN_EMITTER(kernel::CacheAppendOp);
// Sample.cpp
QUERN_EMITTER(kernel::SampleOp);
// Reduction.cpp, Optimizer.cpp
QUERN_EMITTER(kernel::SumRowsOp);
QUERN_EMITTER(kernel::SquaredNormOp);
QUERN_EMITTER(kernel::AdamWOp);
// Elementwise.cpp: any linalg.generic on memrefs; parallel loops with permuted or broadcast
// operands are vectorized, reductions run in index order.
QUERN_EMITTER(mlir::linalg::GenericOp);

#undef QUERN_EMITTER

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_EMITTERS_H
