//===- New.h - quern new: texts of models to start from --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
///
/// \file
/// Writes the text of a GPT or a Llama of a given shape, commented and ready to edit. The names of
/// parameters are those of published weight files, so that such files load.
///
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_TOOLS_NEW_H
#define QUERN_TOOLS_NEW_H

#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <optional>
#include <string>

namespace quern::tools {

/// The shape of a decoder-only Transformer and the conventions of its weight files. Zero and empty
/// mean: the family's default.
struct ModelShape {
  std::string family; ///< gpt or llama
  int64_t layers = 0, heads = 0, kvHeads = 0, width = 0, hidden = 0, context = 0, vocabulary = 0;
  bool tied = false, untied = false; ///< whether the output matrix is the token table
  bool bias = false, noBias = false; ///< biases of linear maps and layer norms
  std::string rotary;                ///< half or interleaved pairs (llama)
  double rotaryBase = 0;
  std::string gelu;                  ///< tanh or exact (gpt)
  std::string storage;               ///< order of linear weights in files: in-out or out-in
  std::string names;                 ///< huggingface or llama2c
  std::optional<std::string> prefix; ///< before every name but that of the output matrix
  double epsilon = 0;                ///< of the norms

  int64_t headDimension() const { return width / heads; }
  int64_t kvWidth() const { return kvHeads * headDimension(); }
  bool transposed() const { return storage == "out-in"; }
};

/// Fills in defaults and checks that all of it fits together. Returns an empty string, or what is
/// wrong, in terms of the options.
std::string completeShape(ModelShape &shape);

/// The text of a model of a complete shape.
void writeGPT(const ModelShape &shape, llvm::raw_ostream &out);
void writeLlama(const ModelShape &shape, llvm::raw_ostream &out);

} // namespace quern::tools

#endif // QUERN_TOOLS_NEW_H
