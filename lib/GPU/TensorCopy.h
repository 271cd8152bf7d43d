//===- TensorCopy.h - Copies of boxes by the tensor memory accelerator -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_TENSORCOPY_H
#define QUERN_LIB_GPU_TENSORCOPY_H

#include "Mbarrier.h"
#include "quern/GPU/Emission.h"

namespace quern::nvidia {

/// Whether memory begins with the memref's first element. Whole buffers are aligned for any access
/// (include/quern/Runtime/Program.h); a part of one starts where it starts.
bool beginsBuffer(mlir::Value memref);
/// The address of a memref's first element, in bytes: an index.
mlir::Value addressOf(emission::Code &code, mlir::Value memref);
/// i1 of the host: whether a map can have a memref, which is not empty, with these strides: indices
/// in bytes, of all its dimensions but the innermost.
mlir::Value allowsTensorMap(emission::Code &code, mlir::Value memref,
                            llvm::ArrayRef<mlir::Value> strides);

/// Starts the copy of the box that begins at `coordinates` (i32, dimension 0 first; they may lie
/// outside, where the tensor counts as zeros) to `shared`, a multiple of 128 bytes, or of
/// sharedAlignment where the map swizzles. Its bytes count for the barrier's phase. One thread does
/// this. With `blocks` above 1 it comes to the same places in so many blocks, all of the cluster.
/// PTX ISA 8.3, section 9.7.8.24.9.
void copyBox(Thread &thread, const Pointer &shared, mlir::Value map, mlir::ValueRange coordinates,
             const Mbarrier &barrier, int64_t blocks = 1);

/// Starts the copy of a box from `shared`, a multiple of sharedAlignment where the map swizzles, to
/// where it begins at `coordinates` (i32, none negative); what lies outside of the tensor is left
/// out. One thread does this, after publishShared of those that wrote the box.
void storeBox(Thread &thread, const Pointer &shared, mlir::Value map, mlir::ValueRange coordinates);
/// Makes the boxes that this thread has stored since the last call a group.
void closeBoxes(Thread &thread);
/// Waits until no group of this thread reads shared memory any more.
void awaitBoxesRead(Thread &thread);
/// Makes what this thread wrote to shared memory visible to such copies; a barrier between threads
/// follows.
void publishShared(Thread &thread);

/// i1: true in one lane of the warp, all of whose lanes come here. Told so, and not by a comparison
/// of its number, ptxas starts copies without asking at each which lanes want one.
mlir::Value electLane(Thread &thread);

/// Brings the map to where copies read it soon.
void prefetchMap(Thread &thread, mlir::Value map);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_TENSORCOPY_H
