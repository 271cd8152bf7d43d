//===- ByteText.cpp - Text files as byte tokens -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/ByteText.h"

#include "quern/Runtime/Error.h"

#include <algorithm>
#include <cstdio>
#include <deque>

namespace quern::runtime {

ByteText::ByteText(const std::string &path, int64_t vocabulary) : file(path) {
  if (file.size() == 0)
    throw Error(concat("data file ", path, " is empty; give a text file"));
  if (vocabulary >= 256 || vocabulary == 0)
    return;
  const unsigned char *end = file.data() + file.size();
  const unsigned char *bad =
      std::find_if(file.data(), end, [&](unsigned char byte) { return byte >= vocabulary; });
  if (bad != end)
    throw Error(concat(
        "data file ", path, " has the byte ", int64_t(*bad), " at offset ",
        int64_t(bad - file.data()), ", but the model knows only the tokens 0 to ", vocabulary - 1,
        "; a model of bytes needs a vocabulary of 256 (quern new ... --vocabulary 256)"));
}

std::string ByteText::fingerprint() const {
  constexpr size_t page = 4096, samples = 1024;
  uint64_t hash = 0xcbf29ce484222325u ^ file.size();
  size_t pages = (file.size() + page - 1) / page;
  size_t stride = std::max<size_t>(1, pages / samples);
  for (size_t p = 0; p < pages; p += stride)
    for (size_t i = p * page; i < std::min(file.size(), (p + 1) * page); ++i)
      hash = (hash ^ file.data()[i]) * 0x100000001b3u;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

TextBatch::TextBatch(Call &call) {
  Tensor *inputs[2] = {call.find("tokens", Role::Input), call.find("targets", Role::Input)};
  for (Tensor *input : inputs)
    if (!input || input->type != Type::I32 || input->shape.size() != 2 ||
        input->shape != inputs[0]->shape)
      throw Error(
          concat("program '", call.description().name,
                 "' does not take tokens and targets of batch x sequence, as a causal language "
                 "model's does"));
  tokens = static_cast<int32_t *>(inputs[0]->data);
  targets = static_cast<int32_t *>(inputs[1]->data);
  rows = inputs[0]->shape[0];
  columns = inputs[0]->shape[1];
}

int64_t TextBatch::fill(int64_t row, ByteSpan text, int64_t start) {
  int64_t counted = 0;
  for (int64_t t = 0; t < columns; ++t) {
    int64_t at = start + t;
    bool counts = at + 1 < text.size;
    tokens[row * columns + t] = at < text.size ? text.data[at] : 0;
    targets[row * columns + t] = counts ? text.data[at + 1] : -1;
    counted += counts;
  }
  return counted;
}

void TextBatch::clear(int64_t row) {
  std::fill_n(tokens + row * columns, columns, 0);
  std::fill_n(targets + row * columns, columns, -1);
}

TextLoss evaluateText(Call &call, ByteSpan text, const std::vector<int64_t> &starts) {
  TextBatch batch(call);
  Tensor *loss = call.find("loss", Role::Output);
  if (!loss || !loss->shape.empty())
    throw Error(concat("program '", call.description().name, "' has no scalar output 'loss'"));
  TextLoss result;
  std::deque<int64_t> running; // targets that count in the runs that have not finished
  auto finish = [&] {
    call.finish();
    result.total += readScalar(*loss) * double(running.front());
    result.count += running.front();
    running.pop_front();
  };
  for (size_t i = 0; i < starts.size(); i += size_t(batch.batch())) {
    int64_t counted = 0;
    for (int64_t row = 0; row < batch.batch(); ++row)
      if (i + size_t(row) < starts.size())
        counted += batch.fill(row, text, starts[i + size_t(row)]);
      else
        batch.clear(row);
    if (!counted)
      continue;
    call.start();
    running.push_back(counted);
    if (int64_t(running.size()) == call.depth())
      finish();
  }
  while (!running.empty())
    finish();
  return result;
}

std::vector<int64_t> spreadWindows(ByteSpan text, int64_t sequence, int64_t limit) {
  // Windows share a byte at most: the last target of one is the first token of the next.
  int64_t fitting = std::max<int64_t>(1, (text.size - 1) / sequence);
  int64_t count = std::min(fitting, limit);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < count; ++i)
    starts.push_back(i * fitting / count * sequence);
  return starts;
}

} // namespace quern::runtime
