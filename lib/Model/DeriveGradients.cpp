//===- DeriveGradients.cpp - The programs gradients and train_step ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DeriveExpand.h"
#include "DerivePrograms.h"
#include "Gradient.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

//===- Signatures
//--------------------------------------------------------------------------------===//

StringRef model::getRole(FunctionOp program, unsigned argument) {
  auto role = program.getArgAttrOfType<StringAttr>(argument, "quern.role");
  return role ? role.getValue() : "";
}

static DictionaryAttr attributesOf(Builder b, StringRef name, StringRef role, Attribute parameter,
                                   StringRef updates) {
  NamedAttrList list;
  list.set("quern.name", b.getStringAttr(name));
  list.set("quern.role", b.getStringAttr(role));
  if (parameter)
    list.set("quern.parameter", parameter);
  if (!updates.empty())
    list.set("quern.updates", b.getStringAttr(updates));
  return list.getDictionary(b.getContext());
}

Value ProgramBuilder::insertArgument(unsigned index, Type type, StringRef name, StringRef role,
                                     Attribute parameter) {
  Builder b(program.getContext());
  (void)program.insertArgument(index, type, attributesOf(b, name, role, parameter, ""),
                               program.getLoc());
  return program.getArgument(index);
}

void ProgramBuilder::addResult(Value value, StringRef name, StringRef role, Attribute parameter,
                               StringRef updates) {
  Builder b(program.getContext());
  unsigned index = program.getNumResults();
  (void)program.insertResult(index, value.getType(),
                             attributesOf(b, name, role, parameter, updates));
  program.getReturn()->insertOperands(index, value);
}

//===- Gradients
//---------------------------------------------------------------------------------===//

FunctionOp model::deriveGradients(ModelOp model, StringRef name) {
  auto source = model.lookupSymbol<FunctionOp>("loss");
  if (source.getNumResults() == 0 ||
      cast<RankedTensorType>(source.getResultTypes()[0]).getRank() != 0 ||
      !isa<FloatType>(cast<RankedTensorType>(source.getResultTypes()[0]).getElementType())) {
    mlir::emitError(source.getLoc(),
                    "the first result of @loss must be a scalar such as tensor<f32> to be "
                    "differentiated");
    return {};
  }
  FunctionOp program = expand(model, source, name);
  if (!program)
    return {};
  SmallVector<Value> wanted, gradients;
  SmallVector<unsigned> indices;
  for (unsigned i = 0; i < program.getNumArguments(); ++i)
    if (getRole(program, i) == "parameter") {
      wanted.push_back(program.getArgument(i));
      indices.push_back(i);
    }
  Differentiator differentiator(program);
  if (failed(differentiator.run(program.getReturn().getOperand(0), wanted, gradients))) {
    program.erase();
    return {};
  }
  ProgramBuilder builder(program);
  for (auto [index, gradient] : llvm::zip(indices, gradients))
    builder.addResult(gradient, program.getArgumentName(index), "gradient",
                      program.getArgAttr(index, "quern.parameter"));
  eraseDeadOps(program.getBody());
  return program;
}

//===- Train step
//--------------------------------------------------------------------------------===//

namespace {

/// Arithmetic on rank-0 tensors.
class Scalars {
public:
  Scalars(OpBuilder &b, Location loc) : b(b), loc(loc) {}

  Value constant(double value, Type element) {
    return arith::ConstantOp::create(
        b, loc,
        DenseElementsAttr::get(RankedTensorType::get({}, element), b.getFloatAttr(element, value)));
  }
  Value convert(Value value, Type element) {
    Type from = cast<RankedTensorType>(value.getType()).getElementType();
    auto to = RankedTensorType::get({}, element);
    if (from == element)
      return value;
    if (from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
      return arith::ExtFOp::create(b, loc, to, value);
    return arith::TruncFOp::create(b, loc, to, value);
  }

private:
  OpBuilder &b;
  Location loc;
};

} // namespace

/// The norm of all gradients together, in f64. Each element type has a sum of its own.
static Value globalNorm(OpBuilder &b, Location loc, ArrayRef<Value> gradients) {
  Scalars scalars(b, loc);
  llvm::MapVector<Type, SmallVector<Value>> byType;
  for (Value gradient : gradients)
    byType[cast<RankedTensorType>(gradient.getType()).getElementType()].push_back(gradient);
  Value sum;
  for (auto &[type, values] : byType) {
    Value part = scalars.convert(SquaredNormOp::create(b, loc, values), b.getF64Type());
    sum = sum ? Value(arith::AddFOp::create(b, loc, sum, part)) : part;
  }
  return math::SqrtOp::create(b, loc, sum);
}

/// The factor of all gradients: clip > 0 ? min(1, clip / (norm + 1e-6)) : 1, as PyTorch computes
/// it.
static Value clipScale(OpBuilder &b, Location loc, Value norm, Value clip) {
  Scalars scalars(b, loc);
  Type f64 = b.getF64Type();
  Value one = scalars.constant(1, f64);
  Value padded = arith::AddFOp::create(b, loc, norm, scalars.constant(1e-6, f64));
  Value ratio = arith::DivFOp::create(b, loc, clip, padded);
  Value limited = arith::MinimumFOp::create(b, loc, ratio, one);
  Value clips =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, clip, scalars.constant(0, f64));
  return arith::SelectOp::create(b, loc, clips, limited, one);
}

FunctionOp model::deriveTrainStep(ModelOp model, bool clips) {
  FunctionOp program = deriveGradients(model, "train_step");
  if (!program)
    return {};
  ProgramBuilder builder(program);
  OpBuilder b(program.getReturn());
  Location loc = program.getLoc();
  Scalars scalars(b, loc);

  // Results: everything but the gradients for now.
  SmallVector<Value> gradients;
  BitVector isGradient(program.getNumResults());
  for (unsigned i = 0; i < program.getNumResults(); ++i)
    if (program.getResultAttrOfType<StringAttr>(i, "quern.role").getValue() == "gradient") {
      gradients.push_back(program.getReturn().getOperand(i));
      isGradient.set(i);
    }
  (void)program.eraseResults(isGradient);
  program.getReturn()->eraseOperands(isGradient);

  unsigned numInputs = 0;
  while (numInputs < program.getNumArguments() && getRole(program, numInputs) == "input")
    ++numInputs;
  llvm::StringMap<Value> options;
  auto scalar = RankedTensorType::get({}, b.getF64Type());
  unsigned next = numInputs;
  for (StringRef name : {"learning_rate", "beta1", "beta2", "epsilon", "weight_decay",
                         "weight_decay_others", "clip", "step"})
    if (clips || name != "clip")
      options[name] = builder.insertArgument(next++, scalar, name, "option");

  struct State {
    Value parameter, first, second, gradient;
    std::string name;
    Attribute symbol;
  };
  SmallVector<State> states;
  for (unsigned i = next; i < program.getNumArguments(); ++i)
    states.push_back({program.getArgument(i),
                      {},
                      {},
                      gradients[i - next],
                      program.getArgumentName(i).str(),
                      program.getArgAttr(i, "quern.parameter")});
  for (State &state : states)
    state.first = builder.insertArgument(program.getNumArguments(), state.parameter.getType(),
                                         state.name, "first_moment", state.symbol);
  for (State &state : states)
    state.second = builder.insertArgument(program.getNumArguments(), state.parameter.getType(),
                                          state.name, "second_moment", state.symbol);

  if (states.empty()) {
    mlir::emitError(program.getLoc(),
                    "@loss reads no parameter, so that there is nothing to train");
    program.erase();
    return {};
  }
  Value scale; // none: each update depends on its own gradient alone
  if (clips) {
    Value norm = globalNorm(b, loc, gradients);
    scale = clipScale(b, loc, norm, options["clip"]);
    builder.addResult(scalars.convert(norm, b.getF32Type()), "gradient_norm", "output");
  }
  DenseMap<Type, Value> scales;
  SmallVector<AdamWOp> updates;
  for (State &state : states) {
    Type element = cast<RankedTensorType>(state.parameter.getType()).getElementType();
    Value &factor = scales[element];
    if (scale && !factor)
      factor = scalars.convert(scale, element);
    auto parameter =
        cast<ParameterOp>(SymbolTable::lookupSymbolIn(model, cast<SymbolRefAttr>(state.symbol)));
    Value decay = options[parameter.getDecay() ? "weight_decay" : "weight_decay_others"];
    updates.push_back(AdamWOp::create(b, parameter.getLoc(), state.parameter, state.gradient,
                                      state.first, state.second, factor, options["learning_rate"],
                                      options["beta1"], options["beta2"], options["epsilon"], decay,
                                      options["step"]));
  }
  for (auto [index, role] :
       llvm::enumerate(SmallVector<StringRef>{"parameter", "first_moment", "second_moment"}))
    for (auto [state, update] : llvm::zip(states, updates))
      builder.addResult(update.getResult(index), state.name, role, state.symbol, state.name);
  return program;
}
