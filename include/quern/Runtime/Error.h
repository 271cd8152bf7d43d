//===- Error.h - Failures that a person can act on --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Every failure of the runtime is an exception whose text names the thing, the place and the way
/// out. `Error` ends a command with exit code 1, `UsageError` with 2. The C API turns both into
/// strings.
///
#ifndef QUERN_RUNTIME_ERROR_H
#define QUERN_RUNTIME_ERROR_H

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace quern::runtime {

/// Something in the world is wrong: a file, the machine, the data.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// What was asked for makes no sense: an unknown option, a value out of range, a contradiction.
class UsageError : public Error {
public:
  using Error::Error;
};

inline void append(std::string &out, std::string_view text) { out.append(text); }
void append(std::string &out, int64_t number);
void append(std::string &out, uint64_t number);
/// The shortest decimal text that reads back as the same double.
void append(std::string &out, double number);
inline void append(std::string &out, int number) { append(out, int64_t(number)); }

/// The texts and numbers of `parts`, one after the other.
template <typename... Parts>
std::string concat(const Parts &...parts) {
  std::string out;
  (append(out, parts), ...);
  return out;
}

/// `parts` with `separator` between them.
std::string join(const std::vector<std::string> &parts, std::string_view separator);

/// " (did you mean X?)" for the candidate nearest to `word` in edit distance, or "" if none is
/// near.
std::string suggest(std::string_view word, const std::vector<std::string> &candidates);

/// Prints `note: TEXT` on standard error.
void note(const std::string &text);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_ERROR_H
