//===- Rotary.h - Angles of rotary position embeddings ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_ROTARY_H
#define QUERN_EMISSION_ROTARY_H

#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <utility>

namespace quern::emission {

/// base^(-2i/width) for i < width/2: the angle, in radians, by which one position rotates pair i
/// (Su et al. 2021).
llvm::SmallVector<double> rotaryFrequencies(int64_t width, double base);

/// a * b + c, rounded once or twice.
using MultiplyAdd = llvm::function_ref<mlir::Value(mlir::Value a, mlir::Value b, mlir::Value c)>;

/// Sine and cosine of f64 angles (one, or a vector of them), in radians, from 0 to 2^20 quarter
/// turns. The angle of a far position has to be reduced with care: f32 would have no digits left at
/// position 10^6. Here the quarter turns are subtracted in three parts of pi/2 (Cody and Waite
/// 1980), and Taylor series on [-pi/4, pi/4] give 1e-11, far below the rounding to f32.
std::pair<mlir::Value, mlir::Value> sineAndCosine(mlir::OpBuilder &builder, mlir::Location loc,
                                                  mlir::Value angle, MultiplyAdd multiplyAdd);

} // namespace quern::emission

#endif // QUERN_EMISSION_ROTARY_H
