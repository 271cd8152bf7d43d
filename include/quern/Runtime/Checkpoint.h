//===- Checkpoint.h - The state of a training run in one file ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// A checkpoint is a safetensors file: the weights under their file names, AdamW's moments under
/// `first_moment.<file name>` and `second_moment.<file name>`, and in the metadata the format's
/// version
/// (`quern_checkpoint`), the model and its fingerprint, the step, and all settings as JSON. It
/// depends on nothing but the run, so equal runs give equal files.
///
#ifndef QUERN_RUNTIME_CHECKPOINT_H
#define QUERN_RUNTIME_CHECKPOINT_H

#include "quern/Runtime/ParameterBlock.h"

#include <string>

namespace quern::runtime {

/// Weights and optimizer state after `step` steps.
struct TrainingState {
  TrainingState(const Module &module, Device &device)
      : weights(module, "the weights", device),
        first(module, "the optimizer's first moments", device),
        second(module, "the optimizer's second moments", device) {}
  ParameterBlock weights, first, second;
  int64_t step = 0;
  int64_t trainedSequence = 0; ///< tokens of the longest sequence; kept with the weights
};

/// Writes the state atomically.
void saveCheckpoint(const std::string &path, const Module &module, const TrainingState &state,
                    const std::string &settings);

/// Writes the weights alone, with the names of weight files, atomically.
void saveWeights(const std::string &path, const Module &module, const ParameterBlock &weights,
                 int64_t trainedSequence = 0);

/// The longest sequence that the weights in `file` were trained on, as a training run noted it; 0
/// where the file does not say.
int64_t trainedSequence(const SafetensorsFile &file);

/// A checkpoint that was opened and belongs to this model.
class Checkpoint {
public:
  /// Throws Error if the file is no checkpoint, of another version, or of another model.
  Checkpoint(const std::string &path, const Module &module);
  int64_t step() const { return steps; }
  const std::string &settings() const { return text; }
  /// Copies everything into `state`. Throws Error for missing or wrong tensors.
  void restore(TrainingState &state) const;

private:
  SafetensorsFile file;
  int64_t steps = 0;
  std::string text;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_CHECKPOINT_H
