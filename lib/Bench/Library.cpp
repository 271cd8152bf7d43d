//===- Library.cpp - A compiled program, loaded -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Library.h"

#include "quern/Runtime/Bfloat.h"
#include "quern/Runtime/Philox.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <chrono>
#include <cstring>
#include <dlfcn.h>

namespace quern::bench {

llvm::Expected<Library> Library::compile(const Compiler &compiler, const std::string &text,
                                         const std::vector<std::string> &shape,
                                         const std::vector<std::string> &programs) {
  llvm::SmallString<128> folder;
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory("quern-bench", folder))
    return llvm::createStringError("no temporary folder to compile in: " + code.message());
  llvm::scope_exit remove([&] { llvm::sys::fs::remove_directories(folder); });
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, "work.so");
  auto start = std::chrono::steady_clock::now();
  if (!compiler.compile(text, path.str().str(), shape, programs))
    return llvm::createStringError("a program of the bench did not compile");
  Library library;
  library.compileSeconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  library.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library.handle)
    return llvm::createStringError(std::string("cannot load the compiled program: ") + dlerror());
  return library;
}

Library::Library(Library &&other) noexcept
    : compileSeconds(other.compileSeconds), handle(std::exchange(other.handle, nullptr)) {}

Library::~Library() {
  if (handle)
    dlclose(handle);
}

void *Library::symbol(const char *name) const { return dlsym(handle, name); }

static int64_t elementsOf(const Argument &argument) {
  int64_t count = 1;
  for (int64_t size : argument.shape)
    count *= size;
  return count;
}

static int64_t bytesOf(const Argument &argument) {
  return elementsOf(argument) * (argument.type == "f64" ? 8 : argument.type == "bf16" ? 2 : 4);
}

namespace {
struct Bfloat {
  explicit Bfloat(double value) : bits(runtime::toBfloat(value)) {}
  uint16_t bits;
};
} // namespace

template <typename T>
static void fill(const Argument &argument, char *memory) {
  // Few numbers, again and again: drawing them takes longer than most works. A prime period keeps
  // rows apart.
  constexpr int64_t period = 4093;
  std::vector<T> drawn;
  for (int64_t i = 0; i < period; ++i) {
    auto words = runtime::draw(/*seed=*/1, runtime::Stream::Batches, /*sequence=*/1, uint64_t(i));
    drawn.push_back(argument.fill == Argument::Fill::Value ? T(argument.value)
                    : argument.fill == Argument::Fill::Below
                        ? T(runtime::below(words[0], words[1], uint64_t(argument.value)))
                        : T(double(runtime::normal(words)[0])));
  }
  auto *data = static_cast<T *>(static_cast<void *>(memory));
  for (int64_t i = 0, count = elementsOf(argument); i < count; ++i)
    data[i] = drawn[size_t(i % period)];
}

KernelCall::KernelCall(const Library &library, const Kernel &kernel)
    : program(static_cast<const quern_program *>(library.symbol("quern_programs"))) {
  for (const Argument &argument : kernel.arguments) {
    memory.emplace_back(std::max<int64_t>(bytesOf(argument), 64), "measuring");
    char *data = memory.back().data();
    if (argument.type == "f64")
      fill<double>(argument, data);
    else if (argument.type == "i32")
      fill<int32_t>(argument, data);
    else if (argument.type == "bf16")
      fill<Bfloat>(argument, data);
    else
      fill<float>(argument, data);
    quern_descriptor descriptor = {data, data, 0, {}};
    size_t rank = argument.shape.size();
    int64_t stride = 1;
    for (size_t i = rank; i-- > 0;) {
      descriptor.shape[i] = argument.shape[i];
      descriptor.shape[rank + i] = stride;
      stride *= argument.shape[i];
    }
    descriptors.push_back(descriptor);
  }
  for (quern_descriptor &descriptor : descriptors)
    pointers.push_back(&descriptor);
  arena = runtime::Block(std::max<int64_t>(program->arena_bytes(pointers.data()), 64),
                         "the arena of the measured program");
}

} // namespace quern::bench
