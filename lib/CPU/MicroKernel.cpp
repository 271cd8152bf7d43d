//===- MicroKernel.cpp - The register tile that every matrix product ends in -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "MicroKernel.h"

#include "DotProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace quern::cpu {

RegisterTile registerTile(const Machine &machine, Type element) {
  int64_t lanes = machine.lanes(element);
  return {machine.tileRows, machine.tileVectors, lanes, VectorType::get({lanes}, element)};
}

VectorType RegisterTile::panelVector() const {
  return pairs ? VectorType::get({lanes}, IntegerType::get(vector.getContext(), 32)) : vector;
}

Value add(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::AddIOp>(e.loc, a, b);
}
Value add(Emission &e, Value a, int64_t b) { return b ? add(e, a, e.index(b)) : a; }
Value sub(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::SubIOp>(e.loc, a, b);
}
Value mul(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::MulIOp>(e.loc, a, b);
}
Value mul(Emission &e, Value a, int64_t b) { return b == 1 ? a : mul(e, a, e.index(b)); }
Value divide(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::DivUIOp>(e.loc, a, b);
}
Value remainder(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::RemUIOp>(e.loc, a, b);
}
Value ceilDivide(Emission &e, Value a, int64_t b) {
  return divide(e, add(e, a, b - 1), e.index(b));
}
Value minimum(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::MinSIOp>(e.loc, a, b);
}
Value less(Emission &e, Value a, Value b) {
  return e.builder.createOrFold<arith::CmpIOp>(e.loc, arith::CmpIPredicate::slt, a, b);
}

Value fma(Emission &e, Value a, Value b, Value c) {
  if (e.machine.hasFma)
    return vector::FMAOp::create(e.builder, e.loc, a, b, c);
  // Without the instruction a fused multiply-add would be a call of the C library.
  return arith::AddFOp::create(e.builder, e.loc, arith::MulFOp::create(e.builder, e.loc, a, b), c);
}

Value splat(Emission &e, Type type, double value) {
  auto vector = dyn_cast<VectorType>(type);
  FloatAttr scalar = e.builder.getFloatAttr(vector ? vector.getElementType() : type, value);
  if (!vector)
    return arith::ConstantOp::create(e.builder, e.loc, scalar);
  return arith::ConstantOp::create(e.builder, e.loc, DenseElementsAttr::get(vector, scalar));
}

Value laneMask(Emission &e, VectorType type, Value count) {
  return vector::CreateMaskOp::create(e.builder, e.loc, type.clone(e.builder.getI1Type()),
                                      ValueRange{count});
}

Value converted(Emission &e, Type type, Value value) {
  unsigned from = getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth();
  unsigned to = getElementTypeOrSelf(type).getIntOrFloatBitWidth();
  if (value.getType() == type)
    return value;
  if (from < to)
    return arith::ExtFOp::create(e.builder, e.loc, type, value);
  return arith::TruncFOp::create(e.builder, e.loc, type, value);
}

Value element(Emission &e, Type type, Value memref, Value position) {
  return converted(e, type, memref::LoadOp::create(e.builder, e.loc, memref, ValueRange{position}));
}

Value load(Emission &e, VectorType type, Value memref, Value position, Value mask) {
  VectorType stored = type.clone(cast<MemRefType>(memref.getType()).getElementType());
  Value value;
  if (!mask)
    value = vector::LoadOp::create(e.builder, e.loc, stored, memref, ValueRange{position});
  else
    value = vector::MaskedLoadOp::create(
        e.builder, e.loc, stored, memref, ValueRange{position}, mask,
        arith::ConstantOp::create(e.builder, e.loc, e.builder.getZeroAttr(stored)));
  return converted(e, type, value);
}

void store(Emission &e, Value vector, Value memref, Value position, Value mask, bool streaming) {
  auto type = cast<VectorType>(vector.getType());
  auto stored = type.clone(cast<MemRefType>(memref.getType()).getElementType());
  vector = converted(e, stored, vector);
  if (mask)
    vector::MaskedStoreOp::create(e.builder, e.loc, memref, ValueRange{position}, mask, vector);
  else if (streaming)
    vector::StoreOp::create(
        e.builder, e.loc, vector, memref, ValueRange{position}, /*nontemporal=*/true,
        llvm::MaybeAlign(type.getNumElements() * stored.getElementTypeBitWidth() / 8));
  else
    vector::StoreOp::create(e.builder, e.loc, vector, memref, ValueRange{position});
}

/// What multiplyPanels and multiplyRows have in common: `element(step, i)` loads an element of A.
static SmallVector<Value> multiply(Emission &e, const RegisterTile &tile, Value b, Value bPosition,
                                   Value depth,
                                   llvm::function_ref<Value(Value step, int64_t i)> element) {
  Value zero = splat(e, tile.vector, 0);
  SmallVector<Value> none(tile.rows * tile.vectors, zero);
  VectorType type = tile.panelVector();
  Value steps = ceilDivide(e, depth, tile.stepDepth());
  return e.forLoop(e.index(0), steps, 1, none, [&](Value step, ValueRange sums) {
    Value bStep = add(e, bPosition, mul(e, step, tile.columns()));
    SmallVector<Value> columns, next;
    for (int64_t j = 0; j < tile.vectors; ++j)
      columns.push_back(load(e, type, b, add(e, bStep, j * tile.lanes)));
    for (int64_t i = 0; i < tile.rows; ++i) {
      Value row = vector::BroadcastOp::create(e.builder, e.loc, type, element(step, i));
      for (int64_t j = 0; j < tile.vectors; ++j) {
        Value sum = sums[i * tile.vectors + j];
        next.push_back(tile.pairs ? addDotProducts(e, row, columns[j], sum)
                                  : fma(e, row, columns[j], sum));
      }
    }
    return next;
  });
}

SmallVector<Value> multiplyPanels(Emission &e, const RegisterTile &tile, Value a, Value aPosition,
                                  Value b, Value bPosition, Value depth) {
  return multiply(e, tile, b, bPosition, depth, [&](Value step, int64_t i) -> Value {
    Value aStep = add(e, aPosition, mul(e, step, tile.rows));
    return memref::LoadOp::create(e.builder, e.loc, a, ValueRange{add(e, aStep, i)});
  });
}

SmallVector<Value> multiplyRows(Emission &e, const RegisterTile &tile, Value a,
                                ArrayRef<Value> aPositions, Value b, Value bPosition, Value depth) {
  return multiply(e, tile, b, bPosition, depth, [&](Value step, int64_t i) -> Value {
    return memref::LoadOp::create(e.builder, e.loc, a, ValueRange{add(e, aPositions[i], step)});
  });
}

} // namespace quern::cpu
