//===- DeriveExpand.cpp - Closed programs from the functions of a model -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DeriveExpand.h"
#include "DerivePrograms.h"
#include "DeriveTypes.h"
#include "quern/Model/Passes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"

#include "llvm/ADT/DenseSet.h"
#include <functional>

namespace quern::model {
#define GEN_PASS_DEF_EXPAND
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

class Expander {
public:
  Expander(ModelOp model, FunctionOp source, StringRef name)
      : model(model), source(source), b(model->getContext()), name(name) {}

  FunctionOp run();

private:
  ParameterOp parameterOf(ReadOp read);
  /// Marks the parameters that `block` reads, directly or through calls and layers.
  void collect(Block &block);
  /// Clones the ops of `block`; their values are in `map` afterwards.
  LogicalResult inlineBlock(Block &block, IRMapping &map,
                            const DenseMap<Operation *, Value> &slices);
  LogicalResult inlineApply(ApplyOp apply, IRMapping &map);

  ModelOp model;
  FunctionOp source;
  OpBuilder b;
  std::string name;
  /// Fails with an error if `callee`, a function or layers, is being inlined already.
  LogicalResult enter(Operation *op, Operation *callee);

  DenseSet<Operation *> used, visited;
  SmallVector<Operation *> path;          // functions and layers that are being inlined
  DenseMap<Operation *, Value> arguments; // of parameters
};

} // namespace

ParameterOp Expander::parameterOf(ReadOp read) {
  Operation *scope = read->getParentOfType<LayersOp>();
  return cast<ParameterOp>(
      SymbolTable::lookupSymbolIn(scope ? scope : model.getOperation(), read.getParameterAttr()));
}

void Expander::collect(Block &block) {
  if (!visited.insert(block.getParentOp()).second)
    return;
  block.walk([&](Operation *op) {
    if (auto read = dyn_cast<ReadOp>(op))
      used.insert(parameterOf(read));
    else if (auto call = dyn_cast<CallOp>(op))
      collect(model.lookupSymbol<FunctionOp>(call.getCallee()).getBody().front());
    else if (auto apply = dyn_cast<ApplyOp>(op))
      collect(model.lookupSymbol<LayersOp>(apply.getLayers()).getBody().front());
  });
}

LogicalResult Expander::enter(Operation *op, Operation *callee) {
  if (llvm::is_contained(path, callee)) {
    InFlightDiagnostic error = op->emitError("functions and layers go in a circle: ");
    for (Operation *step : path)
      error << "@" << SymbolTable::getSymbolName(step).getValue() << " -> ";
    return error << "@" << SymbolTable::getSymbolName(callee).getValue();
  }
  path.push_back(callee);
  return success();
}

LogicalResult Expander::inlineApply(ApplyOp apply, IRMapping &map) {
  auto layers = model.lookupSymbol<LayersOp>(apply.getLayers());
  if (failed(enter(apply, layers)))
    return failure();
  Block &body = layers.getBody().front();
  unsigned numCarried = layers.getNumCarried();
  int64_t count = layers.getCount();
  SmallVector<Value> inits, stacks;
  for (auto [i, operand] : llvm::enumerate(apply.getOperands().take_front(numCarried))) {
    Value init = map.lookup(operand);
    auto type = joinShapes(init.getType(), body.getArgument(i).getType());
    if (!type)
      return apply.emitError("operand ")
             << i << " of @" << layers.getSymName() << " is " << init.getType()
             << " here, but the layers take " << body.getArgument(i).getType();
    inits.push_back(castTo(b, init, *type));
  }
  SmallVector<ParameterOp> parameters;
  for (ParameterOp parameter : body.getOps<ParameterOp>())
    if (used.contains(parameter)) {
      parameters.push_back(parameter);
      stacks.push_back(arguments.lookup(parameter));
    }
  auto scan = ScanOp::create(b, apply.getLoc(), ValueRange(inits).getTypes(), inits, stacks, count);
  scan->setAttr("quern.layers", FlatSymbolRefAttr::get(layers.getSymNameAttr()));

  IRMapping inner;
  DenseMap<Operation *, Value> slices;
  for (unsigned i = 0; i < body.getNumArguments(); ++i)
    inner.map(body.getArgument(i), i < numCarried ? Value(scan.getCarriedArguments()[i])
                                                  : map.lookup(apply.getOperands()[i]));
  for (auto [parameter, slice] : llvm::zip(parameters, scan.getSliceArguments()))
    slices[parameter] = slice;
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(&scan.getBody().front());
  if (failed(inlineBlock(body, inner, slices)))
    return failure();
  SmallVector<Value> values;
  for (auto [value, init] : llvm::zip(layers.getYield().getOperands(), inits)) {
    Value mapped = inner.lookup(value);
    if (!joinShapes(mapped.getType(), init.getType()))
      return layers.getYield().emitError("a layer takes ")
             << init.getType() << " and yields " << mapped.getType();
    values.push_back(castTo(b, mapped, init.getType()));
  }
  YieldOp::create(b, layers.getYield().getLoc(), values);
  map.map(apply.getResults(), scan.getResults());
  path.pop_back();
  return success();
}

LogicalResult Expander::inlineBlock(Block &block, IRMapping &map,
                                    const DenseMap<Operation *, Value> &slices) {
  for (Operation &op : block.without_terminator()) {
    if (isa<ParameterOp>(op))
      continue;
    if (auto read = dyn_cast<ReadOp>(op)) {
      ParameterOp parameter = parameterOf(read);
      auto slice = slices.find(parameter);
      map.map(read.getResult(),
              slice != slices.end() ? slice->second : arguments.lookup(parameter));
    } else if (auto call = dyn_cast<CallOp>(op)) {
      auto callee = model.lookupSymbol<FunctionOp>(call.getCallee());
      if (failed(enter(call, callee)))
        return failure();
      IRMapping inner;
      for (auto [argument, operand] :
           llvm::zip(callee.getBody().getArguments(), call.getOperands()))
        inner.map(argument, map.lookup(operand));
      if (failed(inlineBlock(callee.getBody().front(), inner, slices)))
        return failure();
      for (auto [result, value] : llvm::zip(call.getResults(), callee.getReturn().getOperands()))
        map.map(result, inner.lookup(value));
      path.pop_back();
    } else if (auto apply = dyn_cast<ApplyOp>(op)) {
      if (failed(inlineApply(apply, map)))
        return failure();
    } else {
      bool changed = llvm::any_of(op.getOperands(), [&](Value operand) {
        return map.lookupOrDefault(operand).getType() != operand.getType();
      });
      // Inference may replace the clone: `holder` keeps track of its results.
      Operation *clone = b.clone(op, map);
      if (!changed)
        continue;
      auto holder =
          UnrealizedConversionCastOp::create(b, op.getLoc(), TypeRange(), clone->getResults());
      LogicalResult inferred = inferTypes(clone);
      for (auto [result, value] : llvm::zip(op.getResults(), holder.getOperands()))
        map.map(result, value);
      holder.erase();
      if (failed(inferred))
        return failure();
    }
  }
  return success();
}

FunctionOp Expander::run() {
  collect(source.getBody().front());
  path.push_back(source);
  SmallVector<Type> types(source.getArgumentTypes());
  SmallVector<DictionaryAttr> attributes;
  for (unsigned i = 0; i < types.size(); ++i) {
    NamedAttrList list(source.getArgAttrDict(i));
    if (!list.get("quern.role")) // a program may be the source of another
      list.set("quern.role", b.getStringAttr("input"));
    if (!list.get("quern.name"))
      list.set("quern.name", b.getStringAttr(i ? "input." + std::to_string(i) : "input"));
    attributes.push_back(list.getDictionary(b.getContext()));
  }
  SmallVector<ParameterOp> parameters;
  model.walk<WalkOrder::PreOrder>([&](ParameterOp parameter) {
    if (!used.contains(parameter))
      return;
    parameters.push_back(parameter);
    types.push_back(parameter.getStoredType());
    auto own = FlatSymbolRefAttr::get(parameter.getSymNameAttr());
    LayersOp layers = parameter.getLayers();
    SymbolRefAttr symbol(own);
    if (layers)
      symbol = SymbolRefAttr::get(layers.getSymNameAttr(), {own});
    attributes.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("quern.name", b.getStringAttr(parameter.getProgramName())),
         b.getNamedAttr("quern.parameter", symbol),
         b.getNamedAttr("quern.role", b.getStringAttr("parameter"))}));
  });

  b.setInsertionPointToEnd(&model.getBody().front());
  auto program =
      FunctionOp::create(b, source.getLoc(), name, b.getFunctionType(types, TypeRange()));
  program.setProgram(true);
  Block *body = &program.getBody().emplaceBlock();
  for (auto [i, type] : llvm::enumerate(types))
    body->addArgument(type, i < source.getNumArguments()
                                ? source.getArgument(i).getLoc()
                                : parameters[i - source.getNumArguments()].getLoc());
  program.setAllArgAttrs(attributes);
  IRMapping map;
  unsigned numInputs = source.getNumArguments();
  map.map(source.getArguments(), body->getArguments().take_front(numInputs));
  for (auto [i, parameter] : llvm::enumerate(parameters))
    arguments[parameter] = body->getArgument(numInputs + i);

  b.setInsertionPointToEnd(body);
  if (failed(inlineBlock(source.getBody().front(), map, DenseMap<Operation *, Value>()))) {
    program.erase();
    return {};
  }
  SmallVector<Value> values;
  for (Value value : source.getReturn().getOperands())
    values.push_back(map.lookup(value));
  ReturnOp::create(b, source.getReturn().getLoc(), values);
  program.setFunctionType(b.getFunctionType(types, ValueRange(values).getTypes()));
  StringRef unnamed = source.getSymName() == "loss" ? "loss" : "logits";
  for (unsigned i = 0; i < values.size(); ++i) {
    NamedAttrList list(source.getResultAttrDict(i));
    if (!list.get("quern.name"))
      list.set("quern.name",
               b.getStringAttr(i ? unnamed + "." + std::to_string(i) : Twine(unnamed)));
    list.set("quern.role", b.getStringAttr("output"));
    program.setResultAttrs(i, list.getDictionary(b.getContext()));
  }
  nameDimensions(program);
  return program;
}

void model::eraseSources(ModelOp model) {
  bool hasForward = false;
  SmallVector<FunctionOp> sources;
  for (auto function : model.getBody().getOps<FunctionOp>()) {
    if (!function.getProgram())
      sources.push_back(function);
    else if (function.getSymName() == "forward")
      hasForward = true;
  }
  // A model keeps its forward function, and what that calls.
  DenseSet<Operation *> kept;
  std::function<void(FunctionOp)> keep = [&](FunctionOp function) {
    if (kept.insert(function).second)
      function.walk([&](CallOp call) { keep(model.lookupSymbol<FunctionOp>(call.getCallee())); });
  };
  if (!hasForward)
    keep(model.lookupSymbol<FunctionOp>("forward"));
  for (FunctionOp source : sources)
    if (!kept.contains(source))
      source.erase();
}

FunctionOp model::expand(ModelOp model, FunctionOp source, StringRef name) {
  return Expander(model, source, name).run();
}

namespace {

class Expand : public model::impl::ExpandBase<Expand> {
public:
  using ExpandBase::ExpandBase;

  void runOnOperation() override {
    SmallVector<std::string> names(programs.begin(), programs.end());
    for (auto model : getOperation().getOps<ModelOp>()) {
      for (StringRef name : names.empty() ? SmallVector<std::string>{"forward", "loss"} : names) {
        auto source = model.lookupSymbol<FunctionOp>(name);
        if (!source) {
          if (names.empty())
            continue;
          mlir::emitError(model.getLoc(), "model @")
              << model.getSymName() << " has no function @" << name;
          return signalPassFailure();
        }
        if (source.getProgram())
          continue;
        if (!expand(model, source, name))
          return signalPassFailure();
      }
      eraseSources(model);
    }
  }
};

} // namespace
