//===- Cache.cpp - Writing keys and values into a cache ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Emitters.h"
#include "Rows.h"

using namespace mlir;

namespace quern::nvidia {

LogicalResult emit(kernel::CacheAppendOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::CacheAppendOp::Adaptor host(operands, op);
  auto type = cast<MemRefType>(host.getX().getType());
  int64_t last = type.getRank() - 1;
  if (last < 2)
    return op.emitOpError("x has rank ") << type.getRank() << ", not [B, T, ...]";
  // What is only copied keeps its bits.
  auto cache = cast<MemRefType>(host.getOutputs()[0].getType());
  bool isCopy = type.getElementType() == cache.getElementType();
  Type compute = isCopy ? type.getElementType() : computeType(type.getElementType());
  Value rows = e.leadingSize(host.getX(), last), columns = e.dim(host.getX(), last);
  forRows(e, rows, columns, operands, [&](Team &team, Value row, ValueRange onDevice) {
    Thread &t = team.t;
    kernel::CacheAppendOp::Adaptor in(onDevice, op);
    SmallVector<Value> source = rowIndices(t, in.getX(), row), target = source;
    target[1] = addIndex(t, target[1], loadOffset(t, in.getOffset()));
    Team::Part x = team.read(rowAt(t, in.getX(), source), compute);
    team.write(x, rowAt(t, in.getOutputs()[0], target),
               [](ValueRange element) { return element[0]; });
  });
  return success();
}

} // namespace quern::nvidia
