//===- Reductions.cpp - Modifiers of bulk reductions ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Async/Reductions.h"

namespace quern::emulator::machine {

using matrix::Reduction;
using matrix::ReductionType;

Reduction takeReduction(Decoder &decoder) {
  return Reduction(decoder.modifiers.oneOf(
      "an operation", {".add", ".min", ".max", ".inc", ".dec", ".and", ".or", ".xor"}));
}

ReductionType takeReductionType(Decoder &decoder, Reduction operation) {
  bool keepsSubnormals = decoder.modifiers.accept(".noftz");
  Type type = decoder.modifiers.type({Type::U32, Type::S32, Type::B32, Type::U64, Type::S64,
                                      Type::B64, Type::F16, Type::BF16, Type::F32, Type::F64});
  ReductionType result = ReductionType::U32;
  switch (type) {
  case Type::S32:
    result = ReductionType::S32;
    break;
  case Type::U64:
  case Type::B64:
    result = ReductionType::U64;
    break;
  case Type::S64:
    result = ReductionType::S64;
    break;
  case Type::F16:
    result = ReductionType::F16;
    break;
  case Type::BF16:
    result = ReductionType::BF16;
    break;
  case Type::F32:
    result = ReductionType::F32;
    break;
  case Type::F64:
    result = ReductionType::F64;
    break;
  default:
    break;
  }
  std::string problem = matrix::checkReduction(operation, result);
  bool isHalf = result == ReductionType::F16 || result == ReductionType::BF16;
  if (problem.empty() && keepsSubnormals != (isHalf && operation == Reduction::Add))
    problem = ".noftz goes with .add of .f16 and .bf16, which needs it";
  if (!problem.empty())
    decoder.fail("'cp" + decoder.modifiers.text() + "': " + problem);
  return result;
}

} // namespace quern::emulator::machine
