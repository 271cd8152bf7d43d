//===- Session.h - A model with its weights, ready to run programs on named tensors -----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// What the `run` command and the C API share: weights, optimizer state, inputs by name, results by
/// name.
///
#ifndef QUERN_RUNTIME_SESSION_H
#define QUERN_RUNTIME_SESSION_H

#include "quern/Runtime/Call.h"

#include <functional>
#include <map>
#include <memory>

namespace quern::runtime {

/// An input as a person gives it: fetches its numbers into a tensor of the program's type.
struct NamedInput {
  Shape shape;
  std::function<void(const Tensor &)> fetch;
};
using NamedInputs = std::map<std::string, NamedInput>;

class Session {
public:
  /// `users` are the programs that it will be asked to prepare; none: all of them.
  Session(const Module &module, Device &device, const std::vector<const Program *> &users = {});

  const Module &module;
  ParameterBlock weights;
  ParameterBlock first, second; // AdamW's moments; empty until a program needs them

  /// A call of `program` with shapes taken from `inputs`, weights (and moments) bound, inputs
  /// copied and checked, `position` and caches taken from `inputs` or zero. Throws UsageError for
  /// missing inputs, sizes that contradict each other or the program, token ids out of range, and
  /// text past the context.
  Call prepare(const Program &program, const NamedInputs &inputs, Arena &arena);
  /// The same with a call that `prepare` made before, if `inputs` have the shapes that it has; else
  /// false, and the call is as it was.
  bool prepareAgain(Call &call, const NamedInputs &inputs);

  /// What `call` wrote: outputs, gradients as `gradient.<file name>` (one a layer where the file
  /// has one a layer) and caches. Valid as long as the call.
  static std::vector<Tensor> results(const Call &call, const Module &module);

private:
  Dimensions gatherDimensions(const Program &program, const NamedInputs &inputs) const;
  Dimensions checkedDimensions(const Program &program, const NamedInputs &inputs) const;
  static void fill(Call &call, const NamedInputs &inputs);
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_SESSION_H
