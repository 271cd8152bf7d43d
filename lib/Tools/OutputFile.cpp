//===- OutputFile.cpp - A file that is complete or not there ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "OutputFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"

#include <sys/stat.h>

using namespace llvm;

namespace quern::tools {

static Error cannotWrite(StringRef path, std::error_code code) {
  return createStringError(code, "cannot write '%s': %s", path.str().c_str(),
                           code.message().c_str());
}

Expected<OutputFile> OutputFile::create(StringRef path) {
  if (sys::fs::is_directory(path))
    return cannotWrite(path, std::make_error_code(std::errc::is_a_directory));
  SmallString<256> temporary;
  int descriptor;
  if (std::error_code code = sys::fs::createUniqueFile(path + ".%%%%%%.tmp", descriptor, temporary))
    return cannotWrite(path, code);
  sys::Process::SafelyCloseFileDescriptor(descriptor);
  sys::RemoveFileOnSignal(temporary);
  return OutputFile(path.str(), temporary.str().str());
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)), temporaryPath(std::move(other.temporaryPath)) {
  other.temporaryPath.clear();
}

OutputFile::~OutputFile() {
  if (temporaryPath.empty())
    return;
  sys::fs::remove(temporaryPath);
  sys::DontRemoveFileOnSignal(temporaryPath);
}

Error OutputFile::write(StringRef text) {
  std::error_code code;
  raw_fd_ostream out(temporaryPath, code);
  if (code)
    return cannotWrite(path, code);
  out << text;
  out.close();
  if (out.has_error()) {
    code = out.error();
    out.clear_error();
    return cannotWrite(path, code);
  }
  return Error::success();
}

Error OutputFile::keep() {
  // createUniqueFile gives the file to its owner alone; a linker adds the right to execute.
  mode_t mask = umask(0);
  umask(mask);
  struct stat status;
  if (stat(temporaryPath.c_str(), &status) == 0) {
    bool executable = status.st_mode & S_IXUSR;
    chmod(temporaryPath.c_str(), (executable ? 0777 : 0666) & ~mask);
  }
  if (std::error_code code = sys::fs::rename(temporaryPath, path))
    return cannotWrite(path, code);
  sys::DontRemoveFileOnSignal(temporaryPath);
  temporaryPath.clear();
  return Error::success();
}

} // namespace quern::tools
