//===- Team.cpp - The threads that work on one row --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Team.h"

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

Team::Team(Thread &thread, Value columns, int64_t lanes)
    : t(thread), columns(columns), lanes(lanes), warp(isWarp(columns)) {
  auto known = constantOf(columns);
  int64_t eachStep = size() * lanes;
  if (!known || llvm::divideCeil(*known, eachStep) * lanes > mostHeld)
    return;
  steps = static_cast<int64_t>(llvm::divideCeil(*known, eachStep));
  wholeSteps = *known / eachStep;
}

Value Team::rank() { return warp ? t.lane() : t.thread(); }

Value Team::number() {
  if (!warp)
    return t.block(0);
  return addIndex(t, mulIndex(t, t.block(0), t.index(t.threads / warpSize)), t.warp());
}

Value Team::count() {
  return warp ? mulIndex(t, t.blocks(0), t.index(t.threads / warpSize)) : t.blocks(0);
}

Value Team::firstColumn(int64_t step) {
  return addIndex(t, mulIndex(t, rank(), t.index(lanes)), t.index(step * size() * lanes));
}

void Team::whenInside(int64_t step, llvm::function_ref<void()> body) {
  if (step < wholeSteps)
    return body();
  t.when(t.less(firstColumn(step), columns), body);
}

Values Team::whenInside(int64_t step, ValueRange otherwise, llvm::function_ref<Values()> body) {
  if (step < wholeSteps)
    return body();
  return t.when(t.less(firstColumn(step), columns), otherwise, body);
}

Team::Part Team::read(Value row, Type type) {
  Part part{row, type, {}};
  Values zeros(lanes, t.number(type, 0));
  for (int64_t step = 0; step < steps; ++step)
    part.held.append(
        whenInside(step, zeros, [&] { return t.loadVector(row, firstColumn(step), lanes, type); }));
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
  if (steps)
    return now;
  return t.strided(firstColumn(0), columns, t.index(size() * lanes), carried,
                   [&](Value column, ValueRange inner) {
                     SmallVector<Values> elements(lanes);
                     for (const Part &input : inputs)
                       for (auto [lane, value] :
                            llvm::enumerate(t.loadVector(input.row, column, lanes, input.type)))
                         elements[lane].push_back(value);
                     return body(elements, inner);
                   });
}

Team::Part Team::write(Parts inputs, Value row, llvm::function_ref<Value(ValueRange)> element) {
  Part result{row, {}, {}};
  Type stored = cast<MemRefType>(row.getType()).getElementType();
  for (int64_t step = 0; step < steps; ++step) {
    Values values;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Values from;
      for (const Part &input : inputs)
        from.push_back(input.held[step * lanes + lane]);
      values.push_back(element(from));
    }
    whenInside(step, [&] { t.storeVector(values, row, firstColumn(step)); });
    for (Value value : values) {
      result.type = value.getType();
      result.held.push_back(t.convert(t.convert(value, stored), result.type));
    }
  }
  if (steps)
    return result;
  t.strided(firstColumn(0), columns, t.index(size() * lanes), [&](Value column) {
    SmallVector<Values> from(lanes);
    for (const Part &input : inputs)
      for (auto [lane, value] : llvm::enumerate(t.loadVector(input.row, column, lanes, input.type)))
        from[lane].push_back(value);
    Values values;
    for (const Values &inputsOfLane : from)
      values.push_back(element(inputsOfLane));
    result.type = values.front().getType();
    t.storeVector(values, row, column);
  });
  return result;
}

Values Team::sums(Parts inputs, int64_t count, Type type,
                  llvm::function_ref<Values(ValueRange)> terms) {
  // Lanes add on their own, so that additions do not wait for each other.
  Values zeros(count * lanes, t.number(type, 0));
  Values own = walk(inputs, zeros, [&](ArrayRef<Values> elements, ValueRange carried) {
    Values next(carried);
    for (int64_t lane = 0; lane < lanes; ++lane)
      for (auto [i, term] : llvm::enumerate(terms(elements[lane])))
        next[i * lanes + lane] = t.add(next[i * lanes + lane], term);
    return next;
  });
  Values totals;
  for (int64_t i = 0; i < count; ++i)
    totals.push_back(t.sumOf(ValueRange(own).slice(i * lanes, lanes)));
  auto add = [&](Value a, Value b) { return t.add(a, b); };
  return warp ? t.overWarp(totals, add) : t.overBlock(totals, add);
}

Value Team::sum(const Part &input, llvm::function_ref<Value(Value)> term) {
  return sums(input, 1, input.type, [&](ValueRange in) { return Values{term(in[0])}; })[0];
}

Value Team::sum(Value value) { return warp ? t.sumOverWarp(value) : t.sumOverBlock(value); }

Value Team::combine(Value value, Thread::Combine combine) {
  return warp ? t.overWarp(value, combine) : t.overBlock(value, combine);
}

void Team::forGroups(llvm::function_ref<void(Value)> body) {
  t.strided(firstColumn(0), columns, t.index(size() * lanes), body);
}

Values Team::forGroups(ValueRange carried, llvm::function_ref<Values(Value, ValueRange)> body) {
  return t.strided(firstColumn(0), columns, t.index(size() * lanes), carried, body);
}

void Team::fence() { warp ? t.syncWarp() : t.barrier(); }

void Team::onFirst(llvm::function_ref<void()> body) { t.when(t.equal(rank(), t.index(0)), body); }

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
    all.push_back({row, type, {}});
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
