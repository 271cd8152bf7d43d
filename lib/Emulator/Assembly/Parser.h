//===- Parser.h - State of parsing: the tokens and the scopes of names ------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_ASSEMBLY_PARSER_H
#define QUERN_EMULATOR_ASSEMBLY_PARSER_H

#include "lib/Emulator/Assembly/Syntax.h"

#include <unordered_map>

namespace quern::emulator::assembly {

/// What a name means.
struct Symbol {
  OperandKind kind;
  uint32_t index;
  Position position;
};

/// Names declared between two braces. Inline assembly declares registers and labels in braces of
/// its own, so the same name may stand for several things in a function.
struct Scope {
  int parent;
  std::unordered_map<std::string, Symbol> names;
};

/// Parser.cpp has directives, ParseFunction.cpp functions and instructions, ParseOperand.cpp
/// operands and constant expressions, ParseVariable.cpp declarations.
class Parser {
public:
  explicit Parser(Module &module) : module(module), tokens(tokenize(module.source)) {}
  void parseModule();

private:
  Module &module;
  std::vector<Token> tokens;
  size_t at = 0;
  std::vector<Scope> scopes{Scope{-1, {}}};
  int scope = 0;
  Function *function = nullptr;
  LineLocation location;
  /// Operands that name something not declared before: labels and prototypes. They are resolved
  /// when the function ends.
  struct Forward {
    uint32_t instruction;
    std::vector<uint32_t> path;
    int scope;
  };
  std::vector<Forward> forwards;

  const Token &peek(size_t ahead = 0) const {
    return tokens[at + ahead < tokens.size() ? at + ahead : tokens.size() - 1];
  }
  const Token &take() { return tokens[at + 1 < tokens.size() ? at++ : at]; }
  bool is(std::string_view text) const {
    return peek().kind != TokenKind::String && peek().text == text;
  }
  bool accept(std::string_view text);
  void expect(std::string_view text, const char *after);
  [[noreturn]] void fail(const std::string &message) { fail(peek().position, message); }
  [[noreturn]] void fail(Position position, const std::string &message) {
    module.source.fail(position, message);
  }
  std::string describe(const Token &token) const;
  std::string takeName(const char *what);
  uint64_t takeInteger(const char *what);

  // Names
  const Symbol *lookup(const std::string &name, int from) const;
  void declare(const std::string &name, OperandKind kind, size_t index, Position position);

  // Parser.cpp
  bool parseModuleDirective();
  void parseVersion();
  void parseTarget();
  void parseFile();
  void skipSection();
  void parseLocation();
  void skipToSemicolon();

  // ParseVariable.cpp
  std::optional<Space> acceptSpace();
  Variable parseVariable(Space space, bool isExtern);
  void parseInitializer(Variable &variable, unsigned elementBytes);
  void parseInitialValue(Variable &variable, unsigned elementBytes, uint64_t &offset);
  void parseRegisters();

  // ParseFunction.cpp
  void parseFunction(bool isKernel);
  std::vector<Variable> parseParameters(OperandKind kind, Function &into);
  bool parseFunctionDirective(Function &into);
  Dim3 parseDimensions();
  void parseBody();
  void parseStatement();
  bool parseBodyDirective();
  void parseInstruction();
  void parseBranchTargets();
  void resolveForwards();
  void findForwards(const Operand &operand, uint32_t instruction, std::vector<uint32_t> &path);

  // ParseOperand.cpp
  Operand parseOperand();
  Operand parsePrimary();
  Operand parseAddress();
  Operand parseList(const char *close, OperandKind kind);
  Operand parseNamed();
  Operand parseConstant();
  int64_t parseExpression(int precedence = 0);
  int64_t parseUnary();
};

} // namespace quern::emulator::assembly

#endif // QUERN_EMULATOR_ASSEMBLY_PARSER_H
