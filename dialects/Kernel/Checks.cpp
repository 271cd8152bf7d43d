//===- Checks.cpp - What checks of kernels share --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Checks.h"

#include "mlir/IR/Diagnostics.h"

using namespace mlir;

namespace quern::kernel {

LogicalResult outputsBetween(Operation *op, ValueRange outputs, size_t least, size_t most) {
  if (outputs.size() >= least && outputs.size() <= most)
    return success();
  InFlightDiagnostic error = op->emitOpError("takes ") << least;
  if (most != least)
    error << " to " << most;
  return error << (most == 1 ? " output" : " outputs") << ", not " << outputs.size();
}

LogicalResult sameShape(Operation *op, Value a, Value b, StringRef what) {
  if (failed(verifyCompatibleShape(shaped(a).getShape(), shaped(b).getShape())))
    return op->emitOpError(what) << " differ in shape: " << a.getType() << " and " << b.getType();
  return success();
}

LogicalResult rankIs(Operation *op, Value value, int64_t rank, StringRef name) {
  if (shaped(value).getRank() != rank)
    return op->emitOpError() << name << " has rank " << shaped(value).getRank() << ", not " << rank;
  return success();
}

LogicalResult rankAtLeast(Operation *op, Value value, int64_t rank, StringRef name) {
  if (shaped(value).getRank() < rank)
    return op->emitOpError() << name << " has rank " << shaped(value).getRank() << ", not " << rank
                             << " or more";
  return success();
}

LogicalResult vectorFits(Operation *op, Value vector, Value x, StringRef name) {
  if (vector && (shaped(vector).getRank() != 1 || differ(lastDim(vector), lastDim(x))))
    return op->emitOpError() << name << " " << vector.getType() << " is no vector for "
                             << x.getType();
  return success();
}

LogicalResult scalarFits(Operation *op, Value scalar, StringRef name) {
  return scalar ? rankIs(op, scalar, 0, name) : success();
}

} // namespace quern::kernel
