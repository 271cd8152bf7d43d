//===- Thread.h - Where an emitter writes the code of one thread ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_GPU_THREAD_H
#define QUERN_GPU_THREAD_H

#include "quern/Emission/Code.h"
#include "quern/Emission/Indices.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace quern::nvidia {

/// Threads of a warp.
constexpr int64_t warpSize = 32;
/// Bytes to a multiple of which a block's shared memory is aligned: the pattern of the 128-byte
/// swizzle repeats so (PTX ISA 8.3, section 9.7.13.5.1).
constexpr int64_t sharedAlignment = 1024;

/// The code that every thread of a kernel executes. Values are scalars; memory is memrefs in the
/// address spaces of the device.
class Thread : public emission::Code {
public:
  /// `threads` is the size of a block, a multiple of 32.
  Thread(mlir::OpBuilder &builder, mlir::Location loc, int64_t threads)
      : Code(builder, loc), threads(threads) {}

  const int64_t threads;

  mlir::Value thread(); ///< index: this thread in its block
  /// The same, read anew: what is computed from it is not kept in registers since earlier.
  mlir::Value rereadThread();
  /// An i32, or an index that fits 32 bits, likewise.
  mlir::Value anew(mlir::Value value);
  mlir::Value lane();              ///< index: this thread in its warp
  mlir::Value warp();              ///< index: this warp in its block
  mlir::Value block(int64_t dim);  ///< index: this block in the grid
  mlir::Value blocks(int64_t dim); ///< index: how many blocks the grid has

  /// Counts that fit 32 bits cost half the registers and a fraction of the instructions of an
  /// index: what a loop in the middle of a kernel computes with. The functions of Indices.h take
  /// them as well.
  mlir::Value int32(int64_t value);
  mlir::Value int32(mlir::Value index);
  mlir::Value toIndex(mlir::Value int32);
  /// The digits of `value` (i32), the last one fastest, of which number i is below sizes[i].
  llvm::SmallVector<mlir::Value> digits(mlir::Value value, llvm::ArrayRef<int64_t> sizes);

  /// Floating-point arithmetic, on operands of one type.
  mlir::Value number(mlir::Type type, double value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b);
  /// The same to 2 units in the last place for f32, in a few instructions: the division that rounds
  /// is a subroutine, around which a kernel has to put its registers into memory.
  mlir::Value divFast(mlir::Value a, mlir::Value b);
  mlir::Value max(mlir::Value a, mlir::Value b); ///< a NaN on either side wins
  /// a * b + c, rounded once.
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  /// All of them added up, by pairs.
  mlir::Value sumOf(mlir::ValueRange values);
  mlir::Value exp(mlir::Value x); ///< of an f32
  mlir::Value log(mlir::Value x); ///< of an f32
  /// A float in another float type, or an index or integer as a float.
  mlir::Value convert(mlir::Value value, mlir::Type type);
  mlir::Value less(mlir::Value a, mlir::Value b);  ///< of indices, unsigned
  mlir::Value equal(mlir::Value a, mlir::Value b); ///< of integers or indices
  mlir::Value is(mlir::arith::CmpFPredicate predicate, mlir::Value a, mlir::Value b); ///< of floats
  mlir::Value both(mlir::Value a, mlir::Value b); ///< of conditions
  mlir::Value constant(bool value);               ///< a condition
  mlir::Value no(mlir::Value condition);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);

  /// PTX for which there is no op, with side effects. `constraints` are those of LLVM's inline
  /// assembly. Null where there is no result.
  mlir::Value assembly(const llvm::Twine &text, const llvm::Twine &constraints,
                       mlir::ValueRange operands, mlir::Type result = {});

  /// An element, in `type` (a float type; the element's own when null).
  mlir::Value load(mlir::Value memref, mlir::ValueRange indices, mlir::Type type = {});
  /// An integer element as an index.
  mlir::Value loadIndex(mlir::Value memref, mlir::ValueRange indices);
  /// `value` in the type of the memref's elements.
  void store(mlir::Value value, mlir::Value memref, mlir::ValueRange indices);
  /// `count` neighbours in the last dimension, from `indices` on, in one access of memory or, above
  /// 16 bytes, several. The address must be a multiple of their bytes, or of 16.
  llvm::SmallVector<mlir::Value> loadVector(mlir::Value memref, mlir::ValueRange indices,
                                            int64_t count, mlir::Type type = {});
  void storeVector(mlir::ValueRange values, mlir::Value memref, mlir::ValueRange indices);
  /// load where `condition` holds, zero elsewhere.
  mlir::Value loadWhere(mlir::Value condition, mlir::Value memref, mlir::ValueRange indices,
                        mlir::Type type = {});

  /// i1: whether every index of the last dimension's first element lies at a multiple of `bytes`.
  mlir::Value isAligned(mlir::Value memref, int64_t bytes);

  /// Memory that the block shares, aligned to `alignment` bytes (a power of two from 16 to
  /// sharedAlignment), uninitialized. `shape` and `element` say what it holds.
  mlir::Value shared(llvm::ArrayRef<int64_t> shape, mlir::Type element, int64_t alignment = 16);
  /// All threads of the block wait for each other; what was written to memory before is visible to
  /// them after. Every thread of the block must come here.
  void barrier();
  /// The same for the threads of a warp.
  void syncWarp();

  /// An i32 whose bit i is the condition of lane i.
  mlir::Value ballot(mlir::Value condition);
  /// The value, of 32 or 64 bits, of lane `lane ^ distance`.
  mlir::Value exchange(mlir::Value value, int64_t distance);
  using Combine = llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)>;
  /// The values of `lanes` (a power of two) neighbouring lanes combined, by halves, in each of
  /// them; every lane of the warp must come here.
  mlir::Value overLanes(mlir::Value value, int64_t lanes, Combine combine);
  /// All lanes' values combined, by halves, in every lane.
  mlir::Value overWarp(mlir::Value value, Combine combine);
  /// All threads' values combined: first over each warp, then over the warps in order. In every
  /// thread; every thread of the block must come here.
  mlir::Value overBlock(mlir::Value value, Combine combine);
  /// The same for several values of one type, each on its own.
  llvm::SmallVector<mlir::Value> overWarp(mlir::ValueRange values, Combine combine);
  llvm::SmallVector<mlir::Value> overBlock(mlir::ValueRange values, Combine combine);
  mlir::Value sumOverWarp(mlir::Value value);
  mlir::Value sumOverBlock(mlir::Value value);
  mlir::Value maxOverBlock(mlir::Value value);
  mlir::Value anyOfBlock(mlir::Value condition);

  /// `initial` and `term(0)` to `term(count - 1)` added in this order. Several terms are loaded
  /// before they are added, so that memory has work. The second form has a list of sums.
  mlir::Value inOrder(mlir::Value count, mlir::Value initial,
                      llvm::function_ref<mlir::Value(mlir::Value)> term);
  llvm::SmallVector<mlir::Value>
  inOrder(mlir::Value count, mlir::ValueRange initial,
          llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value)> terms);

  /// Runs `body(i)` for i = first, first + step, ... below `end`: a range that threads (or blocks)
  /// divide among themselves. `step` may be a value.
  void strided(mlir::Value first, mlir::Value end, mlir::Value step,
               llvm::function_ref<void(mlir::Value)> body);
  llvm::SmallVector<mlir::Value>
  strided(mlir::Value first, mlir::Value end, mlir::Value step, mlir::ValueRange carried,
          llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body);

  /// Runs `body(i)` for this thread's share of the elements of [0, count), which all threads of the
  /// launch divide among themselves: i begins a group of `lanes` neighbours, and `lanes` divides
  /// `count`. Neighbouring threads take neighbouring groups.
  llvm::SmallVector<mlir::Value>
  forShare(mlir::Value count, int64_t lanes, mlir::ValueRange carried,
           llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)> body);

  /// Bytes of shared memory that were asked for.
  int64_t sharedBytes = 0;
  /// How many blocks are to find registers on a multiprocessor at a time, at least. With 1, ptxas
  /// spills no register that a thread needs for the sake of more blocks.
  int64_t residentBlocks = 1;
};

} // namespace quern::nvidia

#endif // QUERN_GPU_THREAD_H
