//===- Wgmma.h - Matrix products of a warp group, from shared memory -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Asynchronous products of sm_90a (PTX ISA 8.3, section 9.7.13): four neighbouring warps, of which
/// the first's number is a multiple of 4, execute them together.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_WGMMA_H
#define QUERN_LIB_GPU_WGMMA_H

#include "Pointer.h"

namespace quern::nvidia {

/// Warps and threads of a warp group.
constexpr int64_t warpsOfGroup = 4, warpGroupSize = warpsOfGroup * warpSize;
/// Bytes of a row of a matrix in shared memory, which the 128-byte swizzle permutes.
constexpr int64_t swizzleBytes = 128;

/// An operand in shared memory, of 16-bit elements: boxes that copyBox wrote with the 128-byte
/// swizzle, each with rows of 64 elements. Of K-major operands rows run along the depth, and a box
/// has all rows of the operand; otherwise a box has a row for each of 64 steps in depth, and the
/// operand as many boxes, one after the other, as it needs.
struct SharedOperand {
  mlir::Value address; ///< i32, in bytes; a multiple of sharedAlignment
  bool isDepthMajor;

  /// i64: the matrix descriptor of 16 steps in depth, of which there are four in a row or in a box
  /// (PTX ISA 8.3, section 9.7.13.5.1).
  mlir::Value descriptor(Thread &thread, int64_t slice) const;
};

/// Registers in which a thread has its share of the sums of a 64 x `columns` matrix, f32. Number i
/// is that of row 16 w + l / 4 + 8 ((i / 2) % 2) and column 8 (i / 4) + 2 (l % 4) + i % 2 for lane
/// l of warp w of the group (PTX ISA 8.3, figure of section 9.7.13.5.2).
constexpr int64_t sumsOfThread(int64_t columns) { return columns / 2; }

/// Starts sums += A B, where A is 64 x 64 and B 64 x `columns` (a multiple of 8 up to 256), of
/// `element` (bf16 or f16). Until awaitProducts, nothing may touch what comes back, but for another
/// product into the same sums. Waits until no products are under way but these, so that the
/// operands of those before are free.
llvm::SmallVector<mlir::Value> startProduct(Thread &thread, mlir::Type element,
                                            const SharedOperand &a, const SharedOperand &b,
                                            int64_t columns, mlir::ValueRange sums);
/// Waits for all products of this thread; returns their sums.
llvm::SmallVector<mlir::Value> awaitProducts(Thread &thread, mlir::ValueRange sums);

/// Sets how many registers (a multiple of 8) each thread of this warp group can use from here on.
/// All blocks of the kernel must have been given the sum at their start.
void setRegisters(Thread &thread, int64_t count, bool increase);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_WGMMA_H
