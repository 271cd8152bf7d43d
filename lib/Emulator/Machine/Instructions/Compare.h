//===- Compare.h - Comparisons of all lanes of a warp -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_COMPARE_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_COMPARE_H

#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

/// PTX ISA 8.3, section 9.3.1: the ones with a U at the end hold too when an operand is NaN.
enum class Comparison {
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  Lo,
  Ls,
  Hi,
  Hs,
  Equ,
  Neu,
  Ltu,
  Leu,
  Gtu,
  Geu,
  Num,
  Nan
};

/// The lanes for which the comparison of two operands holds.
using CompareFunction = LaneMask (*)(const std::byte *a, const std::byte *b);

/// Null when operands of the type cannot be compared so. `half` chooses one of packed operands;
/// `flush` is for f32 and f16.
CompareFunction compareFunction(Comparison comparison, Type type, bool flush, unsigned half);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_COMPARE_H
