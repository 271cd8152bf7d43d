//===- Indices.cpp - Index arithmetic ---------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/Indices.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace quern::emission {

std::optional<int64_t> constantOf(Value value) { return getConstantIntValue(value); }

Value addIndex(Code &e, Value a, Value b) {
  return e.builder.createOrFold<arith::AddIOp>(e.loc, a, b);
}
Value mulIndex(Code &e, Value a, Value b) {
  return e.builder.createOrFold<arith::MulIOp>(e.loc, a, b);
}
Value minIndex(Code &e, Value a, Value b) {
  return e.builder.createOrFold<arith::MinUIOp>(e.loc, a, b);
}
Value ceilDiv(Code &e, Value a, Value b) {
  Value less = e.builder.createOrFold<arith::SubIOp>(e.loc, b, e.index(1));
  return e.builder.createOrFold<arith::DivUIOp>(e.loc, addIndex(e, a, less), b);
}

SmallVector<Value> delinearize(Code &e, Value linear, ArrayRef<Value> sizes) {
  SmallVector<Value> indices(sizes.size());
  size_t slowest = 0;
  while (slowest + 1 < sizes.size() && constantOf(sizes[slowest]) == 1)
    ++slowest;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (constantOf(sizes[i]) == 1) {
      indices[i] = e.index(0);
    } else if (i == slowest) {
      indices[i] = linear;
    } else {
      indices[i] = arith::RemUIOp::create(e.builder, e.loc, linear, sizes[i]);
      linear = arith::DivUIOp::create(e.builder, e.loc, linear, sizes[i]);
    }
  }
  return indices;
}

} // namespace quern::emission
