//===- Syntax.h - What PTX text says: variables, functions, instructions ----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The parser resolves names: an operand that names a register, a variable, a parameter, a function
/// or a label says which one. Opcodes and modifiers are left as text; Machine/Decoder gives them
/// meaning.
///
#ifndef QUERN_EMULATOR_ASSEMBLY_SYNTAX_H
#define QUERN_EMULATOR_ASSEMBLY_SYNTAX_H

#include "lib/Emulator/Assembly/Lexer.h"
#include "lib/Emulator/Assembly/Types.h"

#include "quern/Emulator/Emulator.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace quern::emulator::assembly {

struct Function;

/// A part of an initializer that is the address of a variable or function, plus `addend`.
struct Relocation {
  uint64_t offset;
  unsigned bytes;
  std::string symbol;
  int64_t addend;
  bool generic;
  Position position;
};

/// A variable or parameter of any space.
struct Variable {
  std::string name;
  Position position;
  Space space = Space::Global;
  Type type = Type::None;
  uint64_t alignment = 1;
  /// 0 for an extern array without a size, like dynamic shared memory.
  uint64_t bytes = 0;
  bool isArray = false;
  bool isExtern = false;
  bool isInitialized = false;
  /// As many bytes as were given, the rest is zero.
  std::vector<std::byte> initializer;
  std::vector<Relocation> relocations;
};

struct Register {
  std::string name;
  Type type;
};

enum class OperandKind {
  Register,
  /// A special register, like %tid.x; `name` has its component.
  Special,
  /// `index` in the variables of the function, or of the module.
  FunctionVariable,
  ModuleVariable,
  /// `index` in the parameters or the returned parameters of the function.
  Parameter,
  ReturnParameter,
  /// `index` in the functions of the module.
  Function,
  /// `index` in the instructions of the function: the one that follows the label.
  Label,
  Integer,
  /// `bits` of a float, and of a double.
  Float32,
  Float64,
  /// A decimal constant, as `bits` of a double.
  Decimal,
  /// "_"
  Sink,
  /// "[elements[0] + offset]"; a tensor address has its coordinates as elements[1].
  Address,
  /// "{a, b}"
  Vector,
  /// "(a, b)" of a call.
  Group,
  /// "a|b" of setp, shfl, elect.
  Pair,
  /// The name of a prototype or of a table of branch targets.
  Name,
};

struct Operand {
  OperandKind kind = OperandKind::Sink;
  Position position;
  std::string name;
  uint32_t index = 0;
  uint64_t bits = 0;
  int64_t offset = 0;
  /// "!p"
  bool negated = false;
  std::vector<Operand> elements;
};

/// "@p" or "@!p"
struct Guard {
  uint32_t index;
  bool negated;
};

/// `.loc`: file by its index in Module::files.
struct LineLocation {
  uint32_t file = 0;
  uint32_t line = 0;
};

struct Instruction {
  Position position;
  /// "add"; modifiers with their dots: ".rn", ".f32".
  std::string opcode;
  std::vector<std::string> modifiers;
  std::optional<Guard> guard;
  std::vector<Operand> operands;
  LineLocation location;
  /// The text from the guard to the semicolon.
  std::string_view text;
};

/// `.branchtargets`: instructions that brx.idx may jump to.
struct BranchTargets {
  std::string name;
  std::vector<Operand> targets;
};

struct Function {
  std::string name;
  Position position;
  bool isKernel = false;
  bool hasBody = false;
  std::vector<Variable> returns;
  std::vector<Variable> parameters;
  std::vector<Register> registers;
  /// Declared in the body: .local, .shared, .param of calls.
  std::vector<Variable> variables;
  std::vector<Instruction> instructions;
  std::vector<BranchTargets> branchTargets;
  Dim3 maximumBlock{0, 0, 0};
  Dim3 requiredBlock{0, 0, 0};
  Dim3 requiredCluster{0, 0, 0};
};

struct Module {
  explicit Module(Source source) : source(std::move(source)) {}
  Source source;
  std::string target;
  double version = 0;
  unsigned addressBits = 64;
  std::map<uint32_t, std::string> files;
  std::vector<Variable> variables;
  std::vector<Function> functions;
};

/// Parses `text`; throws AssemblyError at the first thing that is not PTX.
std::shared_ptr<Module> parse(std::string text, std::string name);

} // namespace quern::emulator::assembly

#endif // QUERN_EMULATOR_ASSEMBLY_SYNTAX_H
