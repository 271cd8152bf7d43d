//===- AttentionDecode.cpp - Attention of a few queries over a cache --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// With few queries the time is that of reading keys and values. A block takes one piece of the keys
// of one sequence and group, and the queries of the group's heads share what was read. A team of
// lanes takes a key: each lane reads 16 bytes of its row at a time, and the team adds up the score
// by shuffles. Every team has an online softmax of its own; teams, then warps, then pieces are
// combined, always in the same order. The number of pieces follows from sizes alone.

#include "Attention.h"

#include <limits>

using namespace mlir;

namespace quern::nvidia {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int64_t decodeThreads = 128, warps = decodeThreads / warpSize;
constexpr int64_t wantedBlocks = 512; ///< to split the work into, when there are keys enough
constexpr int64_t keysOfPiece = 64;   ///< at least: a piece must be worth its overhead
constexpr int64_t keysAtOnce = 4;     ///< keys that a team reads before it uses the first

int64_t sizeOf(Value memref, int64_t dim) {
  return cast<MemRefType>(memref.getType()).getDimSize(dim);
}

/// How the work is divided; known when compiling.
struct Plan {
  explicit Plan(kernel::AttentionOp op) {
    Value q = op.getQ(), k = op.getK(), v = op.getV();
    auto type = cast<MemRefType>(k.getType());
    keyWidth = type.getDimSize(3);
    valueWidth = sizeOf(v, 3);
    queries = sizeOf(q, 1);
    repeat = sizeOf(q, 2) / sizeOf(k, 2);
    rows = queries * repeat;
    vector = 16 / elementBytes(type.getElementType());
    int64_t vectors = llvm::divideCeil(std::max(keyWidth, valueWidth), vector);
    team = std::min<int64_t>(warpSize, llvm::PowerOf2Ceil(vectors));
    keyVectors = llvm::divideCeil(keyWidth, vector * team);
    valueVectors = llvm::divideCeil(valueWidth, vector * team);
    // Queries and outputs of the rows stay in registers.
    constexpr int64_t registers = 32;
    int64_t each = std::max(keyVectors, valueVectors) * vector;
    blockRows = std::clamp<int64_t>(registers / each, 1, rows);
    chunks = llvm::divideCeil(rows, blockRows);
  }

  int64_t keyWidth, valueWidth, queries;
  int64_t repeat; ///< heads of a group
  int64_t rows;   ///< queries of all heads of a group; row r is query r / repeat of head r % repeat
  int64_t vector; ///< elements that a lane reads at once
  int64_t team;   ///< lanes that take a key together
  int64_t keyVectors, valueVectors; ///< vectors of a lane
  int64_t blockRows, chunks;        ///< rows of a block, blocks for all rows

  /// Keys of one team before the next step of a block.
  int64_t keysOfStep() const { return warps * (warpSize / team) * keysAtOnce; }
  /// Rows of partial results that there are at most: chunks x pieces x groups <= wantedBlocks.
  int64_t partialRows() const { return wantedBlocks / chunks * rows; }
  /// A row of partial results: maximum, sum, output.
  int64_t partialWidth() const { return 2 + valueWidth; }
};

/// The rows of one head of one sequence, of which a lane reads `vectors` vectors.
struct Rows {
  Rows() = default;
  Rows(Thread &t, Value x, Value sequence, Value head, int64_t vectors)
      : matrix(headOf(t, x, sequence, head)), aligned(t.isAligned(matrix, 16)), width(sizeOf(x, 3)),
        vectors(vectors) {}

  Value matrix;
  Value aligned; ///< i1: every row begins at a multiple of 16 bytes
  int64_t width = 0, vectors = 0;
};

/// Writes an element of a result, and with the first one the log-sum-exp. `place` is the sequence,
/// the query and the head.
void writeResult(Thread &t, kernel::AttentionOp::Adaptor in, ArrayRef<Value> place, Value column,
                 Value maximum, Value sum, Value output) {
  SoftmaxEnd end = finishSoftmax(t, maximum, sum);
  t.store(t.mul(output, end.inverse), in.getOutputs()[0], at(place, column));
  if (in.getOutputs().size() > 1)
    t.when(t.equal(column, t.index(0)),
           [&] { t.store(end.logSumExp, in.getOutputs()[1], {place[0], place[2], place[1]}); });
}

/// One block: the softmax of some rows over a piece of the keys.
class Piece {
public:
  Piece(kernel::AttentionOp op, const Plan &plan, ValueRange onDevice, Thread &thread)
      : plan(plan), in(onDevice.drop_back(2), op), partials(onDevice[onDevice.size() - 2]),
        pieces(onDevice.back()), t(thread), p(thread, in.getQ(), in.getK(), in.getV(), in.getMask(),
                                              in.getLengths(), in.getOffset(), op.getCausal()),
        f32(thread.builder.getF32Type()), scale(op.getScale().convertToDouble()) {}

  void run();

private:
  /// Of the rows of a block; maxima and sums are the same in all lanes of a team.
  struct State {
    SmallVector<Value> maxima, sums;
    SmallVector<SmallVector<Value>> outputs;
  };
  State initialState();
  SmallVector<Value> flatten(const State &state);
  State unflatten(ValueRange values);

  SmallVector<Value> loadRow(const Rows &from, Value row);
  State step(State state, Value firstKey);
  State combineTeams(State state);
  void combineWarps(State state);
  void write(Value row, Value column, Value maximum, Value sum, Value output);

  /// Row `i` of the block in the whole problem, or the last one.
  Value row(int64_t i) {
    return minIndex(t, addIndex(t, firstRow, t.index(i)), t.index(plan.rows - 1));
  }
  Value queryOf(Value row) {
    return t.builder.createOrFold<arith::DivUIOp>(t.loc, row, t.index(plan.repeat));
  }
  Value headOfRow(Value row) {
    Value inGroup = t.builder.createOrFold<arith::RemUIOp>(t.loc, row, t.index(plan.repeat));
    return addIndex(t, mulIndex(t, group, t.index(plan.repeat)), inGroup);
  }
  /// This lane's column of vector `i` of a row.
  Value firstColumn(int64_t i) {
    Value vector = addIndex(t, laneOfTeam(), t.index(i * plan.team));
    return mulIndex(t, vector, t.index(plan.vector));
  }
  /// This lane's column of element `n` of a row.
  Value column(int64_t n) {
    return addIndex(t, firstColumn(n / plan.vector), t.index(n % plan.vector));
  }
  Value laneOfTeam() {
    return t.builder.createOrFold<arith::RemUIOp>(t.loc, t.lane(), t.index(plan.team));
  }

  const Plan &plan;
  kernel::AttentionOp::Adaptor in;
  Value partials, pieces;
  Thread &t;
  AttentionProblem p;
  Type f32;
  double scale;

  Value sequence, group, firstRow, piece, end;
  SmallVector<Value> bounds;               ///< of rows: how many keys they see
  SmallVector<SmallVector<Value>> queries; ///< of rows: this lane's elements, scaled
  Rows keyMatrix, valueMatrix;
};

/// This lane's elements of a row, in f32; past the width, some others of the row.
SmallVector<Value> Piece::loadRow(const Rows &from, Value row) {
  SmallVector<Value> all;
  for (int64_t i = 0; i < from.vectors; ++i) {
    Value first = firstColumn(i);
    auto oneByOne = [&] {
      SmallVector<Value> values;
      for (int64_t n = 0; n < plan.vector; ++n) {
        Value column = minIndex(t, addIndex(t, first, t.index(n)), t.index(from.width - 1));
        values.push_back(t.load(from.matrix, {row, column}, f32));
      }
      return values;
    };
    auto atOnce = [&] {
      Value column = minIndex(t, first, t.index(from.width - plan.vector));
      SmallVector<Value> values = t.loadVector(from.matrix, {row, column}, plan.vector);
      for (Value &value : values)
        value = t.convert(value, f32);
      return values;
    };
    bool whole = from.width % plan.vector == 0;
    llvm::append_range(all, whole ? t.choose(from.aligned, atOnce, oneByOne) : oneByOne());
  }
  return all;
}

Piece::State Piece::initialState() {
  State state;
  Value zero = t.number(f32, 0);
  state.maxima.assign(plan.blockRows, t.number(f32, -infinity));
  state.sums.assign(plan.blockRows, zero);
  state.outputs.assign(plan.blockRows, SmallVector<Value>(plan.valueVectors * plan.vector, zero));
  return state;
}

SmallVector<Value> Piece::flatten(const State &state) {
  SmallVector<Value> all(state.maxima);
  llvm::append_range(all, state.sums);
  for (const SmallVector<Value> &output : state.outputs)
    llvm::append_range(all, output);
  return all;
}

Piece::State Piece::unflatten(ValueRange values) {
  State state;
  int64_t rows = plan.blockRows, width = plan.valueVectors * plan.vector;
  state.maxima = values.take_front(rows);
  state.sums = values.slice(rows, rows);
  for (int64_t i = 0; i < rows; ++i)
    state.outputs.push_back(values.slice(2 * rows + i * width, width));
  return state;
}

/// Takes `keysAtOnce` keys of each team.
Piece::State Piece::step(State state, Value firstKey) {
  int64_t teams = decodeThreads / plan.team;
  Value team = t.builder.createOrFold<arith::DivUIOp>(t.loc, t.thread(), t.index(plan.team));
  Value last = arith::SubIOp::create(t.builder, t.loc, end, t.index(1));
  SmallVector<Value> keys;
  SmallVector<SmallVector<Value>> keyRows, valueRows;
  for (int64_t u = 0; u < keysAtOnce; ++u) {
    keys.push_back(addIndex(t, addIndex(t, firstKey, team), t.index(u * teams)));
    Value read = minIndex(t, keys[u], last);
    keyRows.push_back(loadRow(keyMatrix, read));
    valueRows.push_back(loadRow(valueMatrix, read));
  }
  for (int64_t r = 0; r < plan.blockRows; ++r) {
    SmallVector<Value> scores;
    Value now = state.maxima[r];
    for (int64_t u = 0; u < keysAtOnce; ++u) {
      Value score = t.number(f32, 0);
      for (auto [x, y] : llvm::zip(queries[r], keyRows[u]))
        score = t.fma(x, y, score);
      score = t.overLanes(score, plan.team, [&](Value a, Value b) { return t.add(a, b); });
      if (p.mask)
        score = t.add(score, p.maskElement(sequence, headOfRow(row(r)), queryOf(row(r)), keys[u]));
      scores.push_back(t.select(t.less(keys[u], bounds[r]), score, t.number(f32, -infinity)));
      now = t.max(now, scores[u]);
    }
    Value shift = finiteShift(t, now), rescale = exponential(t, state.maxima[r], shift);
    state.maxima[r] = now;
    state.sums[r] = t.mul(state.sums[r], rescale);
    for (Value &value : state.outputs[r])
      value = t.mul(value, rescale);
    for (int64_t u = 0; u < keysAtOnce; ++u) {
      Value weight = exponential(t, scores[u], shift);
      state.sums[r] = t.add(state.sums[r], weight);
      for (auto [value, element] : llvm::zip(state.outputs[r], valueRows[u]))
        value = t.fma(weight, element, value);
    }
  }
  return state;
}

/// The teams of each warp, by halves; in all lanes.
Piece::State Piece::combineTeams(State state) {
  for (int64_t distance = warpSize / 2; distance >= plan.team; distance /= 2)
    for (int64_t r = 0; r < plan.blockRows; ++r) {
      Value other = t.exchange(state.maxima[r], distance);
      Value now = t.max(state.maxima[r], other), shift = finiteShift(t, now);
      Value mine = exponential(t, state.maxima[r], shift), its = exponential(t, other, shift);
      auto combine = [&](Value &value) {
        value = t.add(t.mul(value, mine), t.mul(t.exchange(value, distance), its));
      };
      state.maxima[r] = now;
      combine(state.sums[r]);
      for (Value &value : state.outputs[r])
        combine(value);
    }
  return state;
}

/// Writes the results of this block's warps, combined in their order: the outputs when there is one
/// piece, partial results otherwise.
void Piece::combineWarps(State state) {
  int64_t width = plan.partialWidth();
  Value results = t.shared({warps, plan.blockRows, width}, f32);
  Value warp = t.warp(), lane = laneOfTeam();
  t.when(t.less(t.lane(), t.index(plan.team)), [&] {
    for (int64_t r = 0; r < plan.blockRows; ++r) {
      Value row = t.index(r);
      t.when(t.equal(lane, t.index(0)), [&] {
        t.store(state.maxima[r], results, {warp, row, t.index(0)});
        t.store(state.sums[r], results, {warp, row, t.index(1)});
      });
      for (int64_t n = 0; n < plan.valueVectors * plan.vector; ++n)
        t.when(t.less(column(n), t.index(plan.valueWidth)), [&] {
          t.store(state.outputs[r][n], results, {warp, row, addIndex(t, column(n), t.index(2))});
        });
    }
  });
  t.barrier();
  Value count = t.index(plan.blockRows * plan.valueWidth);
  t.strided(t.thread(), count, t.index(decodeThreads), [&](Value i) {
    SmallVector<Value> place =
        delinearize(t, i, {t.index(plan.blockRows), t.index(plan.valueWidth)});
    Value inBlock = place[0], column = place[1], row = addIndex(t, firstRow, inBlock);
    auto result = [&](int64_t w, Value at) { return t.load(results, {t.index(w), inBlock, at}); };
    Value maximum = result(0, t.index(0));
    for (int64_t w = 1; w < warps; ++w)
      maximum = t.max(maximum, result(w, t.index(0)));
    Value shift = finiteShift(t, maximum), sum = t.number(f32, 0), output = sum;
    Value place2 = addIndex(t, column, t.index(2));
    for (int64_t w = 0; w < warps; ++w) {
      Value weight = exponential(t, result(w, t.index(0)), shift);
      sum = t.fma(result(w, t.index(1)), weight, sum);
      output = t.fma(result(w, place2), weight, output);
    }
    t.when(t.less(row, t.index(plan.rows)), [&] { write(row, column, maximum, sum, output); });
  });
}

void Piece::write(Value row, Value column, Value maximum, Value sum, Value output) {
  Value first = t.equal(column, t.index(0)), single = t.equal(pieces, t.index(1));
  t.when(single, [&] {
    writeResult(t, in, {sequence, queryOf(row), headOfRow(row)}, column, maximum, sum, output);
  });
  t.when(t.less(t.index(1), pieces), [&] {
    Value slot = addIndex(t, mulIndex(t, sequence, t.index(p.groups)), group);
    slot = addIndex(t, mulIndex(t, slot, pieces), piece);
    slot = addIndex(t, mulIndex(t, slot, t.index(plan.rows)), row);
    t.when(first, [&] {
      t.store(maximum, partials, {slot, t.index(0)});
      t.store(sum, partials, {slot, t.index(1)});
    });
    t.store(output, partials, {slot, addIndex(t, column, t.index(2))});
  });
}

void Piece::run() {
  SmallVector<Value> place =
      delinearize(t, t.block(0), {p.batch, t.index(p.groups), t.index(plan.chunks), pieces});
  sequence = place[0];
  group = place[1];
  firstRow = mulIndex(t, place[2], t.index(plan.blockRows));
  piece = place[3];
  // Pieces of what is visible, in whole steps.
  Value visible = p.visibleKeys(sequence), step = t.index(plan.keysOfStep());
  Value seen = p.keysOfAny(t.index(0), plan.queries, visible);
  Value length = mulIndex(t, ceilDiv(t, ceilDiv(t, seen, pieces), step), step);
  Value begin = mulIndex(t, piece, length);
  end = minIndex(t, addIndex(t, begin, length), seen);

  Value q = in.getQ(), factor = t.number(f32, scale), zero = t.number(f32, 0);
  for (int64_t r = 0; r < plan.blockRows; ++r) {
    bounds.push_back(minIndex(t, p.keysOf(queryOf(row(r)), visible), end));
    Value head = headOfRow(row(r));
    Rows from(t, q, sequence, head, plan.keyVectors);
    queries.push_back(loadRow(from, queryOf(row(r))));
    for (int64_t n = 0; n < plan.keyVectors * plan.vector; ++n)
      queries[r][n] =
          t.select(t.less(column(n), t.index(plan.keyWidth)), t.mul(queries[r][n], factor), zero);
  }
  keyMatrix = Rows(t, in.getK(), sequence, group, plan.keyVectors);
  valueMatrix = Rows(t, in.getV(), sequence, group, plan.valueVectors);
  State state = unflatten(t.forLoop(begin, end, plan.keysOfStep(), flatten(initialState()),
                                    [&](Value firstKey, ValueRange carried) {
                                      return flatten(this->step(unflatten(carried), firstKey));
                                    }));
  combineWarps(combineTeams(state));
}

/// The results of all pieces of one row, in the order of the pieces: a block for each row.
class Combine {
public:
  Combine(kernel::AttentionOp op, const Plan &plan, ValueRange onDevice, Thread &thread)
      : plan(plan), in(onDevice.drop_back(2), op), partials(onDevice[onDevice.size() - 2]),
        pieces(onDevice.back()), t(thread), f32(thread.builder.getF32Type()) {}

  void run() {
    Value q = in.getQ();
    int64_t groups = sizeOf(in.getK(), 2);
    SmallVector<Value> place =
        delinearize(t, t.block(0), {t.dim(q, 0), t.index(groups), t.index(plan.rows)});
    Value first = addIndex(t, mulIndex(t, place[0], t.index(groups)), place[1]);
    first = mulIndex(t, first, pieces);
    auto slot = [&](Value piece) {
      return addIndex(t, mulIndex(t, addIndex(t, first, piece), t.index(plan.rows)), place[2]);
    };
    auto load = [&](Value piece, Value column) { return t.load(partials, {slot(piece), column}); };
    Value zero = t.index(0), one = t.index(1), threads = t.index(t.threads);
    auto each = [&](Value start, auto next) {
      return t.strided(t.thread(), pieces, threads, start, [&](Value piece, ValueRange carried) {
        return SmallVector<Value>{next(piece, carried[0])};
      })[0];
    };
    Value maximum = t.maxOverBlock(each(t.number(f32, -infinity), [&](Value piece, Value so) {
      return t.max(so, load(piece, zero));
    }));
    Value shift = finiteShift(t, maximum), weights = t.shared({wantedBlocks}, f32);
    Value sum = t.sumOverBlock(each(t.number(f32, 0), [&](Value piece, Value so) {
      Value weight = exponential(t, load(piece, zero), shift);
      t.store(weight, weights, piece);
      return t.fma(load(piece, one), weight, so);
    }));
    Value query = t.builder.createOrFold<arith::DivUIOp>(t.loc, place[2], t.index(plan.repeat));
    Value head = t.builder.createOrFold<arith::RemUIOp>(t.loc, place[2], t.index(plan.repeat));
    head = addIndex(t, mulIndex(t, place[1], t.index(plan.repeat)), head);
    t.strided(t.thread(), t.index(plan.valueWidth), threads, [&](Value column) {
      Value from = addIndex(t, column, t.index(2));
      Value output = t.forLoop(zero, pieces, 1, t.number(f32, 0), [&](Value i, ValueRange so) {
        return SmallVector<Value>{t.fma(load(i, from), t.load(weights, i), so[0])};
      })[0];
      writeResult(t, in, {place[0], query, head}, column, maximum, sum, output);
    });
  }

private:
  const Plan &plan;
  kernel::AttentionOp::Adaptor in;
  Value partials, pieces;
  Thread &t;
  Type f32;
};

} // namespace

bool isDecodeAttention(kernel::AttentionOp op) { return sizeOf(op.getQ(), 1) == 1; }

void emitDecodeAttention(kernel::AttentionOp op, ValueRange operands, Emission &e) {
  kernel::AttentionOp::Adaptor host(operands, op);
  Plan plan(op);
  Type f32 = e.builder.getF32Type();
  Value units =
      mulIndex(e, mulIndex(e, e.dim(host.getQ(), 0), e.dim(host.getK(), 2)), e.index(plan.chunks));
  // As many pieces as fill the GPU, of keys enough.
  Value one = e.index(1), wanted = e.index(wantedBlocks);
  Value some = arith::MaxUIOp::create(e.builder, e.loc, units, one);
  Value pieces = minIndex(e, arith::DivUIOp::create(e.builder, e.loc, wanted, some),
                          ceilDiv(e, e.dim(host.getK(), 1), e.index(keysOfPiece)));
  pieces = arith::MaxUIOp::create(e.builder, e.loc, pieces, one);
  SmallVector<Value> all(operands);
  all.push_back(e.scratch({plan.partialRows(), plan.partialWidth()}, f32));
  all.push_back(pieces);
  e.launch({mulIndex(e, units, pieces), {}, {}}, decodeThreads, all,
           [&](Thread &t, ValueRange onDevice) { Piece(op, plan, onDevice, t).run(); });
  Value several = arith::CmpIOp::create(e.builder, e.loc, arith::CmpIPredicate::ugt, pieces, one);
  Value rows =
      mulIndex(e, mulIndex(e, e.dim(host.getQ(), 0), e.dim(host.getK(), 2)), e.index(plan.rows));
  rows = arith::SelectOp::create(e.builder, e.loc, several, rows, e.index(0));
  e.launch({rows, {}, {}}, decodeThreads, all,
           [&](Thread &t, ValueRange onDevice) { Combine(op, plan, onDevice, t).run(); });
}

} // namespace quern::nvidia
