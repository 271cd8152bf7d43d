//===- Linalg.cpp - Structured operations: loops around a scalar region ----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace quern;
using namespace quern::reference;

/// The place that an indexing map gives to an iteration.
static int64_t placeOf(const Array &array, AffineMap map, ArrayRef<int64_t> iteration) {
  return array.place(map.compose(iteration));
}

static Array scalarOf(const Array &array, int64_t at) {
  Array scalar = Array::zeros({}, array.isFloat());
  scalar.copy(0, array, at);
  return scalar;
}

/// Runs the region for each iteration, in lexicographic order, on tensors or scalars.
static LogicalResult structured(Operation *operation, Interpreter &in) {
  auto op = cast<linalg::LinalgOp>(operation);
  if (!op.hasPureTensorSemantics())
    return operation->emitError("the reference interpreter takes tensors only");
  Array::Shape sizes; // of all operands, one after the other
  Arrays results;
  for (OpOperand &operand : operation->getOpOperands())
    llvm::append_range(sizes, in.get(operand.get()).shape());
  for (OpOperand &init : op.getDpsInitsMutable())
    results.push_back(in.get(init.get()));
  SmallVector<int64_t> loops = op.getShapesToLoopsMap().compose(sizes);
  Array iterations = Array::integers(loops);
  Block &body = *op.getBlock();
  for (int64_t step = 0; step < iterations.size(); ++step) {
    Array::Shape iteration = iterations.indices(step);
    for (auto index : body.getOps<linalg::IndexOp>())
      in.set(index.getResult(), Array::integers({}, iteration[index.getDim()]));
    Arrays arguments;
    for (OpOperand *input : op.getDpsInputOperands()) {
      const Array &array = in.get(input->get());
      arguments.push_back(
          scalarOf(array, placeOf(array, op.getMatchingIndexingMap(input), iteration)));
    }
    SmallVector<int64_t> places;
    for (auto [i, result] : llvm::enumerate(results)) {
      places.push_back(
          placeOf(result, op.getMatchingIndexingMap(op.getDpsInitOperand(i)), iteration));
      arguments.push_back(scalarOf(result, places.back()));
    }
    FailureOr<Arrays> yielded = in.run(body, arguments);
    if (failed(yielded))
      return failure();
    for (auto [result, place, value] : llvm::zip(results, places, *yielded))
      result.copy(place, value, 0);
  }
  for (auto [value, result] : llvm::zip(operation->getResults(), results))
    in.set(value, std::move(result));
  return success();
}

/// Its value is set by the op around it, for each iteration.
static void iterationIndex(linalg::IndexOp, Interpreter &) {}

template <typename... Ops>
static void addStructured(Table &table) {
  ((table[Ops::getOperationName()] = structured), ...);
}

void quern::reference::addLinalg(Table &table) {
  addStructured<linalg::GenericOp, linalg::FillOp, linalg::MatmulOp, linalg::BatchMatmulOp,
                linalg::TransposeOp, linalg::BroadcastOp, linalg::ReduceOp, linalg::MapOp,
                linalg::CopyOp, linalg::ElementwiseOp, linalg::ContractOp, linalg::AddOp,
                linalg::SubOp, linalg::MulOp, linalg::DivOp, linalg::MaxOp, linalg::ExpOp,
                linalg::LogOp, linalg::SqrtOp, linalg::RsqrtOp, linalg::TanhOp, linalg::ErfOp,
                linalg::NegFOp, linalg::MatvecOp, linalg::VecmatOp, linalg::DotOp>(table);
  add<linalg::IndexOp, iterationIndex>(table);
}
