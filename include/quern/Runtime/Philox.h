//===- Philox.h - Counter-based random numbers ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Philox 4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3"
/// (SC 2011). A draw is a pure function of key and counter, so that numbers never depend on the
/// number of threads or on what was drawn before.
///
#ifndef QUERN_RUNTIME_PHILOX_H
#define QUERN_RUNTIME_PHILOX_H

#include <array>
#include <cstdint>

namespace quern::runtime {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

/// Ten rounds over `counter` under `key`.
PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key);

/// What a draw is for; part of the counter, so that uses of one seed never share numbers.
enum class Stream : uint32_t { Initialize = 0, Batches = 1, Sampling = 2 };

/// Four words for element `index` (below 2^64) of sequence `sequence` (below 2^24) of a stream.
PhiloxCounter draw(uint64_t seed, Stream stream, uint32_t sequence, uint64_t index);

/// A double in [0, 1) with 53 random bits, from two words.
double uniform(uint32_t high, uint32_t low);

/// Two independent standard normal numbers from four words (Box and Muller, in double).
std::array<double, 2> normal(const PhiloxCounter &words);

/// An integer in [0, range), from two words by multiplication (bias below range / 2^64).
uint64_t below(uint32_t high, uint32_t low, uint64_t range);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_PHILOX_H
