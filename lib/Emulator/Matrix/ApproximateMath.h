//===- ApproximateMath.h - The special function unit, at its documented error -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The `.approx` instructions (PTX ISA 9.1, sections 9.7.3.8 to 9.7.3.22 and 9.7.4.9 to 9.7.4.10).
/// The manual bounds their error and no more; a device's own bits differ between architectures.
/// Here a result is the exact one, computed in double, rounded to nearest on the coarsest grid that
/// keeps the documented bound. So the result is the same everywhere, zeros and powers of two come
/// out exact as on a device, and the error really occurs: a kernel that needs more accuracy than
/// the manual promises fails here, not on the next architecture.
///
/// | function | documented error | grid |
/// |---|---|---|
/// | rcp.approx.f32 | 1 ulp | 23 significant bits |
/// | sqrt.approx.f32 | relative 2^-23 | 23 significant bits |
/// | rsqrt.approx.f32 | relative 2^-22.9 | 23 significant bits |
/// | ex2.approx.f32 | 2 ulp | 22 significant bits |
/// | div.approx.f32, div.full.f32 | 2 ulp | 22 significant bits |
/// | lg2.approx.f32 | absolute 2^-22 in (0.5, 2), else relative 2^-22 | 2^-21, 22 significant bits
/// | | sin, cos.approx.f32 | absolute 2^-20.5 in [-2 pi, 2 pi], 2^-14.7 in [-100 pi, 100 pi] |
/// 2^-20, 2^-14 | | tanh.approx.f32 | relative 2^-11 | 11 significant bits | | tanh.approx.f16,
/// bf16 | absolute 2^-10.987, 2^-8 | 2^-10, 2^-7 | | ex2.approx.f16, bf16 | relative 2^-9.9, 2^-7 |
/// 10, 7 significant bits |
///
/// `flush` is `.ftz`: subnormal inputs and results become zeros of their sign.
///
#ifndef QUERN_EMULATOR_MATRIX_APPROXIMATEMATH_H
#define QUERN_EMULATOR_MATRIX_APPROXIMATEMATH_H

#include <cstdint>

namespace quern::emulator::matrix {

float approximateReciprocal(float a, bool flush);
float approximateSquareRoot(float a, bool flush);
float approximateReciprocalSquareRoot(float a, bool flush);
float approximateExp2(float a, bool flush);
float approximateLog2(float a, bool flush);
/// Beyond 100 pi the manual promises nothing; here the error stays below 2^-14.
float approximateSine(float a, bool flush);
float approximateCosine(float a, bool flush);
/// tanh.approx.f32, which has no `.ftz`.
float approximateTanh(float a);

/// div.approx.f32: a / b, but 0 (or NaN for infinite `a`) where |b| exceeds 2^126.
float approximateDivide(float a, float b, bool flush);
/// div.full.f32: over the full range.
float approximateDivideFull(float a, float b, bool flush);

/// On bit patterns; each half of an f16x2 or bf16x2 goes through by itself.
uint16_t approximateTanhF16(uint16_t a);
uint16_t approximateTanhBF16(uint16_t a);
uint16_t approximateExp2F16(uint16_t a);
/// ex2.approx.ftz.bf16, which always flushes.
uint16_t approximateExp2BF16(uint16_t a);

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_APPROXIMATEMATH_H
