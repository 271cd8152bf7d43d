//===- OutputFile.cpp - Files that appear whole or not at all ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/OutputFile.h"

#include "quern/Runtime/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace quern::runtime {

static bool exists(const std::string &path) { return access(path.c_str(), F_OK) == 0; }

OutputFile::OutputFile(std::string target) : path(std::move(target)) {
  struct stat status;
  bool present = stat(path.c_str(), &status) == 0;
  if (present && S_ISDIR(status.st_mode))
    throw Error(concat("cannot write ", path, ": it is a folder; name a file"));
  if (present) // write through a symbolic link, not over it
    if (char *resolved = realpath(path.c_str(), nullptr)) {
      path = resolved;
      free(resolved);
    }
  // A device or a pipe must not be replaced by a file: it is written in place.
  replaces = !present || S_ISREG(status.st_mode);
  temporary = replaces ? path + ".tmp" : path;
  file = open(temporary.c_str(), O_WRONLY | (replaces ? O_CREAT | O_TRUNC : 0) | O_CLOEXEC, 0644);
  if (file < 0)
    throw Error(concat("cannot write ", path, ": ", std::strerror(errno),
                       errno == ENOENT ? "; create its folder first" : ""));
}

OutputFile::~OutputFile() {
  if (file >= 0) {
    close(file);
    if (replaces)
      unlink(temporary.c_str());
  }
}

void OutputFile::fail(const char *action) {
  int reason = errno;
  throw Error(concat("cannot ", action, " ", path, ": ", std::strerror(reason),
                     !replaces      ? ""
                     : exists(path) ? "; the earlier file is unchanged"
                                    : "; nothing was left behind",
                     reason == ENOSPC || reason == EFBIG || reason == EDQUOT
                         ? "; free some space or write elsewhere"
                         : ""));
}

void OutputFile::write(const void *data, size_t bytes) {
  auto *from = static_cast<const char *>(data);
  while (bytes) {
    // Linux writes at most 2 GiB at once.
    ssize_t written = ::write(file, from, std::min(bytes, size_t(1) << 30));
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      fail("write");
    from += written;
    bytes -= size_t(written);
  }
}

void OutputFile::commit() {
  if (fsync(file) != 0 && replaces)
    fail("write");
  int closing = file;
  file = -1;
  if (close(closing) != 0 || (replaces && rename(temporary.c_str(), path.c_str()) != 0)) {
    int reason = errno;
    if (replaces)
      unlink(temporary.c_str());
    errno = reason;
    fail("write");
  }
  auto slash = path.rfind('/');
  std::string folder =
      slash == std::string::npos ? "." : (slash == 0 ? "/" : path.substr(0, slash));
  // Without this the rename itself could be lost by a power failure. Some file systems refuse it.
  int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
}

void createFolder(const std::string &folder) {
  for (size_t end = 1; end <= folder.size(); ++end) {
    if (end != folder.size() && folder[end] != '/')
      continue;
    std::string part = folder.substr(0, end);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST)
      throw Error(concat("cannot create folder ", part, ": ", std::strerror(errno)));
  }
  struct stat status;
  if (stat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))
    throw Error(concat("cannot use ", folder, " as a folder: a file of that name is in the way"));
}

} // namespace quern::runtime
