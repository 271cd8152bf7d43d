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
/// Of an H100 (SXM). Each finds room for one block of producers and consumers.
constexpr int64_t multiprocessors = 132;
/// Bytes of a row of a matrix in shared memory, which the 128-byte swizzle permutes.
constexpr int64_t swizzleBytes = 128;

/// An operand in shared memory, of 16-bit elements: boxes that copyBox wrote with the 128-byte
/// swizzle, one after the other, each of `boxRows` rows of 64 elements. Of a depth-major operand
/// rows run along the depth: a box has 64 steps of it, for the rows (of A) or columns (of B) of the
/// operand and maybe more. Otherwise rows run across: a box has a row for each step in depth, and
/// 64 rows of A or columns of B.
struct SharedOperand {
  mlir::Value address; ///< i32, in bytes, of the first row; a multiple of sharedAlignment
  bool isDepthMajor;
  int64_t boxRows = 64; ///< a multiple of 8

  /// i32: the lower half of the matrix descriptor of the first 16 steps in depth (PTX ISA 8.3,
  /// section 9.7.13.5.1). The upper one is the same of all.
  mlir::Value descriptor(Thread &thread) const;
  /// What to add to it for the 16 steps number `slice`.
  int64_t descriptorStep(int64_t slice) const;
};

/// Registers in which a thread has its share of the sums of a 64 x `columns` matrix, f32. Number i
/// is that of row 16 w + l / 4 + 8 ((i / 2) % 2) and column 8 (i / 4) + 2 (l % 4) + i % 2 for lane
/// l of warp w of the group (PTX ISA 8.3, figure of section 9.7.13.5.2). This is the order of
/// WarpSums with one row tile.
constexpr int64_t sumsOfThread(int64_t columns) { return columns / 2; }
/// Registers in which a thread has its share of a left factor of 64 x `depth` elements: i32, four
/// for every 16 steps in depth, each with two neighbours of a row. Their places are those of the
/// sums (section 9.7.13.5.1.1): asFactor makes one of the other.
constexpr int64_t factorsOfThread(int64_t depth) { return depth / 4; }

/// A B, where A is 64 x `depth` (a multiple of 16) and B `depth` x `columns` (a multiple of 8 up to
/// 256), of `element` (bf16 or f16).
struct GroupProduct {
  mlir::Type element;
  int64_t columns, depth;

  /// Starts sums += A B; without `sums`, these begin with 0. A is in shared memory or, second form,
  /// in registers. Until awaitProducts, nothing may touch what comes back, but for another product
  /// into the same sums, and nothing may write to the operands. They are added in the order of the
  /// depth.
  llvm::SmallVector<mlir::Value> start(Thread &thread, const SharedOperand &a,
                                       const SharedOperand &b, mlir::ValueRange sums = {}) const;
  llvm::SmallVector<mlir::Value> start(Thread &thread, mlir::ValueRange a, const SharedOperand &b,
                                       mlir::ValueRange sums = {}) const;
};
/// Waits until no products of this thread are under way but the `pending` latest ones: the operands
/// of the others are free. Returns `sums`, of some of these others, which can be used from here on.
llvm::SmallVector<mlir::Value> awaitProducts(Thread &thread, mlir::ValueRange sums,
                                             int64_t pending = 0);

/// i32: the number of this warp, and of its warp group, in the block. It is broadcast, so that
/// ptxas knows it to be the same in all lanes: what is computed from it, as descriptors are, is
/// computed once for all of them, and takes no register of each.
mlir::Value warpNumber(Thread &thread);
mlir::Value warpGroup(Thread &thread);

/// Named barriers of the block (PTX ISA 8.3, section 9.7.12.1): a warp group waits at `number`, 1
/// to 15, until another has told it to go on, once for each time.
void awaitGroup(Thread &thread, int64_t number);
void releaseGroup(Thread &thread, int64_t number);

/// Warp groups that do something one after the other, again and again: 0, 1, ..., 0, 1, ... All of
/// them do it equally often. They wait at the block's barriers 1, 2, ... (PTX ISA 8.3, section
/// 9.7.12.1).
class Turns {
public:
  explicit Turns(int64_t groups) : groups(groups) {}

  /// Every group, whose number among them is `group` (i32), calls this once before and after all.
  void begin(Thread &thread, mlir::Value group) const;
  void end(Thread &thread, mlir::Value group) const;
  /// Waits until it is the group's turn.
  void take(Thread &thread, mlir::Value group) const;
  /// Ends its turn.
  void pass(Thread &thread, mlir::Value group) const;

private:
  int64_t groups;
};

/// Sets how many registers (a multiple of 8) each thread of this warp group can use from here on.
/// All blocks of the kernel must have been given the sum at their start.
void setRegisters(Thread &thread, int64_t count, bool increase);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_WGMMA_H
