//===- TensorArgument.h - Tensor maps on the command line -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_TOOL_TENSORARGUMENT_H
#define QUERN_EMULATOR_TOOL_TENSORARGUMENT_H

#include "lib/Emulator/Matrix/TensorMap.h"

#include <string>

namespace quern::emulator {

/// What "TYPE,DIMENSIONS,BOX" or "TYPE,DIMENSIONS,BOX,SWIZZLE" describes, like
/// "bf16,64x128,64x32,128": a packed tensor of 128 rows of 64 elements, in boxes of 32 rows, with
/// the 128-byte swizzle. The address is still to come. Throws Error, which names `whole`, for what
/// is no tensor or what TMA does not take.
matrix::TensorMap parseTensor(const std::string &text, const std::string &whole);

} // namespace quern::emulator

#endif // QUERN_EMULATOR_TOOL_TENSORARGUMENT_H
