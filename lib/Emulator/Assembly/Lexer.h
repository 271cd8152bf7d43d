//===- Lexer.h - Tokens of PTX text -----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// PTX ISA 8.3, section 4: comments, identifiers, constants. A name that begins with a dot
/// (directive, modifier) is one token with its parts: ".shared::cta", ".m16n8k16".
///
#ifndef QUERN_EMULATOR_ASSEMBLY_LEXER_H
#define QUERN_EMULATOR_ASSEMBLY_LEXER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quern::emulator::assembly {

/// A place in the text, both counted from 1; columns are in bytes.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
};

enum class TokenKind {
  Name,
  DotName,
  Integer,
  Float32,
  Float64,
  Decimal,
  String,
  Punctuation,
  End
};

struct Token {
  TokenKind kind = TokenKind::End;
  Position position;
  /// As written; a string without its quotes.
  std::string_view text;
  /// Integer: its value. Float32, Float64, Decimal (as double): its bits.
  uint64_t bits = 0;
  /// Nothing stands between this token and the one before it.
  bool attached = false;
};

/// The text and its name, for messages.
class Source {
public:
  Source(std::string text, std::string name) : text(std::move(text)), name(std::move(name)) {}
  std::string text;
  std::string name;

  /// Throws AssemblyError: "NAME:LINE:COLUMN: error: MESSAGE", the line, and a caret under the
  /// place.
  [[noreturn]] void fail(Position position, const std::string &message) const;
};

/// All tokens of the text, the last one of kind End.
std::vector<Token> tokenize(const Source &source);

} // namespace quern::emulator::assembly

#endif // QUERN_EMULATOR_ASSEMBLY_LEXER_H
