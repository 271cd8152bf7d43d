//===- Lexer.cpp - Tokens of PTX text ---------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Assembly/Lexer.h"

#include "quern/Emulator/Emulator.h"

#include <cstdlib>
#include <cstring>

namespace quern::emulator::assembly {

void Source::fail(Position position, const std::string &message) const {
  std::string out = name + ":" + std::to_string(position.line) + ":" +
                    std::to_string(position.column) + ": error: " + message;
  size_t start = 0;
  for (uint32_t line = 1; line < position.line && start != std::string::npos; ++line) {
    start = text.find('\n', start);
    start = start == std::string::npos ? start : start + 1;
  }
  if (start != std::string::npos && start < text.size()) {
    std::string line = text.substr(start, text.find('\n', start) - start);
    out += "\n  " + line + "\n  ";
    for (uint32_t i = 1; i < position.column; ++i)
      out += i <= line.size() && line[i - 1] == '\t' ? '\t' : ' ';
    out += '^';
  }
  throw AssemblyError(out, position.line, position.column);
}

namespace {

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isHexDigit(char c) { return isDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool beginsName(char c) { return isLetter(c) || c == '_' || c == '$' || c == '%'; }
bool continuesName(char c) { return isLetter(c) || isDigit(c) || c == '_' || c == '$'; }

class Lexer {
public:
  explicit Lexer(const Source &source) : source(source), text(source.text) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    tokens.reserve(text.size() / 4);
    size_t end = 0;
    do {
      skip();
      tokens.push_back(next());
      tokens.back().attached = tokens.size() > 1 && end == size_t(tokenStart);
      end = at;
    } while (tokens.back().kind != TokenKind::End);
    return tokens;
  }

private:
  const Source &source;
  const std::string &text;
  size_t at = 0;
  size_t tokenStart = 0;
  size_t lineStart = 0;
  uint32_t line = 1;

  char peek(size_t ahead = 0) const { return at + ahead < text.size() ? text[at + ahead] : '\0'; }
  Position here() const { return {line, uint32_t(at - lineStart + 1)}; }

  void newLine() {
    ++line;
    lineStart = at + 1;
  }

  /// White space and comments.
  void skip() {
    while (at < text.size()) {
      char c = text[at];
      if (c == '\n') {
        newLine();
        ++at;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\0') {
        ++at;
      } else if (c == '/' && peek(1) == '/') {
        while (at < text.size() && text[at] != '\n')
          ++at;
      } else if (c == '/' && peek(1) == '*') {
        Position start = here();
        for (at += 2; !(peek() == '*' && peek(1) == '/'); ++at) {
          if (at >= text.size())
            source.fail(start, "this comment has no end: */ is missing");
          if (text[at] == '\n')
            newLine();
        }
        at += 2;
      } else {
        return;
      }
    }
  }

  Token make(TokenKind kind, Position position, size_t start, uint64_t bits = 0) {
    return {kind, position, std::string_view(text).substr(start, at - start), bits, false};
  }

  Token next() {
    Position position = here();
    size_t start = tokenStart = at;
    if (at >= text.size())
      return make(TokenKind::End, position, start);
    char c = text[at];
    if (beginsName(c)) {
      for (++at; continuesName(peek());)
        ++at;
      return make(TokenKind::Name, position, start);
    }
    if (isDigit(c))
      return number(position);
    if (c == '.') {
      ++at;
      while (continuesName(peek()) || (peek() == ':' && peek(1) == ':' && continuesName(peek(2)))) {
        if (peek() == ':')
          ++at;
        ++at;
      }
      if (at == start + 1)
        source.fail(position, "a name must follow the dot");
      return make(TokenKind::DotName, position, start);
    }
    if (c == '"') {
      for (++at; peek() != '"'; ++at)
        if (at >= text.size() || text[at] == '\n')
          source.fail(position, "this string has no closing quote");
      ++at;
      Token token = make(TokenKind::String, position, start);
      token.text = token.text.substr(1, token.text.size() - 2);
      return token;
    }
    for (const char *two : {"<<", ">>", "<=", ">=", "==", "!=", "&&", "||"})
      if (c == two[0] && peek(1) == two[1]) {
        // A destination like "%p|%q" is never written with a doubled bar.
        at += 2;
        return make(TokenKind::Punctuation, position, start);
      }
    if (!std::strchr("{}[]()<>,;:@!|+-*/%=&^~?", c))
      source.fail(position, std::string("the character '") + c + "' has no meaning in PTX");
    ++at;
    return make(TokenKind::Punctuation, position, start);
  }

  /// "0fXXXXXXXX", "0dXXXXXXXXXXXXXXXX" (bit patterns), integers in four bases with an optional U,
  /// and decimal floating-point constants.
  Token number(Position position) {
    size_t start = at;
    char second = peek(1);
    if (peek() == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) {
      bool single = second == 'f' || second == 'F';
      at += 2;
      size_t digits = at;
      while (isHexDigit(peek()))
        ++at;
      if (at - digits != (single ? 8u : 16u))
        source.fail(position, std::string("a constant that begins with 0") + second + " has " +
                                  (single ? "8" : "16") + " hexadecimal digits");
      uint64_t bits = std::strtoull(text.substr(digits, at - digits).c_str(), nullptr, 16);
      return make(single ? TokenKind::Float32 : TokenKind::Float64, position, start, bits);
    }
    int base = 10;
    if (peek() == '0' && (second == 'x' || second == 'X')) {
      base = 16;
      at += 2;
    } else if (peek() == '0' && (second == 'b' || second == 'B')) {
      base = 2;
      at += 2;
    }
    size_t digits = at;
    while (base == 16 ? isHexDigit(peek()) : isDigit(peek()))
      ++at;
    bool fraction = base == 10 && peek() == '.' && isDigit(peek(1));
    bool exponent = base == 10 && (peek() == 'e' || peek() == 'E');
    if (fraction || exponent)
      return decimal(position, start);
    if (base == 10 && at - digits > 1 && text[digits] == '0')
      base = 8;
    std::string literal = text.substr(digits, at - digits);
    errno = 0;
    char *end = nullptr;
    uint64_t value = std::strtoull(literal.c_str(), &end, base);
    if (literal.empty() || *end)
      source.fail(position, "'" + text.substr(start, at - start) + "' is not a number of base " +
                                std::to_string(base));
    if (errno)
      source.fail(position, "the number " + literal + " does not fit into 64 bits");
    if (peek() == 'U')
      ++at;
    if (continuesName(peek()))
      source.fail(position, std::string("the character '") + peek() + "' cannot continue a number");
    return make(TokenKind::Integer, position, start, value);
  }

  Token decimal(Position position, size_t start) {
    char *end = nullptr;
    double value = std::strtod(text.c_str() + start, &end);
    at = size_t(end - text.c_str());
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return make(TokenKind::Decimal, position, start, bits);
  }
};

} // namespace

std::vector<Token> tokenize(const Source &source) { return Lexer(source).run(); }

} // namespace quern::emulator::assembly
