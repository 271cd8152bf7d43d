//===- Calls.cpp - Calls of functions ---------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Arguments and returned values are variables in parameter memory, which here lie in the local
/// memory of the threads: a call copies them from the frame of the caller to that of the callee.
///
#include "lib/Emulator/Machine/Instructions/Calls.h"

#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Instructions/Print.h"

namespace quern::emulator::machine {

using assembly::OperandKind;

namespace {

/// Bytes to copy between frames, by their offsets in each.
struct Transfer {
  uint32_t caller, callee, bytes;
};

struct CallPlan {
  const Function *callee;
  std::vector<Transfer> arguments, returns;
};

Step call(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<CallPlan>();
  uint32_t from = warp.path().frame->localBase;
  warp.enter(instruction, lanes, *plan.callee);
  uint32_t to = warp.path().frame->localBase;
  for (const Transfer &one : plan.arguments)
    warp.copyLocal(lanes, to + one.callee, from + one.caller, one.bytes);
  return Step::Moved;
}

/// The index of a variable for parameters of calls, declared in the body of the caller, or of one
/// of its own parameters.
uint32_t callerOffset(Decoder &decoder, const assembly::Operand &operand, uint64_t bytes) {
  const FunctionDecoder &function = decoder.function;
  const assembly::Variable *variable = nullptr;
  uint32_t offset = 0;
  if (operand.kind == OperandKind::FunctionVariable &&
      function.source.variables[operand.index].space == Space::Parameter) {
    variable = &function.source.variables[operand.index];
    offset = function.localOffset(operand.index);
  } else if (operand.kind == OperandKind::ReturnParameter) {
    variable = &function.source.returns[operand.index];
    offset = function.result.returnOffsets[operand.index];
  } else if (operand.kind == OperandKind::Parameter && !function.source.isKernel) {
    variable = &function.source.parameters[operand.index];
    offset = function.result.parameterOffsets[operand.index];
  } else {
    decoder.fail(operand.position,
                 "arguments and results of a call are variables declared with .param");
  }
  if (variable->bytes != bytes)
    decoder.fail(operand.position, "'" + operand.name + "' has " + std::to_string(variable->bytes) +
                                       " bytes, the function's parameter " + std::to_string(bytes));
  return offset;
}

std::vector<Transfer> transfers(Decoder &decoder, const assembly::Operand *group,
                                const std::vector<assembly::Variable> &parameters,
                                const std::vector<uint32_t> &offsets, const char *what) {
  static const std::vector<assembly::Operand> none;
  const std::vector<assembly::Operand> &operands = group ? group->elements : none;
  if (operands.size() != parameters.size())
    decoder.fail("the function has " + std::to_string(parameters.size()) + " " + what +
                 ", the call " + std::to_string(operands.size()));
  std::vector<Transfer> result;
  for (size_t i = 0; i < operands.size(); ++i)
    result.push_back({callerOffset(decoder, operands[i], parameters[i].bytes), offsets[i],
                      uint32_t(parameters[i].bytes)});
  return result;
}

} // namespace

Step returnFromCall(Warp &warp, const Instruction &, LaneMask lanes) {
  const Frame &frame = *warp.path().frame;
  if (frame.caller)
    for (const Transfer &one : frame.call->planAs<CallPlan>().returns)
      warp.copyLocal(lanes, frame.caller->localBase + one.caller, frame.localBase + one.callee,
                     one.bytes);
  return warp.returnFrom(lanes);
}

void decodeCall(Decoder &decoder) {
  decoder.modifiers.accept(".uni");
  decoder.operandCount(1, 4);
  const assembly::Operand *returned = nullptr, *callee = nullptr, *arguments = nullptr;
  for (const assembly::Operand &operand : decoder.source.operands) {
    if (operand.kind == OperandKind::Group && !callee)
      returned = &operand;
    else if (operand.kind == OperandKind::Group)
      arguments = &operand;
    else if (operand.kind == OperandKind::Sink && !callee)
      continue;
    else if (!callee)
      callee = &operand;
  }
  if (!callee)
    decoder.fail("'call' names no function");
  if (callee->kind != OperandKind::Function)
    decoder.fail(callee->position, "calls through addresses are not emulated: name a function");
  Program &program = decoder.function.program;
  const assembly::Function &declared = decoder.function.module.functions[callee->index];
  if (declared.isKernel)
    decoder.fail(callee->position, "the kernel '" + declared.name + "' cannot be called");
  Function &function = *program.functions[callee->index];
  // The callee may not be decoded yet: its parameters are laid out the same way wherever it is
  // asked.
  std::vector<uint32_t> parameterOffsets, returnOffsets;
  FunctionDecoder::layOutParameters(declared, parameterOffsets, returnOffsets);
  CallPlan plan;
  plan.callee = &function;
  plan.arguments =
      transfers(decoder, arguments, declared.parameters, parameterOffsets, "parameters");
  plan.returns = transfers(decoder, returned, declared.returns, returnOffsets, "returned values");
  if (!declared.hasBody) {
    SystemCall system;
    if (!plan.arguments.empty())
      system.first = plan.arguments[0].caller;
    if (plan.arguments.size() > 1)
      system.second = plan.arguments[1].caller;
    if (!plan.returns.empty())
      system.result = plan.returns[0].caller;
    decodeSystemCall(decoder, declared, system);
    return;
  }
  decoder.function.result.callees.push_back(callee->index);
  decoder.result.plan = std::make_shared<CallPlan>(std::move(plan));
  decoder.result.handler = call;
}

} // namespace quern::emulator::machine
