//===- HeadCopy.h - Copies of rows of one head by the tensor memory accelerator ---------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Tensors [B, T, H, D] of 16-bit elements, in which attention reads rows of T of one head of one
/// sequence, as operands of wgmma. They may be slices of a tensor that holds Q, K and V.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_HEADCOPY_H
#define QUERN_LIB_GPU_HEADCOPY_H

#include "TensorCopy.h"

namespace quern::nvidia {

/// i1 of the host: whether the accelerator can copy parts of x [B, T, H, D]: none of its sizes is
/// 0, and its rows lie where a map allows. Folded where types say it.
mlir::Value allowsHeadMap(emission::Code &code, mlir::Value x);
/// Its map, in boxes of `rows` rows (256 at most) by 64 columns, swizzled by 128 bytes.
TensorMap headMap(emission::Code &code, mlir::Value x, int64_t rows);

/// Rows of a head in shared memory: as many boxes as `width` columns need, one after the other, the
/// last one filled up with zeros. SharedOperand has them with `boxRows` = `rows`; its address is a
/// multiple of sharedAlignment where `rows` is a multiple of 8.
struct HeadTile {
  int64_t rows, width;

  int64_t boxes() const;
  int64_t bytes() const;
  /// Starts its copies to `to`, of the rows from `row` on (i32; signed: rows that do not exist
  /// become 0) of a head of a sequence (i32). Their bytes, `bytes()`, count for the barrier's
  /// phase. One thread does this.
  void copy(Thread &thread, const Pointer &to, mlir::Value map, mlir::Value row, mlir::Value head,
            mlir::Value sequence, const Mbarrier &barrier) const;
};

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_HEADCOPY_H
