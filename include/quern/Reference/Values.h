//===- Values.h - Values for arguments and parameters of functions ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Gives every argument and parameter of a function a value: from a table by name, or drawn at
/// random as a pure function of seed, name and place, so that two texts of one model draw the same.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_REFERENCE_VALUES_H
#define QUERN_REFERENCE_VALUES_H

#include "dialects/Quern/Quern.h"
#include "quern/Reference/Array.h"

namespace quern::reference {

/// How values are found and drawn.
struct ValueSource {
  /// Values by name, as programs call arguments and parameters; they come first.
  NamedArrays given;
  /// Whether to draw what is not given.
  bool random = false;
  uint64_t seed = 0;
  /// Sizes of dynamic dimensions: by the names of `quern.dims`, else "batch" and "sequence" for the
  /// first two dimensions and "ARGUMENT.2" and so on for others.
  llvm::StringMap<int64_t> sizes{{"batch", 2}, {"sequence", 5}};
  /// Integers are drawn from [first, second) of the argument's entry, or from [0, 4).
  llvm::StringMap<std::pair<int64_t, int64_t>> ranges;
};

/// The name of an argument: "tokens", "first_moment.token", or "argument0" where there is none.
std::string argumentName(FunctionOp function, unsigned index);
/// The name of a result: "loss", or "result0" where there is none.
std::string resultName(FunctionOp function, unsigned index);

/// Values for all arguments. Fails with an error at the function for what is neither given nor
/// random, and for a dynamic dimension without a size.
llvm::FailureOr<Arrays> argumentValues(FunctionOp function, const ValueSource &source);

/// Values for all parameters of `model` (none when null), by their names in programs.
llvm::FailureOr<NamedArrays> parameterValues(ModelOp model, const ValueSource &source);

/// All parameters of a model, those within layers included, in the order of the text.
llvm::SmallVector<ParameterOp> parametersOf(ModelOp model);

} // namespace quern::reference

#endif // QUERN_REFERENCE_VALUES_H
