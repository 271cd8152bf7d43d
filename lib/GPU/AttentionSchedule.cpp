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

static Value div(Thread &t, Value a, Value b) {
  return t.builder.createOrFold<arith::DivUIOp>(t.loc, a, b);
}

AttentionPiece AttentionSchedule::piece(Value number) {
  AttentionPiece piece;
  piece.number = number;
  Value tiles = t.int32(ceilDiv(t, p.queries, t.index(queries))), block, rest;
  if (p.causal) {
    // Late queries see more keys: they start first, those of all heads, so that none is left over.
    Value all = mulIndex(t, t.int32(p.batch), t.int32(p.heads));
    block = div(t, number, all);
    rest = sub(t, number, mulIndex(t, block, all));
    block = sub(t, sub(t, tiles, t.int32(1)), block);
  } else {
    // Blocks that run at a time read the same keys and values.
    rest = div(t, number, tiles);
    block = sub(t, number, mulIndex(t, rest, tiles));
  }
  SmallVector<Value> place = t.digits(rest, {0, p.heads});
  piece.sequence = t.toIndex(place[0]);
  piece.head = t.toIndex(place[1]);
  piece.firstQuery = t.toIndex(mulIndex(t, block, t.int32(queries)));
  Value visible = p.visibleKeys(piece.sequence);
  piece.visible = t.int32(visible);
  Value end = t.int32(p.keysOfAny(piece.firstQuery, queries, visible));
  piece.tiles =
      arith::DivUIOp::create(t.builder, t.loc, addIndex(t, end, t.int32(keys - 1)), t.int32(keys));
  piece.tiles = arith::MaxSIOp::create(t.builder, t.loc, piece.tiles, t.int32(1));
  piece.firstKey = sub(t, end, mulIndex(t, piece.tiles, t.int32(keys)));
  return piece;
}

Value AttentionSchedule::boundOf(const AttentionPiece &piece, Value query) {
  if (!p.causal)
    return piece.visible;
  Value seen = addIndex(t, addIndex(t, t.int32(p.offset), query), t.int32(1));
  return arith::MinSIOp::create(t.builder, t.loc, piece.visible, seen);
}

AttentionSchedule::HiddenTiles AttentionSchedule::hiddenTiles(const AttentionPiece &piece,
                                                              Value query, int64_t count) {
  auto tilesBefore = [&](Value seenBy, int64_t further) -> Value {
    Value bound = boundOf(piece, seenBy);
    bound = arith::MaxSIOp::create(t.builder, t.loc, bound, t.int32(0));
    bound = addIndex(t, sub(t, bound, piece.firstKey), t.int32(further));
    Value tiles = div(t, bound, t.int32(keys));
    tiles = arith::MaxSIOp::create(t.builder, t.loc, tiles, t.int32(1));
    return arith::MinSIOp::create(t.builder, t.loc, tiles, piece.tiles);
  };
  // The first query sees the least, the last one the most.
  return {tilesBefore(query, 0), tilesBefore(addIndex(t, query, t.int32(count - 1)), keys - 1)};
}

/// Registers that this takes would be kept in the loops inside: all is found again from the number.
AttentionSchedule::Values
AttentionSchedule::forEach(ValueRange carried,
                           llvm::function_ref<Values(const AttentionPiece &, ValueRange)> body) {
  Values initial(carried);
  initial.push_back(t.int32(t.block(0)));
  auto exists = [&](ValueRange values) {
    Value count = mulIndex(t, t.anew(t.int32(p.batch)), t.int32(p.heads));
    count = mulIndex(t, count, t.int32(ceilDiv(t, p.queries, t.index(queries))));
    return t.less(values.back(), count);
  };
  Values last = t.repeatWhile(initial, exists, [&](ValueRange values) {
    Value number = values.back();
    Values result = body(piece(number), values.drop_back());
    Value blocks = t.assembly("mov.u32 $0, %nctaid.x;", "=r", {}, t.builder.getI32Type());
    Value following = addIndex(t, number, blocks);
    if (p.causal) {
      // Pieces get shorter from one round to the next, and within each: blocks go through every
      // other round backwards, so that all get as much. Number i of round r is followed by number
      // blocks - 1 - i of the next.
      Value round = addIndex(t, div(t, number, blocks), t.int32(1));
      Value end = mulIndex(t, mulIndex(t, round, t.int32(2)), blocks);
      following = sub(t, sub(t, end, t.int32(1)), number);
    }
    result.push_back(following);
    return result;
  });
  last.pop_back();
  return last;
}

} // namespace quern::nvidia
