//===- AttentionForwardWgmma.cpp - Attention by warp groups of sm_90a -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// In the manner of FlashAttention-3 (Shah et al. 2024). A block computes the attention of some
// queries of one head at a time. One of its warp groups, the producer, brings the queries and a
// ring of tiles of keys and values by the tensor memory accelerator; the others, the consumers,
// have 64 queries each. A consumer starts the scores of the next tile and then the product of P and
// the values of this one: the first is there when the second runs, and softmax runs beside it.
// Consumers take turns at starting products, so that one's softmax runs beside the others'
// products.
//
// Tiles of keys are counted from the end of those that the block sees: nothing behind it is read,
// and what a causal mask hides in part lies in the last tile or two. The first tile may begin
// before the first key, where the accelerator finds zeros.

#include "AttentionMma.h"
#include "AttentionSchedule.h"
#include "HeadCopy.h"
#include "Wgmma.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

namespace {

/// With fewer queries mma.sync leaves less of a block idle.
constexpr int64_t leastQueries = 65;

int64_t sizeOf(Value memref, int64_t dim) {
  return cast<MemRefType>(memref.getType()).getDimSize(dim);
}

/// What a block computes at a time; known when compiling.
struct GroupTile {
  GroupTile(int64_t keyWidth, int64_t valueWidth, bool causal);

  int64_t consumers; ///< warp groups
  int64_t keys;      ///< of a tile of scores: a multiple of 16
  HeadTile queryTile, keyTile, valueTile;
  /// Together as many as a multiprocessor has: 65536.
  int64_t producerRegisters, consumerRegisters;

  static constexpr int64_t groupQueries = 64;
  /// Two of keys and two of values.
  static constexpr int64_t stages = 4;
  int64_t queries() const { return consumers * groupQueries; }
  int64_t threads() const { return (1 + consumers) * warpGroupSize; }
  int64_t consumerWarps() const { return consumers * warpsOfGroup; }
  int64_t stageBytes() const { return std::max(keyTile.bytes(), valueTile.bytes()); }
};

/// O, the scores and P of a consumer have to fit in its registers: E/2 + keys/2 + keys/4 of them.
GroupTile::GroupTile(int64_t keyWidth, int64_t valueWidth, bool causal) {
  int64_t width = std::max(keyWidth, valueWidth);
  consumers = width <= 64 ? 3 : 2;
  producerRegisters = width <= 64 ? 32 : 24;
  consumerRegisters = width <= 64 ? 160 : 240;
  // Under a causal mask large tiles have more scores that are hidden.
  keys = width <= 64 ? 128 : width <= 128 ? (causal ? 128 : 176) : width <= 192 ? 96 : 64;
  queryTile = {queries(), keyWidth};
  keyTile = {keys, keyWidth};
  valueTile = {keys, valueWidth};
}

/// The code of a block.
class Forward {
public:
  Forward(kernel::AttentionOp op, ValueRange onDevice, ValueRange maps, Thread &t,
          const GroupTile &tile)
      : op(op), in(onDevice, op), mapOfQ(maps[0]), mapOfK(maps[1]), mapOfV(maps[2]), t(t),
        p(t, in.getQ(), in.getK(), in.getV(), Value(), in.getLengths(), in.getOffset(),
          op.getCausal()),
        tile(tile), schedule(p, tile.queries(), tile.keys),
        element(cast<MemRefType>(in.getQ().getType()).getElementType()),
        scale(op.getScale().convertToDouble()),
        queries(t, 1, tile.queryTile.bytes(), tile.consumerWarps()),
        ring(t, GroupTile::stages, tile.stageBytes(), tile.consumerWarps()), turns(tile.consumers),
        results(t, 16 * tile.consumerWarps(), resultColumns, element) {}

  void run();

private:
  using Place = Ring::Place;
  using Piece = AttentionPiece;
  /// O is written so many columns at a time.
  static constexpr int64_t resultColumns = 32;

  /// What goes on from one piece to the next: of the ring of queries and of that of tiles.
  struct Places {
    Place queries, tiles;
  };
  void forEachPiece(llvm::function_ref<Places(const Piece &, const Places &)> body);

  void produce();
  Places fill(const Piece &piece, const Places &places);
  Place copy(const HeadTile &box, Value map, Value row, const Piece &piece, Place place);

  void consume();
  Places empty(const Piece &piece, const Places &places);
  Place passOver(const Place &place);

  /// Of a consumer's queries, as loops carry it.
  struct State {
    RowSoftmax softmax;
    WarpSums output;
    SmallVector<Value> weights; ///< P of the last tile, as left factor
    Place place;
  };
  SmallVector<Value> flatten(const State &state);
  State unflatten(ValueRange values);
  WarpSums warpSums(ValueRange sums);
  SmallVector<Value> weigh(State &state, WarpSums scores);

  SharedOperand queryOperand(const Place &place);
  SharedOperand keyOperand(const Place &place);
  SharedOperand valueOperand(const Place &place);

  State first(const Piece &piece, const Places &places);
  State next(State state, const Piece &piece, const Place &queryPlace, Value number, bool mayHide);
  void hide(WarpSums &scores, const Piece &piece, Value firstKey, bool beforeFirst);
  void write(const Piece &piece, const State &state);

  /// i32: the first of this warp's 16 rows in the block's tile, found anew: the products need the
  /// registers.
  Value warpRow() {
    Value row = mulIndex(t, t.digits(t.int32(t.rereadThread()), {0, warpSize})[0], t.int32(16));
    return sub(row, t.int32(16 * warpsOfGroup));
  }
  Value sub(Value a, Value b) { return arith::SubIOp::create(t.builder, t.loc, a, b); }
  Value less(Value a, Value b) {
    return arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::slt, a, b);
  }

  kernel::AttentionOp op;
  kernel::AttentionOp::Adaptor in;
  Value mapOfQ, mapOfK, mapOfV;
  Thread &t;
  AttentionProblem p;
  const GroupTile &tile;
  AttentionSchedule schedule;
  Type element;
  double scale;
  Ring queries, ring;
  Turns turns; ///< of consumers, at starting products
  HalfMatrix results;

  Value group; ///< i32: number of this consumer
};

/// Runs `body` for each piece of the block's piece.
void Forward::forEachPiece(llvm::function_ref<Places(const Piece &, const Places &)> body) {
  auto flat = [](const Places &places) {
    return SmallVector<Value>{places.queries.stage, places.queries.parity, places.tiles.stage,
                              places.tiles.parity};
  };
  schedule.forEach(flat({queries.first(t), ring.first(t)}),
                   [&](const Piece &piece, ValueRange carried) {
                     Places places{{carried[0], carried[1]}, {carried[2], carried[3]}};
                     return flat(body(piece, places));
                   });
}

void Forward::run() {
  queries.initialize(t);
  ring.initialize(t);
  choose(t, t.less(t.thread(), t.index(warpGroupSize)), [&] { produce(); }, [&] { consume(); });
}

//===---------------------------------------------------------------------------------------------===//
// The producer
//===---------------------------------------------------------------------------------------------===//

void Forward::produce() {
  setRegisters(t, tile.producerRegisters, /*increase=*/false);
  t.when(t.both(t.equal(t.warp(), t.index(0)), electLane(t)), [&] {
    for (Value map : {mapOfQ, mapOfK, mapOfV})
      prefetchMap(t, map);
    forEachPiece([&](const Piece &piece, const Places &places) { return fill(piece, places); });
  });
}

/// Fills a stage of the ring; returns the place of the next one.
Ring::Place Forward::copy(const HeadTile &box, Value map, Value row, const Piece &piece,
                          Place place) {
  ring.awaitEmpty(t, place);
  Mbarrier full = ring.full(t, place.stage);
  full.arriveExpecting(t, box.bytes());
  box.copy(t, ring.memory(t, place.stage), map, row, t.int32(p.groupOf(piece.head)),
           t.int32(piece.sequence), full);
  return ring.next(t, place);
}

/// Tiles come in the order in which consumers use them: K_0, K_1, V_0, K_2, V_1, ...
Forward::Places Forward::fill(const Piece &piece, const Places &places) {
  queries.awaitEmpty(t, places.queries);
  Mbarrier full = queries.full(t, places.queries.stage);
  full.arriveExpecting(t, tile.queryTile.bytes());
  tile.queryTile.copy(t, queries.memory(t, places.queries.stage), mapOfQ, t.int32(piece.firstQuery),
                      t.int32(piece.head), t.int32(piece.sequence), full);
  auto keyOf = [&](Value number) {
    return addIndex(t, piece.firstKey, mulIndex(t, number, t.int32(tile.keys)));
  };
  Value one = t.int32(1);
  Place place = copy(tile.keyTile, mapOfK, piece.firstKey, piece, places.tiles);
  SmallVector<Value> last = t.strided(
      one, piece.tiles, one, {place.stage, place.parity}, [&](Value number, ValueRange carried) {
        Place here = copy(tile.keyTile, mapOfK, keyOf(number), piece, {carried[0], carried[1]});
        here = copy(tile.valueTile, mapOfV, keyOf(sub(number, one)), piece, here);
        return SmallVector<Value>{here.stage, here.parity};
      });
  place = copy(tile.valueTile, mapOfV, keyOf(sub(piece.tiles, one)), piece, {last[0], last[1]});
  return {queries.next(t, places.queries), place};
}

//===---------------------------------------------------------------------------------------------===//
// Consumers
//===---------------------------------------------------------------------------------------------===//

SmallVector<Value> Forward::flatten(const State &state) {
  SmallVector<Value> all{state.place.stage, state.place.parity};
  llvm::append_range(all, state.softmax.maxima);
  llvm::append_range(all, state.softmax.sums);
  llvm::append_range(all, state.weights);
  llvm::append_range(all, state.output.values);
  return all;
}

Forward::State Forward::unflatten(ValueRange all) {
  auto take = [&](size_t count) {
    ValueRange taken = all.take_front(count);
    all = all.drop_front(count);
    return SmallVector<Value>(taken);
  };
  SmallVector<Value> place = take(2);
  RowSoftmax softmax(t, /*rowTiles=*/1, scale, /*isScaled=*/false);
  softmax.maxima = take(2);
  softmax.sums = take(2);
  SmallVector<Value> weights = take(factorsOfThread(tile.keys));
  return {softmax, warpSums(all), weights, {place[0], place[1]}};
}

WarpSums Forward::warpSums(ValueRange sums) {
  WarpSums result;
  result.rowTiles = 1;
  result.columnTiles = static_cast<int64_t>(sums.size()) / 4;
  result.values.assign(sums.begin(), sums.end());
  return result;
}

SharedOperand Forward::queryOperand(const Place &place) {
  Value ownRows = mulIndex(t, group, t.int32(GroupTile::groupQueries * swizzleBytes));
  Value address = addIndex(t, queries.memory(t, place.stage).sharedAddress(t), ownRows);
  // Descriptors are found again for each tile: products need the registers.
  return {t.anew(address), /*isDepthMajor=*/true, tile.queryTile.rows};
}
SharedOperand Forward::keyOperand(const Place &place) {
  return {ring.memory(t, place.stage).sharedAddress(t), /*isDepthMajor=*/true, tile.keys};
}
SharedOperand Forward::valueOperand(const Place &place) {
  return {ring.memory(t, place.stage).sharedAddress(t), /*isDepthMajor=*/false, tile.keys};
}

/// Makes scores -infinity that are of hidden keys and, if asked, of those before the first.
void Forward::hide(WarpSums &scores, const Piece &piece, Value firstKey, bool beforeFirst) {
  Value hidden = t.number(t.builder.getF32Type(), -std::numeric_limits<double>::infinity());
  Value column = addIndex(t, firstKey, mulIndex(t, fragmentPlace(t), t.int32(2)));
  Value row = addIndex(t, addIndex(t, t.int32(piece.firstQuery), warpRow()), fragmentGroup(t));
  // The first column, from this lane's first one on, that counts, and that counts no more.
  Value begin = sub(t.int32(0), column);
  Value ends[2];
  for (int64_t half : {0, 1})
    ends[half] = sub(schedule.boundOf(piece, addIndex(t, row, t.int32(8 * half))), column);
  scores.forElements([&](Value &score, int64_t down, int64_t right) {
    Value place = t.int32(right);
    if (p.causal)
      score = t.select(less(place, ends[down / 8]), score, hidden);
    if (beforeFirst)
      score = t.select(less(place, begin), hidden, score);
  });
}

/// Scores become P, which the state gets; returns the factors of what it has.
SmallVector<Value> Forward::weigh(State &state, WarpSums scores) {
  SmallVector<Value> rescale = state.softmax.weigh(t, scores);
  state.weights.clear();
  for (const SmallVector<Value> &fragment : asFactor(t, scores, element))
    llvm::append_range(state.weights, fragment);
  return rescale;
}

/// P of the first tile.
Forward::State Forward::first(const Piece &piece, const Places &places) {
  State state{RowSoftmax(t, /*rowTiles=*/1, scale, /*isScaled=*/false),
              WarpSums(t, /*rowTiles=*/1, p.valueWidth / 8),
              {},
              places.tiles};
  queries.awaitFull(t, places.queries);
  ring.awaitFull(t, state.place);
  turns.take(t, group);
  GroupProduct product{element, tile.keys, p.keyWidth};
  SmallVector<Value> sums = product.start(t, queryOperand(places.queries), keyOperand(state.place));
  turns.pass(t, group);
  WarpSums scores = warpSums(awaitProducts(t, sums));
  ring.release(t, state.place.stage, t.constant(true));
  hide(scores, piece, piece.firstKey, /*beforeFirst=*/true);
  weigh(state, scores);
  state.place = ring.next(t, state.place);
  return state;
}

/// From P of the tile before `number` to that of `number`.
Forward::State Forward::next(State state, const Piece &piece, const Place &queryPlace, Value number,
                             bool mayHide) {
  Place keyPlace = state.place, valuePlace = ring.next(t, keyPlace);
  ring.awaitFull(t, keyPlace);
  turns.take(t, group);
  GroupProduct product{element, tile.keys, p.keyWidth};
  SmallVector<Value> sums = product.start(t, queryOperand(queryPlace), keyOperand(keyPlace));
  ring.awaitFull(t, valuePlace);
  GroupProduct weighted{element, p.valueWidth, tile.keys};
  SmallVector<Value> output =
      weighted.start(t, state.weights, valueOperand(valuePlace), state.output.values);
  turns.pass(t, group);
  WarpSums scores = warpSums(awaitProducts(t, sums, /*pending=*/1));
  ring.release(t, keyPlace.stage, t.constant(true));
  if (mayHide)
    hide(scores, piece, addIndex(t, piece.firstKey, mulIndex(t, number, t.int32(tile.keys))),
         /*beforeFirst=*/false);
  SmallVector<Value> rescale = weigh(state, scores);
  state.output.values = awaitProducts(t, output);
  ring.release(t, valuePlace.stage, t.constant(true));
  scaleRows(t, state.output, rescale);
  state.place = ring.next(t, valuePlace);
  return state;
}

void Forward::consume() {
  setRegisters(t, tile.consumerRegisters, /*increase=*/true);
  group = sub(warpGroup(t), t.int32(1));
  turns.begin(t, group);
  forEachPiece([&](const Piece &piece, const Places &places) { return empty(piece, places); });
  turns.end(t, group);
}

/// A stage that this consumer has no use for.
Ring::Place Forward::passOver(const Place &place) {
  ring.awaitFull(t, place);
  ring.release(t, place.stage, t.constant(true));
  return ring.next(t, place);
}

Forward::Places Forward::empty(const Piece &piece, const Places &places) {
  State state = first(piece, places);
  auto loop = [&](const Piece &piece, Value from, Value to, bool mayHide) {
    state = unflatten(
        t.strided(from, to, t.int32(1), flatten(state), [&](Value number, ValueRange carried) {
          return flatten(next(unflatten(carried), piece, places.queries, number, mayHide));
        }));
  };
  auto passIf = [&](Value condition, bool takesTurn) {
    SmallVector<Value> place = t.when(condition, {state.place.stage, state.place.parity}, [&] {
      if (takesTurn) {
        turns.take(t, group);
        turns.pass(t, group);
      }
      Place following = passOver(state.place);
      return SmallVector<Value>{following.stage, following.parity};
    });
    state.place = {place[0], place[1]};
  };
  // What is not needed in a loop is found again behind it: the products need the registers.
  auto again = [&] { return schedule.piece(t.anew(piece.number)); };
  auto hiddenTiles = [&](const Piece &of) {
    Value query =
        addIndex(t, t.int32(of.firstQuery), mulIndex(t, group, t.int32(GroupTile::groupQueries)));
    return schedule.hiddenTiles(of, query, GroupTile::groupQueries);
  };
  Value one = t.int32(1);
  loop(piece, one, p.causal ? hiddenTiles(piece).firstInPart : piece.tiles, /*mayHide=*/false);
  if (p.causal) {
    Piece same = again();
    auto hidden = hiddenTiles(same);
    loop(same, hidden.firstInPart, hidden.firstWhole, /*mayHide=*/true);
  }
  queries.release(t, places.queries.stage, t.constant(true));
  // Other consumers may see the last tile, which is hidden from this one: its keys and values go
  // by.
  assert((tile.consumers - 1) * GroupTile::groupQueries <= tile.keys && "of one tile at most");
  Piece same = again();
  Value end = p.causal ? hiddenTiles(same).firstWhole : same.tiles, isEarly;
  if (p.causal) {
    isEarly = t.less(end, same.tiles);
    passIf(isEarly, /*takesTurn=*/true);
  }
  ring.awaitFull(t, state.place);
  GroupProduct weighted{element, p.valueWidth, tile.keys};
  state.output.values = awaitProducts(
      t, weighted.start(t, state.weights, valueOperand(state.place), state.output.values));
  ring.release(t, state.place.stage, t.constant(true));
  state.place = ring.next(t, state.place);
  if (p.causal)
    passIf(isEarly, /*takesTurn=*/false);
  write(same, state);
  return {queries.next(t, places.queries), state.place};
}

/// Writes O and the log-sum-exp of this warp's rows.
void Forward::write(const Piece &piece, const State &state) {
  Value row = warpRow(), firstRow = addIndex(t, piece.firstQuery, t.toIndex(row));
  SmallVector<Value> inverses;
  for (int64_t half : {0, 1}) {
    SoftmaxEnd end = state.softmax.finish(t, half);
    inverses.push_back(end.inverse);
    if (in.getOutputs().size() < 2)
      continue;
    Value query =
        addIndex(t, firstRow, t.toIndex(addIndex(t, fragmentGroup(t), t.int32(8 * half))));
    t.when(t.both(t.equal(fragmentPlace(t), t.int32(0)), t.less(query, p.queries)), [&] {
      t.store(end.logSumExp, in.getOutputs()[1], {piece.sequence, piece.head, query});
    });
  }
  WarpSums output = state.output;
  scaleRows(t, output, inverses);
  HalfRows rows(t, headOf(t, in.getOutputs()[0], piece.sequence, piece.head));
  Pointer start = rows.start;
  for (int64_t column = 0; column < p.valueWidth; column += resultColumns) {
    int64_t columns = std::min(resultColumns, p.valueWidth - column);
    WarpSums part =
        warpSums(ValueRange(output.values).slice(sumsOfThread(column), sumsOfThread(columns)));
    rows.start = start.at(t, column);
    t.syncWarp(); // what lanes read there has been read
    storeSums(t, part, results, row);
    writeRows(t, results, row, 16, rows, firstRow, p.queries, columns);
  }
}

/// i1 of the host: whether the operands can be copied, and it is worth it; null where not.
Value suits(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor in(operands, op);
  if (!e.architecture.hasWgmma || in.getMask())
    return {};
  OpBuilder &b = e.builder;
  Value result = b.createOrFold<arith::CmpIOp>(e.loc, arith::CmpIPredicate::uge,
                                               e.dim(in.getQ(), 1), e.index(leastQueries));
  for (Value x : {in.getQ(), in.getK(), in.getV()})
    result = b.createOrFold<arith::AndIOp>(e.loc, result, allowsHeadMap(e, x));
  return result;
}

void emitByGroups(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor host(operands, op);
  Value q = host.getQ();
  GroupTile tile(sizeOf(q, 3), sizeOf(host.getV(), 3), op.getCausal());
  TensorMap maps[] = {headMap(e, q, tile.queryTile.rows),
                      headMap(e, host.getK(), tile.keyTile.rows),
                      headMap(e, host.getV(), tile.valueTile.rows)};
  Value count = mulIndex(e, mulIndex(e, e.dim(q, 0), e.dim(q, 2)),
                         ceilDiv(e, e.dim(q, 1), e.index(tile.queries())));
  e.launch({atMost(e, count, multiprocessors), {}, {}}, tile.threads(), operands, maps,
           [&](Thread &t, ValueRange onDevice, ValueRange mapsOnDevice) {
             Forward(op, onDevice, mapsOnDevice, t, tile).run();
           });
}

} // namespace

void emitGroupAttention(kernel::AttentionOp op, ValueRange operands, Emission &e,
                        llvm::function_ref<void()> otherwise) {
  Value condition = suits(op, operands, e);
  auto known = condition ? constantOf(condition) : std::optional<int64_t>(0);
  if (!known)
    return either(e, condition, [&] { emitByGroups(op, operands, e); }, otherwise);
  return *known ? emitByGroups(op, operands, e) : otherwise();
}

} // namespace quern::nvidia
