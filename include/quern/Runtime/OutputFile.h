//===- OutputFile.h - Files that appear whole or not at all -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Writes to a temporary file beside the target, then syncs, renames and syncs the folder, so that
/// a crash or a full disk leaves the earlier file intact.
///
#ifndef QUERN_RUNTIME_OUTPUTFILE_H
#define QUERN_RUNTIME_OUTPUTFILE_H

#include <cstddef>
#include <string>

namespace quern::runtime {

class OutputFile {
public:
  /// Creates the temporary file. Throws Error naming the path and the reason.
  explicit OutputFile(std::string path);
  /// Removes the temporary file unless it was committed.
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  /// Appends. Throws Error ("... No space left on device; the earlier FILE is unchanged").
  void write(const void *data, size_t bytes);
  /// Makes the file appear under its name, durably.
  void commit();

private:
  [[noreturn]] void fail(const char *action);

  std::string path, temporary;
  int file = -1;
  bool replaces = true;
};

/// Creates `folder` and its parents. Throws Error naming it and the reason.
void createFolder(const std::string &folder);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_OUTPUTFILE_H
