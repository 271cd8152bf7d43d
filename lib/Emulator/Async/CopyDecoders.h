//===- CopyDecoders.h - The families behind the opcode cp -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASYNC_COPYDECODERS_H
#define QUERN_EMULATOR_ASYNC_COPYDECODERS_H

namespace quern::emulator::machine {

class Decoder;

/// cp.async without .bulk; `.async` has been taken.
void decodeCopyAsync(Decoder &decoder);
/// cp.async.bulk and cp.reduce.async.bulk; `.async`, `.bulk` and `.reduce` have been taken.
void decodeBulk(Decoder &decoder, bool isReduction);
/// The same with .tensor, which has been taken too.
void decodeTensor(Decoder &decoder, bool isReduction);
void decodeTensorPrefetch(Decoder &decoder);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_ASYNC_COPYDECODERS_H
