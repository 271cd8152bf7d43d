//===- OutputFile.h - A file that is complete or not there -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_TOOLS_OUTPUTFILE_H
#define QUERN_LIB_TOOLS_OUTPUTFILE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace quern::tools {

/// A place beside the output that others write to; `keep` renames it, and without that it is
/// removed, also when a signal ends the process.
class OutputFile {
public:
  /// Fails when the folder does not exist or cannot be written, or `path` is a folder.
  static llvm::Expected<OutputFile> create(llvm::StringRef path);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  const std::string &temporary() const { return temporaryPath; }

  /// Writes `text` to the temporary file.
  llvm::Error write(llvm::StringRef text);

  /// Moves the temporary file to its place.
  llvm::Error keep();

private:
  OutputFile(std::string path, std::string temporaryPath)
      : path(std::move(path)), temporaryPath(std::move(temporaryPath)) {}
  std::string path, temporaryPath;
};

} // namespace quern::tools

#endif // QUERN_LIB_TOOLS_OUTPUTFILE_H
