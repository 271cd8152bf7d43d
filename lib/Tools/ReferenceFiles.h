//===- ReferenceFiles.h - Safetensors files of quern-reference -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_TOOLS_REFERENCEFILES_H
#define QUERN_LIB_TOOLS_REFERENCEFILES_H

#include "quern/Reference/Interpreter.h"
#include "quern/Runtime/Safetensors.h"

namespace quern::tools {

/// All tensors of a file, under their names. Throws runtime::Error.
reference::NamedArrays readArrays(const std::string &path);

/// Adds the parameters of `model` that `file` holds, and their moments ("first_moment.W"), by their
/// names in programs. Those of rolled layers are stacked from one tensor a layer, where the name
/// has
/// "{layer}".
void addWeights(ModelOp model, const reference::NamedArrays &file, reference::NamedArrays &values);

/// Results as `run` of a compiled program writes them: outputs by name, gradients as "gradient.W"
/// and updated weights as W, where W is the name in a weight file; one tensor a layer.
class ArrayWriter {
public:
  void addResults(FunctionOp function, llvm::ArrayRef<reference::Array> results);
  /// Floats as F64, or as F32. Throws runtime::Error.
  void write(const std::string &path, bool asF32) const;

private:
  void add(const std::string &name, const reference::Array &array);
  std::vector<std::pair<std::string, reference::Array>> arrays;
};

} // namespace quern::tools

#endif // QUERN_LIB_TOOLS_REFERENCEFILES_H
