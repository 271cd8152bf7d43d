//===- Structure.cpp - Parameters, layers, calls and scans -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"

using namespace mlir;
using namespace quern;
using namespace quern::reference;

static Arrays operandsOf(Operation *op, Interpreter &in) {
  Arrays arrays;
  for (Value operand : op->getOperands())
    arrays.push_back(in.get(operand));
  return arrays;
}

static void setResults(Operation *op, Interpreter &in, ArrayRef<Array> arrays) {
  for (auto [result, array] : llvm::zip(op->getResults(), arrays))
    in.set(result, array);
}

/// A declaration; quern.read gives its value.
static void declareParameter(ParameterOp, Interpreter &) {}

static LogicalResult readParameter(ReadOp op, Interpreter &in) {
  FailureOr<Array> value = in.read(op);
  if (failed(value))
    return failure();
  in.set(op.getResult(), *value);
  return success();
}

/// y = layer[count-1](... layer[1](layer[0](x))).
static LogicalResult applyLayers(ApplyOp op, Interpreter &in) {
  auto layers = op->getParentOfType<ModelOp>().lookupSymbol<LayersOp>(op.getLayersAttr());
  Arrays values = operandsOf(op, in);
  for (int64_t i = 0, count = layers.getCount(); i < count; ++i) {
    in.layer(layers) = i;
    FailureOr<Arrays> next = in.run(layers.getBody().front(), values);
    if (failed(next))
      return failure();
    llvm::copy(*next, values.begin());
  }
  setResults(op, in, values);
  return success();
}

static LogicalResult callFunction(CallOp op, Interpreter &in) {
  auto callee = op->getParentOfType<ModelOp>().lookupSymbol<FunctionOp>(op.getCalleeAttr());
  FailureOr<Arrays> results = in.call(callee, operandsOf(op, in));
  if (failed(results))
    return failure();
  setResults(op, in, *results);
  return success();
}

static LogicalResult scanLayers(ScanOp op, Interpreter &in) {
  int64_t count = op.getCount();
  unsigned numCarried = op.getNumCarried();
  Arrays carried, stacks, stacked(op.getStackedResults().size());
  for (Value init : op.getInits())
    carried.push_back(in.get(init));
  for (Value stack : op.getStacks())
    stacks.push_back(in.get(stack));
  for (int64_t step = 0; step < count; ++step) {
    int64_t layer = op.getReverse() ? count - 1 - step : step;
    Arrays arguments = carried;
    for (const Array &stack : stacks)
      arguments.push_back(stack.slice(layer));
    FailureOr<Arrays> yielded = in.run(op.getBody().front(), arguments);
    if (failed(yielded))
      return failure();
    carried.assign(yielded->begin(), yielded->begin() + numCarried);
    for (auto [stack, slice] : llvm::zip(stacked, ArrayRef(*yielded).drop_front(numCarried))) {
      if (step == 0) {
        Array::Shape shape{count};
        llvm::append_range(shape, slice.shape());
        stack = Array::zeros(shape, slice.isFloat());
      }
      stack.setSlice(layer, slice);
    }
  }
  for (auto [result, array] : llvm::zip(op.getCarriedResults(), carried))
    in.set(result, array);
  for (auto [result, array] : llvm::zip(op.getStackedResults(), stacked))
    in.set(result, array);
  return success();
}

void quern::reference::addStructure(Table &table) {
  add<ParameterOp, declareParameter>(table);
  add<ReadOp, readParameter>(table);
  add<ApplyOp, applyLayers>(table);
  add<CallOp, callFunction>(table);
  add<ScanOp, scanLayers>(table);
}
