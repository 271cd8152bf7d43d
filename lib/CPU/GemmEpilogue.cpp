//===- GemmEpilogue.cpp - From accumulators to C ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Gemm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <cmath>

using namespace mlir;

namespace quern::cpu {

/// Hendrycks and Gimpel 2016 (GELU, both forms); Elfwing et al. 2018 (SiLU).
static Value activate(Emission &e, kernel::Activation activation, Value x) {
  auto times = [&](Value a, Value b) -> Value {
    return arith::MulFOp::create(e.builder, e.loc, a, b);
  };
  auto constant = [&](double value) { return splat(e, x.getType(), value); };
  switch (activation) {
  case kernel::Activation::None:
    return x;
  case kernel::Activation::Relu: {
    // In this form a NaN stays one.
    Value negative =
        arith::CmpFOp::create(e.builder, e.loc, arith::CmpFPredicate::OLT, x, constant(0));
    return arith::SelectOp::create(e.builder, e.loc, negative, constant(0), x);
  }
  case kernel::Activation::GeluTanh: {
    // (1 + tanh(u)) / 2 = 1 / (1 + e^(-2u)): cheaper than tanh, and exact where 1 + tanh(u)
    // cancels.
    double slope = -2 * std::sqrt(2 / M_PI);
    Value cubic = fma(e, times(x, x), constant(0.044715 * slope), constant(slope));
    Value exp = math::ExpOp::create(e.builder, e.loc, times(x, cubic));
    Value denominator = arith::AddFOp::create(e.builder, e.loc, exp, constant(1));
    return arith::DivFOp::create(e.builder, e.loc, x, denominator);
  }
  case kernel::Activation::GeluErf: {
    Value erf = math::ErfOp::create(e.builder, e.loc, times(x, constant(std::sqrt(0.5))));
    Value half = times(x, constant(0.5));
    return fma(e, half, erf, half);
  }
  case kernel::Activation::Silu: {
    Value exp = math::ExpOp::create(e.builder, e.loc, arith::NegFOp::create(e.builder, e.loc, x));
    Value denominator = arith::AddFOp::create(e.builder, e.loc, exp, constant(1));
    return arith::DivFOp::create(e.builder, e.loc, x, denominator);
  }
  }
  llvm_unreachable("an activation without its formula");
}

void prefetchTile(Emission &e, const RegisterTile &tile, const Epilogue &epilogue,
                  const DepthBlock &block, Value row, Value column) {
  SmallVector<const Matrix *> matrices;
  if (epilogue.region)
    matrices = epilogue.region->matrices();
  if (epilogue.update)
    matrices = {&epilogue.c, &epilogue.update->first, &epilogue.update->second};
  if (epilogue.residual)
    matrices.push_back(&*epilogue.residual);
  if (matrices.empty())
    return;
  auto touch = [&] {
    for (const Matrix *matrix : matrices) {
      int64_t line = 64 * 8 / matrix->type().getIntOrFloatBitWidth();
      for (int64_t i = 0; i < tile.rows; ++i) {
        Value start = matrix->place(e, add(e, row, i), column);
        // Beyond the matrix it does no harm.
        for (int64_t j = 0; j < tile.columns() + line - 1; j += line)
          memref::PrefetchOp::create(e.builder, e.loc, matrix->flat,
                                     ValueRange{add(e, start, std::min(j, tile.columns() - 1))},
                                     /*isWrite=*/epilogue.update.has_value(),
                                     /*localityHint=*/3, /*isDataCache=*/true);
      }
    }
  };
  if (!block.isLast)
    return touch();
  e.when(block.isLast, touch);
}

/// AdamW's update of C by a vector of its gradient, `shift` columns after `column`.
static void updateParameter(Emission &e, const Epilogue &epilogue, Value row, Value column,
                            int64_t shift, Value gradient, Value mask) {
  const ParameterUpdate &update = *epilogue.update;
  Vectors v(e, epilogue.compute());
  std::pair<Value, Value> places[3];
  Value values[3];
  for (auto [i, matrix] : llvm::enumerate(std::array{&epilogue.c, &update.first, &update.second})) {
    places[i] = {matrix->flat, add(e, matrix->place(e, row, column), shift)};
    values[i] = load(e, v.type, places[i].first, places[i].second, mask);
  }
  Moments now =
      updated(v, update.factors, update.shrinkage, gradient, {values[0], values[1], values[2]});
  for (auto [place, value] : llvm::zip(places, std::array{now.parameter, now.first, now.second}))
    store(e, value, place.first, place.second, mask);
}

void finishRow(Emission &e, const Epilogue &epilogue, const DepthBlock &block, Value row,
               Value column, ArrayRef<Value> sums, ArrayRef<Value> masks) {
  auto type = cast<VectorType>(sums[0].getType());
  int64_t lanes = type.getNumElements();
  auto plus = [&](Value a, Value b) -> Value {
    return arith::AddFOp::create(e.builder, e.loc, a, b);
  };
  Value c = epilogue.c.place(e, row, column);
  Value memory = epilogue.c.flat, place = c;
  // What C holds is then added to the last block only.
  bool isApart = epilogue.partial && block.isFirst;
  if (isApart) {
    const PartialSums &partial = *epilogue.partial;
    memory = partial.memory;
    place = add(e, mul(e, sub(e, row, partial.firstRow), partial.pitch),
                sub(e, column, partial.firstColumn));
  }
  bool accumulatesHere = epilogue.accumulate && !isApart;
  SmallVector<Value> totals;
  for (auto [j, sum] : llvm::enumerate(sums)) {
    Value old;
    if (accumulatesHere || block.isFirst)
      old = load(e, type, memory, add(e, place, j * lanes), masks[j]);
    if (accumulatesHere)
      totals.push_back(plus(old, sum));
    else if (block.isFirst) // what it held before the first block has no meaning
      totals.push_back(
          arith::SelectOp::create(e.builder, e.loc, block.isFirst, sum, plus(old, sum)));
    else
      totals.push_back(sum);
  }
  auto storePartial = [&] {
    for (auto [j, total] : llvm::enumerate(totals))
      store(e, total, memory, add(e, place, j * lanes), masks[j]);
  };
  auto storeFinal = [&] {
    for (auto [j, total] : llvm::enumerate(totals)) {
      int64_t shift = j * lanes;
      if (epilogue.update) {
        updateParameter(e, epilogue, row, column, shift, total, masks[j]);
        continue;
      }
      Value value = total;
      if (epilogue.accumulate && isApart)
        value = plus(value, load(e, type, epilogue.c.flat, add(e, c, shift), masks[j]));
      if (epilogue.bias)
        value = plus(value, load(e, type, epilogue.bias, add(e, column, shift), masks[j]));
      auto elsewhere = [&](const Matrix &matrix) {
        return add(e, add(e, matrix.position(e, row), column), shift);
      };
      if (epilogue.preactivation)
        store(e, value, epilogue.preactivation->flat, elsewhere(*epilogue.preactivation), masks[j]);
      value = activate(e, epilogue.activation, value);
      if (epilogue.residual)
        value = plus(
            value, load(e, type, epilogue.residual->flat, elsewhere(*epilogue.residual), masks[j]));
      if (epilogue.region)
        epilogue.region->store(e, value, row, add(e, column, shift), masks[j]);
      else
        store(e, value, epilogue.c.flat, add(e, c, shift), masks[j]);
    }
  };
  bool plain = !isApart && !epilogue.update && !epilogue.bias && !epilogue.preactivation &&
               !epilogue.residual && epilogue.activation == kernel::Activation::None &&
               !epilogue.region;
  if (plain || !block.isLast)
    return plain ? storePartial() : storeFinal();
  auto choice = scf::IfOp::create(e.builder, e.loc, block.isLast, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.setInsertionPointToStart(choice.thenBlock());
  storeFinal();
  e.builder.setInsertionPointToStart(choice.elseBlock());
  storePartial();
}

} // namespace quern::cpu
