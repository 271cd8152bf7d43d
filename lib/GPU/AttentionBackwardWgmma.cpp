//===- AttentionBackwardWgmma.cpp - Gradients of attention by warp groups of sm_90a -----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// As AttentionBackwardMma.cpp, with products of warp groups. A block has 128 rows of the scores,
// keys for dK and dV, queries for dQ: 64 for each of two warp groups. A third one keeps a ring of
// stages full with the columns, the other side of the scores, by the tensor memory accelerator. P
// and dS stay in registers, where they are the left factors of the gradients. While one warp group
// computes exponentials, the other multiplies.
//
// What a stage has is used twice as it lies: its rows run along the depth in S = Q K^T and in
// dP = dO V^T, and across it in the gradients.

#include "AttentionBackwardWgmma.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

static int64_t sizeOf(Value memref, int64_t dim) {
  return cast<MemRefType>(memref.getType()).getDimSize(dim);
}

int64_t GradientTile::stages(const Architecture &architecture) const {
  constexpr int64_t most = 4, barrierBytes = 1 << 10;
  int64_t room = architecture.sharedBytes - groups * groupBytes() - barrierBytes;
  return std::min(most, room / (stageBytes() + 2 * columns * 4));
}

GradientBlock::GradientBlock(Op op, ValueRange onDevice, ValueRange maps, Thread &thread,
                             const GradientTile &tile, int64_t stages, int64_t producers)
    : op(op), in(onDevice, op), t(thread),
      p(thread, in.getQ(), in.getK(), in.getV(), Value(), in.getLengths(), Value(), op.getCausal()),
      tile(tile), f32(thread.builder.getF32Type()),
      element(cast<MemRefType>(in.getQ().getType()).getElementType()),
      scale(op.getScale().convertToDouble()),
      ring(thread, stages, tile.stageBytes(), GradientTile::warps, /*blocks=*/1, producers),
      maps(maps), rows(thread, thread.shared({GradientTile::groups * tile.groupBytes()},
                                             thread.builder.getI8Type(), sharedAlignment)),
      rowsFull(Pointer(thread, thread.shared({1}, thread.builder.getI64Type()))) {}

void GradientBlock::share(llvm::function_ref<void()> fill, llvm::function_ref<void()> beside,
                          llvm::function_ref<void()> consume) {
  t.when(t.equal(t.thread(), t.index(0)), [&] { rowsFull.initialize(t, 1); });
  ring.initialize(t);
  Value number = warpNumber(t);
  auto produce = [&] {
    setRegisters(t, GradientTile::producerRegisters, /*increase=*/false);
    t.when(t.both(t.equal(number, t.int32(0)), electLane(t)), [&] {
      for (Value map : maps)
        prefetchMap(t, map);
      fill();
    });
    if (beside)
      t.when(t.equal(number, t.int32(1)), beside);
  };
  choose(t, t.less(number, t.int32(warpsOfGroup)), produce, [&] {
    setRegisters(t, GradientTile::groupRegisters, /*increase=*/true);
    warp = arith::SubIOp::create(t.builder, t.loc, number, t.int32(warpsOfGroup));
    group = arith::DivUIOp::create(t.builder, t.loc, warp, t.int32(warpsOfGroup));
    warpRow = mulIndex(t, warp, t.int32(16));
    rowsFull.await(t, t.int32(0));
    consume();
  });
}

void GradientBlock::copyRows(Value head, Value first) {
  rowsFull.arriveExpecting(t, GradientTile::groups * tile.groupBytes());
  for (int64_t group = 0; group < GradientTile::groups; ++group) {
    Value row = addIndex(t, first, t.int32(group * GradientTile::groupRows));
    Pointer to = rows.at(t, group * tile.groupBytes());
    tile.rowKeys().copy(t, to, maps[0], row, head, t.int32(sequence), rowsFull);
    tile.rowValues().copy(t, to.at(t, tile.rowKeys().bytes()), maps[1], row, head,
                          t.int32(sequence), rowsFull);
  }
}

void GradientBlock::copyColumns(Value head, Value first, const Place &place) {
  ring.awaitEmpty(t, place);
  Mbarrier full = ring.full(t, place.stage);
  full.arriveExpecting(t, tile.stageBytes());
  Pointer to = ring.memory(t, place.stage);
  tile.columnKeys().copy(t, to, maps[2], first, head, t.int32(sequence), full);
  tile.columnValues().copy(t, to.at(t, tile.columnKeys().bytes()), maps[3], first, head,
                           t.int32(sequence), full);
}

GradientBlock::Values GradientBlock::forColumns(
    Value from, Value to, ValueRange carried,
    llvm::function_ref<SmallVector<Value>(Value, const Place &, ValueRange)> body) {
  return t.strided(from, to, t.int32(tile.columns), carried, [&](Value column, ValueRange inner) {
    Place place{inner[0], inner[1]}, next = ring.next(t, place);
    SmallVector<Value> result{next.stage, next.parity};
    llvm::append_range(result, body(column, place, inner.drop_front(2)));
    return result;
  });
}

GradientBlock::Values GradientBlock::firstPlace() {
  Place first = ring.first(t);
  return {first.stage, first.parity};
}

SharedOperand GradientBlock::rowOperand(int64_t bytes) {
  Pointer own = rows.at(t, mulIndex(t, group, t.int32(tile.groupBytes()))).at(t, bytes);
  return {own.sharedAddress(t), /*isDepthMajor=*/true, GradientTile::groupRows};
}

SharedOperand GradientBlock::columnOperand(const Place &place, int64_t bytes, bool isDepthMajor) {
  Value address = ring.memory(t, place.stage).at(t, bytes).sharedAddress(t);
  return {address, isDepthMajor, tile.columns};
}

void GradientBlock::startProducts(WarpSums &scores, WarpSums &changes, const Place &place) {
  auto start = [&](WarpSums &sums, int64_t width, int64_t ofRows, int64_t ofColumns) {
    sums.rowTiles = 1;
    sums.columnTiles = tile.columns / 8;
    sums.values = GroupProduct{element, tile.columns, width}.start(
        t, rowOperand(ofRows), columnOperand(place, ofColumns, /*isDepthMajor=*/true));
  };
  start(scores, p.keyWidth, 0, 0);
  start(changes, p.valueWidth, tile.rowKeys().bytes(), tile.columnKeys().bytes());
}

void GradientBlock::startGradient(WarpSums &gradient, WarpSums &factors, const Place &place,
                                  int64_t bytes) {
  SmallVector<Value> left;
  for (const SmallVector<Value> &fragment : asFactor(t, factors, element))
    llvm::append_range(left, fragment);
  gradient.values = GroupProduct{element, 8 * gradient.columnTiles, tile.columns}.start(
      t, left, columnOperand(place, bytes, /*isDepthMajor=*/false), gradient.values);
}

void GradientBlock::await(WarpSums &sums, int64_t pending) {
  sums.values = awaitProducts(t, sums.values, pending);
}

void GradientBlock::weigh(WarpSums &scores,
                          llvm::function_ref<Value(int64_t row, int64_t column)> shift) {
  Value factor = t.number(f32, scale * log2E);
  scores.forElements([&](Value &score, int64_t row, int64_t column) {
    Value minus = arith::NegFOp::create(t.builder, t.loc, shift(row, column));
    score = exp2(t, t.fma(score, factor, minus));
  });
}

void GradientBlock::change(WarpSums &changes, WarpSums &weights,
                           llvm::function_ref<Value(int64_t row, int64_t column)> rowSum) {
  size_t next = 0;
  changes.forElements([&](Value &value, int64_t row, int64_t column) {
    value = t.mul(weights.values[next++], t.sub(value, rowSum(row, column)));
  });
}

std::pair<Value, Value> GradientBlock::statisticsOf(Value head, Value query) {
  Value exists = t.less(query, p.queries);
  auto load = [&](Value from) { return t.loadWhere(exists, from, {sequence, head, query}, f32); };
  Value shift = t.mul(finiteShift(t, load(in.getLse())), t.number(f32, log2E));
  return {shift, load(in.getOutputs()[3])};
}

void GradientBlock::store(WarpSums &gradient, Value first, Value to, Value head) {
  Pointer room = rows.at(t, mulIndex(t, warp, t.int32(tile.groupBytes() / warpsOfGroup)));
  HalfMatrix by(room.as(t, element), 16, 8 * gradient.columnTiles);
  writeSums(t, gradient, by, t.int32(0), headOf(t, to, sequence, head),
            t.toIndex(addIndex(t, first, warpRow)));
}

void GradientBlock::awaitGroup() {
  t.assembly("bar.sync $0, " + Twine(warpGroupSize) + ";", "r,~{memory}",
             {addIndex(t, group, t.int32(1))});
}

static void emitGradient(const GradientKernel &kernel, kernel::AttentionBackwardOp op,
                         ValueRange operands, Emission &e) {
  const GradientTile &tile = kernel.tile;
  int64_t boxRows[] = {GradientTile::groupRows, GradientTile::groupRows, tile.columns,
                       tile.columns};
  SmallVector<TensorMap> maps;
  for (auto [side, rows] : llvm::zip_equal(kernel.sides, boxRows))
    maps.push_back(headMap(e, side, rows));
  Value rows = kernel.sides[0], heads = mulIndex(e, e.dim(rows, 0), kernel.heads);
  Value tiles = ceilDiv(e, e.dim(rows, 1), e.index(GradientTile::rows));
  e.launch({mulIndex(e, heads, tiles), {}, {}}, GradientTile::threads, operands, maps,
           [&](Thread &t, ValueRange onDevice, ValueRange mapsOnDevice) {
             kernel.body(op, onDevice, mapsOnDevice, t, tile, tile.stages(e.architecture));
           });
}

/// i1 of the host: whether the operands can be copied, and it is worth it; null where not.
static Value suits(kernel::AttentionBackwardOp op, ValueRange operands, Emission &e) {
  kernel::AttentionBackwardOp::Adaptor in(operands, op);
  // What a warp group has of gradients and scores has to fit in registers.
  constexpr int64_t widest = 128;
  // With fewer queries or keys mma.sync leaves less of a block idle.
  constexpr int64_t leastRows = 65;
  if (!e.architecture.hasWgmma || in.getMask() || sizeOf(in.getQ(), 3) > widest ||
      sizeOf(in.getV(), 3) > widest)
    return {};
  OpBuilder &b = e.builder;
  Value result = arith::ConstantOp::create(b, e.loc, b.getBoolAttr(true));
  auto require = [&](Value condition) {
    result = b.createOrFold<arith::AndIOp>(e.loc, result, condition);
  };
  for (Value x : {in.getQ(), in.getK()})
    require(b.createOrFold<arith::CmpIOp>(e.loc, arith::CmpIPredicate::uge, e.dim(x, 1),
                                          e.index(leastRows)));
  for (Value x : {in.getQ(), in.getK(), in.getV(), in.getGradient()})
    require(allowsHeadMap(e, x));
  return result;
}

void emitGroupBackward(kernel::AttentionBackwardOp op, ValueRange operands, Emission &e,
                       llvm::function_ref<void()> otherwise) {
  Value condition = suits(op, operands, e);
  auto emitAll = [&] {
    emitGradient(keyGradients(op, operands, e), op, operands, e);
    emitGradient(queryGradient(op, operands, e), op, operands, e);
  };
  auto known = condition ? constantOf(condition) : std::optional<int64_t>(0);
  if (!known)
    return either(e, condition, emitAll, otherwise);
  return *known ? emitAll() : otherwise();
}

} // namespace quern::nvidia
