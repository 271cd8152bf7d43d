//===- GradientRules.h - The table of gradient rules ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// A rule is a function `gradient(Op, OpBuilder &, Adjoints &)` and a line in the table at the end
/// of its file, which attaches it to the op with what recomputing costs.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_GRADIENTRULES_H
#define QUERN_LIB_MODEL_GRADIENTRULES_H

#include "dialects/Quern/DifferentiableOpInterface.h"

#include "mlir/IR/DialectRegistry.h"

namespace quern::model {

/// One rule as an external model of the interface.
template <typename OpTy, llvm::LogicalResult (*gradient)(OpTy, mlir::OpBuilder &, Adjoints &),
          RecomputeCost::Kind kind, int flopsPerElement>
struct GradientRule
    : DifferentiableOpInterface::ExternalModel<GradientRule<OpTy, gradient, kind, flopsPerElement>,
                                               OpTy> {
  llvm::LogicalResult buildGradient(mlir::Operation *op, mlir::OpBuilder &b,
                                    Adjoints &adjoints) const {
    return gradient(llvm::cast<OpTy>(op), b, adjoints);
  }
  RecomputeCost getRecomputeCost(mlir::Operation *) const { return {kind, flopsPerElement}; }
};

/// Attaches a rule: `attach<LinearOp, gradient, RecomputeCost::Never>(context)`.
template <typename OpTy, llvm::LogicalResult (*gradient)(OpTy, mlir::OpBuilder &, Adjoints &),
          RecomputeCost::Kind kind, int flopsPerElement = 0>
void attach(mlir::MLIRContext *context) {
  OpTy::template attachInterface<GradientRule<OpTy, gradient, kind, flopsPerElement>>(*context);
}

void registerTransformerGradients(mlir::DialectRegistry &registry);
void registerTensorGradients(mlir::DialectRegistry &registry);
void registerElementwiseGradients(mlir::DialectRegistry &registry);

/// All rules.
inline void registerGradientRules(mlir::DialectRegistry &registry) {
  registerTransformerGradients(registry);
  registerTensorGradients(registry);
  registerElementwiseGradients(registry);
}

} // namespace quern::model

#endif // QUERN_LIB_MODEL_GRADIENTRULES_H
