//===- FusedMultiplyAdd.cpp - fma for all lanes of a warp -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/FloatOperations.h"

namespace quern::emulator::machine {

// x86-64 has fused multiply-add since its third level only: with it a warp takes a few
// instructions, without it a call for each lane.
#if defined(__x86_64__) && !defined(__FMA__)
#define QUERN_EMULATOR_CLONES __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define QUERN_EMULATOR_CLONES
#endif

QUERN_EMULATOR_CLONES
void fuseLanes(const float *a, const float *b, const float *c, float *results) {
  for (unsigned lane = 0; lane < warpSize; ++lane)
    results[lane] = std::fma(a[lane], b[lane], c[lane]);
}

QUERN_EMULATOR_CLONES
void fuseLanes(const double *a, const double *b, const double *c, double *results) {
  for (unsigned lane = 0; lane < warpSize; ++lane)
    results[lane] = std::fma(a[lane], b[lane], c[lane]);
}

} // namespace quern::emulator::machine
