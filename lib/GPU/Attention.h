//===- Attention.h - What the kernels of attention share --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_ATTENTION_H
#define QUERN_LIB_GPU_ATTENTION_H

#include "Rows.h"
#include "dialects/Kernel/Kernel.h"

namespace quern::nvidia {

constexpr double log2E = 1.4426950408889634; ///< e^x = 2^(x log2E)

/// The problem as a thread sees it: its sizes, and which keys a query sees. Indices count elements
/// of the whole problem.
class AttentionProblem {
public:
  AttentionProblem(Thread &thread, mlir::Value q, mlir::Value k, mlir::Value v, mlir::Value mask,
                   mlir::Value lengths, mlir::Value offset, bool causal);

  Thread &t;
  mlir::Value mask, lengths; ///< null when absent
  bool causal;
  mlir::Value offset; ///< index
  mlir::Value batch, queries, keys;
  int64_t heads, groups, keyWidth, valueWidth; ///< H, G, D, E

  /// The group whose keys and values a head reads.
  mlir::Value groupOf(mlir::Value head);

  /// How many keys any query of a sequence may see: those before its length.
  mlir::Value visibleKeys(mlir::Value sequence);
  /// How many of these `visible` keys a query sees: they are the first ones. 0 for queries past the
  /// last.
  mlir::Value keysOf(mlir::Value query, mlir::Value visible);
  /// How many of these keys a query of [first, first + count) sees, where one of these exists.
  mlir::Value keysOfAny(mlir::Value first, int64_t count, mlir::Value visible);

  /// The mask's element for a query and a key, in f32; beyond the last of them, that of the last.
  mlir::Value maskElement(mlir::Value sequence, mlir::Value head, mlir::Value query,
                          mlir::Value key);

  /// Where a score belongs.
  struct Place {
    mlir::Value sequence, head, query, key;
    mlir::Value bound; ///< keysOf the query
  };
  /// Scores with the mask added, and -infinity for keys that are not visible: every key below
  /// `keyEnd` is visible to every query whose scores these are unless one has fewer than that.
  /// `fewest` is the least of their bounds.
  llvm::SmallVector<mlir::Value> masked(mlir::ValueRange scores, mlir::Value keyEnd,
                                        mlir::Value fewest,
                                        llvm::function_ref<Place(int64_t)> place);

private:
  mlir::Value smaller(mlir::Value a, mlir::Value b); ///< signed
  mlir::Value larger(mlir::Value a, mlir::Value b);  ///< signed
};

/// 2^x to 2 units in the last place; 0 instead of denormal numbers.
mlir::Value exp2(Thread &thread, mlir::Value x);
/// e^(x - shift). The difference first: the other order overflows with a mask of -1e38.
mlir::Value exponential(Thread &thread, mlir::Value x, mlir::Value shift);

/// What to subtract from the scores of a row whose maximum is this: it, or 0 where nothing is
/// visible and the maximum is -infinity.
mlir::Value finiteShift(Thread &thread, mlir::Value maximum);

/// What a row's maximum m and its sum of exp(score - m) end in.
struct SoftmaxEnd {
  mlir::Value inverse;   ///< 1 / sum; 0 for a row without any visible key
  mlir::Value logSumExp; ///< m + log(sum); -infinity for such a row
};
SoftmaxEnd finishSoftmax(Thread &thread, mlir::Value maximum, mlir::Value sum);

/// Fails with a message where no kernel computes attention on these operands.
llvm::LogicalResult checkAttention(mlir::Operation *op, mlir::ValueRange operands, mlir::Value q,
                                   mlir::Value v);

/// Rows and columns of a tile of scores: queries and keys, or keys and queries.
struct TileSizes {
  int64_t rows, columns;
};
/// The first of the tiles, which get smaller, for which `bytes` of shared memory let two blocks
/// share a processor; else the first for which there is room for one block, else the last.
TileSizes chooseTiles(const Architecture &architecture, llvm::ArrayRef<TileSizes> tiles,
                      llvm::function_ref<int64_t(TileSizes)> bytes);

/// The matrix of one head of one sequence of x [B, T, H, D]: [T, D].
mlir::Value headOf(emission::Code &code, mlir::Value x, mlir::Value sequence, mlir::Value head);

/// Attention of one query a sequence, known when compiling, over a cache of keys and values.
bool isDecodeAttention(kernel::AttentionOp op);
void emitDecodeAttention(kernel::AttentionOp op, mlir::ValueRange operands, Emission &emission);
/// Attention with multiply-adds in f32.
void emitForwardAttention(kernel::AttentionOp op, mlir::ValueRange operands, Emission &emission);
/// Attention by tensor cores, where Q, K, V and O have tiles for them (AttentionMma.h).
void emitTensorAttention(kernel::AttentionOp op, mlir::ValueRange operands, Emission &emission);
/// The same by warp groups of sm_90a, where it suits: by `otherwise` where the tensor memory
/// accelerator cannot copy the operands, there is a mask, or there are few queries. The host
/// chooses where types do not say enough.
void emitGroupAttention(kernel::AttentionOp op, mlir::ValueRange operands, Emission &emission,
                        llvm::function_ref<void()> otherwise);
/// dQ, dK and dV by tensor cores from D: whether they can, and how.
bool hasTensorBackward(kernel::AttentionBackwardOp op, mlir::ValueRange operands);
void emitTensorBackward(kernel::AttentionBackwardOp op, mlir::ValueRange operands,
                        Emission &emission);
/// The same by products of warp groups where the architecture has them and the tensor memory
/// accelerator can copy the operands; by `otherwise` elsewhere. The host chooses where types do not
/// say enough.
void emitGroupBackward(kernel::AttentionBackwardOp op, mlir::ValueRange operands,
                       Emission &emission, llvm::function_ref<void()> otherwise);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_ATTENTION_H
