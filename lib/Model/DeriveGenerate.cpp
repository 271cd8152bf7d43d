//===- DeriveGenerate.cpp - The program generate ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// `decode` that draws the next token itself, and leaves everything as its next run needs it: token
/// and position are updated in place as the caches are.
///
//===---------------------------------------------------------------------------------------------===//

#include "DerivePrograms.h"
#include "DeriveTypes.h"
#include "Gradient.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace quern;
using namespace quern::model;

/// The argument of that role, if there is one and no other.
static std::optional<unsigned> onlyArgument(FunctionOp program, StringRef role) {
  std::optional<unsigned> found;
  for (unsigned i = 0; i < program.getNumArguments(); ++i) {
    if (getRole(program, i) != role)
      continue;
    if (found)
      return std::nullopt;
    found = i;
  }
  return found;
}

/// Why no token of a model with this `decode` can be drawn and given back to it; "" if one can.
static std::string obstacle(FunctionOp program) {
  std::optional<unsigned> input = onlyArgument(program, "input");
  auto tokens =
      input ? cast<RankedTensorType>(program.getArgument(*input).getType()) : RankedTensorType();
  if (!tokens || !tokens.getElementType().isInteger(32) || tokens.getRank() != 2)
    return "its forward function does not take tokens alone, one i32 [batch, sequence] tensor";
  auto logits = program.getNumResults() ? cast<RankedTensorType>(program.getResultTypes()[0])
                                        : RankedTensorType();
  if (!logits || logits.getRank() != 3 || !isa<FloatType>(logits.getElementType()) ||
      logits.isDynamicDim(2) || logits.getDimSize(2) < 1 ||
      logits.getDimSize(2) > (int64_t(1) << 22))
    return "the first result of its forward function is not logits, [batch, sequence, vocabulary] "
           "with a vocabulary of 1 to 4194304";
  return "";
}

/// The number after `value`, of rank 0.
static Value next(OpBuilder &b, Location loc, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  Value one = arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(type, b.getIntegerAttr(type.getElementType(), 1)));
  return arith::AddIOp::create(b, loc, value, one);
}

FunctionOp model::deriveGenerate(ModelOp model) {
  FunctionOp program = deriveDecoder(model, "generate", /*oneToken=*/true);
  if (!program)
    return {};
  Location loc = program.getLoc();
  if (std::string reason = obstacle(program); !reason.empty()) {
    mlir::emitError(model.getLoc(), "generate cannot be derived: ") << reason;
    program.erase();
    return {};
  }
  ProgramBuilder builder(program);
  OpBuilder b(program.getReturn());
  unsigned tokens = *onlyArgument(program, "input"), position = *onlyArgument(program, "option");
  for (unsigned argument : {tokens, position})
    program.setArgAttr(argument, "quern.role", b.getStringAttr("state"));
  unsigned at = position + 1;
  auto add = [&](StringRef name, Type element, StringRef role) {
    return builder.insertArgument(at++, RankedTensorType::get({}, element), name, role);
  };
  Value index = add("index", b.getI64Type(), "state");
  Value temperature = add("temperature", b.getF64Type(), "option");
  Value topK = add("top_k", b.getI64Type(), "option");
  Value topP = add("top_p", b.getF64Type(), "option");
  Value seed = add("seed", b.getI64Type(), "option");

  Value logits = program.getReturn().getOperand(0);
  if (auto type = cast<RankedTensorType>(logits.getType()); type.getElementType().isF64())
    logits = arith::TruncFOp::create(b, loc, RankedTensorType::get(type.getShape(), b.getF32Type()),
                                     logits);
  auto sample = SampleOp::create(b, loc, logits, temperature, topK, topP, seed, index);

  // Only caches are left of what decode gives.
  BitVector dropped(program.getNumResults());
  for (unsigned i = 0; i < program.getNumResults(); ++i)
    if (program.getResultAttrOfType<StringAttr>(i, "quern.role").getValue() != "cache")
      dropped.set(i);
  (void)program.eraseResults(dropped);
  program.getReturn()->eraseOperands(dropped);
  builder.addResult(sample.getToken(), "drawn", "output");
  auto update = [&](unsigned argument, Value value) {
    StringRef name = program.getArgumentName(argument);
    builder.addResult(castTo(b, value, program.getArgument(argument).getType()), name, "state", {},
                      name);
  };
  update(tokens, sample.getNext());
  update(position, next(b, loc, program.getArgument(position)));
  update(position + 1, next(b, loc, index));
  eraseDeadOps(program.getBody());
  nameDimensions(program);
  return program;
}
