//===- Gradient.h - Reverse mode on programs --------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_GRADIENT_H
#define QUERN_LIB_MODEL_GRADIENT_H

#include "dialects/Quern/DifferentiableOpInterface.h"
#include "dialects/Quern/Quern.h"

namespace quern::model {

/// Marks, for `summarizeGradients`: how many of a scan's last results are saved for the backward
/// pass, and ops that the backward pass runs again.
constexpr llvm::StringLiteral savedTag = "quern.saved";
constexpr llvm::StringLiteral recomputedTag = "quern.recomputed";

/// What the backward passes of a program's loops save and recompute.
struct GradientSummary {
  unsigned numSaved = 0, numRecomputed = 0;
};

/// Sums up and removes the marks; with `remarks`, reports the bytes and flops of each loop at its
/// place.
GradientSummary summarizeGradients(FunctionOp program, bool remarks);

/// Builds the backward pass of a closed program, by reverse mode (Speelpenning 1980; Griewank and
/// Walther 2008, chapter 3).
class Differentiator {
public:
  explicit Differentiator(FunctionOp program) : program(program) {}

  /// Appends the ops before the program's return. `gradients` receives d loss / d value for each of
  /// `wanted`, zeros where the loss does not depend on it. Reports at the op that has no rule.
  llvm::LogicalResult run(mlir::Value loss, mlir::ValueRange wanted,
                          llvm::SmallVectorImpl<mlir::Value> &gradients);

private:
  /// Marks the values that depend on active ones.
  void findActive(mlir::Block &block);
  /// Runs the rules of `ops`, last one first.
  llvm::LogicalResult reverse(llvm::ArrayRef<mlir::Operation *> ops, mlir::OpBuilder &b,
                              Adjoints &adjoints);
  llvm::LogicalResult reverseScan(ScanOp scan, mlir::OpBuilder &b, Adjoints &outer);

  FunctionOp program;
  llvm::DenseSet<mlir::Value> active;
};

/// Erases ops whose results nobody uses.
void eraseDeadOps(mlir::Region &region);

} // namespace quern::model

#endif // QUERN_LIB_MODEL_GRADIENT_H
