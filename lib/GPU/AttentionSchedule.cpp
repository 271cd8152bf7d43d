//===- AttentionSchedule.cpp - The pieces of attention that a block computes ------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "AttentionSchedule.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

static Value sub(Thread &t, Value a, Value b) {
  return arith::SubIOp::create(t.builder, t.loc, a, b);
}

AttentionPiece AttentionSchedule::piece(Value number) {
  AttentionPiece piece;
  piece.number = number;
  Value tiles = ceilDiv(t, p.queries, t.index(queries)), index = t.toIndex(number), block;
  if (p.causal) {
    // Late queries see more keys: they start first, those of all heads, so that none is left over.
    SmallVector<Value> place = delinearize(t, index, {tiles, p.batch, t.index(p.heads)});
    block = sub(t, sub(t, tiles, t.index(1)), place[0]);
    piece.sequence = place[1];
    piece.head = place[2];
  } else {
    // Blocks that run at a time read the same keys and values.
    SmallVector<Value> place = delinearize(t, index, {p.batch, t.index(p.heads), tiles});
    piece.sequence = place[0];
    piece.head = place[1];
    block = place[2];
  }
  piece.firstQuery = mulIndex(t, block, t.index(queries));
  Value visible = p.visibleKeys(piece.sequence);
  piece.visible = t.int32(visible);
  Value end = t.int32(p.keysOfAny(piece.firstQuery, queries, visible));
  piece.tiles =
      arith::DivUIOp::create(t.builder, t.loc, addIndex(t, end, t.int32(keys - 1)), t.int32(keys));
  piece.tiles = arith::MaxSIOp::create(t.builder, t.loc, piece.tiles, t.int32(1));
  piece.firstKey = sub(t, end, mulIndex(t, piece.tiles, t.int32(keys)));
  return piece;
}

AttentionSchedule::Values
AttentionSchedule::forEach(ValueRange carried,
                           llvm::function_ref<Values(const AttentionPiece &, ValueRange)> body) {
  Value block = t.int32(t.block(0)), blocks = t.int32(t.blocks(0));
  Value count = mulIndex(t, t.int32(p.batch), t.int32(p.heads));
  count = mulIndex(t, count, t.int32(ceilDiv(t, p.queries, t.index(queries))));
  Values initial(carried);
  initial.push_back(block);
  // Under a causal mask pieces get shorter from one round to the next, and within each: blocks go
  // through every other round backwards, so that all get as much.
  Values last = t.strided(t.int32(0), count, blocks, initial, [&](Value before, ValueRange values) {
    Value own = values.back(), number = addIndex(t, before, own);
    ValueRange inner = values.drop_back();
    Values result =
        t.when(t.less(number, count), inner, [&] { return body(piece(number), inner); });
    result.push_back(p.causal ? sub(t, sub(t, blocks, t.int32(1)), own) : own);
    return result;
  });
  last.pop_back();
  return last;
}

} // namespace quern::nvidia
