//===- GemmBoxStore.cpp - C by the tensor memory accelerator ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A warp rounds its sums, brings them by stmatrix to its room in shared memory, in boxes of 16 rows
// of 128 bytes with the swizzle of the map, and lets one lane start the copies. The accelerator
// leaves out what lies outside of C.

#include "GemmSumStore.h"
#include "TensorCopy.h"
#include "WarpMatrix.h"
#include "Wgmma.h"

using namespace mlir;

namespace quern::nvidia {

constexpr int64_t boxRows = 16, boxColumns = 64;

std::optional<TensorMap> SumStore::boxMap(Code &code, const Problem &problem) {
  const Epilogue &epilogue = problem.epilogue;
  if (!isRoundedFirst(epilogue))
    return {};
  // What only the host sees is no reason for another kernel.
  Value allows = epilogue.c.allowsTensorMap(code);
  if (!allows || !constantOf(allows).value_or(0))
    return {};
  return epilogue.c.tensorMap(code, boxRows);
}

/// Stores the sums of as many columns as the warp has room for.
void SumStore::finishBoxes(const Part &part, Value layer, ValueRange sums) {
  OpBuilder &b = t.builder;
  Value isFirst = t.equal(t.lane(), t.index(0));
  // The copies of the part before have left the room.
  t.when(isFirst, [&] { awaitBoxesRead(t); });
  t.syncWarp();

  // Of four matrices of 8 x 8, the second lies below the first, and the others beside them. Words
  // of 16 bytes change places by row, as the swizzle wants it.
  Pointer room = part.memory;
  room.element = part.problem.epilogue.c.element;
  SmallVector<Value> place = t.digits(t.int32(t.lane()), {2, 2, 8});
  Value row = addIndex(t, mulIndex(t, place[1], t.int32(8)), place[2]);
  Pointer start = room.at(t, mulIndex(t, row, t.int32(boxColumns)));
  Value turned = arith::XOrIOp::create(b, t.loc, place[0], place[2]);
  SmallVector<Value> values = addBias(part, sums);
  int64_t columns = static_cast<int64_t>(sums.size()) * 2;
  for (int64_t column = 0; column < columns; column += 16) {
    SmallVector<Value> registers;
    auto own = ArrayRef<Value>(values).slice(sumsOfThread(column), sumsOfThread(16));
    for (; !own.empty(); own = own.drop_front(2))
      registers.push_back(packPair(t, own[0], own[1], room.element));
    Value word = arith::XOrIOp::create(b, t.loc, turned, t.int32(column % boxColumns / 8));
    Pointer box = start.at(t, column / boxColumns * boxRows * boxColumns);
    storeMatrices(t, box.at(t, mulIndex(t, word, t.int32(8))), registers);
  }
  publishShared(t);
  t.syncWarp();
  t.when(isFirst, [&] {
    SmallVector<Value> batch = part.problem.epilogue.c.batchCoordinates(t, layer);
    for (int64_t column = 0; column < columns; column += boxColumns) {
      SmallVector<Value> coordinates{t.int32(addIndex(t, part.column, t.index(column))),
                                     t.int32(part.row)};
      llvm::append_range(coordinates, batch);
      storeBox(t, room.at(t, column * boxRows), mapOfC, coordinates);
    }
    closeBoxes(t);
  });
}

void SumStore::close() {
  if (mapOfC)
    t.when(t.equal(t.lane(), t.index(0)), [&] { awaitBoxesRead(t); });
}

} // namespace quern::nvidia
