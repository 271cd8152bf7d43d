//===- Embedding.cpp - Rows of tables ---------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Emitters.h"
#include "Rows.h"

using namespace mlir;

namespace quern::nvidia {

/// y[b, t, :] = table[token, :] (when there are tokens) + positions[offset + t, :] (likewise).
static LogicalResult emitLookup(Emission &e, Value tokens, Value table, Value positions,
                                Value offset, Value y) {
  Type compute = computeType(cast<MemRefType>(y.getType()).getElementType());
  SmallVector<Value> operands{y};
  auto pass = [&](Value value) -> size_t {
    if (value)
      operands.push_back(value);
    return value ? operands.size() - 1 : 0;
  };
  size_t tokensAt = pass(tokens), tableAt = pass(table), positionsAt = pass(positions),
         offsetAt = pass(offset);
  forRows(e, e.leadingSize(y, 2), e.dim(y, 2), operands, [&](Team &team, Value row, ValueRange in) {
    Thread &t = team.t;
    SmallVector<Value> place = rowIndices(t, in[0], row);
    SmallVector<Team::Part> parts;
    auto read = [&](size_t operand, Value from) {
      parts.push_back(team.read(rowAt(t, in[operand], from), compute));
    };
    if (tokensAt)
      read(tableAt, t.loadIndex(in[tokensAt], place));
    if (positionsAt) {
      Value first = loadOffset(t, offsetAt ? in[offsetAt] : Value());
      read(positionsAt, addIndex(t, first, place[1]));
    }
    team.write(parts, rowAt(t, in[0], place), [&](ValueRange element) {
      return element.size() == 1 ? element[0] : t.add(element[0], element[1]);
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

} // namespace quern::nvidia
