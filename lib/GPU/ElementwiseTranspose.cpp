//===- ElementwiseTranspose.cpp - linalg.generic across two layouts ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Where outputs are contiguous in one loop and an input in another, a warp cannot read and write
// neighbours alike. A block takes a square of both loops: it reads the input along its rows into
// shared memory, and from there along columns.

#include "Elementwise.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

constexpr int64_t side = warpSize; ///< of the square
constexpr int64_t warps = 8;       ///< of a block: each takes every eighth row

class Transpose {
public:
  Transpose(const LoopNest &nest, ValueRange operands, Emission &emission)
      : host(nest), operands(operands), e(emission) {}

  /// Finds the loops; false when there are none.
  bool match();
  void emit();

private:
  /// Whether an operand is an input to read along `down`. Elements of i1 have another size in
  /// memory than anywhere else, and indices have none.
  bool crosses(const Access &access) const {
    return !access.output && access.uses(across) && access.isContiguous(down) &&
           access.element().isIntOrFloat() && !access.element().isInteger(1);
  }
  void emitSquare(Thread &t, const LoopNest &nest);

  const LoopNest &host;
  ValueRange operands;
  Emission &e;
  int64_t across = -1; ///< in which outputs are contiguous
  int64_t down = -1;   ///< in which the inputs are that go through shared memory
};

bool Transpose::match() {
  SmallVector<int64_t> loops = loopsOf(host, /*reduction=*/false);
  if (contiguousLoop(host, loops) >= 0)
    return false;
  // Squares of short loops would leave most threads without work.
  llvm::erase_if(loops, [&](int64_t loop) {
    auto known = constantOf(host.sizes[loop]);
    return known && *known < side / 4;
  });
  for (int64_t loop : loops)
    if (llvm::all_of(host.accesses, [&](const Access &access) {
          return !access.output || access.isContiguous(loop);
        }))
      across = loop;
  if (across < 0)
    return false;
  for (int64_t loop : loops) {
    down = loop;
    if (loop != across &&
        llvm::any_of(host.accesses, [&](const Access &access) { return crosses(access); }))
      return true;
  }
  return false;
}

void Transpose::emit() {
  Value blocks = e.index(1);
  for (auto [loop, size] : llvm::enumerate(host.sizes)) {
    bool isSquare = static_cast<int64_t>(loop) == across || static_cast<int64_t>(loop) == down;
    blocks = mulIndex(e, blocks, isSquare ? ceilDiv(e, size, e.index(side)) : size);
  }
  launchNest(e, host.op, {blocks, {}, {}}, warps * warpSize, operands,
             [&](Thread &t, const LoopNest &nest, ValueRange) { emitSquare(t, nest); });
}

void Transpose::emitSquare(Thread &t, const LoopNest &nest) {
  SmallVector<Value> sizes(nest.sizes);
  for (int64_t loop : {across, down})
    sizes[loop] = ceilDiv(t, sizes[loop], t.index(side));
  SmallVector<Value> first = delinearize(t, t.block(0), sizes);
  for (int64_t loop : {across, down})
    first[loop] = mulIndex(t, first[loop], t.index(side));
  Body body(nest, t);
  /// Runs `each(row in the square, indices)` for the rows of this warp: this thread's element of
  /// them, `along` being the loop of a row.
  auto forElements = [&](int64_t along, int64_t rows,
                         llvm::function_ref<void(Value, ArrayRef<Value>)> each) {
    SmallVector<Value> indices(first);
    indices[along] = addIndex(t, first[along], t.lane());
    for (int64_t i = 0; i < side; i += warps) {
      Value row = addIndex(t, t.warp(), t.index(i));
      indices[rows] = addIndex(t, first[rows], row);
      Value inside = t.both(t.less(indices[along], nest.sizes[along]),
                            t.less(indices[rows], nest.sizes[rows]));
      t.when(inside, [&] { each(row, indices); });
    }
  };
  SmallVector<Value> squares(nest.accesses.size());
  for (auto [operand, access] : llvm::enumerate(nest.accesses)) {
    if (!crosses(access) || !body.isUsed(operand))
      continue;
    // The column more keeps the elements of a column in different banks.
    Value square = squares[operand] = t.shared({side, side + 1}, access.element());
    const Access &input = access;
    forElements(down, across, [&](Value row, ArrayRef<Value> indices) {
      t.store(body.load(input, indices, down, 1)[0], square, {row, t.lane()});
    });
  }
  t.barrier();
  forElements(across, down, [&](Value row, ArrayRef<Value> indices) {
    SmallVector<Value> elements;
    for (auto [operand, access] : llvm::enumerate(nest.accesses)) {
      if (squares[operand])
        elements.push_back(t.load(squares[operand], {t.lane(), row}));
      else
        elements.push_back(body.isUsed(operand) ? body.load(access, indices, across, 1)[0]
                                                : Value());
    }
    body.storeOutputs(indices, body.yield(indices, elements));
  });
}

} // namespace

bool emitTransposed(const LoopNest &nest, ValueRange operands, Emission &e) {
  Transpose transpose(nest, operands, e);
  if (!transpose.match())
    return false;
  transpose.emit();
  return true;
}

} // namespace quern::nvidia
