//===- Tokenizer.h - Byte-pair vocabularies in llama2.c's format ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Reads a `tokenizer.bin` of llama2.c: int32 longest length, then for each token f32 score, int32
/// length, bytes. Token 1 begins a text, token 2 ends one, tokens 3 to 258 are the bytes.
///
#ifndef QUERN_RUNTIME_TOKENIZER_H
#define QUERN_RUNTIME_TOKENIZER_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace quern::runtime {

class Tokenizer {
public:
  static constexpr int32_t beginToken = 1;

  /// Throws Error unless the file holds exactly `vocabulary` tokens.
  Tokenizer(const std::string &path, int64_t vocabulary);

  /// The tokens of `text`, without the begin token: its characters (or bytes, where the vocabulary
  /// lacks one), then merged, the pair with the best score first. Text starts with a space, as in
  /// SentencePiece.
  std::vector<int32_t> encode(const std::string &text) const;
  /// The bytes of `token` after `previous` (the first token of a text loses its leading space).
  std::string decode(int32_t previous, int32_t token) const;

private:
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::map<std::string, int32_t> ids;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_TOKENIZER_H
