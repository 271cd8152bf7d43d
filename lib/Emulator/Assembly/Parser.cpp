//===- Parser.cpp - Directives of a module ----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Assembly/Parser.h"

#include <cstdlib>

namespace quern::emulator::assembly {

bool Parser::accept(std::string_view text) {
  if (!is(text))
    return false;
  take();
  return true;
}

std::string Parser::describe(const Token &token) const {
  return token.kind == TokenKind::End ? "the end of the text" : "'" + std::string(token.text) + "'";
}

void Parser::expect(std::string_view text, const char *after) {
  if (!accept(text))
    fail("expected '" + std::string(text) + "' " + after + ", found " + describe(peek()));
}

std::string Parser::takeName(const char *what) {
  if (peek().kind != TokenKind::Name)
    fail("expected " + std::string(what) + ", found " + describe(peek()));
  return std::string(take().text);
}

uint64_t Parser::takeInteger(const char *what) {
  if (peek().kind != TokenKind::Integer)
    fail("expected " + std::string(what) + ", found " + describe(peek()));
  return take().bits;
}

const Symbol *Parser::lookup(const std::string &name, int from) const {
  for (int i = from; i >= 0; i = scopes[i].parent) {
    auto found = scopes[i].names.find(name);
    if (found != scopes[i].names.end())
      return &found->second;
  }
  return nullptr;
}

void Parser::declare(const std::string &name, OperandKind kind, size_t index, Position position) {
  auto [entry, isNew] = scopes[scope].names.emplace(name, Symbol{kind, uint32_t(index), position});
  if (!isNew)
    fail(position, "'" + name + "' is already declared in line " +
                       std::to_string(entry->second.position.line));
}

void Parser::parseModule() {
  if (!is(".version"))
    fail("PTX begins with .version, found " + describe(peek()));
  while (peek().kind != TokenKind::End)
    if (!parseModuleDirective())
      fail("expected a directive, found " + describe(peek()));
}

bool Parser::parseModuleDirective() {
  if (accept(".version")) {
    parseVersion();
    return true;
  }
  if (accept(".target")) {
    parseTarget();
    return true;
  }
  if (accept(".address_size")) {
    Position position = peek().position;
    module.addressBits = unsigned(takeInteger("32 or 64"));
    if (module.addressBits != 64)
      fail(position, "only .address_size 64 is emulated");
    return true;
  }
  if (accept(".file")) {
    parseFile();
    return true;
  }
  if (accept(".section")) {
    skipSection();
    return true;
  }
  if (accept(".pragma")) {
    skipToSemicolon();
    return true;
  }
  if (accept(".loc")) {
    parseLocation();
    return true;
  }
  bool isExtern = false;
  while (true) {
    if (accept(".extern"))
      isExtern = true;
    else if (!accept(".visible") && !accept(".weak") && !accept(".common"))
      break;
  }
  if (accept(".entry")) {
    parseFunction(true);
    return true;
  }
  if (accept(".func")) {
    parseFunction(false);
    return true;
  }
  if (std::optional<Space> space = acceptSpace()) {
    Variable variable = parseVariable(*space, isExtern);
    const Symbol *known = lookup(variable.name, 0);
    if (known && known->kind == OperandKind::ModuleVariable &&
        module.variables[known->index].isExtern) {
      module.variables[known->index] = std::move(variable);
    } else {
      declare(variable.name, OperandKind::ModuleVariable, module.variables.size(),
              variable.position);
      module.variables.push_back(std::move(variable));
    }
    return true;
  }
  return false;
}

void Parser::parseVersion() {
  const Token &token = peek();
  if (token.kind != TokenKind::Decimal)
    fail("expected a version like 8.3, found " + describe(token));
  module.version = std::strtod(std::string(take().text).c_str(), nullptr);
}

void Parser::parseTarget() {
  do {
    std::string name = takeName("a target like sm_90a");
    if (name.compare(0, 3, "sm_") == 0)
      module.target = name;
    else if (name != "debug" && name != "texmode_independent" && name != "texmode_unified")
      fail("the target " + name + " is not emulated; sm_XX and debug are");
  } while (accept(","));
}

/// .file INDEX "NAME" [, TIMESTAMP, SIZE]
void Parser::parseFile() {
  uint32_t index = uint32_t(takeInteger("the index of a file"));
  if (peek().kind != TokenKind::String)
    fail("expected the name of a file in quotes, found " + describe(peek()));
  std::string name(take().text);
  // Debug information of DWARF 5 has folder and name in two strings.
  if (peek().kind == TokenKind::String)
    name += "/" + std::string(take().text);
  module.files[index] = name;
  while (accept(","))
    takeInteger("a time stamp or size");
}

/// Debug information; its bytes mean nothing to an emulator.
void Parser::skipSection() {
  Position start = peek().position;
  take();
  expect("{", "after the name of a section");
  while (!accept("}")) {
    if (peek().kind == TokenKind::End)
      fail(start, "this section has no closing '}'");
    take();
  }
}

/// .loc FILE LINE COLUMN [, function_name LABEL [+ N], inlined_at FILE LINE COLUMN]
void Parser::parseLocation() {
  location.file = uint32_t(takeInteger("the index of a file"));
  location.line = uint32_t(takeInteger("a line"));
  takeInteger("a column");
  while (accept(",")) {
    if (accept("function_name")) {
      takeName("the label of a function's name");
      if (accept("+"))
        takeInteger("an offset");
    } else if (accept("inlined_at")) {
      for (const char *what : {"the index of a file", "a line", "a column"})
        takeInteger(what);
    } else {
      fail("expected function_name or inlined_at in .loc, found " + describe(peek()));
    }
  }
}

void Parser::skipToSemicolon() {
  Position start = peek().position;
  while (!accept(";")) {
    if (peek().kind == TokenKind::End)
      fail(start, "this directive has no closing ';'");
    take();
  }
}

std::shared_ptr<Module> parse(std::string text, std::string name) {
  auto module = std::make_shared<Module>(Source(std::move(text), std::move(name)));
  Parser(*module).parseModule();
  return module;
}

} // namespace quern::emulator::assembly
