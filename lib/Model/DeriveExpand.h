//===- DeriveExpand.h - Closed programs from the functions of a model -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_MODEL_DERIVEEXPAND_H
#define QUERN_LIB_MODEL_DERIVEEXPAND_H

#include "dialects/Quern/Quern.h"

namespace quern::model {

/// Adds the program `name` to the model: `source` with calls inlined, applied layers as scans and
/// parameters as arguments. It stands at the end of the model, and may have the name of `source`
/// until `eraseSources`. Null after an error.
FunctionOp expand(ModelOp model, FunctionOp source, llvm::StringRef name);

/// Erases the functions that programs have replaced: all that are no programs, except a `forward`
/// that has not been derived.
void eraseSources(ModelOp model);

} // namespace quern::model

#endif // QUERN_LIB_MODEL_DERIVEEXPAND_H
