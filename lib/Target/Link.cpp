//===- Link.cpp - Executables and shared libraries -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Target/Link.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

#include <cstdlib>

using namespace llvm;

namespace quern::target {

static std::string within(StringRef folder, StringRef file) {
  SmallString<256> path(folder);
  sys::path::append(path, file);
  return path.str().str();
}

/// The first of `folders` that holds `file`; an environment variable goes before all of them.
static Expected<std::string> findFolder(StringRef file, const char *variable,
                                        ArrayRef<std::string> folders, StringRef way) {
  if (const char *folder = std::getenv(variable)) {
    if (sys::fs::exists(within(folder, file)))
      return folder;
    return createStringError("%s=%s holds no %s", variable, folder, file.str().c_str());
  }
  for (const std::string &folder : folders)
    if (sys::fs::exists(within(folder, file)))
      return folder;
  return createStringError("%s not found in %s; %s, or set %s to its folder", file.str().c_str(),
                           llvm::join(folders, ", ").c_str(), way.str().c_str(), variable);
}

Expected<LinkInputs> findLinkInputs(StringRef tool) {
  SmallString<256> beside(sys::path::parent_path(tool));
  sys::path::append(beside, "..", "lib");
  sys::path::remove_dots(beside, /*remove_dot_dot=*/true);
  LinkInputs inputs;
  Expected<std::string> runtime = findFolder(
      "libquern_runtime_main.a", "QUERN_RUNTIME_DIR", {beside.str().str(), within(beside, "quern")},
      "build it (ninja -C build quern_runtime quern_runtime_main)");
  if (!runtime)
    return runtime.takeError();
  inputs.runtimeFolder = *runtime;
  Expected<std::string> openmp =
      findFolder("libomp.so", "QUERN_OPENMP_DIR",
                 {QUERN_LLVM_LIBRARY_DIR, "/usr/lib/x86_64-linux-gnu", "/usr/lib"},
                 "install it (apt-get install libomp-22-dev)");
  if (!openmp)
    return openmp.takeError();
  inputs.openmpFolder = *openmp;
  Expected<std::string> zstd = findFolder(
      "libzstd.a", "QUERN_ZSTD_DIR",
      {sys::path::parent_path(QUERN_ZSTD_ARCHIVE).str(), "/usr/lib/x86_64-linux-gnu", "/usr/lib"},
      "install it (apt-get install libzstd-dev)");
  if (!zstd)
    return zstd.takeError();
  inputs.zstdFolder = *zstd;
  return inputs;
}

Expected<std::string> findLinker() {
  if (const char *chosen = std::getenv("CXX")) {
    if (*chosen) {
      if (ErrorOr<std::string> path = sys::findProgramByName(chosen))
        return *path;
      return createStringError("CXX=%s: no such program", chosen);
    }
  }
  for (const char *name : {"clang++-22", "clang++", "g++", "c++"})
    if (ErrorOr<std::string> path = sys::findProgramByName(name))
      return *path;
  return createStringError(
      "no linker found: none of clang++-22, clang++, g++, c++ is on the PATH; install one "
      "(apt-get install clang-22), or set CXX, or use --emit=obj");
}

/// Runs the linker; on failure its own words become the error.
static Error runLinker(ArrayRef<std::string> arguments) {
  Expected<std::string> linker = findLinker();
  if (!linker)
    return linker.takeError();
  SmallVector<StringRef> all{*linker};
  all.append(arguments.begin(), arguments.end());
  SmallString<128> log;
  if (std::error_code code = sys::fs::createTemporaryFile("quern-link", "log", log))
    return createStringError(code, "no temporary file for the linker's messages: %s",
                             code.message().c_str());
  FileRemover remove(log);
  std::string message;
  std::optional<StringRef> redirects[] = {std::nullopt, log.str(), log.str()};
  int status = sys::ExecuteAndWait(*linker, all, std::nullopt, redirects, /*SecondsToWait=*/0,
                                   /*MemoryLimit=*/0, &message);
  if (!status)
    return Error::success();
  if (auto buffer = MemoryBuffer::getFile(log))
    message += (*buffer)->getBuffer();
  return createStringError("linking with %s failed (status %d): %s", linker->c_str(), status,
                           message.c_str());
}

static SmallVector<std::string> commonArguments(ArrayRef<std::string> objects, StringRef output,
                                                const LinkInputs &inputs, bool strip) {
  // The system's C++ library, which is there wherever OpenMP's is: a copy of it would be a third of
  // the program.
  SmallVector<std::string> arguments{"-o", output.str(), "-Wl,--gc-sections", "-Wl,-O1"};
  arguments.append(objects.begin(), objects.end());
  if (strip)
    arguments.push_back("-s");
  // The tool's own build may carry sanitizers, and then so does the runtime.
  for (StringRef flag : split(StringRef(QUERN_RUNTIME_LINK_FLAGS), ' '))
    if (!flag.empty())
      arguments.push_back(flag.str());
  return arguments;
}

static void addLibraries(SmallVectorImpl<std::string> &arguments, const LinkInputs &inputs) {
  arguments.push_back(within(inputs.runtimeFolder, "libquern_runtime.a"));
  arguments.push_back(within(inputs.zstdFolder, "libzstd.a"));
  arguments.push_back(within(inputs.openmpFolder, "libomp.so"));
  arguments.push_back("-Wl,-rpath," + inputs.openmpFolder);
  for (const char *library : {"-lm", "-lpthread", "-ldl"})
    arguments.push_back(library);
}

Error linkExecutable(ArrayRef<std::string> objects, StringRef output, const LinkInputs &inputs,
                     bool strip) {
  SmallVector<std::string> arguments = commonArguments(objects, output, inputs, strip);
  arguments.push_back(within(inputs.runtimeFolder, "libquern_runtime_main.a"));
  addLibraries(arguments, inputs);
  return runLinker(arguments);
}

Error linkLibrary(ArrayRef<std::string> objects, StringRef output, const LinkInputs &inputs,
                  bool strip) {
  SmallVector<std::string> arguments = commonArguments(objects, output, inputs, strip);
  SmallString<128> versions;
  int descriptor;
  if (std::error_code code =
          sys::fs::createTemporaryFile("quern-exports", "map", descriptor, versions))
    return createStringError(code, "no temporary file for the linker's list of symbols: %s",
                             code.message().c_str());
  FileRemover remove(versions);
  {
    raw_fd_ostream map(descriptor, /*shouldClose=*/true);
    map << "{ global: quern_*; local: *; };\n";
  }
  arguments.push_back("-shared");
  arguments.push_back(("-Wl,--version-script=" + versions.str()).str());
  // Nothing in the object calls the C interface: take the whole archive, then drop what it does not
  // reach.
  arguments.push_back("-Wl,--whole-archive");
  arguments.push_back(within(inputs.runtimeFolder, "libquern_runtime.a"));
  arguments.push_back("-Wl,--no-whole-archive");
  addLibraries(arguments, inputs);
  return runLinker(arguments);
}

} // namespace quern::target
