//===- ParseFunction.cpp - Functions and instructions -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Assembly/Parser.h"

namespace quern::emulator::assembly {

/// A list of parameters between parentheses; their names are known in the body.
std::vector<Variable> Parser::parseParameters(OperandKind kind, Function &into) {
  std::vector<Variable> parameters;
  expect("(", "before parameters");
  if (accept(")"))
    return parameters;
  do {
    if (accept(".reg"))
      fail("parameters of functions in registers are not emulated: use .param");
    expect(".param", "before a parameter");
    Function *outer = function;
    function = nullptr;
    parameters.push_back(parseVariable(Space::Parameter, false));
    function = outer;
    if (parameters.back().name != "_")
      declare(parameters.back().name, kind, parameters.size() - 1, parameters.back().position);
  } while (accept(","));
  expect(")", "after parameters");
  return parameters;
}

Dim3 Parser::parseDimensions() {
  Dim3 dimensions{1, 1, 1};
  dimensions.x = uint32_t(takeInteger("a number of threads or blocks"));
  if (accept(","))
    dimensions.y = uint32_t(takeInteger("a number of threads or blocks"));
  if (accept(","))
    dimensions.z = uint32_t(takeInteger("a number of threads or blocks"));
  return dimensions;
}

/// Directives between the parameters and the body.
bool Parser::parseFunctionDirective(Function &into) {
  if (accept(".maxntid")) {
    into.maximumBlock = parseDimensions();
  } else if (accept(".reqntid")) {
    into.requiredBlock = parseDimensions();
  } else if (accept(".reqnctapercluster")) {
    into.requiredCluster = parseDimensions();
  } else if (accept(".minnctapersm") || accept(".maxnreg") || accept(".maxclusterrank") ||
             accept(".maxnctapersm")) {
    takeInteger("a number");
  } else if (accept(".noreturn") || accept(".explicitcluster") || accept(".blocksareclusters")) {
    // These promise something to ptxas and change nothing of what is computed.
  } else if (accept(".pragma")) {
    skipToSemicolon();
  } else {
    return false;
  }
  return true;
}

/// After .entry or .func: [(RETURNS)] NAME [(PARAMETERS)] DIRECTIVES { BODY } or ;
void Parser::parseFunction(bool isKernel) {
  Function parsed;
  parsed.isKernel = isKernel;
  scopes.push_back({0, {}});
  scope = int(scopes.size()) - 1;
  if (is("("))
    parsed.returns = parseParameters(OperandKind::ReturnParameter, parsed);
  parsed.position = peek().position;
  parsed.name = takeName("the name of a function");
  if (is("("))
    parsed.parameters = parseParameters(OperandKind::Parameter, parsed);
  while (parseFunctionDirective(parsed))
    ;
  parsed.hasBody = is("{");
  uint32_t index = uint32_t(module.functions.size());
  const Symbol *known = lookup(parsed.name, 0);
  if (known && known->kind == OperandKind::Function) {
    index = known->index;
    if (module.functions[index].hasBody && parsed.hasBody)
      fail(parsed.position, "the function '" + parsed.name + "' already has a body");
  } else {
    int inner = scope;
    scope = 0;
    declare(parsed.name, OperandKind::Function, index, parsed.position);
    scope = inner;
    module.functions.emplace_back();
  }
  bool keep = module.functions[index].hasBody;
  if (!keep)
    module.functions[index] = std::move(parsed);
  if (is("{")) {
    function = &module.functions[index];
    location = {};
    parseBody();
    function = nullptr;
  } else {
    expect(";", "after the declaration of a function");
  }
  scope = 0;
}

void Parser::parseBody() {
  Position start = peek().position;
  expect("{", "before the body of a function");
  forwards.clear();
  int outermost = scope;
  while (true) {
    if (peek().kind == TokenKind::End)
      fail(start, "the body of '" + function->name + "' has no closing '}'");
    if (accept("{")) {
      scopes.push_back({scope, {}});
      scope = int(scopes.size()) - 1;
    } else if (accept("}")) {
      if (scope == outermost)
        break;
      scope = scopes[scope].parent;
    } else {
      parseStatement();
    }
  }
  resolveForwards();
}

/// A label, a directive or an instruction.
void Parser::parseStatement() {
  if (peek().kind == TokenKind::Name && peek(1).text == ":") {
    Position position = peek().position;
    std::string name(take().text);
    take();
    if (is(".branchtargets")) {
      declare(name, OperandKind::Name, function->branchTargets.size(), position);
      function->branchTargets.push_back({name, {}});
      parseBranchTargets();
      return;
    }
    if (accept(".callprototype")) {
      declare(name, OperandKind::Name, 0, position);
      skipToSemicolon();
      return;
    }
    declare(name, OperandKind::Label, function->instructions.size(), position);
    return;
  }
  if (accept(";"))
    return;
  if (peek().kind == TokenKind::DotName) {
    if (!parseBodyDirective())
      fail("unknown directive " + describe(peek()) + " in a function");
    return;
  }
  parseInstruction();
}

bool Parser::parseBodyDirective() {
  if (accept(".reg")) {
    parseRegisters();
    return true;
  }
  if (accept(".loc")) {
    parseLocation();
    return true;
  }
  if (accept(".pragma")) {
    skipToSemicolon();
    return true;
  }
  bool isExtern = accept(".extern");
  if (std::optional<Space> space = acceptSpace()) {
    Variable variable = parseVariable(*space, isExtern);
    if (*space == Space::Global || *space == Space::Constant) {
      declare(variable.name, OperandKind::ModuleVariable, module.variables.size(),
              variable.position);
      module.variables.push_back(std::move(variable));
    } else {
      declare(variable.name, OperandKind::FunctionVariable, function->variables.size(),
              variable.position);
      function->variables.push_back(std::move(variable));
    }
    return true;
  }
  return false;
}

void Parser::parseBranchTargets() {
  // Targets are labels that mostly come later: resolveForwards finds them, from this scope.
  take();
  BranchTargets &table = function->branchTargets.back();
  do {
    Operand target;
    target.kind = OperandKind::Name;
    target.position = peek().position;
    target.index = uint32_t(scope);
    target.name = takeName("a label");
    table.targets.push_back(target);
  } while (accept(","));
  expect(";", "after the targets of a branch");
}

void Parser::parseInstruction() {
  Instruction instruction;
  instruction.position = peek().position;
  instruction.location = location;
  const char *begin = peek().text.data();
  if (accept("@")) {
    bool negated = accept("!");
    Position position = peek().position;
    std::string name = takeName("a predicate register");
    const Symbol *symbol = lookup(name, scope);
    if (!symbol || symbol->kind != OperandKind::Register ||
        function->registers[symbol->index].type != Type::Pred)
      fail(position, "'" + name + "' is not a predicate register");
    instruction.guard = Guard{symbol->index, negated};
  }
  instruction.opcode = takeName("an instruction");
  while (peek().kind == TokenKind::DotName && peek().attached)
    instruction.modifiers.emplace_back(take().text);
  if (!is(";")) {
    do {
      instruction.operands.push_back(parseOperand());
    } while (accept(","));
  }
  const Token &end = peek();
  expect(";", "after an instruction");
  instruction.text = std::string_view(begin, size_t(end.text.data() + 1 - begin));
  uint32_t index = uint32_t(function->instructions.size());
  std::vector<uint32_t> path;
  for (uint32_t i = 0; i < instruction.operands.size(); ++i) {
    path.assign(1, i);
    findForwards(instruction.operands[i], index, path);
  }
  function->instructions.push_back(std::move(instruction));
}

/// Remembers the operands whose name was not known when they were read.
void Parser::findForwards(const Operand &operand, uint32_t instruction,
                          std::vector<uint32_t> &path) {
  if (operand.kind == OperandKind::Name)
    forwards.push_back({instruction, path, scope});
  for (uint32_t i = 0; i < operand.elements.size(); ++i) {
    path.push_back(i);
    findForwards(operand.elements[i], instruction, path);
    path.pop_back();
  }
}

void Parser::resolveForwards() {
  auto resolve = [&](Operand &operand, int from) {
    const Symbol *symbol = lookup(operand.name, from);
    if (!symbol)
      fail(operand.position, "'" + operand.name + "' is not declared");
    operand.kind = symbol->kind;
    operand.index = symbol->index;
  };
  for (const Forward &forward : forwards) {
    Operand *operand = &function->instructions[forward.instruction].operands[forward.path[0]];
    for (size_t i = 1; i < forward.path.size(); ++i)
      operand = &operand->elements[forward.path[i]];
    resolve(*operand, forward.scope);
  }
  for (BranchTargets &table : function->branchTargets)
    for (Operand &target : table.targets) {
      resolve(target, int(target.index));
      if (target.kind != OperandKind::Label)
        fail(target.position, "'" + target.name + "' is not a label");
    }
}

} // namespace quern::emulator::assembly
