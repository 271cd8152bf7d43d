//===- TensorCopy.h - From a box of a tensor to bytes in two memories -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The address arithmetic of `cp.async.bulk.tensor` and `cp.reduce.async.bulk.tensor` in tiled mode
/// (PTX ISA 9.1, sections 5.5.3 and 5.5.7). A box is a sequence of chunks of 16 bytes; each says
/// where it lies in shared memory and which of its bytes lie inside of the tensor, and where. What
/// moves, who may see it and when is the engine's affair.
///
#ifndef QUERN_EMULATOR_MATRIX_TENSORCOPY_H
#define QUERN_EMULATOR_MATRIX_TENSORCOPY_H

#include "lib/Emulator/Matrix/TensorMap.h"

#include <vector>

namespace quern::emulator::matrix {

/// 16 bytes of a box.
struct BoxChunk {
  /// In the window in which the box begins, swizzled.
  uint32_t shared;
  /// Bytes `first` to `last` (exclusive) of the chunk are elements of the tensor and lie at
  /// `global` and after; none if the two are equal. A load fills the others; a store leaves them.
  uint32_t first, last;
  uint64_t global;
};

/// The chunks of the box whose first element has `coordinates` (`map.rank` of them, which may be
/// negative or beyond the tensor), for a box that begins at `shared`, a multiple of 16.
std::vector<BoxChunk> chunksOfBox(const TensorMap &map, const int32_t *coordinates,
                                  uint32_t shared);

/// What a load puts where the box lies outside of the tensor, 16 bytes that repeat by element.
std::array<uint8_t, 16> fillPattern(const TensorMap &map);

/// `.redOp` of cp.reduce.async.bulk.
enum class Reduction : uint8_t { Add, Min, Max, Increment, Decrement, And, Or, Xor };

/// Types that bulk reductions know; B32 and B64 are the unsigned ones.
enum class ReductionType : uint8_t { U32, S32, U64, S64, F16, BF16, F32, F64 };

/// Bytes of an element.
int reductionTypeBytes(ReductionType type);

/// How a reduction through a tensor map treats its elements.
bool reductionTypeOf(TensorType type, ReductionType &result);

/// Empty if global memory can be reduced so (PTX ISA 9.1, section 9.7.9.25.4.2), else what is
/// wrong.
std::string checkReduction(Reduction operation, ReductionType type);

/// destination = destination op source for one element. Floating-point sums round to nearest even;
/// f32 flushes subnormal operands and results, f16 and bf16 do not.
void reduceElement(Reduction operation, ReductionType type, uint8_t *destination,
                   const uint8_t *source);

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_TENSORCOPY_H
