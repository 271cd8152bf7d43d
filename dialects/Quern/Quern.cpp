//===- Quern.cpp - The quern dialect ---------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/Inference.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace quern;

#include "dialects/Quern/QuernDialect.cpp.inc"
#include "dialects/Quern/QuernEnums.cpp.inc"

void QuernDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Quern/QuernOps.cpp.inc"
      >();
}

LogicalResult quern::checkTensors(Where where, StringRef op, ValueRange operands) {
  for (Value operand : operands)
    if (!isa<RankedTensorType>(operand.getType()))
      return emitOptionalError(where, op, " takes ranked tensors, not ", operand.getType());
  return success();
}

#define GET_OP_CLASSES
#include "dialects/Quern/QuernOps.cpp.inc"
