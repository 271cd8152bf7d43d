//===- Tokenizer.cpp - Byte-pair vocabularies in llama2.c's format ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Tokenizer.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/MappedFile.h"

#include <cstdio>
#include <cstring>

namespace quern::runtime {

Tokenizer::Tokenizer(const std::string &path, int64_t vocabulary) {
  MappedFile file(path);
  size_t at = 4; // the longest length is not needed
  auto fail = [&](const std::string &what) {
    return Error(concat("tokenizer ", path, " does not fit: ", what,
                        "; it must be in llama2.c's format and made for this model"));
  };
  if (vocabulary < 3 + 256)
    throw fail(concat("the model's vocabulary of ", vocabulary, " has no room for all bytes"));
  for (int64_t token = 0; token < vocabulary; ++token) {
    float score;
    int32_t length;
    if (file.size() < 8 || at > file.size() - 8)
      throw fail(concat("it holds ", token, " tokens, the model's vocabulary has ", vocabulary));
    std::memcpy(&score, file.data() + at, 4);
    std::memcpy(&length, file.data() + at + 4, 4);
    at += 8;
    if (length < 0 || size_t(length) > file.size() - at)
      throw fail(concat("token ", token, " says that it is ", int64_t(length), " bytes long"));
    scores.push_back(score);
    pieces.emplace_back(reinterpret_cast<const char *>(file.data()) + at, size_t(length));
    ids.emplace(pieces.back(), int32_t(token));
    at += size_t(length);
  }
  if (at != file.size())
    throw fail(concat("it goes on after token ", vocabulary - 1, ", the model's last"));
}

std::vector<int32_t> Tokenizer::encode(const std::string &text) const {
  std::vector<int32_t> tokens;
  if (text.empty())
    return tokens;
  std::string spaced = " " + text;
  for (size_t at = 0; at < spaced.size();) {
    size_t length = 1; // of the UTF-8 character: continuation bytes are 10xxxxxx
    while (length < 4 && at + length < spaced.size() && (spaced[at + length] & 0xC0) == 0x80)
      ++length;
    auto found = ids.find(spaced.substr(at, length));
    if (found != ids.end())
      tokens.push_back(found->second);
    else
      for (size_t i = 0; i < length; ++i)
        tokens.push_back(int32_t(static_cast<unsigned char>(spaced[at + i])) + 3);
    at += length;
  }
  for (;;) {
    float best = -1e10F;
    int32_t merged = -1;
    size_t where = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      auto found = ids.find(pieces[size_t(tokens[i])] + pieces[size_t(tokens[i + 1])]);
      if (found != ids.end() && scores[size_t(found->second)] > best) {
        best = scores[size_t(found->second)];
        merged = found->second;
        where = i;
      }
    }
    if (merged < 0)
      return tokens;
    tokens[where] = merged;
    tokens.erase(tokens.begin() + int64_t(where) + 1);
  }
}

std::string Tokenizer::decode(int32_t previous, int32_t token) const {
  const std::string &piece = pieces[size_t(token)];
  unsigned byte = 0;
  if (piece.size() == 6 && std::sscanf(piece.c_str(), "<0x%02X>", &byte) == 1)
    return std::string(1, char(byte));
  return previous == beginToken && piece.compare(0, 1, " ") == 0 ? piece.substr(1) : piece;
}

} // namespace quern::runtime
