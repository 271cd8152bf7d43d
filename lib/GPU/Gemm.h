//===- Gemm.h - What the emitters of matrix products share ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// C = op(A) op(B) with its epilogue, as each emitter of it sees it: sizes on the host, where grids
/// are computed, and rows of elements on the device. M, N and K are the rows and columns of C and
/// the depth of the product.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_GEMM_H
#define QUERN_LIB_GPU_GEMM_H

#include "Pointer.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/Emission/Views.h"
#include "quern/GPU/Emission.h"

#include <functional>
#include <optional>

namespace quern::nvidia {

using namespace emission; // what emitters of all targets share

/// A memref as rows of contiguous elements: its leading dimensions are counted together, whether or
/// not their strides allow one row stride. A memref of rank 1 is one row.
class Matrix {
public:
  Matrix() = default;
  /// `batchDims` of the first dimensions number matrices of a batch. With `even`, dimensions whose
  /// strides are not known are taken to lie in such a way that all rows are the same distance
  /// apart.
  Matrix(Code &code, mlir::Value memref, int64_t batchDims = 0, bool even = false);

  mlir::Value rows, columns; ///< sizes, index
  mlir::Value batch;         ///< how many matrices, index
  mlir::Type element;
  /// i1: whether they do lie so; null where types say it. What was not taken to be so is not asked.
  mlir::Value isEven;

  /// Matrix number `index` of the batch, on the device. What follows needs it.
  Matrix on(Thread &thread, mlir::Value index) const;
  /// Where a row starts.
  Pointer row(Thread &thread, mlir::Value row) const;
  /// Whether all rows are the same distance apart, and then the place `rows` rows below another.
  bool hasRowStride() const { return leading.size() <= 1; }
  Pointer below(Thread &thread, const Pointer &place, mlir::Value rows) const;
  /// Whether that distance is known.
  bool hasStaticRows() const {
    return leading.empty() || (hasRowStride() && constantOf(leading[0].stride));
  }
  /// i1, of the host or the same in all threads: every row starts at a multiple of `count`
  /// elements.
  mlir::Value startsAligned(Code &code, int64_t count) const;
  /// i1, the same in all threads: every row is a whole number of vectors of `count` elements, each
  /// at a multiple of its size.
  mlir::Value isVectors(Thread &thread, int64_t count) const;

  /// i1 of the host: whether boxes of it, which is not empty, can be copied by the tensor memory
  /// accelerator; null where its type says that they never can.
  mlir::Value allowsTensorMap(Code &code) const;
  /// How they are. The dimensions are columns, rows, and those of the batch, innermost first; boxes
  /// have rows of 128 bytes, which are swizzled, and lie in one matrix.
  TensorMap tensorMap(Code &code, int64_t boxRows) const;
  /// i32: the coordinates of matrix `index` (an index of the device) of the batch in such a map.
  llvm::SmallVector<mlir::Value> batchCoordinates(Thread &thread, mlir::Value index) const;

private:
  struct Dimension {
    mlir::Value size, stride;
  };
  static mlir::Value position(Code &code, mlir::Value index, llvm::ArrayRef<Dimension> dims);

  mlir::Value memref;
  llvm::SmallVector<Dimension> leading, batchDims; ///< outermost first
  Pointer start;
};

/// The region of a product: what becomes of a value, with the elements of other operands.
struct EpilogueRegion {
  struct Operand {
    std::optional<Matrix> matrix; ///< of C's shape, or one row
    mlir::Value scalar;           ///< a memref of rank 0
  };
  mlir::Block *block;
  llvm::SmallVector<Operand> operands;
  llvm::SmallVector<Matrix> outputs;

  /// What the block yields for a value and the elements of `operands` that are matrices: one value
  /// for each output.
  llvm::SmallVector<mlir::Value> yield(Thread &thread, mlir::Value value,
                                       mlir::ValueRange elements) const;
};

/// What happens to a product before it is C.
struct Epilogue {
  Matrix c;
  std::optional<Matrix> preactivation, residual, bias;
  kernel::Activation activation = kernel::Activation::None;
  bool accumulate = false;
  std::optional<EpilogueRegion> region; ///< the last thing that happens

  Epilogue on(Thread &thread, mlir::Value batchIndex) const;

  /// i1, the same in all threads: `finish` can take `count` elements at columns that are multiples
  /// of `count`.
  mlir::Value isVectors(Thread &thread, int64_t count) const;

  /// From sums of products to C and the second output, for consecutive elements of row `row` from
  /// column `column` on, all of which exist.
  void finish(Thread &thread, mlir::Value row, mlir::Value column, mlir::ValueRange sums) const;
  /// The same in two parts, so that more than one load can be under way: what is added to `count`
  /// sums of `type`, and the rest.
  llvm::SmallVector<mlir::Value> loadAddends(Thread &thread, mlir::Value row, mlir::Value column,
                                             int64_t count, mlir::Type type) const;
  void finish(Thread &thread, mlir::Value row, mlir::Value column, mlir::ValueRange sums,
              mlir::ValueRange addends) const;
  /// How many addends a sum has, with the elements that the region reads.
  int64_t addendCount() const;
  /// All matrices but C.
  llvm::SmallVector<const Matrix *> others() const;
};

struct Problem {
  Matrix a, b;
  /// Consecutive elements of a row of `a` (`b`) are consecutive in depth: A as such, B transposed.
  bool depthInRowsOfA, depthInRowsOfB;
  Epilogue epilogue;
  mlir::Value rows, columns, depth; ///< M, N and K, index; each below 2^31
  mlir::Value batch;                ///< how many products, index
  mlir::Type compute;               ///< f32 or f64: of products and sums

  Problem on(Thread &thread, mlir::Value batchIndex) const;
};

/// A product, and how to see it on the host and, inside a launch, on the device.
struct Product {
  llvm::SmallVector<mlir::Value> operands; ///< of the kernel's op, on the host
  std::function<Problem(Code &, mlir::ValueRange operands, bool even)> describeAs;
  bool even = true; ///< rows are taken to be the same distance apart (Matrix)

  Problem describe(Code &code, mlir::ValueRange operands) const {
    return describeAs(code, operands, even);
  }
};

/// Elements in an access of 16 bytes.
inline int64_t vectorSize(mlir::Type compute) { return 128 / compute.getIntOrFloatBitWidth(); }

/// The tile of C that a block computes, `tile` rows by columns.
struct TilePlace {
  mlir::Value row, column; ///< of its first element
  mlir::Value layer;       ///< the blocks of a layer compute all tiles of one matrix
};
/// How many blocks a layer has.
mlir::Value tileCount(Code &code, const Problem &problem, int64_t tileRows, int64_t tileColumns);
/// The tile of this number (i32), in an order in which neighbours share rows of A and columns of B.
TilePlace tilePlace(Thread &thread, const Problem &problem, int64_t tileRows, int64_t tileColumns,
                    mlir::Value number);

/// Finishes the part of C whose sums stand in `tile`, a matrix in shared memory of `rows` by
/// `columns` elements, rows `pitch` elements apart; its element (r, c) belongs to row
/// `place.row + rowOf(r)` and column `place.column + c`. The caller puts a barrier before it.
void finishTile(Thread &thread, const Problem &problem, const TilePlace &place, const Pointer &tile,
                int64_t rows, int64_t columns, int64_t pitch,
                llvm::function_ref<mlir::Value(mlir::Value)> rowOf);

/// The depth divided into `parts` of equal sizes, multiples of `step`: where part `part` begins and
/// ends.
struct DepthRange {
  mlir::Value from, to;
};
DepthRange depthRange(Thread &thread, mlir::Value depth, mlir::Value part, int64_t parts,
                      int64_t step);

/// Sums of parts of the depth, [parts, M, N], become C: parts are added in order.
void emitSumOfParts(Emission &emission, const Product &product, mlir::Value parts);

/// What a block of an emitter of tiles is: its threads, the tile of C that it computes, and how far
/// it goes down the depth at a time.
struct TileShape {
  int64_t threads, rows, columns, depth;
};
/// One launch for the tiles of all products. `body` writes the code of a block. With `parts` above
/// 1, which needs M and N static and no batch, as many blocks share the depth of each tile, and a
/// second launch adds up what they have.
void launchTiles(Emission &emission, const Product &product, const TileShape &shape, int64_t parts,
                 llvm::function_ref<void(Thread &thread, const Problem &problem,
                                         const TilePlace &place, const DepthRange &range)>
                     body);

/// Products of up to `fewRows` rows are bound by reading B. `rows` is M where it is known, or the
/// most that it can be.
constexpr int64_t fewRows = 8;
void emitFewRows(Emission &emission, const Product &product, int64_t rows);

/// Rows and columns of the tile of `emitFMA`.
std::pair<int64_t, int64_t> tileOfFMA(mlir::Type compute, bool largeTile);

/// C by tiles, products by fused multiply-adds of the compute type. For `parts`, see launchTiles.
void emitFMA(Emission &emission, const Product &product, bool largeTile, int64_t parts);

/// Whether `emitMma` takes a product: both operands bf16 or both f16, or f32 where it may be
/// rounded to TF32, in rows that are the same distance apart.
bool hasMma(const Emission &emission, const Problem &problem);
/// i1, of the host: whether it may count on rows of operands to start at multiples of 16 bytes,
/// those that types say do not aside.
mlir::Value isAlignedForMma(Code &code, const Problem &problem);
/// Rows, and columns, of the tile of `emitMma`.
int64_t tileOfMma(bool largeTile);
/// C by tiles, products by tensor cores (mma.sync), sums in f32. Not `aligned`: operands that may
/// lie anywhere are read element by element.
void emitMma(Emission &emission, const Product &product, bool largeTile, int64_t parts,
             bool aligned);

/// C by products of warp groups of operands that the tensor memory accelerator copies, of bf16 or
/// f16 and on sm_90a; by `otherwise` where that cannot be, or there are too few rows. The host
/// chooses where types do not say enough: then `otherwise` is for a rest, of few rows or with
/// operands that do not begin at multiples of 16 bytes.
void emitWgmma(Emission &emission, const Product &product,
               llvm::function_ref<void(bool isRest)> otherwise);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_GEMM_H
