//===- Metadata.h - What a runtime needs to know, as JSON -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_KERNELS_METADATA_H
#define QUERN_LIB_KERNELS_METADATA_H

#include "Dimensions.h"
#include "dialects/Quern/Quern.h"

#include "llvm/Support/JSON.h"

namespace quern::kernels {

/// The model without its programs: name, kind, context, vocabulary, parameters; see Program.h.
llvm::json::Object describeModel(ModelOp model);

/// One program: its arguments in the order of the converted function, and its flops.
llvm::json::Object describeProgram(FunctionOp program, Dimensions &dims);

/// The result that replaces the argument called `name` with `role`, or none.
std::optional<unsigned> updatingResult(FunctionOp program, unsigned argument);

/// Floating-point operations of the matrix products of a program (2 a multiply-add, causal
/// attention counted without its masked half), as a POLYNOMIAL of Program.h in the names of its
/// dimensions.
llvm::json::Array countFlops(FunctionOp program, Dimensions &dims);

} // namespace quern::kernels

#endif // QUERN_LIB_KERNELS_METADATA_H
