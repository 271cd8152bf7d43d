//===- DerivePrograms.h - One function for each kind of program -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_DERIVEPROGRAMS_H
#define QUERN_LIB_MODEL_DERIVEPROGRAMS_H

#include "dialects/Quern/Quern.h"

namespace quern::model {

/// The program `name`: the loss and its gradients with respect to all parameters. Null after an
/// error.
FunctionOp deriveGradients(ModelOp model, llvm::StringRef name);

/// The program `train_step`; one that never clips takes no `clip` and gives no `gradient_norm`.
/// Null after an error.
FunctionOp deriveTrainStep(ModelOp model, bool clips);

/// `prefill`, or `decode` when `oneToken`: the forward pass with caches of keys and values, for
/// positions that begin at the argument `position`. Null after an error, which names what looks
/// across the sequence.
FunctionOp deriveDecoder(ModelOp model, llvm::StringRef name, bool oneToken);

/// The program `generate`: `decode` whose token is drawn, and takes the place of the one before.
/// Null after an error.
FunctionOp deriveGenerate(ModelOp model);

/// Arguments and results of a program under construction, with their attributes.
class ProgramBuilder {
public:
  explicit ProgramBuilder(FunctionOp program) : program(program) {}

  /// Inserts an argument before argument `index`.
  mlir::Value insertArgument(unsigned index, mlir::Type type, llvm::StringRef name,
                             llvm::StringRef role, mlir::Attribute parameter = {});
  /// Appends a result; `updates` is the name of the argument that it replaces.
  void addResult(mlir::Value value, llvm::StringRef name, llvm::StringRef role,
                 mlir::Attribute parameter = {}, llvm::StringRef updates = {});
  void setArgumentAttribute(unsigned index, llvm::StringRef name, mlir::Attribute value) {
    program.setArgAttr(index, name, value);
  }

private:
  FunctionOp program;
};

/// The role of an argument: "input", "parameter", ...
llvm::StringRef getRole(FunctionOp program, unsigned argument);

/// The names of an argument's dimensions, "" for one without; empty when none was given.
llvm::SmallVector<llvm::StringRef> getDimensionNames(FunctionOp program, unsigned argument);

/// Gives dynamic dimensions of arguments and results the name of a dimension that they are surely
/// equal to.
void nameDimensions(FunctionOp program);

} // namespace quern::model

#endif // QUERN_LIB_MODEL_DERIVEPROGRAMS_H
