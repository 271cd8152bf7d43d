//===- HeadWork.h - Tiles of heads shared out among blocks ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_HEADWORK_H
#define QUERN_LIB_GPU_HEADWORK_H

#include "quern/GPU/Thread.h"

namespace quern::nvidia {

/// What a block works on: indices.
struct HeadWork {
  mlir::Value sequence, head, tile;
};

/// The work of this block, of which there is one for each of the `tiles` (index) of each of `heads`
/// heads of `batch` (index) sequences. All tiles of a head read `rows` (index) rows of `rowBytes`
/// bytes: blocks that run at the same time have as many heads as the second-level cache has room
/// for. Of these heads tiles with low numbers come first, so they should be those that take
/// longest.
HeadWork workOfBlock(Thread &thread, mlir::Value batch, int64_t heads, mlir::Value tiles,
                     mlir::Value rows, int64_t rowBytes);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_HEADWORK_H
