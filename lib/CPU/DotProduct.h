//===- DotProduct.h - Products of bf16 by pairs along K --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// AVX512-BF16 multiplies two numbers with two others in each lane and adds both products to an f32
/// (vdpbf16ps): twice the work of a multiply-add. Where A and B of a product are both stored in
/// bf16, panels therefore keep them so, the numbers of k and k + 1 beside each other in 32 bits:
/// what the micro-kernel loads, broadcasts and counts as a step is a pair. An odd K is filled up
/// with a zero. Everything around the micro-kernel is the same as in f32.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_DOTPRODUCT_H
#define QUERN_LIB_CPU_DOTPRODUCT_H

#include "MicroKernel.h"

namespace quern::cpu {

/// The tile for a product of elements of these types with sums in `compute`: by pairs where both
/// are bf16 and the machine multiplies them so.
RegisterTile productTile(const Machine &machine, mlir::Type a, mlir::Type b, mlir::Type compute);

/// `sums` plus the dot products of the pairs in `a` and `b` (lanes x i32), with two roundings. The
/// instruction takes denormal numbers as 0 and gives 0 for them; what stands in for it on machines
/// that lack it, two multiply-adds, does not.
mlir::Value addDotProducts(Emission &e, mlir::Value a, mlir::Value b, mlir::Value sums);

/// What a panel holds of the next tile.lanes steps along a row of a matrix, from `position` in
/// `memref` on. `mask` (may be null) is for as many elements as `alongVector` has; others are 0.
mlir::VectorType alongVector(const RegisterTile &tile);
mlir::Value loadAlong(Emission &e, const RegisterTile &tile, mlir::Value memref,
                      mlir::Value position, mlir::Value mask);

/// What a panel holds of one step across the rows of a matrix that start at `rows`, one or, of
/// pairs, two (one where K ends): `count` of it from `column` on.
mlir::Value loadAcross(Emission &e, const RegisterTile &tile, int64_t count, mlir::Value memref,
                       llvm::ArrayRef<mlir::Value> rows, mlir::Value column, mlir::Value mask);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_DOTPRODUCT_H
