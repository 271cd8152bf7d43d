//===- MicroKernel.h - The register tile that every matrix product ends in -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// The micro-kernel keeps a tile of C in registers and adds a product of packed panels to it, one
/// outer product a step (Goto and van de Geijn 2008; Van Zee and van de Geijn 2015). Everything is
/// in native one-dimensional vectors: any other width makes LLVM split, shuffle and spill.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_CPU_MICROKERNEL_H
#define QUERN_LIB_CPU_MICROKERNEL_H

#include "quern/CPU/Emission.h"

namespace quern::cpu {

/// A tile of C in registers: `rows` x (`vectors` native vectors).
struct RegisterTile {
  int64_t rows, vectors, lanes;
  mlir::VectorType vector;
  /// A step of the micro-kernel takes two of K: where panels hold an element, they hold a pair of
  /// bf16, the one of the lower k in the lower half of an i32 (DotProduct.h).
  bool pairs = false;

  int64_t columns() const { return vectors * lanes; }
  /// How many of K a step takes, and how many steps `depth` of K are.
  int64_t stepDepth() const { return pairs ? 2 : 1; }
  int64_t steps(int64_t depth) const { return (depth + stepDepth() - 1) / stepDepth(); }
  /// A native vector of what panels hold.
  mlir::VectorType panelVector() const;
};

/// The tile of `machine`; rows and lanes are powers of two.
RegisterTile registerTile(const Machine &machine, mlir::Type element);

// Index arithmetic; constants fold at once.
mlir::Value add(Emission &e, mlir::Value a, mlir::Value b);
mlir::Value add(Emission &e, mlir::Value a, int64_t b);
mlir::Value sub(Emission &e, mlir::Value a, mlir::Value b);
mlir::Value mul(Emission &e, mlir::Value a, mlir::Value b);
mlir::Value mul(Emission &e, mlir::Value a, int64_t b);
mlir::Value divide(Emission &e, mlir::Value a, mlir::Value b);
mlir::Value remainder(Emission &e, mlir::Value a, mlir::Value b);
mlir::Value ceilDivide(Emission &e, mlir::Value a, int64_t b);
mlir::Value minimum(Emission &e, mlir::Value a, mlir::Value b);
mlir::Value less(Emission &e, mlir::Value a, mlir::Value b);

/// `a * b + c`, fused where the machine can.
mlir::Value fma(Emission &e, mlir::Value a, mlir::Value b, mlir::Value c);
mlir::Value splat(Emission &e, mlir::Type type, double value);

/// True in the first `count` lanes (none when negative).
mlir::Value laneMask(Emission &e, mlir::VectorType type, mlir::Value count);

/// `value`, a number or a vector, in `type`: the one place where what is computed in f32 meets what
/// is stored in 16 bits. Widening is exact; narrowing rounds to nearest, ties to even.
mlir::Value converted(Emission &e, mlir::Type type, mlir::Value value);

/// The element at `memref[position]` (rank 1), widened to `type` where memory holds a narrower one.
mlir::Value element(Emission &e, mlir::Type type, mlir::Value memref, mlir::Value position);

/// Loads and stores of a vector at `memref[position]` (rank 1); lanes where `mask` (may be null) is
/// false are neither read nor written, and read as 0. Both convert between the vector's type and
/// that of the memory.
mlir::Value load(Emission &e, mlir::VectorType type, mlir::Value memref, mlir::Value position,
                 mlir::Value mask = {});
void store(Emission &e, mlir::Value vector, mlir::Value memref, mlir::Value position,
           mlir::Value mask = {}, bool streaming = false);

/// Takes `rows` (a power of two of them) as one long vector in which element (i, k) stands at
/// i * lanes + k, and returns it with that element at k * rows + i.
llvm::SmallVector<mlir::Value> transpose(Emission &e, llvm::ArrayRef<mlir::Value> rows);

/// The product of `a`, packed [step][tile.rows] from `aPosition`, and `b`, packed
/// [step][tile.columns()] from `bPosition`, over `depth` of K: tile.rows x tile.vectors vectors,
/// row by row.
llvm::SmallVector<mlir::Value> multiplyPanels(Emission &e, const RegisterTile &tile, mlir::Value a,
                                              mlir::Value aPosition, mlir::Value b,
                                              mlir::Value bPosition, mlir::Value depth);

/// The same with rows of `a` that lie in memory as they are: from `aPositions`, as many as the tile
/// has. Not of pairs.
llvm::SmallVector<mlir::Value> multiplyRows(Emission &e, const RegisterTile &tile, mlir::Value a,
                                            llvm::ArrayRef<mlir::Value> aPositions, mlir::Value b,
                                            mlir::Value bPosition, mlir::Value depth);

} // namespace quern::cpu

#endif // QUERN_LIB_CPU_MICROKERNEL_H
