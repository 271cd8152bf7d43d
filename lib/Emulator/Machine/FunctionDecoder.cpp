//===- FunctionDecoder.cpp - Lays out a frame and decodes the instructions of a function ------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Decoder.h"

#include "lib/Emulator/Machine/ControlFlow.h"

#include <algorithm>

namespace quern::emulator::machine {

using assembly::OperandKind;

/// Appends lanes of `bits` to the frame.
Operand FunctionDecoder::place(unsigned bits) {
  Operand operand;
  unsigned bytes = bits == 1 ? sizeof(LaneMask) : bits / 8 * warpSize;
  // Whole cache lines, so that lanes of a register can be loaded as vectors.
  unsigned alignment = bits == 1 ? sizeof(LaneMask) : 64;
  result.frameBytes = (result.frameBytes + alignment - 1) / alignment * alignment;
  operand.offset = result.frameBytes;
  operand.bits = uint8_t(bits);
  result.frameBytes += bytes;
  return operand;
}

/// Appends a variable to local memory of `bytes` so far; returns its offset.
static uint64_t append(uint64_t &bytes, const assembly::Variable &variable) {
  uint64_t alignment = std::max<uint64_t>(variable.alignment, 1);
  uint64_t offset = (bytes + alignment - 1) / alignment * alignment;
  bytes = offset + variable.bytes;
  return offset;
}

uint64_t FunctionDecoder::layOutParameters(const assembly::Function &function,
                                           std::vector<uint32_t> &parameters,
                                           std::vector<uint32_t> &returns) {
  uint64_t bytes = 0;
  for (const assembly::Variable &variable : function.parameters)
    parameters.push_back(uint32_t(append(bytes, variable)));
  for (const assembly::Variable &variable : function.returns)
    returns.push_back(uint32_t(append(bytes, variable)));
  return bytes;
}

void FunctionDecoder::layOut() {
  for (const assembly::Register &declared : source.registers) {
    Operand operand = place(laneBits(declared.type));
    operand.index = result.masks++;
    registers.push_back(operand);
  }
  uint64_t bytes = 0;
  if (!source.isKernel)
    bytes = layOutParameters(source, result.parameterOffsets, result.returnOffsets);
  for (const assembly::Variable &variable : source.variables) {
    if (variable.space == Space::Shared) {
      variableOffsets.push_back(uint32_t(program.sharedVariables.size()));
      program.sharedVariables.push_back({&variable, variable.isExtern && !variable.bytes});
      continue;
    }
    variableOffsets.push_back(uint32_t(append(bytes, variable)));
    // The limit of CUDA, 512 KiB a thread.
    if (bytes > 512 * 1024)
      module.source.fail(variable.position, "the local memory of a thread ends at 512 KiB, '" +
                                                variable.name + "' goes beyond");
  }
  result.localBytes = uint32_t(bytes);
}

Operand FunctionDecoder::constant(ConstantKind kind, uint32_t symbol, uint64_t value,
                                  unsigned bits) {
  if (bits < 64)
    value &= (uint64_t(1) << bits) - 1;
  auto [entry, isNew] = constants.try_emplace({kind, symbol, value, bits});
  if (isNew) {
    entry->second = place(bits);
    result.constants.push_back({entry->second, kind, symbol, value});
  }
  return entry->second;
}

Operand FunctionDecoder::sink(unsigned bits) {
  auto [entry, isNew] = sinks.try_emplace(bits);
  if (isNew) {
    entry->second = place(bits);
    entry->second.index = result.masks++;
    entry->second.isSink = true;
  }
  return entry->second;
}

Operand FunctionDecoder::carry() {
  if (!carryFlag) {
    carryFlag = place(1);
    carryFlag->index = result.masks++;
  }
  return *carryFlag;
}

Operand FunctionDecoder::symbolAddress(Decoder &decoder, const assembly::Operand &operand,
                                       unsigned bits, Space *space) {
  if (bits != 32 && bits != 64)
    decoder.fail(operand.position, "the address of '" + operand.name + "' needs 32 or 64 bits");
  const assembly::Variable *variable = nullptr;
  Operand result;
  auto shared = [&](uint32_t index) {
    std::vector<uint32_t> &used = this->result.sharedVariables;
    if (std::find(used.begin(), used.end(), index) == used.end())
      used.push_back(index);
    return constant(ConstantKind::SharedVariable, index, 0, bits);
  };
  switch (operand.kind) {
  case OperandKind::FunctionVariable: {
    variable = &source.variables[operand.index];
    uint32_t offset = variableOffsets[operand.index];
    if (variable->space == Space::Shared)
      result = shared(offset);
    else
      result = constant(variable->space == Space::Local ? ConstantKind::Local
                                                        : ConstantKind::LocalGeneric,
                        0, offset, bits);
    break;
  }
  case OperandKind::ModuleVariable:
    variable = &module.variables[operand.index];
    if (variable->space == Space::Shared) {
      result = shared(program.sharedOfModule[operand.index]);
    } else {
      if (variable->isExtern)
        decoder.fail(operand.position, "'" + operand.name + "' is declared .extern in line " +
                                           std::to_string(variable->position.line) +
                                           " and defined nowhere in this text");
      result = constant(ConstantKind::ModuleVariable, operand.index, 0, bits);
    }
    break;
  case OperandKind::Parameter:
    variable = &source.parameters[operand.index];
    if (source.isKernel)
      result = constant(
          ConstantKind::Parameter, 0,
          program.kernels[program.kernelFunctions.size() - 1].parameters[operand.index].offset,
          bits);
    else
      result = constant(ConstantKind::LocalGeneric, 0, this->result.parameterOffsets[operand.index],
                        bits);
    break;
  default:
    variable = &source.returns[operand.index];
    result =
        constant(ConstantKind::LocalGeneric, 0, this->result.returnOffsets[operand.index], bits);
    break;
  }
  if (space)
    *space = variable->space;
  return result;
}

/// The names of known opcodes that are nearest to `opcode`.
static std::string suggestion(const std::string &opcode) {
  for (const std::string &known : instructionTable().opcodes())
    if (known.size() > 2 && opcode.size() > 2 && known.compare(0, 3, opcode, 0, 3) == 0)
      return " (did you mean " + known + "?)";
  return "";
}

void FunctionDecoder::decodeInstruction(uint32_t index) {
  const assembly::Instruction &from = source.instructions[index];
  Instruction &to = result.code[index];
  to.source = &from;
  to.reconvergence = never;
  if (from.guard) {
    to.guarded = true;
    to.guardNegated = from.guard->negated;
    to.guard = registers[from.guard->index];
  }
  Decoder decoder(*this, from, to);
  Decode decode = instructionTable().find(from.opcode);
  if (!decode)
    decoder.fail("unknown instruction '" + from.opcode + decoder.modifiers.text() + "'" +
                 suggestion(from.opcode));
  decode(decoder);
  if (const std::string *left = decoder.modifiers.leftover())
    decoder.fail("unknown modifier '" + *left + "' of '" + from.opcode + decoder.modifiers.text() +
                 "'");
  if (!to.handler)
    decoder.fail("the decoder of '" + from.opcode + "' has set no handler");
}

void FunctionDecoder::decode() {
  layOut();
  result.code.resize(source.instructions.size() + 1);
  for (uint32_t i = 0; i < source.instructions.size(); ++i)
    decodeInstruction(i);
  // Running out of the body returns, as ptxas has it.
  result.code.back() = endOfFunction();
  findReconvergence(result);
  markWatched();
}

} // namespace quern::emulator::machine
