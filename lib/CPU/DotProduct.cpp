//===- DotProduct.cpp - Products of bf16 by pairs along K ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DotProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;

namespace quern::cpu {

RegisterTile productTile(const Machine &machine, Type a, Type b, Type compute) {
  RegisterTile tile = registerTile(machine, compute);
  tile.pairs = machine.usesBf16Dot && a.isBF16() && b.isBF16() && compute.isF32();
  return tile;
}

static Value bitcast(Emission &e, VectorType type, Value value) {
  return vector::BitCastOp::create(e.builder, e.loc, type, value);
}

Value addDotProducts(Emission &e, Value a, Value b, Value sums) {
  auto words = cast<VectorType>(a.getType()), wide = cast<VectorType>(sums.getType());
  if (e.machine.hasBf16Dot) {
    auto pairs = VectorType::get({2 * words.getNumElements()}, e.builder.getBF16Type());
    return x86vector::DotBF16Op::create(e.builder, e.loc, wide, sums, bitcast(e, pairs, a),
                                        bitcast(e, pairs, b));
  }
  // A bf16 is the upper half of an f32. The second of a pair first, as the instruction does.
  auto constant = [&](uint32_t bits) {
    return arith::ConstantOp::create(e.builder, e.loc,
                                     DenseElementsAttr::get(words, APInt(32, bits)));
  };
  auto second = [&](Value pair) {
    return bitcast(e, wide, arith::AndIOp::create(e.builder, e.loc, pair, constant(0xFFFF0000)));
  };
  auto first = [&](Value pair) {
    return bitcast(e, wide, arith::ShLIOp::create(e.builder, e.loc, pair, constant(16)));
  };
  return fma(e, first(a), first(b), fma(e, second(a), second(b), sums));
}

VectorType alongVector(const RegisterTile &tile) {
  if (!tile.pairs)
    return tile.vector;
  return VectorType::get({2 * tile.lanes}, BFloat16Type::get(tile.vector.getContext()));
}

Value loadAlong(Emission &e, const RegisterTile &tile, Value memref, Value position, Value mask) {
  Value vector = load(e, alongVector(tile), memref, position, mask);
  return tile.pairs ? bitcast(e, tile.panelVector(), vector) : vector;
}

Value loadAcross(Emission &e, const RegisterTile &tile, int64_t count, Value memref,
                 ArrayRef<Value> rows, Value column, Value mask) {
  auto loadRow = [&](Value row, Type element) {
    return load(e, VectorType::get({count}, element), memref, add(e, row, column), mask);
  };
  if (!tile.pairs)
    return loadRow(rows[0], tile.vector.getElementType());
  auto halves = VectorType::get({count}, e.builder.getI16Type());
  Value zero = arith::ConstantOp::create(e.builder, e.loc, e.builder.getZeroAttr(halves));
  SmallVector<Value, 2> pair;
  for (Value row : rows)
    pair.push_back(bitcast(e, halves, loadRow(row, e.builder.getBF16Type())));
  pair.resize(2, zero);
  SmallVector<int64_t> order;
  for (int64_t i = 0; i < count; ++i)
    order.append({i, count + i});
  Value mixed = vector::ShuffleOp::create(e.builder, e.loc, pair[0], pair[1], order);
  return bitcast(e, VectorType::get({count}, e.builder.getI32Type()), mixed);
}

} // namespace quern::cpu
