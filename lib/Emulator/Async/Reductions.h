//===- Reductions.h - Modifiers of bulk reductions --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_REDUCTIONS_H
#define QUERN_EMULATOR_ASYNC_REDUCTIONS_H

#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Matrix/TensorCopy.h"

namespace quern::emulator::machine {

/// Takes ".add" and its siblings.
matrix::Reduction takeReduction(Decoder &decoder);

/// Takes the element type of a reduction and checks that it goes with the operation.
matrix::ReductionType takeReductionType(Decoder &decoder, matrix::Reduction operation);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_REDUCTIONS_H
