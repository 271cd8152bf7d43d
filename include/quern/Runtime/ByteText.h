//===- ByteText.h - Text files as byte tokens -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Data of causal language models: a memory-mapped file whose bytes are the tokens, its windows,
/// and the loss over windows.
///
#ifndef QUERN_RUNTIME_BYTETEXT_H
#define QUERN_RUNTIME_BYTETEXT_H

#include "quern/Runtime/Call.h"
#include "quern/Runtime/MappedFile.h"

#include <string>
#include <vector>

namespace quern::runtime {

/// A run of byte tokens.
struct ByteSpan {
  const unsigned char *data = nullptr;
  int64_t size = 0;
};

/// A data file. Throws Error if it is missing, empty, or has bytes that the vocabulary lacks.
class ByteText {
public:
  ByteText(const std::string &path, int64_t vocabulary);
  ByteSpan all() const { return {file.data(), int64_t(file.size())}; }
  /// The first nine tenths.
  ByteSpan training() const { return {file.data(), trainingSize()}; }
  /// The last tenth.
  ByteSpan validation() const {
    return {file.data() + trainingSize(), int64_t(file.size()) - trainingSize()};
  }
  /// Hex digits that tell whether a file is the same: its size and a sample of its pages.
  std::string fingerprint() const;

private:
  int64_t trainingSize() const { return int64_t(file.size()) - int64_t(file.size()) / 10; }
  MappedFile file;
};

/// The inputs `tokens` and `targets` of a program, as batches of windows of text.
class TextBatch {
public:
  /// Throws Error if the program does not have them as i32 [batch, sequence].
  explicit TextBatch(Call &call);
  int64_t batch() const { return rows; }
  int64_t sequence() const { return columns; }
  /// Row `row` predicts bytes start + 1 ... start + sequence of `text`; what lies beyond its end is
  /// ignored. Returns how many targets count.
  int64_t fill(int64_t row, ByteSpan text, int64_t start);
  /// A row that does not count.
  void clear(int64_t row);

private:
  int32_t *tokens = nullptr, *targets = nullptr;
  int64_t rows = 0, columns = 0;
};

struct TextLoss {
  double total = 0;  // nats
  int64_t count = 0; // predicted tokens
  double mean() const { return count ? total / double(count) : 0; }
};

/// The loss over the windows of `text` that begin at `starts`, in that order. `call` is one of the
/// program `loss`.
TextLoss evaluateText(Call &call, ByteSpan text, const std::vector<int64_t> &starts);

/// Up to `limit` window starts, spread evenly over `text`, without overlap.
std::vector<int64_t> spreadWindows(ByteSpan text, int64_t sequence, int64_t limit);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_BYTETEXT_H
