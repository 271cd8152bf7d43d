//===- BufferLists.h - One launch over the elements of many buffers ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Work on each element of all parameters of a model does not begin anew for each of them: their
/// elements are divided into chunks of one size, which all blocks of a launch share out. A block
/// finds the buffers of a chunk in a table in shared memory.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_BUFFERLISTS_H
#define QUERN_LIB_GPU_BUFFERLISTS_H

#include "Pointer.h"
#include "quern/GPU/Emission.h"

#include <optional>

namespace quern::nvidia {

/// Lists of buffers: element i of a list is element i of each of its buffers. All lists have as
/// many buffers, of the same types in their order.
class BufferLists {
public:
  using List = llvm::SmallVector<mlir::Value>;

  /// `memref` as one row that begins at a multiple of 16 bytes, which is what a list takes; null
  /// where it may be something else.
  static mlir::Value flatten(Emission &emission, mlir::Value memref);

  /// Divides lists, whose buffers `flatten` has returned, so that those of a part are of the same
  /// types and, with `others` further bytes a list and 256 for all, are few enough to be the
  /// parameters of one kernel. Returns the numbers of the lists of each part.
  static llvm::SmallVector<llvm::SmallVector<size_t>> divide(llvm::ArrayRef<List> lists,
                                                             int64_t others);

  explicit BufferLists(llvm::ArrayRef<List> lists);

  /// What the launch takes, on the host.
  mlir::ValueRange operands() const { return all; }
  /// How many chunks there are, an index of the host.
  mlir::Value chunks(Emission &emission) const;

  /// Writes the table of the block; `onDevice` is what operands() is there. The caller puts a
  /// barrier between this and forChunks.
  void writeTable(Thread &thread, mlir::ValueRange onDevice);

  /// Runs `body(number of the list, i32; place of the elements in each buffer; how many elements;
  /// carried)` for this thread's share of all elements, some neighbours at a time, which places
  /// are aligned for.
  using Values = llvm::SmallVector<mlir::Value>;
  using Body = llvm::function_ref<Values(mlir::Value list, llvm::ArrayRef<Pointer> places,
                                         int64_t count, mlir::ValueRange carried)>;
  Values forChunks(Thread &thread, mlir::ValueRange carried, Body body) const;

private:
  int64_t chunkElements(int64_t threads) const { return threads * lanes * groupsOfThread; }
  Values visit(Thread &thread, mlir::Value list, mlir::Value first, mlir::ValueRange carried,
               Body body) const;

  /// Groups of neighbours that a thread has of a chunk: enough for finding it to cost little.
  static constexpr int64_t groupsOfThread = 4;

  llvm::SmallVector<mlir::Value> all;
  llvm::SmallVector<mlir::Type> elements; ///< of the buffers of a list
  size_t count;                           ///< of lists
  int64_t lanes;                          ///< elements that one access takes in all buffers
  mlir::Value addresses;                  ///< [lists, buffers], i64, shared
  mlir::Value sizes;                      ///< [lists], i64, shared
  mlir::Value firstChunks;                ///< [lists + 1], i64, shared: the chunks before each list
};

/// Threads of a block of such a launch.
constexpr int64_t listThreads = 256;

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_BUFFERLISTS_H
