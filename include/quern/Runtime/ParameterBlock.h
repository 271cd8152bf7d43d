//===- ParameterBlock.h - Weights and optimizer state in memory -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// One tensor for each parameter of a model, in one block of a device's memory: the weights, or one
/// of AdamW's moments.
///
#ifndef QUERN_RUNTIME_PARAMETERBLOCK_H
#define QUERN_RUNTIME_PARAMETERBLOCK_H

#include "quern/Runtime/Device.h"
#include "quern/Runtime/Module.h"
#include "quern/Runtime/Safetensors.h"

namespace quern::runtime {

class ParameterBlock {
public:
  ParameterBlock() = default;
  /// Zeros for every parameter of `module`; `purpose` names them in messages ("the weights").
  ParameterBlock(const Module &module, const std::string &purpose, Device &device);

  /// Where it is; not of an empty block.
  Device &device() const { return *home; }
  bool empty() const { return tensors.empty(); }
  /// Parameter `i` of the module, whole (stacked if it belongs to layers).
  const Tensor &operator[](size_t i) const { return tensors[i]; }
  /// Bytes in use.
  int64_t bytes() const { return block.size(); }
  /// All tensors under the names of weight files, each after `prefix`.
  std::vector<Tensor> fileTensors(const std::string &prefix = "") const;
  /// Overwrites this block with the numbers of `other`, which belongs to the same module.
  void copyFrom(const ParameterBlock &other);

  /// Draws every parameter by its initializer: element e of parameter p is a function of seed, p
  /// and e alone (see Philox.h).
  void initialize(uint64_t seed);

  /// Reads every parameter from `file`. Prints notes on conversions, a common name prefix that
  /// differs, and extra tensors. Throws Error naming the tensor, both shapes, the file and the way
  /// out.
  void load(const SafetensorsFile &file, const std::string &prefix = "");

private:
  const Module *owner = nullptr;
  Device *home = nullptr;
  DeviceBlock block;
  std::vector<Tensor> tensors;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_PARAMETERBLOCK_H
