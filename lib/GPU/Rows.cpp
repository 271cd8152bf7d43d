//===- Rows.cpp - Rows shared out among warps or blocks
//----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Rows.h"

using namespace mlir;

namespace quern::nvidia {

/// Rows of up to so many columns go to one warp.
constexpr int64_t warpColumns = 1024;
constexpr int64_t blockThreads = 256;

Value Team::rank() { return isWarp ? t.lane() : t.thread(); }

void Team::forColumns(Value columns, llvm::function_ref<void(Value)> body) {
  t.strided(rank(), columns, size(), body);
}

SmallVector<Value>
Team::forColumns(Value columns, ValueRange carried,
                 llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  return t.strided(rank(), columns, size(), carried, body);
}

Value Team::sum(Value columns, Type type, llvm::function_ref<Value(Value)> term) {
  Value own = forColumns(columns, t.number(type, 0), [&](Value column, ValueRange carried) {
    return SmallVector<Value>{t.add(carried[0], term(column))};
  })[0];
  return sum(own);
}

Value Team::sum(Value value) { return isWarp ? t.sumOverWarp(value) : t.sumOverBlock(value); }

Value Team::max(Value value) {
  auto larger = [&](Value a, Value b) { return t.max(a, b); };
  return isWarp ? t.overWarp(value, larger) : t.overBlock(value, larger);
}

void Team::fence() { isWarp ? t.syncWarp() : t.barrier(); }

void Team::onFirst(llvm::function_ref<void()> body) { t.when(t.equal(rank(), t.index(0)), body); }

void forRows(Emission &e, Value rows, Value columns, ValueRange operands,
             llvm::function_ref<void(Team &, Value, ValueRange)> body) {
  auto known = constantOf(columns);
  if (!known || *known > warpColumns)
    return e.launch({rows, {}, {}}, blockThreads, operands, [&](Thread &t, ValueRange onDevice) {
      Team team(t, /*isWarp=*/false);
      body(team, t.block(0), onDevice);
    });
  SmallVector<Value> all(operands);
  all.push_back(rows);
  constexpr int64_t warps = blockThreads / warpSize;
  e.launch({ceilDiv(e, rows, e.index(warps)), {}, {}}, blockThreads, all,
           [&](Thread &t, ValueRange onDevice) {
             Value row = addIndex(t, mulIndex(t, t.block(0), t.index(warps)), t.warp());
             t.when(t.less(row, onDevice.back()), [&] {
               Team team(t, /*isWarp=*/true);
               body(team, row, onDevice.drop_back());
             });
           });
}

Value forRowSubsets(
    Emission &e, Value rows, ValueRange operands,
    llvm::function_ref<SmallVector<Value>(Thread &)> initial,
    llvm::function_ref<SmallVector<Value>(Team &, Value, ValueRange, ValueRange)> body,
    llvm::function_ref<void(Thread &, Value, ValueRange, ValueRange)> finish) {
  Value slots = atMost(e, rows, partialBlocks);
  SmallVector<Value> all(operands);
  all.push_back(rows);
  e.launch({slots, {}, {}}, blockThreads, all, [&](Thread &t, ValueRange onDevice) {
    ValueRange inputs = onDevice.drop_back();
    Team team(t, /*isWarp=*/false);
    SmallVector<Value> last =
        t.strided(t.block(0), onDevice.back(), t.blocks(0), initial(t),
                  [&](Value row, ValueRange carried) { return body(team, row, carried, inputs); });
    finish(t, t.block(0), last, inputs);
  });
  return slots;
}

SmallVector<Value> at(ArrayRef<Value> indices, Value column) {
  SmallVector<Value> all(indices);
  all.push_back(column);
  return all;
}

SmallVector<Value> rowIndices(Code &code, Value memref, Value row) {
  SmallVector<Value> sizes;
  for (int64_t i = 0; i + 1 < cast<MemRefType>(memref.getType()).getRank(); ++i)
    sizes.push_back(code.dim(memref, i));
  return delinearize(code, row, sizes);
}

} // namespace quern::nvidia
