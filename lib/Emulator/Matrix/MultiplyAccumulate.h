//===- MultiplyAccumulate.h - The arithmetic of the tensor cores ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// D = A B + D on dense matrices, shared by `mma.sync` and `wgmma.mma_async`. PTX leaves order and
/// rounding of the accumulation open (PTX ISA 9.1, sections 9.7.14.5.14 and 9.7.15.5.2: products
/// with the specified precision, sums with at least single precision). Here, for every element of
/// D:
///
/// - k runs upwards in groups of 16 bytes of A's row: 4 tf32, 8 f16 or bf16, 16 e4m3 or e5m2
/// elements;
/// - the products of a group and the accumulator are added in double, in ascending k;
/// - the sum is cut to single precision, toward zero, before the next group.
///
/// Devices align the terms of a group, add them and truncate (Fasi, Higham, Mikaitis, Pranesh,
/// "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science 7:e330, 2021); their groups
/// are of this size on sm_80 and larger on sm_90, which rounds less often. An f16 accumulator is
/// rounded to nearest even once, at the end of the instruction.
///
#ifndef QUERN_EMULATOR_MATRIX_MULTIPLYACCUMULATE_H
#define QUERN_EMULATOR_MATRIX_MULTIPLYACCUMULATE_H

#include <cstdint>

namespace quern::emulator::matrix {

/// Element types of the multiplicands, by their PTX names.
enum class ElementType : uint8_t { F16, BF16, TF32, E4M3, E5M2, S8, U8 };

/// Types of the accumulator, by their PTX names.
enum class AccumulatorType : uint8_t { F32, F16, S32 };

/// 8, 16 or 32.
int elementBits(ElementType type);

bool isInteger(ElementType type);

/// The element of `type` in the low bits of `bits`, exactly.
double decodeElement(ElementType type, uint32_t bits);

/// `value` cut to single precision, toward zero; NaN becomes the canonical 0x7fffffff.
float truncateToSingle(double value);

/// D = A B + D. `a` is m x k, `b` k x n, `d` m x n, all row-major; D holds f32 or f16 values as
/// floats. `group` is how many k are added before the sum is truncated.
void multiplyAccumulate(int m, int n, int k, int group, const double *a, const double *b, float *d);

/// The same for integers: exact products, 32-bit sums that wrap or, with `saturate`, stop at the
/// least and greatest 32-bit integer.
void multiplyAccumulate(int m, int n, int k, const double *a, const double *b, int32_t *d,
                        bool saturate);

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_MULTIPLYACCUMULATE_H
