//===- Work.h - What is measured --------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_WORK_H
#define QUERN_LIB_BENCH_WORK_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace quern::bench {

/// What limits a work: the ceiling that it is compared with.
enum class Limit {
  MultiplyAdds, ///< GFLOP/s
  Bf16Products, ///< GFLOP/s of dot products of bf16, or of multiply-adds where these are faster
  Reading,      ///< GB/s
  Updating,     ///< GB/s, read and written
  None
};

/// One argument of a program: a dense tensor.
struct Argument {
  enum class Fill { Normal, Value, Below };
  std::string name, type;
  std::vector<int64_t> shape;
  Fill fill = Fill::Normal;
  double value = 0; ///< of each element, or the bound that integers stay below

  /// Its MLIR type: memref<4x8xf32>.
  std::string memref() const;
};

/// C = op(A) op(B), as peers take it.
struct Gemm {
  int64_t rows, columns, depth; ///< M, N, K
  bool transposeA, transposeB;
};

/// Causal attention, as peers take it.
struct Attention {
  int64_t batch, length, heads, groups, size;
  bool backward;
};

/// A program of one kernel.
struct Kernel {
  std::string work, shape;
  double amount;    ///< operations, bytes or elements of one run
  std::string unit; ///< of a rate: 1e9 of them a second
  Limit limit;
  std::vector<Argument> arguments;
  std::string body;         ///< operations on arguments by name
  std::string type = "f32"; ///< that most of it is stored in
  std::optional<Gemm> gemm;
  std::optional<Attention> attention;

  /// The module that holds it as program "work".
  std::string text() const;
};

/// A kind of work: its name, what shapes it takes, and those that it is measured at by default.
struct KernelFamily {
  const char *name, *description, *form;
  std::vector<const char *> shapes;
  /// The kernels of one shape: the numbers between its `x`, and what follows a colon.
  llvm::Expected<std::vector<Kernel>> (*make)(llvm::ArrayRef<int64_t> sizes,
                                              llvm::StringRef suffix);
  /// The same with activations and factors in bf16, as a training step has them; null: only f32.
  llvm::Expected<std::vector<Kernel>> (*makeBf16)(llvm::ArrayRef<int64_t> sizes,
                                                  llvm::StringRef suffix) = nullptr;
};
llvm::ArrayRef<KernelFamily> kernelFamilies();

/// The kernels of `family` at `shape`, in f32 or bf16; the error names the form that a shape has.
llvm::Expected<std::vector<Kernel>> kernelsAt(const KernelFamily &family, llvm::StringRef shape,
                                              llvm::StringRef type);

/// "4x64" as numbers from 1 to 2^24; empty if it is something else.
std::vector<int64_t> parseSizes(llvm::StringRef text);

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_WORK_H
