//===- Machine.h - What the emitters know of a processor --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// A small model of the processor that code is made for: vector width, registers, caches. Tile
/// sizes follow from it; nothing else in the compiler asks which machine it runs on.
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
  bool hasFma = true;
  bool hasBf16Dot = false; ///< AVX512-BF16 (vdpbf16ps)
  bool hasInt8Dot = false; ///< AVX512-VNNI (vpdpbusd)

  /// The model of the processor called `cpu`; "native" is the one this runs on, with its real
  /// caches. Fails with a message that lists what there is when the name is unknown.
  static llvm::Expected<Machine> get(llvm::StringRef cpu);

  /// Elements of `type` in one native vector.
  int64_t lanes(mlir::Type type) const;
};

} // namespace quern::cpu

#endif // QUERN_CPU_MACHINE_H
