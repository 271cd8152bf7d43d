//===- Evaluators.h - The table of evaluators and what they share ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_REFERENCE_EVALUATORS_H
#define QUERN_LIB_REFERENCE_EVALUATORS_H

#include "quern/Reference/Interpreter.h"

namespace quern::reference {

using Table = llvm::StringMap<Evaluator>;

/// Enters `evaluate`, a function of (OpTy, Interpreter &) that returns LogicalResult or nothing.
template <typename OpTy, auto evaluate>
void add(Table &table) {
  table[OpTy::getOperationName()] = [](mlir::Operation *op, Interpreter &in) {
    if constexpr (std::is_void_v<decltype(evaluate(mlir::cast<OpTy>(op), in))>) {
      evaluate(mlir::cast<OpTy>(op), in);
      return mlir::success();
    } else {
      return llvm::LogicalResult(evaluate(mlir::cast<OpTy>(op), in));
    }
  };
}

// One for each file here.
void addStructure(Table &table);
void addShapes(Table &table);
void addTransformer(Table &table);
void addAttention(Table &table);
void addTraining(Table &table);
void addSampling(Table &table);
void addElementwise(Table &table);
void addTensor(Table &table);
void addLinalg(Table &table);

/// Activation functions and their derivatives, by the names of quern.activation_backward.
struct Activation {
  double (*value)(double);
  double (*derivative)(double);
};
const Activation *findActivation(llvm::StringRef name);

/// The place in `small` of the element that is broadcast to `indices` of a larger shape, matching
/// dimensions from the right.
int64_t broadcastPlace(const Array &small, llvm::ArrayRef<int64_t> indices);

/// logits = x W + b of each row, with W [O, I] when transposed.
Array linear(const Array &x, const Array &weight, const Array *bias, bool transposed);
/// dW of each row's outer product, [I, O], or [O, I] when transposed.
Array weightGradient(const Array &x, const Array &gradient, bool transposed);
/// Sums over all dimensions but the last.
Array sumRows(const Array &x);

/// The mean of negative log-likelihoods over counted rows; failure, reported at `op`, if a target
/// is no index of the vocabulary. `gradient`, when given, receives d loss / d logits.
llvm::LogicalResult crossEntropy(mlir::Operation *op, const Array &logits, const Array &targets,
                                 int64_t ignoreIndex, double &loss, Array *gradient);

} // namespace quern::reference

#endif // QUERN_LIB_REFERENCE_EVALUATORS_H
