//===- Call.h - A program with its arguments bound, ready to run ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Resolves the shapes of a program's arguments, lends memory to those that nobody bound, and runs
/// it on a device.
///
#ifndef QUERN_RUNTIME_CALL_H
#define QUERN_RUNTIME_CALL_H

#include "quern/Runtime/Device.h"
#include "quern/Runtime/Memory.h"
#include "quern/Runtime/Module.h"
#include "quern/Runtime/ParameterBlock.h"

#include <vector>

namespace quern::runtime {

class Call {
public:
  /// Resolves every -1 by name from `dimensions`, or, where it has no name, from `shapes` (of
  /// inputs, by their names). Throws UsageError if a size contradicts what is compiled in, Error if
  /// one is unknown. It runs on the device of `arena`, which is used while running and may be
  /// shared by calls that do not run at once.
  Call(const Program &program, const Dimensions &dimensions, Arena &arena,
       const std::map<std::string, Shape> &shapes = {});

  const Program &description() const { return program; }
  /// Argument `i` with its resolved shape; its data is null before memory was bound or lent. Inputs
  /// and options lie in the host's memory, and so do outputs that are small; the others are where
  /// the device has them (see readTensor).
  const Tensor &operator[](size_t i) const { return tensors[i]; }
  /// The argument of that name and role with memory behind it, or null.
  Tensor *find(const std::string &name, Role role);

  /// Makes argument `i` use `data` in the device's memory, which has the resolved shape and is
  /// aligned as programs want it.
  void bind(size_t i, void *data);
  /// Binds all arguments of `role` (parameter, first_moment, ...) to the tensors of `block`, which
  /// must stay where it is. Copies of weights in bf16 are up to date in every run.
  void bind(Role role, const ParameterBlock &block);
  /// Writes a scalar option; returns false if the program has none of that name.
  bool setOption(const std::string &name, double value);

  /// Lends zeroed memory to every argument that is not bound.
  void prepare();
  /// Whether a call with these sizes would be like this one.
  bool hasShapes(const Dimensions &dimensions, const std::map<std::string, Shape> &shapes) const;
  /// Makes argument `i` zeros.
  void clear(size_t i);
  /// Runs the program. Parameters and moments must have been bound.
  void run();
  /// The same in two halves, so that a GPU has work while the host prepares more: inputs and
  /// options may be written again after `start`, outputs read after the `finish` that belongs to
  /// it; those that the device keeps, before the next `start`. At most `depth` runs may have been
  /// started and not finished.
  void start();
  void finish();
  int depth();
  /// Bytes of arena that it needs.
  int64_t arenaBytes() const { return arenaSize; }

private:
  Execution &executionOf();

  const Program &program;
  const quern_program &code;
  Arena &arena;
  int64_t arenaSize = 0;
  bool prepared = false;
  const ParameterBlock *weights = nullptr;
  std::vector<Tensor> tensors;
  std::vector<quern_descriptor> descriptors;
  std::vector<quern_descriptor *> pointers;
  DeviceBlock owned; // in the device's memory: inputs and options, small outputs, all others
  Block mirror;      // of the first two in the host's, where the device has memory of its own
  Transfer inputs, outputs;
  std::unique_ptr<Execution> execution;
};

/// Throws UsageError naming index and value unless every element of the integers in `tensor` lies
/// in the range that `argument` allows. Compiled code does not check.
void checkRange(const Argument &argument, const Tensor &tensor);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_CALL_H
