//===- DeriveShapes.cpp - Named dimensions of programs ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DeriveDimensions.h"
#include "DerivePrograms.h"
#include "DeriveTypes.h"
#include "quern/Model/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"

#include "llvm/ADT/MapVector.h"

namespace quern::model {
#define GEN_PASS_DEF_SETSHAPES
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

//===- Names
//-------------------------------------------------------------------------------------===//

SmallVector<StringRef> model::getDimensionNames(FunctionOp program, unsigned argument) {
  SmallVector<StringRef> names;
  if (auto dims = program.getArgAttrOfType<ArrayAttr>(argument, "quern.dims"))
    for (auto name : dims.getAsRange<StringAttr>())
      names.push_back(name.getValue());
  return names;
}

void model::nameDimensions(FunctionOp program) {
  Builder b(program.getContext());
  Dimensions dimensions(program.getBody());
  DenseMap<unsigned, StringRef> names;
  for (unsigned i = 0; i < program.getNumArguments(); ++i)
    for (auto [dim, name] : llvm::enumerate(getDimensionNames(program, i)))
      if (!name.empty())
        names.try_emplace(dimensions.classOf(program.getArgument(i), dim), name);
  if (names.empty())
    return;
  // Nothing when no dimension has a name, or when none was missing.
  auto complete = [&](Value value, ArrayRef<StringRef> given) -> ArrayAttr {
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<StringRef> all(given);
    all.resize(type.getRank());
    for (auto [dim, name] : llvm::enumerate(all))
      if (name.empty() && type.isDynamicDim(dim))
        name = names.lookup(dimensions.classOf(value, dim));
    if (ArrayRef(all) == given || llvm::all_of(all, [](StringRef name) { return name.empty(); }))
      return {};
    return b.getStrArrayAttr(all);
  };
  for (unsigned i = 0; i < program.getNumArguments(); ++i)
    if (ArrayAttr dims = complete(program.getArgument(i), getDimensionNames(program, i)))
      program.setArgAttr(i, "quern.dims", dims);
  for (auto [i, value] : llvm::enumerate(program.getReturn().getOperands()))
    if (!program.getResultAttr(i, "quern.dims"))
      if (ArrayAttr dims = complete(value, {}))
        program.setResultAttr(i, "quern.dims", dims);
}

//===- Sizes
//-------------------------------------------------------------------------------------===//

static bool isDecoder(FunctionOp program) {
  for (unsigned i = 0; i < program.getNumArguments(); ++i)
    if (getRole(program, i) == "cache")
      return true;
  return false;
}

namespace {

class SetShapes : public model::impl::SetShapesBase<SetShapes> {
public:
  using SetShapesBase::SetShapesBase;

  void runOnOperation() override {
    if (failed(parse()))
      return signalPassFailure();
    for (auto model : getOperation().getOps<ModelOp>())
      if (failed(apply(model)))
        return signalPassFailure();
  }

private:
  LogicalResult parse() {
    for (StringRef text : dims) {
      auto [name, number] = text.split('=');
      int64_t size;
      if (name.empty() || number.empty() || number.getAsInteger(10, size) || size <= 0)
        return mlir::emitError(getOperation().getLoc(), "'")
               << text
               << "' is no size of a dimension; write NAME=SIZE with a positive size, such "
                  "as batch=4";
      auto [it, isNew] = sizes.insert({name, size});
      if (!isNew && it->second != size)
        return mlir::emitError(getOperation().getLoc(), "dimension '")
               << name << "' cannot be " << it->second << " and " << size;
    }
    return success();
  }

  LogicalResult apply(ModelOp model) {
    llvm::MapVector<StringRef, bool> names; // to whether a program other than a decoder has it
    for (auto program : model.getBody().getOps<FunctionOp>())
      if (program.getProgram())
        for (unsigned i = 0; i < program.getNumArguments(); ++i)
          for (StringRef name : getDimensionNames(program, i))
            if (!name.empty())
              names[name] |= !isDecoder(program);
    for (auto &[name, size] : sizes)
      if (!names.contains(name)) {
        InFlightDiagnostic error = mlir::emitError(model.getLoc(), "no program of @")
                                   << model.getSymName() << " has a dimension '" << name << "'; ";
        if (names.empty())
          return error << "none has named dimensions: name them in the text, such as %tokens: "
                          "tensor<?x?xi32> {quern.dims = [\"batch\", \"sequence\"]}";
        error << "there are ";
        llvm::interleaveComma(names, error, [&](auto &entry) { error << entry.first; });
        return error;
      }
    for (auto program : model.getBody().getOps<FunctionOp>())
      if (program.getProgram() && failed(apply(program, names)))
        return failure();
    return success();
  }

  LogicalResult apply(FunctionOp program, const llvm::MapVector<StringRef, bool> &names) {
    bool skipsShared = isDecoder(program) && !decoders;
    bool changed = false;
    for (unsigned i = 0; i < program.getNumArguments(); ++i) {
      BlockArgument argument = program.getArgument(i);
      auto type = cast<RankedTensorType>(argument.getType());
      SmallVector<int64_t> shape(type.getShape());
      for (auto [dim, name] : llvm::enumerate(getDimensionNames(program, i))) {
        auto it = sizes.find(name);
        if (it == sizes.end() || (skipsShared && names.lookup(name)))
          continue;
        if (!ShapedType::isDynamic(shape[dim]) && shape[dim] != it->second)
          return mlir::emitError(program.getLoc(), "dimension '")
                 << name << "' of %" << program.getArgumentName(i) << " in @"
                 << program.getSymName() << " is " << shape[dim]
                 << " in the text; it cannot become " << it->second;
        shape[dim] = it->second;
      }
      auto sized = RankedTensorType::get(shape, type.getElementType());
      changed |= sized != type;
      argument.setType(sized);
    }
    return changed ? inferTypes(program) : success();
  }

  llvm::MapVector<StringRef, int64_t> sizes;
};

} // namespace
