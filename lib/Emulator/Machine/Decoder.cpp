//===- Decoder.cpp - Modifiers and operands of one instruction --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Decoder.h"

#include "lib/Emulator/Machine/Special.h"

#include <cstring>

namespace quern::emulator::machine {

using assembly::OperandKind;

bool Modifiers::accept(std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (!taken[i] && names[i] == name) {
      taken[i] = true;
      return true;
    }
  return false;
}

int Modifiers::acceptOneOf(std::initializer_list<std::string_view> choices) {
  int index = 0;
  for (std::string_view choice : choices) {
    if (accept(choice))
      return index;
    ++index;
  }
  return -1;
}

int Modifiers::oneOf(const char *what, std::initializer_list<std::string_view> choices) {
  int index = acceptOneOf(choices);
  if (index >= 0)
    return index;
  std::string list;
  for (std::string_view choice : choices)
    list += (list.empty() ? "" : ", ") + std::string(choice);
  decoder.fail("'" + decoder.source.opcode + text() + "' needs " + what + ": one of " + list);
}

Type Modifiers::acceptType() {
  for (size_t i = 0; i < names.size(); ++i)
    if (!taken[i])
      if (Type type = typeOf(names[i]); type != Type::None) {
        taken[i] = true;
        return type;
      }
  return Type::None;
}

Type Modifiers::type(std::initializer_list<Type> choices) {
  Type type = acceptType();
  if (type == Type::None)
    decoder.fail("'" + decoder.source.opcode + text() + "' has no type");
  bool known = choices.size() == 0;
  for (Type choice : choices)
    known |= choice == type;
  if (!known)
    decoder.fail("'" + decoder.source.opcode + text() + "' is not known for the type ." +
                 std::string(name(type)));
  return type;
}

unsigned Modifiers::vectorLength() {
  static constexpr unsigned lengths[] = {2, 4, 8};
  int index = acceptOneOf({".v2", ".v4", ".v8"});
  return index < 0 ? 1 : lengths[index];
}

const std::string *Modifiers::leftover() const {
  for (size_t i = 0; i < names.size(); ++i)
    if (!taken[i])
      return &names[i];
  return nullptr;
}

std::string Modifiers::text() const {
  std::string out;
  for (const std::string &name : names)
    out += name;
  return out;
}

Decoder::Decoder(FunctionDecoder &function, const assembly::Instruction &source,
                 Instruction &result)
    : source(source), result(result), modifiers(*this, source.modifiers), function(function) {}

void Decoder::fail(const std::string &message) { fail(source.position, message); }

void Decoder::fail(assembly::Position position, const std::string &message) {
  function.module.source.fail(position, message);
}

void Decoder::operandCount(size_t least, size_t most) {
  size_t count = source.operands.size();
  if (count >= least && count <= most)
    return;
  std::string expected = std::to_string(least);
  if (most > least)
    expected += " to " + std::to_string(most);
  fail("'" + source.opcode + modifiers.text() + "' takes " + expected + " operands, not " +
       std::to_string(count));
}

unsigned laneBits(Type type) {
  unsigned bits = bitsOf(type);
  return bits == 8 ? 16 : bits;
}

/// The bits of a constant as an operand of a type.
static uint64_t constantBits(Decoder &decoder, const assembly::Operand &operand, Type type) {
  double real;
  std::memcpy(&real, &operand.bits, sizeof real);
  switch (operand.kind) {
  case OperandKind::Integer:
    if (type == Type::F32 || type == Type::F64)
      decoder.fail(operand.position, "an integer constant cannot be an operand of type ." +
                                         std::string(name(type)) + ": write 0f or a decimal point");
    return operand.bits;
  case OperandKind::Float32:
    if (bitsOf(type) == 32)
      return operand.bits;
    if (bitsOf(type) == 64) {
      uint32_t word = uint32_t(operand.bits);
      float single;
      std::memcpy(&single, &word, sizeof single);
      real = single;
      break;
    }
    decoder.fail(operand.position,
                 "a 32-bit constant cannot be an operand of type ." + std::string(name(type)));
  default:
    if (bitsOf(type) == 32) {
      float single = float(real);
      uint32_t word;
      std::memcpy(&word, &single, sizeof word);
      return word;
    }
    if (bitsOf(type) != 64)
      decoder.fail(operand.position, "a floating-point constant cannot be an operand of type ." +
                                         std::string(name(type)));
    break;
  }
  uint64_t bits;
  std::memcpy(&bits, &real, sizeof bits);
  return bits;
}

Operand Decoder::constant(Type type, uint64_t value) {
  return function.constant(ConstantKind::Value, 0, value, laneBits(type));
}

static std::string widths(unsigned have, unsigned need) {
  return std::to_string(have) + " bits wide, the instruction needs " + std::to_string(need);
}

static Operand readOperand(Decoder &decoder, const assembly::Operand &operand, Type type,
                           bool wider) {
  FunctionDecoder &function = decoder.function;
  unsigned bits = laneBits(type);
  if (operand.negated && type != Type::Pred)
    decoder.fail(operand.position, "only a predicate can be negated with '!'");
  switch (operand.kind) {
  case OperandKind::Register: {
    Operand result = function.registerOperand(operand);
    bool fits =
        wider && type != Type::Pred ? result.bits >= bits && result.bits != 1 : result.bits == bits;
    if (!fits)
      decoder.fail(operand.position, "'" + operand.name + "' is " + widths(result.bits, bits));
    result.negated = operand.negated;
    return result;
  }
  case OperandKind::Special: {
    Special special = specialOf(operand.name);
    if (special == Special::None)
      decoder.fail(operand.position,
                   "unknown special register or undeclared register '" + operand.name + "'");
    if (isClock(special))
      decoder.fail(operand.position, "'" + operand.name + "' can only be read by mov");
    // The manual allows 32-bit special registers as 16-bit operands of old code; nobody emits that.
    if (bitsOf(special) != bits && !(bitsOf(special) == 32 && bits == 64))
      decoder.fail(operand.position, "'" + operand.name + "' is " + widths(bitsOf(special), bits));
    return function.constant(ConstantKind::Special, uint32_t(special), 0, bits);
  }
  case OperandKind::Integer:
  case OperandKind::Float32:
  case OperandKind::Float64:
  case OperandKind::Decimal:
    if (type == Type::Pred) {
      Operand result = function.constant(ConstantKind::Value, 0, operand.bits != 0, 1);
      result.negated = operand.negated;
      return result;
    }
    return function.constant(ConstantKind::Value, 0, constantBits(decoder, operand, type), bits);
  case OperandKind::FunctionVariable:
  case OperandKind::ModuleVariable:
  case OperandKind::Parameter:
  case OperandKind::ReturnParameter:
    return function.symbolAddress(decoder, operand, bits, nullptr);
  default:
    decoder.fail(operand.position, "expected a register or constant");
  }
}

Operand Decoder::read(const assembly::Operand &operand, Type type) {
  return readOperand(*this, operand, type, false);
}

Operand Decoder::readWide(const assembly::Operand &operand, Type type) {
  return readOperand(*this, operand, type, true);
}

static Operand writeOperand(Decoder &decoder, const assembly::Operand &operand, Type type,
                            bool wider) {
  unsigned bits = laneBits(type);
  if (operand.kind == OperandKind::Sink)
    return decoder.function.sink(bits);
  if (operand.kind != OperandKind::Register || operand.negated)
    decoder.fail(operand.position, "expected a register to write to");
  Operand result = decoder.function.registerOperand(operand);
  bool fits =
      wider && type != Type::Pred ? result.bits >= bits && result.bits != 1 : result.bits == bits;
  if (!fits)
    decoder.fail(operand.position, "'" + operand.name + "' is " + widths(result.bits, bits));
  return result;
}

Operand Decoder::write(const assembly::Operand &operand, Type type) {
  return writeOperand(*this, operand, type, false);
}

Operand Decoder::writeWide(const assembly::Operand &operand, Type type) {
  return writeOperand(*this, operand, type, true);
}

std::vector<const assembly::Operand *> Decoder::elements(const assembly::Operand &operand,
                                                         size_t count) {
  std::vector<const assembly::Operand *> result;
  if (operand.kind == OperandKind::Vector)
    for (const assembly::Operand &element : operand.elements)
      result.push_back(&element);
  else
    result.push_back(&operand);
  if (result.size() != count)
    fail(operand.position,
         "expected " + std::to_string(count) + " elements, found " + std::to_string(result.size()));
  return result;
}

Operand Decoder::address(const assembly::Operand &operand, Space space) {
  if (operand.kind != OperandKind::Address || operand.elements.size() != 1)
    fail(operand.position, "expected an address in brackets");
  const assembly::Operand &base = operand.elements[0];
  Operand result;
  switch (base.kind) {
  case OperandKind::Register:
    result = function.registerOperand(base);
    if (result.bits != 32 && result.bits != 64)
      fail(base.position, "an address is in a register of 32 or 64 bits, '" + base.name + "' has " +
                              std::to_string(result.bits));
    break;
  case OperandKind::Integer:
    result = constant(Type::B64, base.bits);
    break;
  case OperandKind::FunctionVariable:
  case OperandKind::ModuleVariable:
  case OperandKind::Parameter:
  case OperandKind::ReturnParameter: {
    Space declared = space;
    result = function.symbolAddress(*this, base, 64, &declared);
    if (declared != space)
      fail(base.position, "'" + base.name + "' is in " + std::string(name(declared)) +
                              " memory, the instruction accesses " + std::string(name(space)) +
                              " memory");
    break;
  }
  default:
    fail(base.position, "expected a register, a variable or a constant as address");
  }
  result.displacement = operand.offset;
  return result;
}

void Decoder::takeOperands(Type destination, std::initializer_list<Type> sources) {
  operandCount(1 + sources.size());
  result.operands = {write(0, destination)};
  for (Type type : sources)
    result.operands.push_back(read(result.operands.size(), type));
}

int64_t Decoder::immediate(size_t index, int64_t least, int64_t most) {
  const assembly::Operand &value = operand(index);
  if (value.kind != OperandKind::Integer)
    fail(value.position, "expected an integer constant");
  int64_t number = int64_t(value.bits);
  if (number < least || number > most)
    fail(value.position, "the constant " + std::to_string(number) + " is not in " +
                             std::to_string(least) + " to " + std::to_string(most));
  return number;
}

void Decoder::requireMembers(size_t index) {
  result.convergence = Convergence::Members;
  result.members = read(index, Type::B32);
}

} // namespace quern::emulator::machine
