//===- GemmWgmma.cpp - Matrix products by warp groups of sm_90a ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A block computes tiles of C, one after the other. One of its warp groups keeps a ring of stages
// in shared memory full, by the tensor memory accelerator, which does not stop between tiles; two
// others multiply what a stage holds, each its half of the tile's rows, with the sums in registers.
// Of large products, the two blocks of a cluster take tiles below each other, and each reads one
// half of the columns of B for both: the second-level cache is what limits them.

#include "GemmSumStore.h"
#include "TensorCopy.h"
#include "Wgmma.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

/// Fewer rows go to `emitFewRows`. Up to a hundred and more, products are bound by reading B,
/// however much of a tile is zeros; so nothing else has to be at hand for them.
constexpr int64_t leastRows = fewRows + 1;
/// Number 0 is that of all threads.
constexpr int64_t turnBarrier = 1;
/// A part of a shared depth is no shorter than this.
constexpr int64_t shortestPart = 512;

/// What a block works on at a time.
struct WgmmaTile {
  int64_t columns; ///< 128 or 256
  /// So many blocks, a cluster, take tiles below each other at a time. Each brings its share of the
  /// columns of B, which all of them need, to all of them.
  int64_t cluster;

  int64_t rowsOfCluster() const { return cluster * rows; }
  int64_t ownColumns() const { return columns / cluster; } ///< that a block brings
  static constexpr int64_t consumers = 2;                  ///< warp groups
  static constexpr int64_t groupRows = 64;
  static constexpr int64_t rows = consumers * groupRows;
  static constexpr int64_t depth = 64; ///< of a stage: a row of 128 bytes
  static constexpr int64_t threads = (1 + consumers) * warpGroupSize;
  /// A box of an operand whose rows run across the depth.
  static constexpr int64_t boxElements = 64, boxBytes = boxElements * swizzleBytes;
  /// Together as many as a multiprocessor has: 65536.
  static constexpr int64_t producerRegisters = 40, consumerRegisters = 232;

  static constexpr int64_t bytesOfA() { return rows * swizzleBytes; }
  int64_t bytesOfB() const { return columns * swizzleBytes; }
  int64_t stageBytes() const { return bytesOfA() + bytesOfB(); }
  /// As many as leave room for what `SumStore` needs.
  int64_t stages() const { return (192 << 10) / stageBytes(); }
};

/// One of the tiles of a block.
struct Work {
  Problem problem; ///< of the tile's batch index
  TilePlace place;
  Value steps; ///< i32: stages of depth
  Value from;  ///< i32: where in the depth they begin
};

/// The tiles that a launch shares out: those of C, for each index of the batch or, where blocks
/// share a depth, for each part of it.
struct Schedule {
  Problem whole;
  int64_t parts;
  Value partialSums; ///< [parts, M, N] where parts > 1

  /// The tile of block `rank` (i32) of a cluster whose tiles have this number.
  Work tile(Thread &t, const WgmmaTile &tile, Value number, Value rank) const {
    TilePlace place = tilePlace(t, whole, tile.rowsOfCluster(), tile.columns, number);
    Value below = mulIndex(t, rank, t.int32(WgmmaTile::rows));
    place.row = addIndex(t, place.row, t.toIndex(below));
    Problem problem = whole.on(t, parts > 1 ? t.index(0) : place.layer);
    DepthRange range{t.index(0), problem.depth};
    if (parts > 1) {
      range = depthRange(t, problem.depth, place.layer, parts, WgmmaTile::depth);
      problem.epilogue = Epilogue();
      problem.epilogue.c = Matrix(t, partialSums, /*batchDims=*/1).on(t, place.layer);
    }
    Value size = arith::SubIOp::create(t.builder, t.loc, range.to, range.from);
    return {problem, place, t.int32(ceilDiv(t, size, t.index(WgmmaTile::depth))),
            t.int32(range.from)};
  }

  /// How many such numbers there are.
  Value count(Thread &t, const WgmmaTile &tile) const {
    Value layers = parts > 1 ? t.index(parts) : whole.batch;
    return t.int32(mulIndex(t, tileCount(t, whole, tile.rowsOfCluster(), tile.columns), layers));
  }
};

/// The code of a block.
class WgmmaBlock {
public:
  WgmmaBlock(Thread &t, const WgmmaTile &tile, const Schedule &schedule, ValueRange maps)
      : t(t), tile(tile), schedule(schedule), mapOfA(maps[0]), mapOfB(maps[1]),
        ring(t, tile.stages(), tile.stageBytes(), WgmmaTile::consumers * warpsOfGroup,
             tile.cluster),
        store(t, WgmmaTile::consumers * warpsOfGroup, maps.size() > 2 ? maps[2] : Value()) {}

  void run();

private:
  using Place = Ring::Place;

  void produce();
  void consume();
  void forEachTile(llvm::function_ref<Place(const Work &, const Place &)> body);
  Place fill(const Work &work, const Place &place);
  Place empty(const Work &work, const Place &place, Value warp);
  void copy(const Matrix &matrix, bool depthInRows, Value map, Value across, int64_t extent,
            Value depth, Value layer, const Pointer &to, const Mbarrier &barrier, int64_t blocks);

  Thread &t;
  const WgmmaTile &tile;
  const Schedule &schedule;
  Value mapOfA, mapOfB;
  Ring ring;
  SumStore store;
  Value rank; ///< i32: of this block in its cluster
};

void WgmmaBlock::run() {
  rank = tile.cluster > 1 ? clusterRank(t) : t.int32(0);
  ring.initialize(t);
  choose(t, t.less(t.thread(), t.index(warpGroupSize)), [&] { produce(); }, [&] { consume(); });
  // No block ends while another still writes to its shared memory or arrives at its barriers.
  if (tile.cluster > 1)
    clusterBarrier(t);
}

/// Runs `body` for each of the block's tiles, with the ring's place before it; it returns the place
/// after it.
void WgmmaBlock::forEachTile(llvm::function_ref<Place(const Work &, const Place &)> body) {
  Place first = ring.first(t);
  auto clusters = [&](Value blocks) -> Value {
    return t.builder.createOrFold<arith::DivUIOp>(t.loc, t.int32(blocks), t.int32(tile.cluster));
  };
  t.strided(clusters(t.block(0)), schedule.count(t, tile), clusters(t.blocks(0)),
            {first.stage, first.parity}, [&](Value number, ValueRange carried) {
              Place after = body(schedule.tile(t, tile, number, rank), {carried[0], carried[1]});
              return SmallVector<Value>{after.stage, after.parity};
            });
}

void WgmmaBlock::produce() {
  setRegisters(t, WgmmaTile::producerRegisters, /*increase=*/false);
  t.when(t.both(t.equal(t.warp(), t.index(0)), electLane(t)), [&] {
    prefetchMap(t, mapOfA);
    prefetchMap(t, mapOfB);
    forEachTile([&](const Work &work, const Place &place) { return fill(work, place); });
  });
}

WgmmaBlock::Place WgmmaBlock::fill(const Work &work, const Place &first) {
  const Problem &problem = work.problem;
  Value row = t.int32(work.place.row), column = t.int32(work.place.column);
  // Each column takes the same room, whether it is a row of a box or 64 of them make a box.
  Value share = mulIndex(t, rank, t.int32(tile.ownColumns()));
  SmallVector<Value> last = t.strided(
      t.int32(0), work.steps, t.int32(1), {first.stage, first.parity},
      [&](Value step, ValueRange carried) {
        Place place{carried[0], carried[1]};
        ring.awaitEmpty(t, place);
        Mbarrier full = ring.full(t, place.stage);
        full.arriveExpecting(t, tile.stageBytes());
        Value depth = addIndex(t, work.from, mulIndex(t, step, t.int32(WgmmaTile::depth)));
        Pointer to = ring.memory(t, place.stage);
        copy(problem.a, problem.depthInRowsOfA, mapOfA, row, WgmmaTile::rows, depth,
             work.place.layer, to, full, /*blocks=*/1);
        copy(problem.b, problem.depthInRowsOfB, mapOfB, addIndex(t, column, share),
             tile.ownColumns(), depth, work.place.layer,
             to.at(t, WgmmaTile::bytesOfA()).at(t, mulIndex(t, share, t.int32(swizzleBytes))), full,
             tile.cluster);
        Place next = ring.next(t, place);
        return SmallVector<Value>{next.stage, next.parity};
      });
  return {last[0], last[1]};
}

/// Starts the copies of an operand's part of a stage: `extent` rows or columns from `across` (i32)
/// on, to as many blocks.
void WgmmaBlock::copy(const Matrix &matrix, bool depthInRows, Value map, Value across,
                      int64_t extent, Value depth, Value layer, const Pointer &to,
                      const Mbarrier &barrier, int64_t blocks) {
  SmallVector<Value> batch = matrix.batchCoordinates(t, layer);
  auto copyFrom = [&](Value column, Value row, int64_t bytes) {
    SmallVector<Value> coordinates{column, row};
    llvm::append_range(coordinates, batch);
    copyBox(t, to.at(t, bytes), map, coordinates, barrier, blocks);
  };
  if (depthInRows)
    return copyFrom(depth, across, 0);
  for (int64_t box = 0; box < extent / WgmmaTile::boxElements; ++box)
    copyFrom(addIndex(t, across, t.int32(box * WgmmaTile::boxElements)), depth,
             box * WgmmaTile::boxBytes);
}

void WgmmaBlock::consume() {
  setRegisters(t, WgmmaTile::consumerRegisters, /*increase=*/true);
  Value warp = arith::SubIOp::create(t.builder, t.loc, t.int32(t.warp()), t.int32(warpsOfGroup));
  forEachTile([&](const Work &work, const Place &place) { return empty(work, place, warp); });
  store.close();
}

WgmmaBlock::Place WgmmaBlock::empty(const Work &work, const Place &first, Value warp) {
  const Problem &problem = work.problem;
  Type f32 = t.builder.getF32Type();
  auto isNot0 = [&](Value number) -> Value {
    return arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::ne, number, t.int32(0));
  };
  Value group = arith::DivUIOp::create(t.builder, t.loc, warp, t.int32(warpsOfGroup));
  Value ownRows = mulIndex(t, group, t.int32(WgmmaTile::groupRows * swizzleBytes));
  // The second group begins each tile when the first has multiplied a stage: at the end, one has
  // products for the tensor cores while the other takes its sums to C. The ring lets none be more
  // than its stages ahead, and so the barrier is passed before it is reached again.
  Value isFirst = t.equal(group, t.int32(0));
  Value takesTurns = arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::uge, work.steps,
                                           t.int32(tile.stages()));
  t.when(t.both(takesTurns, t.no(isFirst)), [&] { awaitGroup(t, turnBarrier); });
  Value releases = t.both(takesTurns, isFirst);
  SmallVector<Value> initial{first.stage, first.parity, t.int32(0)};
  initial.append(sumsOfThread(tile.columns), t.number(f32, 0));
  SmallVector<Value> last =
      t.strided(t.int32(0), work.steps, t.int32(1), initial, [&](Value step, ValueRange carried) {
        Place place{carried[0], carried[1]};
        Value before = carried[2];
        ring.awaitFull(t, place);
        Value memory = ring.memory(t, place.stage).sharedAddress(t);
        SharedOperand a{addIndex(t, memory, ownRows), problem.depthInRowsOfA};
        SharedOperand b{addIndex(t, memory, t.int32(WgmmaTile::bytesOfA())),
                        problem.depthInRowsOfB};
        GroupProduct product{problem.a.element, tile.columns, WgmmaTile::depth};
        SmallVector<Value> sums = product.start(t, a, b, carried.drop_front(3));
        // The stage of the product before is free.
        awaitProducts(t, {}, /*pending=*/1);
        ring.release(t, before, isNot0(step));
        t.when(t.both(releases, t.equal(step, t.int32(1))), [&] { releaseGroup(t, turnBarrier); });
        Place next = ring.next(t, place);
        SmallVector<Value> result{next.stage, next.parity, place.stage};
        llvm::append_range(result, sums);
        return result;
      });
  SmallVector<Value> sums = awaitProducts(t, ValueRange(last).drop_front(3));
  ring.release(t, last[2], isNot0(work.steps));
  store.finish(problem, work.place, tile.columns, warp, sums);
  return {last[0], last[1]};
}

/// How many tiles C and the batch have, those of a cluster together.
Value tilesOf(Emission &e, const Problem &host, const WgmmaTile &tile) {
  return mulIndex(e, tileCount(e, host, tile.rowsOfCluster(), tile.columns), host.batch);
}

/// The map of an operand, in boxes of which a stage has one, or one for every 64 of its `extent`
/// rows or columns.
TensorMap mapOf(Emission &e, const Matrix &matrix, bool depthInRows, int64_t extent) {
  return matrix.tensorMap(e, depthInRows ? extent : WgmmaTile::depth);
}

/// i1: `condition`, and that `size` is no less than `least`.
Value requireAtLeast(Emission &e, Value condition, Value size, int64_t least) {
  OpBuilder &b = e.builder;
  Value holds =
      b.createOrFold<arith::CmpIOp>(e.loc, arith::CmpIPredicate::uge, size, e.index(least));
  return b.createOrFold<arith::AndIOp>(e.loc, condition, holds);
}

/// C by such tiles. With `parts` above 1, which needs M and N static and no batch, as many clusters
/// share the depth of each tile.
void emitTiles(Emission &e, const Product &product, const WgmmaTile &tile, int64_t parts) {
  Problem host = product.describe(e, product.operands);
  SmallVector<Value> operands(product.operands);
  Value partialSums;
  if (parts > 1) {
    partialSums =
        e.scratch({parts, *constantOf(host.rows), *constantOf(host.columns)}, host.compute);
    operands.push_back(partialSums);
  }
  SmallVector<TensorMap> maps{mapOf(e, host.a, host.depthInRowsOfA, WgmmaTile::rows),
                              mapOf(e, host.b, host.depthInRowsOfB, tile.ownColumns())};
  if (auto mapOfC = parts == 1 ? SumStore::boxMap(e, host) : std::nullopt)
    maps.push_back(*mapOfC);
  Value numbers = mulIndex(e, tilesOf(e, host, tile), e.index(parts));
  Value clusters = atMost(e, numbers, multiprocessors / tile.cluster);
  Grid grid{mulIndex(e, clusters, e.index(tile.cluster)), {}, {}, tile.cluster};
  e.launch(grid, WgmmaTile::threads, operands, maps,
           [&](Thread &t, ValueRange onDevice, ValueRange mapsOnDevice) {
             Schedule schedule{product.describe(t, onDevice.take_front(product.operands.size())),
                               parts, parts > 1 ? onDevice.back() : Value()};
             WgmmaBlock(t, tile, schedule, mapsOnDevice).run();
           });
  if (parts > 1)
    emitSumOfParts(e, product, partialSums);
}

/// Into how many parts to divide the depth of a product of so many tiles, of which `clusters` take
/// one at a time: those with which they are busy for most of the time, where each part costs as
/// much as a fiftieth of the whole for its sums to be written and added.
int64_t partsOf(int64_t tiles, int64_t clusters, Value depth) {
  constexpr int64_t most = 16, costOfPart = 50;
  int64_t limit = most, best = 1;
  if (auto known = constantOf(depth))
    limit = std::max<int64_t>(1, std::min(limit, *known / shortestPart));
  double least = 0;
  for (int64_t parts = 1; parts <= limit; ++parts) {
    auto rounds = static_cast<double>(llvm::divideCeil(tiles * parts, clusters));
    double time = rounds / static_cast<double>(parts) + (parts > 1 ? rounds / costOfPart : 0);
    if (parts == 1 || time < least) {
      least = time;
      best = parts;
    }
  }
  return best;
}

/// Large tiles by clusters where they keep multiprocessors busy, parts of the depth counted, and
/// little of them lies outside of C; small ones otherwise.
void emitBySize(Emission &e, const Product &product) {
  constexpr WgmmaTile large{256, 2}, small{128, 1};
  constexpr int64_t largeAtATime = multiprocessors / large.cluster;
  // Of so many rows at most every ninth tile lies outside.
  constexpr int64_t manyRows = 7 * WgmmaTile::rows + 1;
  Problem host = product.describe(e, product.operands);
  Value largeTiles = tilesOf(e, host, large);
  auto tiles = constantOf(largeTiles);
  if (!tiles) {
    Value isLarge = arith::ConstantOp::create(e.builder, e.loc, e.builder.getBoolAttr(true));
    auto require = [&](Value size, int64_t least) {
      isLarge = requireAtLeast(e, isLarge, size, least);
    };
    require(largeTiles, largeAtATime);
    require(host.rows, manyRows);
    require(host.columns, small.columns + 1);
    return either(
        e, isLarge, [&] { emitTiles(e, product, large, 1); },
        [&] { emitTiles(e, product, small, 1); });
  }
  auto partsFor = [&](const WgmmaTile &tile) -> int64_t {
    if (constantOf(host.batch) != 1)
      return 1;
    return partsOf(*constantOf(tilesOf(e, host, tile)), multiprocessors / tile.cluster, host.depth);
  };
  int64_t rows = *constantOf(host.rows);
  bool fits = *constantOf(host.columns) > small.columns &&
              (rows >= manyRows || llvm::divideCeil(rows, WgmmaTile::rows) % large.cluster == 0);
  bool isBusy = *tiles * partsFor(large) >= largeAtATime * 3 / 4;
  const WgmmaTile &tile = fits && isBusy ? large : small;
  emitTiles(e, product, tile, partsFor(tile));
}

/// i1 of the host: whether the operands can be copied, and it is worth it; null where not.
Value suits(Emission &e, const Problem &host) {
  Type type = host.a.element;
  if (!e.architecture.hasWgmma || host.b.element != type || !(type.isBF16() || type.isF16()))
    return {};
  Value a = host.a.allowsTensorMap(e), b = host.b.allowsTensorMap(e);
  if (!a || !b)
    return {};
  Value result = e.builder.createOrFold<arith::AndIOp>(e.loc, a, b);
  result = requireAtLeast(e, result, host.rows, leastRows);
  for (Value size : {host.columns, host.depth, host.batch})
    result = requireAtLeast(e, result, size, 1);
  return result;
}

} // namespace

void emitWgmma(Emission &e, const Product &product,
               llvm::function_ref<void(bool isRest)> otherwise) {
  Value condition = suits(e, product.describe(e, product.operands));
  auto known = condition ? constantOf(condition) : std::optional<int64_t>(0);
  if (!known)
    return either(
        e, condition, [&] { emitBySize(e, product); }, [&] { otherwise(/*isRest=*/true); });
  return *known ? emitBySize(e, product) : otherwise(/*isRest=*/false);
}

} // namespace quern::nvidia
