//===- Error.cpp - Texts of messages ----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Error.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace quern::runtime {

void append(std::string &out, int64_t number) { out += std::to_string(number); }
void append(std::string &out, uint64_t number) { out += std::to_string(number); }

void append(std::string &out, double number) {
  char text[40];
  auto end = std::to_chars(text, text + sizeof text, number).ptr;
  out.append(text, end);
}

std::string join(const std::vector<std::string> &parts, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i)
      out += separator;
    out += parts[i];
  }
  return out;
}

/// Levenshtein's distance.
static size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replace = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row[b.size()];
}

std::string suggest(std::string_view word, const std::vector<std::string> &candidates) {
  // A third of the letters may differ; more than that is another word.
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  const std::string *nearest = nullptr;
  for (const std::string &candidate : candidates)
    if (size_t d = distance(word, candidate); d < best) {
      best = d;
      nearest = &candidate;
    }
  return nearest ? " (did you mean " + *nearest + "?)" : "";
}

void note(const std::string &text) {
  std::fflush(stdout);
  std::fprintf(stderr, "note: %s\n", text.c_str());
}

} // namespace quern::runtime
