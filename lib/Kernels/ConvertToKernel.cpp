//===- ConvertToKernel.cpp - Partitions the programs of a model into kernels ------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Converter.h"
#include "Metadata.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace quern::kernels {
#define GEN_PASS_DEF_CONVERTQUERNTOKERNEL
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;
using namespace quern::kernels;

namespace {

MemRefType bufferType(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return MemRefType::get(tensor.getShape(), tensor.getElementType());
}

/// Sizes of the arguments. Dimensions of one name are one value, so that what has one size is seen
/// to.
void setArgumentSizes(FunctionOp program, func::FuncOp function, OpBuilder &builder,
                      Dimensions &dims) {
  llvm::StringMap<Value> named;
  for (BlockArgument argument : program.getArguments()) {
    unsigned number = argument.getArgNumber();
    auto names = program.getArgAttrOfType<ArrayAttr>(number, "quern.dims");
    Dims sizes;
    for (auto [i, size] : llvm::enumerate(cast<RankedTensorType>(argument.getType()).getShape())) {
      if (!ShapedType::isDynamic(size)) {
        sizes.push_back(builder.getIndexAttr(size));
        continue;
      }
      StringRef name = names ? cast<StringAttr>(names[i]).getValue() : "";
      Value value = name.empty() ? Value() : named.lookup(name);
      if (!value) {
        Value index = arith::ConstantIndexOp::create(builder, program.getLoc(), i);
        value =
            memref::DimOp::create(builder, program.getLoc(), function.getArgument(number), index);
        if (!name.empty())
          named[name] = value;
      }
      sizes.push_back(value);
    }
    dims.set(argument, std::move(sizes));
  }
}

LogicalResult convertProgram(FunctionOp program, llvm::json::Array &descriptions,
                             int64_t &epilogues) {
  OpBuilder builder(program->getParentOfType<ModelOp>());
  Location loc = program.getLoc();
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> attributes;
  for (unsigned i = 0, e = program.getNumArguments(); i < e; ++i) {
    types.push_back(bufferType(program.getArgumentTypes()[i]));
    attributes.push_back(program.getArgAttrDict(i));
  }
  SmallVector<std::optional<unsigned>> outputs; // result -> argument, none where it updates one
  for (unsigned i = 0, e = program.getNumResults(); i < e; ++i) {
    outputs.emplace_back();
    if (program.getResultAttr(i, "quern.updates"))
      continue;
    outputs.back() = types.size();
    types.push_back(bufferType(program.getResultTypes()[i]));
    attributes.push_back(program.getResultAttrDict(i));
  }
  auto function =
      func::FuncOp::create(builder, loc, program.getSymName(), builder.getFunctionType(types, {}));
  function->setAttr("quern.program", builder.getUnitAttr());
  for (auto [i, dictionary] : llvm::enumerate(attributes))
    if (dictionary)
      function.setArgAttrs(i, dictionary);
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);

  Dimensions dims(builder);
  setArgumentSizes(program, function, builder, dims);
  if (failed(dims.analyze(program.getBody().front())))
    return failure();
  descriptions.push_back(describeProgram(program, dims));

  Converter converter(builder, dims);
  for (BlockArgument argument : program.getArguments()) {
    bool updated = updatingResult(program, argument.getArgNumber()).has_value();
    converter.set(argument,
                  bufferization::ToTensorOp::create(builder, loc, argument.getType(),
                                                    entry->getArgument(argument.getArgNumber()),
                                                    /*restrict=*/true, /*writable=*/updated));
  }
  if (failed(converter.convert(program.getBody().front())))
    return failure();
  epilogues += converter.epilogues;

  for (auto [i, value] : llvm::enumerate(program.getReturn().getValues())) {
    Value target;
    if (outputs[i]) {
      target = entry->getArgument(*outputs[i]);
    } else {
      for (unsigned argument = 0, e = program.getNumArguments(); argument < e && !target;
           ++argument)
        if (updatingResult(program, argument) == i)
          target = entry->getArgument(argument);
      if (!target)
        return program.emitError("result ") << i << " of program @" << program.getSymName()
                                            << " updates no argument of its name and role";
    }
    auto store = bufferization::MaterializeInDestinationOp::create(builder, loc,
                                                                   converter.get(value), target);
    store.setRestrict(true);
    store.setWritable(true);
  }
  func::ReturnOp::create(builder, loc);
  return success();
}

struct ConvertQuernToKernel : quern::kernels::impl::ConvertQuernToKernelBase<ConvertQuernToKernel> {
  void runOnOperation() override {
    SmallVector<ModelOp> models(getOperation().getOps<ModelOp>());
    if (models.size() > 1) {
      models[1].emitError("a file holds one model; @")
          << models[0].getSymName() << " stands before this one";
      return signalPassFailure();
    }
    for (ModelOp model : models) {
      llvm::json::Object description = describeModel(model);
      llvm::json::Array programs;
      int64_t epilogues = 0;
      for (auto program : model.getBody().getOps<FunctionOp>()) {
        if (!program.getProgram())
          continue;
        if (failed(convertProgram(program, programs, epilogues)))
          return signalPassFailure();
        ++numPrograms;
      }
      numEpilogues += epilogues;
      description["programs"] = std::move(programs);
      std::string text;
      llvm::raw_string_ostream stream(text);
      stream << llvm::json::Value(std::move(description));
      getOperation()->setAttr("quern.model", StringAttr::get(&getContext(), text));
      model.erase();
    }
  }
};

} // namespace
