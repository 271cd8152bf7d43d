//===- AdamW.h - The formula of AdamW on vectors ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Loshchilov and Hutter 2019, algorithm 2, as `kernel.adamw` says it. Whoever has a gradient in
/// registers applies the same arithmetic, and so gets the same bits.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_ADAMW_H
#define QUERN_LIB_CPU_ADAMW_H

#include "Rows.h"

namespace quern::cpu {

/// What a step is told: memrefs of rank 0.
struct StepOptions {
  mlir::Value scale; ///< the clipping factor; null: 1
  mlir::Value learningRate, beta1, beta2, epsilon, step;
};

/// The numbers of one step, as vectors of equal lanes.
struct StepFactors {
  mlir::Value scale;          ///< the clipping factor; null: 1
  mlir::Value beta2;          ///<
  mlir::Value oneMinusBeta1;  ///<
  mlir::Value oneMinusBeta2;  ///<
  mlir::Value epsilon;        ///<
  mlir::Value minusStepSize;  ///< -learning_rate / (1 - beta1^step)
  mlir::Value rootCorrection; ///< 1 / sqrt(1 - beta2^step)
};

/// Computed in f64, as PyTorch does, then rounded to what `v` computes in.
StepFactors stepFactors(Vectors &v, const StepOptions &options);

/// 1 - learning_rate weight_decay, from memrefs of rank 0, in equal lanes.
mlir::Value shrinkage(Vectors &v, mlir::Value learningRate, mlir::Value weightDecay);

/// A vector of a parameter and of its moments.
struct Moments {
  mlir::Value parameter, first, second;
};

/// What a step makes of `old`.
Moments updated(Vectors &v, const StepFactors &factors, mlir::Value shrinkage, mlir::Value gradient,
                const Moments &old);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_ADAMW_H
