//===- MappedFile.h - Files read through memory -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_RUNTIME_MAPPEDFILE_H
#define QUERN_RUNTIME_MAPPEDFILE_H

#include <cstddef>
#include <string>

namespace quern::runtime {

/// A read-only file mapped into memory.
class MappedFile {
public:
  MappedFile() = default;
  /// Throws Error naming the path: missing, a folder, not readable. An empty file has size 0.
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;

  const unsigned char *data() const { return start; }
  size_t size() const { return length; }

private:
  const unsigned char *start = nullptr;
  size_t length = 0;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_MAPPEDFILE_H
