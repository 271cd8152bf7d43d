//===- Emitters.h - One emitter a kernel ------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Each emitter writes the launches and the device code of one kernel for one set of types and
/// attributes. The op stands on memrefs; `operands` are the values that its operands have inside
/// the host function (use `OpTy::Adaptor(operands, op)`). It fails with a diagnostic on the op
/// where it cannot emit it.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_EMITTERS_H
#define QUERN_LIB_GPU_EMITTERS_H

#include "dialects/Kernel/Kernel.h"
#include "quern/GPU/Emission.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace quern::nvidia {

#define QUERN_EMITTER(Op)                                                                          \
  llvm::LogicalResult emit(Op op, mlir::ValueRange operands, Emission &emission)

// Elementwise.cpp: any linalg.generic on memrefs.
QUERN_EMITTER(mlir::linalg::GenericOp);
// Attention*.cpp
QUERN_EMITTER(kernel::AttentionOp);
QUERN_EMITTER(kernel::AttentionBackwardOp);
// Gemm*.cpp
QUERN_EMITTER(kernel::GemmOp);
QUERN_EMITTER(kernel::BatchGemmOp);
// Rotary.cpp, Cache.cpp
QUERN_EMITTER(kernel::RotaryOp);
QUERN_EMITTER(kernel::CacheAppendOp);
// Sample.cpp
QUERN_EMITTER(kernel::SampleOp);
// Norm.cpp, NormBackward.cpp
QUERN_EMITTER(kernel::NormOp);
QUERN_EMITTER(kernel::NormBackwardOp);
// Softmax.cpp
QUERN_EMITTER(kernel::SoftmaxOp);
QUERN_EMITTER(kernel::SoftmaxBackwardOp);
// CrossEntropy.cpp
QUERN_EMITTER(kernel::CountTargetsOp);
QUERN_EMITTER(kernel::CrossEntropyOp);
QUERN_EMITTER(kernel::CrossEntropyGradientOp);
// Embedding.cpp, EmbeddingBackward.cpp
QUERN_EMITTER(kernel::EmbeddingOp);
QUERN_EMITTER(kernel::PositionEmbeddingOp);
QUERN_EMITTER(kernel::EmbeddingBackwardOp);
QUERN_EMITTER(kernel::PositionEmbeddingBackwardOp);
// Reduction.cpp
QUERN_EMITTER(kernel::SumRowsOp);
QUERN_EMITTER(kernel::SquaredNormOp);
// Optimizer.cpp
QUERN_EMITTER(kernel::AdamWOp);

#undef QUERN_EMITTER

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_EMITTERS_H
