//===- Machine.h - What the emitters know of a processor --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// A small model of the processor that code is made for: vector width, registers, caches, and the
/// sizes of tiles that follow from them. Nothing else in the compiler asks which machine it runs
/// on.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_CPU_MACHINE_H
#define QUERN_CPU_MACHINE_H

#include "mlir/IR/Types.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>
#include <vector>

namespace quern::cpu {

struct Machine {
  std::string cpu;                    ///< LLVM's name: "znver4", "x86-64-v3", ...
  std::string features;               ///< LLVM's feature string: "+avx512f,+fma,..."
  std::vector<std::string> requires_; ///< features that a machine must have to run the code
  int64_t vectorBytes = 32;           ///< bytes of a native vector register
  int64_t vectorRegisters = 16;       ///< native vector registers
  int64_t l1Bytes = 32 << 10;         ///< first-level data cache, a core
  int64_t l2Bytes = 512 << 10;        ///< second-level cache, a core
  int64_t l3Bytes = 16 << 20;         ///< third-level cache that a core shares with others
  int64_t tileRows = 4;               ///< of matrix products' tile in registers
  int64_t tileVectors = 3;            ///< native vectors in a row of that tile
  int64_t panelBytes = 0;             ///< of a packed panel of B, as wide as the tile, at most
  int64_t packedBytes = 2 << 20;      ///< of A that is packed at a time
  bool hasFma = true;
  bool hasBf16Dot = false;  ///< AVX512-BF16 (vdpbf16ps)
  bool usesBf16Dot = false; ///< products of bf16 are made of it, or of what stands in for it
  bool hasInt8Dot = false;  ///< AVX512-VNNI (vpdpbusd)

  /// The model of the processor called `cpu`; "native" is the one this runs on, with its real
  /// caches. Fails with a message that lists what there is when the name is unknown. `changes`,
  /// NAME=VALUE with commas between, replace what the model says (see `describeChanges`); tiles
  /// that do not fit the registers, and sizes that no machine has, fail too.
  static llvm::Expected<Machine> get(llvm::StringRef cpu, llvm::StringRef changes = "");

  /// What `changes` can name, for a help text.
  static const char *describeChanges();

  /// The model in one line, as it is printed: vectors, caches, tiles.
  std::string describe() const;

  /// How many steps of the depth of a product of `type` are packed at a time.
  int64_t tileDepth(mlir::Type type) const;

  /// Elements of `type` in one native vector.
  int64_t lanes(mlir::Type type) const;
};

} // namespace quern::cpu

#endif // QUERN_CPU_MACHINE_H
