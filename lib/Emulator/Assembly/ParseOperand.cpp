//===- ParseOperand.cpp - Operands and constant expressions -----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Assembly/Parser.h"

#include <cstring>

namespace quern::emulator::assembly {

/// An operand with what may stand around it: "a|b", "!p".
Operand Parser::parseOperand() {
  Operand operand = parsePrimary();
  if (!is("|"))
    return operand;
  Operand pair;
  pair.kind = OperandKind::Pair;
  pair.position = operand.position;
  pair.elements.push_back(std::move(operand));
  while (accept("|"))
    pair.elements.push_back(parsePrimary());
  return pair;
}

Operand Parser::parsePrimary() {
  Position position = peek().position;
  if (accept("!")) {
    Operand operand = parsePrimary();
    operand.negated = true;
    operand.position = position;
    return operand;
  }
  if (accept("["))
    return parseAddress();
  if (accept("{"))
    return parseList("}", OperandKind::Vector);
  // A parenthesis opens the arguments of a call, everywhere else an expression.
  if (is("(") && peek(1).kind != TokenKind::Integer && peek(1).text != "-" && peek(1).text != "(") {
    take();
    return parseList(")", OperandKind::Group);
  }
  if (peek().kind == TokenKind::Name)
    return parseNamed();
  return parseConstant();
}

Operand Parser::parseList(const char *close, OperandKind kind) {
  Operand list;
  list.kind = kind;
  list.position = tokens[at - 1].position;
  if (accept(close))
    return list;
  do {
    list.elements.push_back(parseOperand());
  } while (accept(","));
  expect(close, "at the end of a list of operands");
  return list;
}

/// After "[": BASE [+ OFFSET] [, COORDINATES] "]"
Operand Parser::parseAddress() {
  Operand address;
  address.kind = OperandKind::Address;
  address.position = tokens[at - 1].position;
  address.elements.push_back(parsePrimary());
  if (accept("+"))
    address.offset = parseExpression();
  else if (is("-"))
    address.offset = parseExpression();
  while (accept(","))
    address.elements.push_back(parseOperand());
  expect("]", "at the end of an address");
  return address;
}

/// A register, a special register with its component, a variable, a function, or a label.
Operand Parser::parseNamed() {
  Operand operand;
  operand.position = peek().position;
  operand.name = std::string(take().text);
  if (operand.name == "_") {
    operand.kind = OperandKind::Sink;
    return operand;
  }
  if (operand.name == "WARP_SZ") {
    operand.kind = OperandKind::Integer;
    operand.bits = 32;
    return operand;
  }
  if (const Symbol *symbol = lookup(operand.name, scope)) {
    // A label may stand again in an inner scope that has not ended: only resolveForwards knows.
    operand.kind = symbol->kind == OperandKind::Label ? OperandKind::Name : symbol->kind;
    operand.index = symbol->index;
    return operand;
  }
  if (operand.name[0] == '%') {
    operand.kind = OperandKind::Special;
    if (peek().kind == TokenKind::DotName && peek().attached)
      operand.name += take().text;
    return operand;
  }
  operand.kind = OperandKind::Name;
  return operand;
}

/// A floating-point constant, or an integer expression.
Operand Parser::parseConstant() {
  Operand operand;
  operand.position = peek().position;
  bool negative = is("-") && peek(1).kind != TokenKind::Integer && peek(1).text != "(";
  TokenKind kind = peek(negative ? 1 : 0).kind;
  if (kind == TokenKind::Float32 || kind == TokenKind::Float64 || kind == TokenKind::Decimal) {
    if (negative)
      take();
    operand.bits = take().bits;
    operand.kind = kind == TokenKind::Float32   ? OperandKind::Float32
                   : kind == TokenKind::Float64 ? OperandKind::Float64
                                                : OperandKind::Decimal;
    if (negative)
      operand.bits ^= uint64_t(1) << (kind == TokenKind::Float32 ? 31 : 63);
    return operand;
  }
  operand.kind = OperandKind::Integer;
  operand.bits = uint64_t(parseExpression());
  return operand;
}

static int precedenceOf(std::string_view text) {
  static const struct {
    std::string_view text;
    int precedence;
  } table[] = {{"|", 1}, {"^", 2}, {"&", 3}, {"<<", 4}, {">>", 4},
               {"+", 5}, {"-", 5}, {"*", 6}, {"/", 6}};
  for (const auto &row : table)
    if (row.text == text)
      return row.precedence;
  return -1;
}

/// PTX ISA 8.3, section 4.6.1: integer constant expressions, in 64 bits that wrap.
int64_t Parser::parseExpression(int precedence) {
  int64_t left = parseUnary();
  while (peek().kind == TokenKind::Punctuation) {
    std::string_view symbol = peek().text;
    int own = precedenceOf(symbol);
    if (own < 0 || own < precedence)
      break;
    Position position = take().position;
    int64_t right = parseExpression(own + 1);
    uint64_t a = uint64_t(left), b = uint64_t(right);
    if (symbol == "/" && right == 0)
      fail(position, "division by zero in a constant expression");
    if (symbol == "|")
      left = int64_t(a | b);
    else if (symbol == "^")
      left = int64_t(a ^ b);
    else if (symbol == "&")
      left = int64_t(a & b);
    else if (symbol == "<<")
      left = int64_t(b < 64 ? a << b : 0);
    else if (symbol == ">>")
      left = left >> (b < 64 ? b : 63);
    else if (symbol == "+")
      left = int64_t(a + b);
    else if (symbol == "-")
      left = int64_t(a - b);
    else if (symbol == "*")
      left = int64_t(a * b);
    else
      left = right == -1 ? int64_t(0 - a) : left / right;
  }
  return left;
}

int64_t Parser::parseUnary() {
  if (accept("-"))
    return int64_t(0 - uint64_t(parseUnary()));
  if (accept("+"))
    return parseUnary();
  if (accept("~"))
    return ~parseUnary();
  if (accept("!"))
    return !parseUnary();
  if (accept("(")) {
    int64_t value = parseExpression();
    expect(")", "after an expression");
    return value;
  }
  if (accept("WARP_SZ"))
    return 32;
  if (peek().kind != TokenKind::Integer)
    fail("expected an operand, found " + describe(peek()));
  return int64_t(take().bits);
}

} // namespace quern::emulator::assembly
