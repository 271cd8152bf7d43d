//===- EmbeddingBackward.cpp - Gradients of tables --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Each row of a table belongs to one block, which adds what reaches it in the order of positions.
// So no sum depends on which block is faster. The row of a token belongs to the block of its first
// position, and the other blocks of the token find out early that there is one before them.

#include "Emitters.h"
#include "Rows.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

Type elementType(Value memref) { return cast<MemRefType>(memref.getType()).getElementType(); }

/// Writes zeros to all rows of a table.
void emitZeros(Emission &e, Value table) {
  Type compute = computeType(elementType(table));
  forRows(e, e.dim(table, 0), e.dim(table, 1), table,
          [&](Team &team, Value row, ValueRange operands) {
            Value zero = team.t.number(compute, 0);
            team.write({}, rowOf(team.t, operands[0], row), [&](ValueRange) { return zero; });
          });
}

/// The tokens of a batch as one block sees them: chunk by chunk, a few tokens for each of its
/// threads. All threads of the block do the same.
class TokenScan {
public:
  TokenScan(Thread &thread, Value tokens) : t(thread), tokens(tokens) {
    for (int64_t i = 0; i < cast<MemRefType>(tokens.getType()).getRank(); ++i)
      sizes.push_back(t.dim(tokens, i));
    count = t.leadingSize(tokens, static_cast<int64_t>(sizes.size()));
    words = t.shared({rounds * t.threads / warpSize}, t.builder.getI32Type());
    matches = t.shared({rounds * t.threads}, t.builder.getI32Type());
  }

  Value at(Value position) { return t.load(tokens, delinearize(t, position, sizes)); }

  /// Whether `token` stands at a position before `end`. The nearest are looked at first.
  Value isBefore(Value end, Value token);

  /// Runs `body(how many, position, carried)` for each chunk from `first` on that has the token:
  /// `position(i)` is where it stands for the i-th time.
  using Position = llvm::function_ref<Value(Value)>;
  SmallVector<Value>
  forMatches(Value first, Value token, ValueRange carried,
             llvm::function_ref<SmallVector<Value>(Value, Position, ValueRange)> body);

private:
  /// Tokens of a chunk for each thread. With 256 threads, 32 words hold a bit for each token.
  static constexpr int64_t rounds = 4;

  /// Whether `token` stands at `position`, which is before `end`.
  Value isAt(Value position, Value end, Value token) {
    return t.when(t.less(position, end), t.constant(false),
                  [&] { return SmallVector<Value>{t.equal(at(position), token)}; })[0];
  }
  Value ofRound(Value begin, int64_t round) {
    return addIndex(t, addIndex(t, begin, t.index(round * t.threads)), t.thread());
  }
  Value countBits(Value word) { return LLVM::CtPopOp::create(t.builder, t.loc, word); }
  Value addInt(Value a, Value b) { return arith::AddIOp::create(t.builder, t.loc, a, b); }
  SmallVector<Value> rankMatches(ArrayRef<Value> ballots);

  Thread &t;
  Value tokens, count;
  SmallVector<Value> sizes;
  Value words, matches; ///< in shared memory
};

Value TokenScan::isBefore(Value end, Value token) {
  Value chunk = t.index(rounds * t.threads), zero = t.index(0);
  return t.repeatWhile(
      {end, t.constant(false)},
      [&](ValueRange now) { return t.both(t.less(zero, now[0]), t.no(now[1])); },
      [&](ValueRange now) {
        Value step = minIndex(t, now[0], chunk);
        Value begin = arith::SubIOp::create(t.builder, t.loc, now[0], step);
        Value found = t.constant(false);
        for (int64_t round = 0; round < rounds; ++round)
          found = arith::OrIOp::create(t.builder, t.loc, found,
                                       isAt(ofRound(begin, round), now[0], token));
        return SmallVector<Value>{begin, t.anyOfBlock(found)};
      })[1];
}

/// For each round how many matches of the chunk are before those of this warp, then how many the
/// chunk has. Word i of the chunk belongs to lane i.
SmallVector<Value> TokenScan::rankMatches(ArrayRef<Value> ballots) {
  Type i32 = t.builder.getI32Type();
  int64_t warps = t.threads / warpSize;
  auto wordOf = [&](int64_t round) { return addIndex(t, t.index(round * warps), t.warp()); };
  t.when(t.equal(t.lane(), t.index(0)), [&] {
    for (int64_t round = 0; round < rounds; ++round)
      t.store(ballots[round], words, wordOf(round));
  });
  t.barrier();
  Value bits = countBits(t.load(words, t.lane()));
  Value zero = arith::ConstantOp::create(t.builder, t.loc, t.builder.getIntegerAttr(i32, 0));
  SmallVector<Value> terms;
  for (int64_t round = 0; round < rounds; ++round)
    terms.push_back(t.select(t.less(t.lane(), wordOf(round)), bits, zero));
  terms.push_back(bits);
  return t.overWarp(terms, [&](Value a, Value b) { return addInt(a, b); });
}

SmallVector<Value>
TokenScan::forMatches(Value first, Value token, ValueRange carried,
                      llvm::function_ref<SmallVector<Value>(Value, Position, ValueRange)> body) {
  OpBuilder &b = t.builder;
  Type i32 = b.getI32Type(), index = b.getIndexType();
  auto toIndex = [&](Value value) -> Value {
    return arith::IndexCastOp::create(b, t.loc, index, value);
  };
  Value chunk = t.index(rounds * t.threads);
  return t.strided(first, count, chunk, carried, [&](Value begin, ValueRange now) {
    SmallVector<Value> found, ballots;
    for (int64_t round = 0; round < rounds; ++round) {
      found.push_back(isAt(ofRound(begin, round), count, token));
      ballots.push_back(t.ballot(found.back()));
    }
    SmallVector<Value> before = rankMatches(ballots);
    Value lane = arith::IndexCastOp::create(b, t.loc, i32, t.lane());
    Value one = arith::ConstantOp::create(b, t.loc, b.getI32IntegerAttr(1));
    Value lower = arith::SubIOp::create(b, t.loc, arith::ShLIOp::create(b, t.loc, one, lane), one);
    for (int64_t round = 0; round < rounds; ++round)
      t.when(found[round], [&] {
        Value inWarp = countBits(arith::AndIOp::create(b, t.loc, ballots[round], lower));
        Value place = arith::IndexCastOp::create(b, t.loc, i32, ofRound(t.index(0), round));
        t.store(place, matches, toIndex(addInt(before[round], inWarp)));
      });
    // What the next chunk writes nobody reads any more behind its first barrier.
    t.barrier();
    return body(
        toIndex(before.back()),
        [&](Value i) { return addIndex(t, begin, t.loadIndex(matches, i)); }, now);
  });
}

} // namespace

LogicalResult emit(kernel::EmbeddingBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::EmbeddingBackwardOp::Adaptor host(operands, op);
  Value table = host.getOutputs()[0], columns = e.dim(table, 1);
  Type compute = computeType(elementType(table));
  if (!op.getAccumulate())
    emitZeros(e, table);
  Value flatTokens = flatten(e, host.getTokens());
  SmallVector<Value> all{flatTokens ? flatTokens : host.getTokens(),
                         mergeRows(e, host.getGradient()), table};
  forLanes(e, rowsAmong(operands), columns, [&](int64_t lanes) {
    Value strips = ceilDiv(e, columns, e.index(blockThreads * lanes));
    Value positions = e.leadingSize(host.getGradient(), 2);
    e.launch({positions, strips, {}}, blockThreads, all, [&](Thread &t, ValueRange in) {
      TokenScan scan(t, in[0]);
      Value token = scan.at(t.block(0));
      t.when(t.no(scan.isBefore(t.block(0), token)), [&] {
        Value strip = mulIndex(t, t.block(1), t.index(t.threads));
        Value column = mulIndex(t, addIndex(t, strip, t.thread()), t.index(lanes));
        Value inside = t.less(column, t.dim(in[2], 1));
        Value target =
            rowAt(t, in[2],
                  arith::IndexCastOp::create(t.builder, t.loc, t.builder.getIndexType(), token)
                      .getResult());
        SmallVector<Value> sums(lanes, t.number(compute, 0));
        if (op.getAccumulate())
          sums = t.when(inside, sums, [&] { return t.loadVector(target, column, lanes, compute); });
        sums = scan.forMatches(t.block(0), token, sums,
                               [&](Value count, TokenScan::Position position, ValueRange carried) {
                                 return t.when(inside, carried, [&] {
                                   return t.inOrder(count, carried, [&](Value i) {
                                     return t.loadVector(rowOf(t, in[1], position(i)), column,
                                                         lanes, compute);
                                   });
                                 });
                               });
        t.when(inside, [&] { t.storeVector(sums, target, column); });
      });
    });
  });
  return success();
}

LogicalResult emit(kernel::PositionEmbeddingBackwardOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::PositionEmbeddingBackwardOp::Adaptor host(operands, op);
  Value table = host.getOutputs()[0];
  Type compute = computeType(elementType(table));
  forRows(e, e.dim(table, 0), e.dim(table, 1), operands,
          [&](Team &team, Value row, ValueRange onDevice) {
            Thread &t = team.t;
            kernel::PositionEmbeddingBackwardOp::Adaptor in(onDevice, op);
            Value gradient = in.getGradient(), target = rowOf(t, in.getOutputs()[0], row);
            // Past the sequence there is nothing to add.
            Value inside = t.less(row, t.dim(gradient, 1));
            Value count = t.select(inside, t.dim(gradient, 0), t.index(0));
            team.forGroups([&](Value column) {
              SmallVector<Value> start(team.lanes, t.number(compute, 0));
              if (op.getAccumulate())
                start = t.loadVector(target, column, team.lanes, compute);
              SmallVector<Value> sums = t.inOrder(count, start, [&](Value batch) {
                return t.loadVector(rowAt(t, gradient, {batch, row}), column, team.lanes, compute);
              });
              t.storeVector(sums, target, column);
            });
          });
  return success();
}

} // namespace quern::nvidia
