//===- Team.cpp - The threads that work on one row --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Team.h"

#include "Pointer.h"
#include "quern/Emission/Indices.h"

using namespace mlir;

namespace quern::nvidia {

using Values = Team::Values;

/// A thread holds so many elements of a row: two rows and two sums a column fit into the 255
/// registers that it can have.
constexpr int64_t mostHeld = 32;

bool Team::isWarp(Value columns) {
  auto known = constantOf(columns);
  return known && *known <= warpColumns;
}

int64_t Team::threadsFor(Value columns) {
  auto known = constantOf(columns);
  return known && *known > blockThreads * mostHeld ? longRowThreads : blockThreads;
}

int64_t Team::widthFor(Value columns, int64_t lanes) {
  auto known = constantOf(columns);
  if (!known || *known > warpColumns)
    return warpSize;
  auto groups = static_cast<uint64_t>(std::max<int64_t>(*known / lanes, 1));
  return std::min(static_cast<int64_t>(llvm::PowerOf2Ceil(groups)), warpSize);
}

Team::Team(Thread &thread, Value columns, int64_t lanes, int64_t sharedBytes, int64_t width)
    : t(thread), columns(columns), lanes(lanes), warp(isWarp(columns)), width(width),
      sharedLeft(sharedBytes), grouped(columns) {
  auto known = constantOf(columns);
  if (!known)
    return;
  tail = *known % lanes;
  int64_t inGroups = *known - tail, eachStep = size() * lanes;
  if (tail)
    grouped = t.index(inGroups);
  if (t.threads == longRowThreads || llvm::divideCeil(*known, eachStep) * lanes > mostHeld)
    return;
  sharedLeft = 0;
  steps = static_cast<int64_t>(llvm::divideCeil(inGroups, eachStep));
  wholeSteps = inGroups / eachStep;
}

Value Team::rank() {
  if (!warp)
    return t.thread();
  if (width == warpSize)
    return t.lane();
  return arith::AndIOp::create(t.builder, t.loc, t.lane(), t.index(width - 1));
}

Value Team::number() {
  if (!warp)
    return t.block(0);
  Value inBlock = t.warp();
  if (width != warpSize)
    inBlock = arith::DivUIOp::create(t.builder, t.loc, t.thread(), t.index(width));
  return addIndex(t, mulIndex(t, t.block(0), t.index(t.threads / width)), inBlock);
}

Value Team::count() {
  return warp ? mulIndex(t, t.blocks(0), t.index(t.threads / width)) : t.blocks(0);
}

Value Team::firstColumn(int64_t step) {
  return addIndex(t, mulIndex(t, rank(), t.index(lanes)), t.index(step * size() * lanes));
}

void Team::whenInside(int64_t step, llvm::function_ref<void()> body) {
  if (step < wholeSteps)
    return body();
  t.when(t.less(firstColumn(step), grouped), body);
}

Values Team::whenInside(int64_t step, ValueRange otherwise, llvm::function_ref<Values()> body) {
  if (step < wholeSteps)
    return body();
  return t.when(t.less(firstColumn(step), grouped), otherwise, body);
}

/// Starts to copy all that this thread has of a row to shared memory, and waits for it: all of it
/// is under way at a time, and takes no registers. Null where there is no room.
Value Team::copyOf(Value row) {
  Type element = cast<MemRefType>(row.getType()).getElementType();
  int64_t each = elementBytes(element), group = lanes * each;
  auto known = constantOf(grouped);
  if (!known || *known * each > sharedLeft || (group != 16 && group != 8 && group != 4))
    return {};
  sharedLeft -= static_cast<int64_t>(llvm::alignTo(static_cast<uint64_t>(*known * each), 16));
  Value memory = t.shared({*known}, element);
  Pointer from(t, row), to(t, memory);
  Value bytes = t.int32(group);
  t.strided(firstColumn(0), grouped, t.index(size() * lanes), [&](Value column) {
    copyAsync(t, to.at(t, column), from.at(t, column), group, bytes);
  });
  closeCopies(t);
  awaitCopies(t, 0);
  return memory;
}

Team::Part Team::read(Value row, Type type) {
  Part part{row, type, {}, {}, {}};
  Values zeros(lanes, t.number(type, 0));
  for (int64_t step = 0; step < steps; ++step)
    part.held.append(whenInside(step, zeros, [&] {
      auto load = [&] { return t.loadVector(row, firstColumn(step), lanes, type); };
      return isActive ? t.when(isActive, zeros, load) : load();
    }));
  bool isLong = !steps && sharedLeft;
  if (isLong)
    part.copy = copyOf(row);
  if (tail && (steps || part.copy))
    part.last = t.when(hasLast(), t.number(type, 0),
                       [&] { return Values{t.load(row, lastColumn(), type)}; })[0];
  return part;
}

Values Team::walk(Parts inputs, ValueRange carried, Body body) {
  Values now(carried);
  for (int64_t step = 0; step < steps; ++step)
    now = whenInside(step, now, [&] {
      SmallVector<Values> elements(lanes);
      for (int64_t lane = 0; lane < lanes; ++lane)
        for (const Part &input : inputs)
          elements[lane].push_back(input.held[step * lanes + lane]);
      return body(elements, now);
    });
  if (!steps)
    now = t.strided(
        firstColumn(0), grouped, t.index(size() * lanes), carried,
        [&](Value column, ValueRange inner) { return body(loadGroup(inputs, column), inner); });
  if (tail)
    now = t.when(hasLast(), now, [&] { return body(loadLast(inputs), now); });
  return now;
}

SmallVector<Values> Team::loadGroup(Parts inputs, Value column) {
  SmallVector<Values> elements(lanes);
  for (const Part &input : inputs)
    for (auto [lane, value] :
         llvm::enumerate(t.loadVector(input.source(), column, lanes, input.type)))
      elements[lane].push_back(value);
  return elements;
}

Values Team::loadLast(Parts inputs) {
  Values elements;
  for (const Part &input : inputs)
    elements.push_back(input.last ? input.last : t.load(input.row, lastColumn(), input.type));
  return elements;
}

Team::Part Team::write(Parts inputs, Value row, llvm::function_ref<Value(ValueRange)> element) {
  Part result{row, {}, {}, {}, {}};
  Type stored = cast<MemRefType>(row.getType()).getElementType();
  for (int64_t step = 0; step < steps; ++step) {
    Values values;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Values from;
      for (const Part &input : inputs)
        from.push_back(input.held[step * lanes + lane]);
      values.push_back(element(from));
    }
    whenInside(step, [&] { whenActive([&] { t.storeVector(values, row, firstColumn(step)); }); });
    for (Value value : values) {
      result.type = value.getType();
      result.held.push_back(t.convert(t.convert(value, stored), result.type));
    }
  }
  if (!steps)
    t.strided(firstColumn(0), grouped, t.index(size() * lanes), [&](Value column) {
      Values values;
      for (const Values &inputsOfLane : loadGroup(inputs, column))
        values.push_back(element(inputsOfLane));
      result.type = values.front().getType();
      whenActive([&] { t.storeVector(values, row, column); });
    });
  if (tail) {
    Values one = t.when(hasLast(), t.number(result.type, 0), [&] {
      Value value = element(loadLast(inputs));
      whenActive([&] { t.store(value, row, lastColumn()); });
      return Values{t.convert(t.convert(value, stored), result.type)};
    });
    if (steps)
      result.last = one[0];
  }
  return result;
}

Values Team::sums(Parts inputs, int64_t count, Type type,
                  llvm::function_ref<Values(ValueRange)> terms) {
  // Lanes add on their own, so that additions do not wait for each other.
  Values zeros(count * lanes, t.number(type, 0));
  Values own = walk(inputs, zeros, [&](ArrayRef<Values> elements, ValueRange carried) {
    Values next(carried);
    for (auto [lane, values] : llvm::enumerate(elements))
      for (auto [i, term] : llvm::enumerate(terms(values)))
        next[i * lanes + lane] = t.add(next[i * lanes + lane], term);
    return next;
  });
  Values totals;
  for (int64_t i = 0; i < count; ++i)
    totals.push_back(t.sumOf(ValueRange(own).slice(i * lanes, lanes)));
  auto add = [&](Value a, Value b) { return t.add(a, b); };
  return overTeam(totals, add);
}

Value Team::sum(const Part &input, llvm::function_ref<Value(Value)> term) {
  return sums(input, 1, input.type, [&](ValueRange in) { return Values{term(in[0])}; })[0];
}

Values Team::overTeam(ValueRange values, Thread::Combine combine) {
  if (!warp)
    return t.overBlock(values, combine);
  Values all(values);
  for (int64_t distance = width / 2; distance; distance /= 2)
    for (Value &value : all)
      value = combine(value, t.exchange(value, distance));
  return all;
}

Value Team::sum(Value value) {
  return combine(value, [&](Value a, Value b) { return t.add(a, b); });
}

Value Team::combine(Value value, Thread::Combine combine) { return overTeam(value, combine)[0]; }

void Team::forGroups(llvm::function_ref<void(Value)> body) {
  whenActive([&] { t.strided(firstColumn(0), columns, t.index(size() * lanes), body); });
}

Values Team::forGroups(ValueRange carried, llvm::function_ref<Values(Value, ValueRange)> body) {
  return t.strided(firstColumn(0), columns, t.index(size() * lanes), carried, body);
}

void Team::fence() { warp ? t.syncWarp() : t.barrier(); }

void Team::onFirst(llvm::function_ref<void()> body) {
  whenActive([&] { t.when(t.equal(rank(), t.index(0)), body); });
}

Values ColumnSums::initial() {
  Value zero = team.t.number(type, 0);
  if (!team.steps)
    team.write({}, row, [&](ValueRange) { return zero; });
  return Values(team.steps * team.lanes, zero);
}

Values ColumnSums::add(Team::Parts inputs, ValueRange carried,
                       llvm::function_ref<Value(ValueRange)> term) {
  Thread &t = team.t;
  if (!team.steps) {
    SmallVector<Team::Part> all(inputs);
    all.push_back({row, type, {}, {}, {}});
    team.write(all, row, [&](ValueRange in) { return t.add(in.back(), term(in.drop_back())); });
    return {};
  }
  Values next;
  for (auto [i, sum] : llvm::enumerate(carried)) {
    Values elements;
    for (const Team::Part &input : inputs)
      elements.push_back(input.held[i]);
    next.push_back(t.add(sum, term(elements)));
  }
  return next;
}

void ColumnSums::finish(ValueRange carried) {
  for (int64_t step = 0; step < team.steps; ++step)
    team.whenInside(step, [&] {
      team.t.storeVector(carried.slice(step * team.lanes, team.lanes), row, team.firstColumn(step));
    });
}

} // namespace quern::nvidia
