//===- GradientCut.h - What is saved for the backward pass ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_GRADIENTCUT_H
#define QUERN_LIB_MODEL_GRADIENTCUT_H

#include "dialects/Quern/Quern.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

namespace quern::model {

/// Chooses the values of a loop's body that the forward pass saves, such that all of `needed` can
/// be had in the backward pass: they are saved, or recomputed from saved and free values by ops
/// that are cheap enough (`DifferentiableOpInterface::getRecomputeCost`).
///
/// It is a minimum cut: each value weighs its bytes, and the cut that is chosen among the smallest
/// is the one nearest to the uses, which recomputes least. `free` holds the arguments of the body
/// that cost nothing (slices of parameters); the others, carried values, have to be saved. Reads
/// that see only the shape of a value do not need it.
llvm::SetVector<mlir::Value> chooseSavedValues(mlir::Block &body,
                                               llvm::ArrayRef<mlir::Value> needed,
                                               const llvm::DenseSet<mlir::Value> &free);

/// Bytes of a tensor where each dynamic dimension counts as `dynamic` elements.
double estimateBytes(mlir::Type type, double dynamic);

} // namespace quern::model

#endif // QUERN_LIB_MODEL_GRADIENTCUT_H
