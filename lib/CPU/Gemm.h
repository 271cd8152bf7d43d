//===- Gemm.h - What the emitters of matrix products share -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_GEMM_H
#define QUERN_LIB_CPU_GEMM_H

#include "AdamW.h"
#include "MicroKernel.h"
#include "VectorBlock.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/Emission/Views.h"

#include <optional>

namespace quern::cpu {

/// A memref as rows of contiguous elements: its leading dimensions are flattened, whether or not
/// their strides allow one row stride.
class Matrix {
public:
  Matrix() = default;
  /// `leading` of the first dimensions are left out (indices of a batch).
  Matrix(Emission &e, mlir::Value memref, int64_t leading = 0);

  /// A dense matrix in panels. With panels of rows it is the transposed one, so that those of every
  /// Matrix are of columns.
  Matrix(Emission &e, mlir::Value memref, kernel::PanelsAttr panels);

  mlir::Value flat;          ///< rank 1: all elements from the first to the last
  mlir::Value rows, columns; ///< sizes, index
  int64_t panel = 0;         ///< columns of a panel (kernel::PanelsAttr); 0: it lies in rows

  mlir::Type type() const { return llvm::cast<mlir::MemRefType>(flat.getType()).getElementType(); }

  /// Where a row starts in `flat`; not of a matrix in panels.
  mlir::Value position(Emission &e, mlir::Value row) const;

  /// Where the element at `row` and `column` is in `flat`; of a matrix in panels, `column` is the
  /// first of one. The elements of the row after it, in panels those of this panel, follow.
  mlir::Value place(Emission &e, mlir::Value row, mlir::Value column) const;

  /// Of a matrix in panels: the columns of the panel whose first is `column`.
  mlir::Value panelColumns(Emission &e, mlir::Value column) const;

  /// The same rows, starting at `start` elements into `flat`.
  Matrix at(mlir::Value start) const;

  /// Where the batch `index` (flattened leading dimensions that were left out) starts in `flat`.
  mlir::Value batchPosition(Emission &e, mlir::Value index) const;

private:
  struct Dimension {
    mlir::Value size, stride;
  };
  mlir::Value positionOf(Emission &e, mlir::Value index, llvm::ArrayRef<Dimension> dims) const;
  llvm::SmallVector<Dimension> dimensions, batch; ///< outermost first
  mlir::Value start;                              ///< null: 0
};

/// True when the elements of the last dimension follow each other in memory.
bool hasContiguousRows(mlir::Value memref);

/// Sums of a part of C over the blocks of K so far, in the type that they are computed in: dense
/// rows of `pitch` elements, from row `firstRow` and column `firstColumn` of C on.
struct PartialSums {
  mlir::Value memory; ///< rank 1
  mlir::Value firstRow, firstColumn;
  int64_t pitch;
};

/// The region of a product: what becomes of a value, with the elements of other operands.
class EpilogueRegion {
public:
  /// For vectors of `lanes` elements. What does not depend on them is written here.
  EpilogueRegion(Emission &e, kernel::GemmOp op, kernel::GemmOp::Adaptor in, int64_t lanes);

  /// The type of sums.
  mlir::Type compute() const { return block->getArgument(0).getType(); }

  /// The matrices that it reads.
  llvm::SmallVector<const Matrix *> matrices() const;

  /// Writes the outputs for one vector of values: at `row` and the lanes from `column` on.
  void store(Emission &e, mlir::Value value, mlir::Value row, mlir::Value column,
             mlir::Value mask) const;

private:
  struct Operand {
    std::optional<Matrix> matrix; ///< of C's shape
    mlir::Value vector;           ///< rank 1, an element a column; neither where all share a number
  };
  mlir::Block *block;
  llvm::SmallVector<Operand> operands;
  llvm::SmallVector<Matrix> outputs;
  VectorBlock values;
};

/// The product is the gradient of C, a parameter, and is not stored itself.
struct ParameterUpdate {
  Matrix first, second; ///< moments of C
  StepFactors factors;
  mlir::Value shrinkage;
};

/// What happens to a product before it is C.
struct Epilogue {
  Matrix c;
  std::optional<Matrix> preactivation, residual;
  mlir::Value bias; ///< rank 1, or null
  kernel::Activation activation = kernel::Activation::None;
  bool accumulate = false;
  std::optional<EpilogueRegion> region;  ///< the last thing that happens
  std::optional<ParameterUpdate> update; ///< excludes all of the above but C
  std::optional<PartialSums> partial;    ///< none: C itself holds them

  /// The type of sums: f32 where C is bf16.
  mlir::Type compute() const {
    return region ? region->compute() : emission::computeType(c.type());
  }
  /// Whether C cannot hold sums over some blocks of K: it has another type, or may be memory that
  /// is read after them.
  bool keepsSumsApart() const {
    return update || compute() != c.type() || (region && !region->matrices().empty());
  }
};

/// A part of the depth K of a product.
struct DepthBlock {
  mlir::Value start, size; ///< in elements
  mlir::Value isFirst;     ///< i1; null: it is
  mlir::Value isLast;      ///< i1; null: it is
};

/// The vectors of one row at columns `column`, ..., `mask` applying to the last of them. Writes
/// partial sums, and everything that the epilogue asks for after the last block of K.
void finishRow(Emission &e, const Epilogue &epilogue, const DepthBlock &block, mlir::Value row,
               mlir::Value column, llvm::ArrayRef<mlir::Value> sums,
               llvm::ArrayRef<mlir::Value> masks);

/// Brings what the epilogue reads for a tile of C, from `row` and `column` on, close: its rows are
/// short pieces of memory far apart, which would be waited for one after the other.
void prefetchTile(Emission &e, const RegisterTile &tile, const Epilogue &epilogue,
                  const DepthBlock &block, mlir::Value row, mlir::Value column);

/// Where rows [row, row + tile.rows) of A have the first element of the block of K; rows past the
/// end are the last one.
llvm::SmallVector<mlir::Value> rowStarts(Emission &e, const RegisterTile &tile, const Matrix &a,
                                         mlir::Value row, const DepthBlock &block);

/// Packs rows [row, row + tile.rows) of A over the block of K as [step][tile.rows] at `position` of
/// `panel`, whose depth is padded to whole vectors. Rows past the end repeat the last one. With
/// `prefetchNext` the rows after these come closer meanwhile.
void packRows(Emission &e, const RegisterTile &tile, const Matrix &a, mlir::Value row,
              const DepthBlock &block, mlir::Value panel, mlir::Value position,
              bool prefetchNext = false);

/// The same from a transposed A ([k][row]) for the panels [from, to), `pitch` elements apart.
void packTransposedRows(Emission &e, const RegisterTile &tile, const Matrix &a, mlir::Value from,
                        mlir::Value to, const DepthBlock &block, mlir::Value panels,
                        mlir::Value position, int64_t pitch);

/// Packs columns [column, column + tile.columns()) of B as [step][tile.columns()]; past the last
/// column come zeros (of a transposed B, copies of the last). Of a B in panels as wide as the tile,
/// `column` is the first of one; of a transposed one, the block starts with a panel.
void packColumns(Emission &e, const RegisterTile &tile, const Matrix &b, bool transposed,
                 mlir::Value column, const DepthBlock &block, llvm::ArrayRef<mlir::Value> masks,
                 mlir::Value panel);

/// A depth of K taken in blocks of `size`, the last one shorter: how long (at most `most`), how
/// many, and the one that starts at `start`. Blocks are multiples of `step`.
int64_t depthBlockSize(mlir::Value depth, int64_t most, int64_t step);
mlir::Value depthBlockCount(Emission &e, mlir::Value depth, int64_t size);
DepthBlock depthBlock(Emission &e, mlir::Value depth, mlir::Value start, int64_t size);

/// C is taken in strips of columns where the partial sums of its blocks of K need memory of their
/// own, as those of a C in 16 bits do: `pitch` of a row of them, a whole number of panels.
struct ColumnStrips {
  /// `most` elements, or somewhat more, are a row of partial sums; one strip without them.
  ColumnStrips(const RegisterTile &tile, mlir::Value columns, bool hasPartialSums, int64_t most);
  int64_t pitch = 0;
  /// Runs `body(column, columns)` for the first column and the columns of each strip.
  void visit(Emission &e,
             llvm::function_ref<void(mlir::Value column, mlir::Value columns)> body) const;

private:
  mlir::Value columns;
};

/// Packed panels: those of A stand `pitch` elements apart, unless the micro-kernel reads the rows
/// of `rowsOfA` where they lie; one of B, which starts at `bPosition` (null: 0); a tile of C.
struct Panels {
  mlir::Value a, b, product;
  int64_t pitch = 0;
  mlir::Value bPosition = {};
  const Matrix *rowsOfA = nullptr;
};

/// Multiplies panels [from, to) of A, the first of which starts at `position` and holds `firstRow`
/// and what follows, with the panel of B, and finishes what comes out. `beforePanel` adds code
/// before each.
void multiplyStrip(
    Emission &e, const RegisterTile &tile, const Panels &panels, mlir::Value position,
    const Epilogue &epilogue, const DepthBlock &block, mlir::Value firstRow, mlir::Value from,
    mlir::Value to, mlir::Value column, llvm::ArrayRef<mlir::Value> masks,
    llvm::function_ref<void(mlir::Value panel)> beforePanel = [](mlir::Value) {});

/// The masks of a row's vectors from `column` on: null for vectors that lie before `columns` for
/// certain. `width` says how many columns a panel has when that is known, 0 otherwise.
llvm::SmallVector<mlir::Value> columnMasks(Emission &e, const RegisterTile &tile,
                                           mlir::Value column, mlir::Value columns, int64_t width);

/// Panels of columns: `full` ones of the whole tile, then one of `edge` columns when that is not 0.
/// A dynamic number of columns has only panels whose width is found out as they come.
struct ColumnPanels {
  ColumnPanels(Emission &e, mlir::Value columns, const RegisterTile &tile);
  mlir::Value count;
  /// Calls `body(tile, width)` under the condition that `panel` has that tile; width 0 is unknown.
  void visit(Emission &e, mlir::Value panel,
             llvm::function_ref<void(const RegisterTile &tile, int64_t width)> body) const;

  /// Runs `body(panel, strip)` for each of `strips` strips of each panel, as Emission::forUnits
  /// does; a narrow last panel counts for less.
  void forUnits(Emission &e, mlir::Value strips,
                llvm::function_ref<void(mlir::Value panel, mlir::Value strip)> body) const;

private:
  RegisterTile tile;
  int64_t full = 0, edge = 0;
  bool isStatic;
};

/// C = op(A) op(B) with many rows.
void emitTiled(Emission &e, const Matrix &a, const Matrix &b, bool transposeA, bool transposeB,
               mlir::Value depth, const Epilogue &epilogue);

/// Products with few rows, bound by reading B: no packing. C = A B, B transposed or not, but not
/// transposed and in panels.
void emitFewRows(Emission &e, const Matrix &a, const Matrix &b, bool transposeB,
                 const Epilogue &epilogue);

/// Products with fewer rows than this are for emitFewRows.
constexpr int64_t fewRows = 8;

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_GEMM_H
