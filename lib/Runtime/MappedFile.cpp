//===- MappedFile.cpp - Files read through memory ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/MappedFile.h"

#include "quern/Runtime/Error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace quern::runtime {

MappedFile::MappedFile(const std::string &path) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    throw Error(concat("cannot open ", path, ": ", std::strerror(errno)));
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(file);
    throw Error(concat("cannot read ", path, ": it is not a regular file"));
  }
  length = size_t(status.st_size);
  if (length) {
    void *mapping = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file, 0);
    if (mapping == MAP_FAILED) {
      int reason = errno;
      close(file);
      throw Error(concat("cannot read ", path, ": ", std::strerror(reason)));
    }
    start = static_cast<const unsigned char *>(mapping);
  }
  close(file);
}

MappedFile::~MappedFile() {
  if (start)
    munmap(const_cast<unsigned char *>(start), length);
}

MappedFile::MappedFile(MappedFile &&other) noexcept { *this = std::move(other); }

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(start, other.start);
  std::swap(length, other.length);
  return *this;
}

} // namespace quern::runtime
