//===- Cache.cpp - Writing keys and values into a cache ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Emitters.h"
#include "Rows.h"

using namespace mlir;

namespace quern::cpu {

LogicalResult emit(kernel::CacheAppendOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::CacheAppendOp::Adaptor in(operands, op);
  Value x = in.getX(), cache = in.getOutputs()[0];
  auto type = cast<MemRefType>(x.getType());
  int64_t last = type.getRank() - 1;
  if (last < 2)
    return op.emitOpError("x has rank ") << type.getRank() << ", not [B, T, ...]";
  Vectors v(e, computeType(type.getElementType()));
  Value columns = e.dim(x, last), zero = e.index(0);
  Value first = loadOffset(e, in.getOffset());
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < last; ++i)
    sizes.push_back(e.dim(x, i));
  int64_t bytes = 2 * elementBytes(type.getElementType());
  forRows(e, e.leadingSize(x, last), rowsPerUnit(e, columns, bytes), [&](Value row) {
    SmallVector<Value> at = delinearize(e, row, sizes);
    Value source = rowAt(e, x, at);
    at[1] = addIndex(e, first, at[1]);
    Value target = rowAt(e, cache, at);
    v.forColumns(zero, columns, [&](Value column, Value mask) {
      v.store(v.load(source, column, mask), target, column, mask);
    });
  });
  return success();
}

} // namespace quern::cpu
