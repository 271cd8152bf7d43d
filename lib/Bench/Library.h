//===- Library.h - A compiled program, loaded -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_LIBRARY_H
#define QUERN_LIB_BENCH_LIBRARY_H

#include "Work.h"
#include "quern/Bench/Bench.h"
#include "quern/Runtime/Memory.h"
#include "quern/Runtime/Program.h"

#include <memory>

namespace quern::bench {

/// A shared library that the compiler has made; its file is gone once it is loaded.
class Library {
public:
  static llvm::Expected<Library> compile(const Compiler &compiler, const std::string &text,
                                         const std::vector<std::string> &shape = {},
                                         const std::vector<std::string> &programs = {});
  Library(Library &&other) noexcept;
  Library &operator=(Library &&) = delete;
  ~Library();

  /// Null if it exports no such symbol.
  void *symbol(const char *name) const;
  /// A function of the C interface (quern/Runtime/quern.h).
  template <typename Function>
  Function *function(const char *name) const {
    return reinterpret_cast<Function *>(symbol(name));
  }
  /// Seconds that the compiler took.
  double compileSeconds = 0;

private:
  Library() = default;
  void *handle = nullptr;
};

/// The one program of a Kernel, with memory for its arguments and its arena.
class KernelCall {
public:
  KernelCall(const Library &library, const Kernel &kernel);
  void operator()() const { program->run(pointers.data(), arena.data()); }

private:
  const quern_program *program;
  std::vector<runtime::Block> memory;
  std::vector<quern_descriptor> descriptors;
  std::vector<quern_descriptor *> pointers;
  runtime::Block arena;
};

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_LIBRARY_H
