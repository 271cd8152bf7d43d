//===- Checks.h - Comparing functions, and gradients with finite differences -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_REFERENCE_CHECKS_H
#define QUERN_REFERENCE_CHECKS_H

#include "quern/Reference/Values.h"

namespace quern::reference {

/// The largest |a - b|, and the largest |b|. Infinite where only one is a number, or kinds differ.
struct Difference {
  double absolute = 0, magnitude = 0;
};
Difference compareArrays(const Array &a, const Array &b);

/// Evaluates two functions on the same values and compares result with result. Each difference may
/// be `tolerance` times the larger of 1 and the largest number of the result. Prints a line for
/// each result, and reports an error at `a` for what differs.
llvm::LogicalResult compareFunctions(FunctionOp a, FunctionOp b, const ValueSource &source,
                                     double tolerance);

/// Compares each gradient that `program` gives (its results with the role "gradient") with finite
/// differences of the function `loss` in its model (Ridders 1982: central differences, extrapolated
/// to a step of zero). Parameters without a gradient must not matter. The tolerance is relative to
/// the largest gradient of the parameter. Prints a line for each parameter, and reports an error at
/// the parameter where a gradient is wrong.
llvm::LogicalResult checkGradients(ModelOp model, FunctionOp loss, FunctionOp program,
                                   const ValueSource &source, double tolerance);

} // namespace quern::reference

#endif // QUERN_REFERENCE_CHECKS_H
