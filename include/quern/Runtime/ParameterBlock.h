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
/// Programs that only read weights may take them in bf16 (Program.h). A parameter that all users of
/// a block want so is kept in bf16 alone, rounded once, when its numbers come. Where one of them
/// wants f32, that is what is kept, and the others get a copy, which is made again after the
/// numbers have changed.
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
  /// `users` are all programs that will be bound to it; without any, a parameter has the model's
  /// type.
  ParameterBlock(const Module &module, const std::string &purpose, Device &device,
                 const std::vector<const Program *> &users = {});

  /// Where it is; not of an empty block.
  Device &device() const { return *home; }
  bool empty() const { return tensors.empty(); }
  /// Parameter `i` of the module, whole (stacked if it belongs to layers), in the type in which it
  /// is kept.
  const Tensor &operator[](size_t i) const { return tensors[i]; }
  /// Bytes in use, without copies.
  int64_t bytes() const { return block.size(); }
  /// All tensors under the names of weight files, each after `prefix`. Whoever writes them calls
  /// `changed`.
  std::vector<Tensor> fileTensors(const std::string &prefix = "") const;
  /// Overwrites this block with the numbers of `other`, which was made with the same arguments.
  void copyFrom(const ParameterBlock &other);

  /// Parameter `i` in `type`: itself, or a copy that is up to date after the next `refresh`.
  const Tensor &in(Type type, size_t i) const;
  /// Says that somebody wrote numbers of this block: a program, or the holder of a pointer.
  void changed() const { ++version; }
  /// Makes the copies again if the numbers have changed since the last time.
  void refresh() const;

  /// Draws every parameter by its initializer: element e of parameter p is a function of seed, p
  /// and e alone (see Philox.h).
  void initialize(uint64_t seed);

  /// Reads every parameter from `file`. Prints notes on conversions, a common name prefix that
  /// differs, and extra tensors. Throws Error naming the tensor, both shapes, the file and the way
  /// out.
  void load(const SafetensorsFile &file, const std::string &prefix = "");

private:
  struct Copy {
    Tensor tensor; // data is null: nobody asked for one
    DeviceBlock block;
  };

  const Module *owner = nullptr;
  Device *home = nullptr;
  DeviceBlock block;
  std::vector<Tensor> tensors;
  // What follows from the numbers, and is not part of what the block is.
  mutable std::vector<Copy> copies; // in bf16
  mutable uint64_t version = 1, copied = 0;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_PARAMETERBLOCK_H
