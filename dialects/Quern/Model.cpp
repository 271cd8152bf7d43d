//===- Model.cpp - Models, parameters and the ops that refer to them -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Quern/Inference.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace quern;

/// A violated constraint of an op that stands.
template <typename OpTy>
static InFlightDiagnostic violated(OpTy op, int constraint) {
  return op.emitError() << OpTy::getOperationName() << " (C" << constraint << "): ";
}

//===- Model
//-------------------------------------------------------------------------------------===//

/// Finds layers and functions that use themselves, directly or through others; `path` is the way
/// that led here, and `done` holds what has been searched.
static LogicalResult checkCycles(Operation *op, SmallVectorImpl<StringRef> &path,
                                 llvm::DenseSet<Operation *> &done) {
  StringRef name = SymbolTable::getSymbolName(op).getValue();
  if (auto *start = llvm::find(path, name); start != path.end()) {
    InFlightDiagnostic error =
        op->emitError("quern.model (C3): ")
        << (isa<LayersOp>(op) ? "layers apply themselves: " : "a function calls itself: ");
    for (StringRef step : llvm::make_range(start, path.end()))
      error << "@" << step << " -> ";
    return error << "@" << name;
  }
  if (done.contains(op))
    return success();
  path.push_back(name);
  WalkResult result = op->walk([&](Operation *user) {
    FlatSymbolRefAttr used;
    if (auto apply = dyn_cast<ApplyOp>(user))
      used = apply.getLayersAttr();
    else if (auto call = dyn_cast<CallOp>(user))
      used = call.getCalleeAttr();
    Operation *next = used ? SymbolTable::lookupSymbolIn(op->getParentOp(), used) : nullptr;
    return next && failed(checkCycles(next, path, done)) ? WalkResult::interrupt()
                                                         : WalkResult::advance();
  });
  path.pop_back();
  done.insert(op);
  return failure(result.wasInterrupted());
}

/// Two parameters of one name would overwrite each other in a weight file.
static LogicalResult checkFileNames(ModelOp model) {
  llvm::StringMap<ParameterOp> names;
  WalkResult result = model.walk<WalkOrder::PreOrder>([&](ParameterOp parameter) {
    auto [first, isNew] = names.try_emplace(parameter.getFileName(), parameter);
    if (isNew)
      return WalkResult::advance();
    parameter.emitError("quern.model (C4): ")
        << "parameters " << first->second.getProgramName() << " and " << parameter.getProgramName()
        << " are both \"" << first->first()
        << "\" in weight files; name one of them with file(\"...\")";
    return WalkResult::interrupt();
  });
  return failure(result.wasInterrupted());
}

LogicalResult ModelOp::verifyRegions() {
  if (IntegerAttr context = getContextAttr(); context && context.getInt() <= 0)
    return violated(*this, 2) << "context must be positive, not " << context.getInt();
  if (!lookupSymbol<FunctionOp>("forward"))
    return violated(*this, 1)
           << "model @" << getSymName()
           << " has no function @forward; add quern.function @forward(%tokens: ...) -> ...";
  for (Operation &op : getBody().front())
    if (!isa<ParameterOp, LayersOp, FunctionOp>(op))
      return op.emitError("quern.model (C5): a model holds parameters, layers and functions, not ")
             << op.getName();
  SmallVector<StringRef> path;
  llvm::DenseSet<Operation *> done;
  for (Operation &op : getBody().front())
    if (isa<LayersOp, FunctionOp>(op) && failed(checkCycles(&op, path, done)))
      return failure();
  return checkFileNames(*this);
}

//===- Parameter
//---------------------------------------------------------------------------------===//

LayersOp ParameterOp::getLayers() { return dyn_cast<LayersOp>((*this)->getParentOp()); }

RankedTensorType ParameterOp::getStoredType() {
  LayersOp layers = getLayers();
  return layers ? ScanOp::stack(getTensorType(), layers.getCount()) : getTensorType();
}

std::string ParameterOp::getFileName() {
  LayersOp layers = getLayers();
  std::string prefix = layers && layers.getFile() ? layers.getFile()->str() : "";
  return prefix + (getFile() ? *getFile() : getSymName()).str();
}

std::string ParameterOp::getProgramName() {
  LayersOp layers = getLayers();
  return layers ? (layers.getSymName() + "." + getSymName()).str() : getSymName().str();
}

LogicalResult ParameterOp::verify() {
  RankedTensorType type = getTensorType();
  if (!isa<FloatType>(type.getElementType()))
    return violated(*this, 1) << "parameter @" << getSymName() << " must be a float tensor, not "
                              << type;
  for (int64_t size : type.getShape())
    if (size <= 0)
      return violated(*this, 1) << "parameter @" << getSymName()
                                << " needs static, positive dimensions, not " << type;
  bool random = getInitializer() != Initializer::Zeros && getInitializer() != Initializer::Ones;
  if (random && (!getScale() || !(getScale()->convertToDouble() > 0)))
    return violated(*this, 2) << "initializer " << stringifyInitializer(getInitializer()) << " of @"
                              << getSymName() << " needs a positive scale, such as init("
                              << stringifyInitializer(getInitializer()) << ", 0.02)";
  if (!random && getScale())
    return violated(*this, 2) << "initializer " << stringifyInitializer(getInitializer()) << " of @"
                              << getSymName() << " takes no scale";
  if (getInitializer() == Initializer::Residual && !getLayers())
    return violated(*this, 3) << "initializer residual of @" << getSymName()
                              << " scales with the number of layers, and it stands in none";
  return success();
}

//===- Read, apply, call
//-------------------------------------------------------------------------===//

LogicalResult ReadOp::verifySymbolUses(SymbolTableCollection &symbols) {
  // Layers hold their own parameters; everything else reads the model's.
  Operation *scope = (*this)->getParentOfType<LayersOp>();
  if (!scope)
    scope = (*this)->getParentOfType<ModelOp>();
  Operation *found = scope ? symbols.lookupSymbolIn(scope, getParameterAttr()) : nullptr;
  auto parameter = dyn_cast_or_null<ParameterOp>(found);
  if (!parameter) {
    InFlightDiagnostic error = violated(*this, 1) << "unknown parameter @" << getParameter();
    if (auto layers = dyn_cast_or_null<LayersOp>(scope)) {
      error << " in layers @" << layers.getSymName();
      if (auto model = layers->getParentOfType<ModelOp>();
          model && model.lookupSymbol(getParameterAttr()))
        error
            << "; the model has one of that name, which layers take as an argument of quern.apply";
    }
    return error;
  }
  if (parameter.getTensorType() != getType())
    return violated(*this, 2) << "parameter @" << getParameter() << " is "
                              << parameter.getTensorType() << ", not " << getType();
  return success();
}

static LogicalResult checkSignature(Operation *op, StringRef name, int constraint, StringRef callee,
                                    TypeRange inputs, TypeRange results) {
  auto fits = [](TypeRange given, TypeRange declared) {
    return given.size() == declared.size() &&
           llvm::all_of(llvm::zip(given, declared), [](auto pair) {
             return succeeded(verifyCompatibleShape(std::get<0>(pair), std::get<1>(pair))) &&
                    getElementTypeOrSelf(std::get<0>(pair)) ==
                        getElementTypeOrSelf(std::get<1>(pair));
           });
  };
  if (fits(op->getOperandTypes(), inputs) && fits(op->getResultTypes(), results))
    return success();
  InFlightDiagnostic error = op->emitError()
                             << name << " (C" << constraint << "): @" << callee << " takes (";
  llvm::interleaveComma(inputs, error);
  error << ") and gives (";
  llvm::interleaveComma(results, error);
  error << "), not (";
  llvm::interleaveComma(op->getOperandTypes(), error);
  error << ") and (";
  llvm::interleaveComma(op->getResultTypes(), error);
  return error << ")";
}

LogicalResult ApplyOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto model = (*this)->getParentOfType<ModelOp>();
  auto layers = model ? dyn_cast_or_null<LayersOp>(symbols.lookupSymbolIn(model, getLayersAttr()))
                      : LayersOp();
  if (!layers)
    return violated(*this, 1) << "the model has no layers @" << getLayers();
  if (layers.getBody().empty() || !isa<YieldOp>(layers.getBody().front().back()))
    return success(); // reported at the layers
  return checkSignature(*this, "quern.apply", 2, getLayers(), layers.getBody().getArgumentTypes(),
                        layers.getYield().getOperandTypes());
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto model = (*this)->getParentOfType<ModelOp>();
  auto callee = model ? dyn_cast_or_null<FunctionOp>(symbols.lookupSymbolIn(model, getCalleeAttr()))
                      : FunctionOp();
  if (!callee)
    return violated(*this, 1) << "the model has no function @" << getCallee();
  return checkSignature(*this, "quern.call", 2, getCallee(), callee.getArgumentTypes(),
                        callee.getResultTypes());
}
