//===- Embedding.cpp - Rows of tables, and their gradients ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::cpu {

static Type elementType(Value memref) {
  return cast<MemRefType>(memref.getType()).getElementType();
}

/// y[b, t, :] = table[token, :] (when there are tokens) + positions[offset + t, :] (likewise).
static LogicalResult emitLookup(Emission &e, Value tokens, Value table, Value positions,
                                Value offset, Value y) {
  Vectors v(e, computeType(elementType(y)));
  Value columns = e.dim(y, 2), zero = e.index(0);
  Value rows = e.leadingSize(y, 2);
  SmallVector<Value> sizes{e.dim(y, 0), e.dim(y, 1)};
  Value first = loadOffset(e, offset);
  int64_t bytes = elementBytes(elementType(y)) * (tokens && positions ? 3 : 2);
  forRows(e, rows, rowsPerUnit(e, columns, bytes), [&](Value row) {
    SmallVector<Value> at = delinearize(e, row, sizes);
    Value target = rowAt(e, y, at), word, position;
    if (tokens) {
      Value token = memref::LoadOp::create(e.builder, e.loc, tokens, at);
      token = arith::IndexCastOp::create(e.builder, e.loc, e.builder.getIndexType(), token);
      word = rowAt(e, table, token);
    }
    if (positions)
      position = rowAt(e, positions, addIndex(e, first, at[1]));
    v.forColumns(zero, columns, [&](Value column, Value mask) {
      Value value = v.load(word ? word : position, column, mask);
      if (word && position)
        value = v.add(value, v.load(position, column, mask));
      v.store(value, target, column, mask);
    });
  });
  return success();
}

LogicalResult emit(kernel::EmbeddingOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::EmbeddingOp::Adaptor in(operands, op);
  return emitLookup(e, in.getTokens(), in.getTable(), in.getPositions(), in.getOffset(),
                    in.getOutputs()[0]);
}

LogicalResult emit(kernel::PositionEmbeddingOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::PositionEmbeddingOp::Adaptor in(operands, op);
  return emitLookup(e, Value(), Value(), in.getTable(), in.getOffset(), in.getOutputs()[0]);
}

/// Tokens may repeat, so threads divide the columns: each adds up all tokens, in their order, in
/// its own columns.
LogicalResult emit(kernel::EmbeddingBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::EmbeddingBackwardOp::Adaptor in(operands, op);
  Value gradient = in.getGradient(), table = in.getOutputs()[0], tokens = in.getTokens();
  Vectors v(e, computeType(elementType(table)));
  Value columns = e.dim(table, 1), zero = e.index(0);
  if (!op.getAccumulate()) {
    // In rows, as memory likes it; the barrier is the price.
    int64_t bytes = elementBytes(elementType(table));
    forRows(e, e.dim(table, 0), rowsPerUnit(e, columns, bytes), [&](Value row) {
      Value target = rowAt(e, table, row);
      v.forColumns(zero, columns,
                   [&](Value column, Value mask) { v.store(v.splat(0.0), target, column, mask); });
    });
    e.barrier();
  }
  Value chunk = e.index(4 * v.lanes);
  e.forUnits(ceilDiv(e, columns, chunk), [&](Value unit) {
    Value from = mulIndex(e, unit, chunk);
    Value to = minIndex(e, addIndex(e, from, chunk), columns);
    e.forLoop(zero, e.dim(gradient, 0), 1, [&](Value batch) {
      e.forLoop(zero, e.dim(gradient, 1), 1, [&](Value t) {
        SmallVector<Value> at{batch, t};
        Value token = memref::LoadOp::create(e.builder, e.loc, tokens, at);
        token = arith::IndexCastOp::create(e.builder, e.loc, e.builder.getIndexType(), token);
        Value target = rowAt(e, table, token), source = rowAt(e, gradient, at);
        v.forColumns(from, to, [&](Value column, Value mask) {
          Value sum = v.add(v.load(target, column, mask), v.load(source, column, mask));
          v.store(sum, target, column, mask);
        });
      });
    });
  });
  return success();
}

LogicalResult emit(kernel::PositionEmbeddingBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::PositionEmbeddingBackwardOp::Adaptor in(operands, op);
  Value gradient = in.getGradient(), table = in.getOutputs()[0];
  Vectors v(e, computeType(elementType(table)));
  OpBuilder &b = e.builder;
  Value columns = e.dim(table, 1), zero = e.index(0), batches = e.dim(gradient, 0);
  Value length = e.dim(gradient, 1);
  int64_t bytes = elementBytes(elementType(table)) * 2;
  forRows(e, e.dim(table, 0), rowsPerUnit(e, columns, bytes), [&](Value row) {
    Value target = rowAt(e, table, row);
    // Past the sequence there is nothing to add.
    Value inside = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ult, row, length);
    Value count = arith::SelectOp::create(b, e.loc, inside, batches, zero);
    v.forColumns(zero, columns, [&](Value column, Value mask) {
      Value start = op.getAccumulate() ? v.load(target, column, mask) : v.splat(0.0);
      Value sum = e.forLoop(zero, count, 1, start, [&](Value batch, ValueRange carried) {
        Value source = rowAt(e, gradient, {batch, row});
        return SmallVector<Value>{v.add(carried[0], v.load(source, column, mask))};
      })[0];
      v.store(sum, target, column, mask);
    });
  });
  return success();
}

} // namespace quern::cpu
