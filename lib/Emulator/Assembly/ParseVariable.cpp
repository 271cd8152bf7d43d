//===- ParseVariable.cpp - Declarations of variables and registers ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Assembly/Parser.h"

#include <cstring>

namespace quern::emulator::assembly {

/// More than any device has; keeps sizes from overflowing.
static constexpr uint64_t largestVariable = uint64_t(1) << 40;

std::optional<Space> Parser::acceptSpace() {
  static const struct {
    const char *name;
    Space space;
  } spaces[] = {{".global", Space::Global},
                {".shared", Space::Shared},
                {".local", Space::Local},
                {".const", Space::Constant},
                {".param", Space::Parameter}};
  for (const auto &row : spaces)
    if (accept(row.name))
      return row.space;
  return std::nullopt;
}

/// After the space: [.align N] [.v2|.v4] TYPE [.ptr [.SPACE] [.align N]] NAME [N]... [=
/// INITIALIZER] and, for all but parameters, the semicolon.
Variable Parser::parseVariable(Space space, bool isExtern) {
  Variable variable;
  variable.space = space;
  variable.isExtern = isExtern;
  uint64_t vector = 1, align = 0;
  bool pointer = false;
  while (peek().kind == TokenKind::DotName) {
    Position position = peek().position;
    if (accept(".align")) {
      position = peek().position;
      uint64_t value = takeInteger("an alignment");
      if (!value || (value & (value - 1)) || value > 4096)
        fail(position, "an alignment is a power of two up to 4096, not " + std::to_string(value));
      // After .ptr it is the alignment of what the parameter points to.
      if (!pointer)
        align = value;
    } else if (accept(".v2")) {
      vector = 2;
    } else if (accept(".v4")) {
      vector = 4;
    } else if (accept(".ptr")) {
      pointer = true;
    } else if (pointer && acceptSpace()) {
      continue;
    } else if (accept(".attribute")) {
      expect("(", "after .attribute");
      while (!accept(")")) {
        if (peek().kind == TokenKind::End)
          fail(position, "this attribute has no closing ')'");
        take();
      }
    } else if (Type type = typeOf(peek().text); type != Type::None && variable.type == Type::None) {
      take();
      variable.type = type;
    } else {
      fail("unknown property " + describe(peek()) + " of a variable");
    }
  }
  if (variable.type == Type::None || variable.type == Type::Pred)
    fail("a variable needs a type like .b8 or .f32 before " + describe(peek()));
  variable.position = peek().position;
  variable.name = takeName("the name of a variable");
  unsigned elementBytes = bitsOf(variable.type) / 8;
  uint64_t count = vector;
  variable.isArray = vector > 1;
  bool open = false;
  while (accept("[")) {
    variable.isArray = true;
    if (accept("]")) {
      open = true;
      continue;
    }
    Position position = peek().position;
    int64_t extent = parseExpression();
    if (extent < 0 || uint64_t(extent) > largestVariable ||
        __builtin_mul_overflow(count, uint64_t(extent), &count) || count > largestVariable)
      fail(position, "the size of '" + variable.name + "' is out of range");
    expect("]", "after the size of an array");
  }
  variable.alignment = align ? align : elementBytes * vector;
  variable.bytes = open ? 0 : count * elementBytes;
  if (accept("=")) {
    variable.isInitialized = true;
    parseInitializer(variable, elementBytes);
    if (open)
      variable.bytes = variable.initializer.size();
    if (variable.initializer.size() > variable.bytes)
      fail(variable.position, "the initializer of '" + variable.name + "' has " +
                                  std::to_string(variable.initializer.size()) +
                                  " bytes, the variable only " + std::to_string(variable.bytes));
    if (space == Space::Shared || space == Space::Local || space == Space::Parameter)
      fail(variable.position, "a variable in " + std::string(emulator::name(space)) +
                                  " memory cannot have an initializer");
  } else if (open && !isExtern && space != Space::Parameter) {
    fail(variable.position, "the array '" + variable.name + "' needs a size, or .extern");
  }
  if (space != Space::Parameter || function)
    expect(";", "after the declaration of a variable");
  return variable;
}

void Parser::parseInitializer(Variable &variable, unsigned elementBytes) {
  uint64_t offset = 0;
  parseInitialValue(variable, elementBytes, offset);
}

void Parser::parseInitialValue(Variable &variable, unsigned elementBytes, uint64_t &offset) {
  if (accept("{")) {
    if (accept("}"))
      return;
    do {
      parseInitialValue(variable, elementBytes, offset);
    } while (accept(","));
    expect("}", "at the end of an initializer");
    return;
  }
  Position position = peek().position;
  uint64_t bits = 0;
  bool generic = is("generic") && peek(1).text == "(";
  if (peek().kind == TokenKind::Name) {
    if (generic) {
      take();
      take();
    }
    Relocation relocation{offset, elementBytes, takeName("the name of a variable"),
                          0,      generic,      position};
    if (generic)
      expect(")", "after generic(NAME");
    if (is("+") || is("-"))
      relocation.addend = parseExpression();
    variable.relocations.push_back(relocation);
  } else {
    Operand value = parseConstant();
    bits = value.bits;
    if (value.kind == OperandKind::Decimal) {
      double real;
      std::memcpy(&real, &value.bits, sizeof real);
      if (variable.type == Type::F32) {
        float single = float(real);
        uint32_t word;
        std::memcpy(&word, &single, sizeof word);
        bits = word;
      }
    }
  }
  size_t end = offset + elementBytes;
  if (variable.initializer.size() < end)
    variable.initializer.resize(end);
  for (unsigned i = 0; i < elementBytes && i < 8; ++i)
    variable.initializer[offset + i] = std::byte(bits >> (8 * i));
  offset = end;
}

/// After .reg: TYPE NAME[<N>] {, NAME[<N>]};
void Parser::parseRegisters() {
  if (is(".v2") || is(".v4"))
    fail("vector registers are not emulated: declare scalar registers and write {a, b}");
  Type type = typeOf(peek().text);
  if (peek().kind != TokenKind::DotName || type == Type::None)
    fail("a register needs a type, found " + describe(peek()));
  take();
  do {
    Position position = peek().position;
    std::string name = takeName("the name of a register");
    if (accept("<")) {
      uint64_t count = takeInteger("the number of registers");
      expect(">", "after the number of registers");
      if (count > 1'000'000)
        fail(position, "more than a million registers");
      for (uint64_t i = 0; i < count; ++i) {
        std::string one = name + std::to_string(i);
        declare(one, OperandKind::Register, function->registers.size(), position);
        function->registers.push_back({one, type});
      }
    } else {
      declare(name, OperandKind::Register, function->registers.size(), position);
      function->registers.push_back({name, type});
    }
  } while (accept(","));
  expect(";", "after the declaration of registers");
}

} // namespace quern::emulator::assembly
