//===- Process.cpp - Other programs -----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Process.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"

#include <unistd.h>

namespace quern::bench {

std::string Finished::lastError() const {
  llvm::StringRef lines = llvm::StringRef(err).trim();
  return lines.substr(lines.rfind('\n') + 1).str();
}

llvm::Expected<Finished> runProcess(llvm::StringRef path, const std::vector<std::string> &arguments,
                                    llvm::ArrayRef<std::string> variables, unsigned secondsAtMost) {
  llvm::SmallString<128> out, err;
  if (llvm::sys::fs::createTemporaryFile("quern-bench", "out", out))
    return llvm::createStringError("no temporary file for what " + path + " prints");
  llvm::FileRemover removeOut(out);
  if (llvm::sys::fs::createTemporaryFile("quern-bench", "err", err))
    return llvm::createStringError("no temporary file for what " + path + " prints");
  llvm::FileRemover removeErr(err);

  llvm::SmallVector<llvm::StringRef> words{path}, environment(variables.begin(), variables.end());
  words.append(arguments.begin(), arguments.end());
  for (char **variable = environ; *variable; ++variable) {
    llvm::StringRef name = llvm::StringRef(*variable).split('=').first;
    if (llvm::none_of(variables, [&](llvm::StringRef v) { return v.split('=').first == name; }))
      environment.push_back(*variable);
  }

  std::optional<llvm::StringRef> redirects[] = {std::nullopt, out.str(), err.str()};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(path, words, llvm::ArrayRef<llvm::StringRef>(environment),
                                         redirects, secondsAtMost, /*MemoryLimit=*/0, &message);
  auto text = [](llvm::StringRef file) {
    auto buffer = llvm::MemoryBuffer::getFile(file);
    return buffer ? (*buffer)->getBuffer().str() : std::string();
  };
  Finished finished{status == 0, text(out), text(err)};
  if (llvm::StringRef(finished.err).trim().empty())
    finished.err = message.empty() ? "status " + std::to_string(status) : message;
  return finished;
}

} // namespace quern::bench
