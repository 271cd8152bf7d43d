//===- ArenaUse.h - What the memory of an arena is for ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_KERNELS_ARENAUSE_H
#define QUERN_LIB_KERNELS_ARENAUSE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/JSON.h"

#include <map>
#include <string>

namespace quern::kernels {

/// Adds up the bytes of a program's buffers by what they are for, and what sharing memory saves.
class ArenaUse {
public:
  explicit ArenaUse(mlir::func::FuncOp program) : program(program) {}

  /// `bytes` times the product of `factors`.
  void add(mlir::memref::AllocOp alloc, int64_t bytes, llvm::ArrayRef<mlir::Value> factors);

  /// Takes off what buffers with these factors share, so that the uses add up to the arena.
  void share(int64_t bytes, llvm::ArrayRef<mlir::Value> factors);

  /// A list of {"use": ..., "bytes": POLYNOMIAL} as in Program.h.
  llvm::json::Array describe() const;

private:
  using Monomial = std::map<std::string, int64_t>;
  std::string dimensionName(mlir::Value size) const;
  Monomial product(llvm::ArrayRef<mlir::Value> factors) const;

  mlir::func::FuncOp program;
  std::map<std::string, std::map<Monomial, int64_t>> uses;
};

} // namespace quern::kernels

#endif // QUERN_LIB_KERNELS_ARENAUSE_H
