//===- Interpreter.h - Executable semantics of quern functions -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Evaluates functions of models, and programs derived from them, in float64 and by definition:
/// each operation is the formula of its description, in plain loops, and shares nothing with what
/// the compiler emits. Slow, and the judge of everything else.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_REFERENCE_INTERPRETER_H
#define QUERN_REFERENCE_INTERPRETER_H

#include "dialects/Quern/Quern.h"
#include "quern/Reference/Array.h"

#include <unordered_map>

namespace quern::reference {

class Interpreter;

/// Evaluates one operation: reads its operands, sets its results. Reports at the op what it cannot.
using Evaluator = llvm::LogicalResult (*)(mlir::Operation *, Interpreter &);

class Interpreter {
public:
  /// `parameters` are called as in programs: "token", or "block.qkv" with all layers stacked.
  explicit Interpreter(const NamedArrays &parameters) : parameters(parameters) {}

  /// The results of `function`, or failure with an error reported at the place in its text.
  /// Arguments must have the kinds and shapes that it declares; a dynamic dimension takes any size,
  /// one size for each name that `quern.dims` gives.
  llvm::FailureOr<Arrays> call(FunctionOp function, llvm::ArrayRef<Array> arguments);

  /// Evaluates the block's operations in order, with these arguments, and gives the operands of its
  /// terminator.
  llvm::FailureOr<Arrays> run(mlir::Block &block, llvm::ArrayRef<Array> arguments);

  // What evaluators use.

  const Array &get(mlir::Value value) const { return values.at(value.getAsOpaquePointer()); }
  /// Null where an optional operand is absent.
  const Array *find(mlir::Value value) const { return value ? &get(value) : nullptr; }
  void set(mlir::Value value, Array array) {
    values[value.getAsOpaquePointer()] = std::move(array);
  }
  /// The parameter's value; within layers that of the layer that is being applied.
  llvm::FailureOr<Array> read(ReadOp op);
  /// The layer of `layers` that is being applied.
  int64_t &layer(LayersOp layers) { return current[layers]; }

private:
  const NamedArrays &parameters;
  // References into the map stay valid while results are added.
  std::unordered_map<const void *, Array> values;
  llvm::DenseMap<mlir::Operation *, int64_t> current;
};

/// Whether the array has a kind and shape that the type allows.
bool fits(const Array &array, mlir::Type type);

/// The operations that the interpreter knows, by name.
const llvm::StringMap<Evaluator> &evaluators();

} // namespace quern::reference

#endif // QUERN_REFERENCE_INTERPRETER_H
