//===- DifferentiableOpInterface.h - Ops that have a gradient --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Reverse mode on the IR: the adjoint of a value is the gradient of the loss with respect to it.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIALECTS_QUERN_DIFFERENTIABLEOPINTERFACE_H
#define QUERN_DIALECTS_QUERN_DIFFERENTIABLEOPINTERFACE_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace quern {

/// What recomputing an op costs.
struct RecomputeCost {
  enum Kind {
    View,      ///< moves no data: its result is never worth saving
    Pointwise, ///< elementwise work, norms, gathers: cheaper than a round trip through memory
    Never,     ///< matrix products and loops: always saved when needed
  };
  Kind kind;
  /// Approximate operations for each element of the results.
  double flopsPerElement = 0;
};

/// The adjoints known so far of the values of one block. Values that the wanted gradients do not
/// depend on are *inactive*, and have none.
class Adjoints {
public:
  /// In the body of a loop, `marker` stands between its forward ops and the backward ops.
  explicit Adjoints(const llvm::DenseSet<mlir::Value> &active, mlir::Operation *marker = nullptr)
      : active(active), marker(marker) {}

  bool isActive(mlir::Value value) const { return value && active.contains(value); }
  /// The sum of what was added; null when nothing was.
  mlir::Value get(mlir::Value value) const { return sums.lookup(value); }
  /// The same, or zeros.
  mlir::Value getOrZero(mlir::OpBuilder &b, mlir::Value value) const;
  /// The same as `get`, and forgets it: for rules that add to it themselves, in place, and pass the
  /// result to `add`.
  mlir::Value take(mlir::Value value);
  /// Adds to the adjoint of `value`, unless it is inactive.
  void add(mlir::OpBuilder &b, mlir::Value value, mlir::Value gradient);
  /// Whether a use is in the backward part of a loop's body, where values are saved or recomputed.
  bool isInBackwardLoop(mlir::OpOperand &use) const;
  /// Replaces the adjoint of `value`.
  void set(mlir::Value value, mlir::Value gradient) { sums[value] = gradient; }

private:
  const llvm::DenseSet<mlir::Value> &active;
  mlir::Operation *marker;
  llvm::DenseMap<mlir::Value, mlir::Value> sums;
};

/// A tensor with the shape and element type of `like`, every element `value`.
mlir::Value createFull(mlir::OpBuilder &b, mlir::Location loc, double value, mlir::Value like);

} // namespace quern

#include "dialects/Quern/DifferentiableOpInterface.h.inc"

#endif // QUERN_DIALECTS_QUERN_DIFFERENTIABLEOPINTERFACE_H
