//===- Decoder.h - What a family of instructions needs to decode itself -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// A family of instructions (a file of Machine/Instructions, or of another folder) has one function
/// `registerFAMILY(InstructionTable &)`, listed in InstructionTable.cpp. It adds a `Decode` for
/// each of its opcodes, which takes every modifier, fetches every operand, and sets the handler:
///
///     static void decodeNot(Decoder &decoder) {
///       Type type = decoder.modifiers.type({Type::Pred, Type::B16, Type::B32, Type::B64});
///       decoder.operandCount(2);
///       decoder.result.operands = {decoder.write(0, type), decoder.read(1, type)};
///       decoder.result.handler = ...;
///     }
///
/// What a decoder has not taken is an error that names it, so that nothing is skipped.
///
#ifndef QUERN_EMULATOR_MACHINE_DECODER_H
#define QUERN_EMULATOR_MACHINE_DECODER_H

#include "lib/Emulator/Machine/Program.h"

#include <initializer_list>
#include <map>
#include <set>
#include <unordered_map>

namespace quern::emulator::machine {

class Decoder;
class FunctionDecoder;

/// The modifiers of an instruction, taken one by one, in any order except that types are taken from
/// left to right.
class Modifiers {
public:
  Modifiers(Decoder &decoder, const std::vector<std::string> &names)
      : decoder(decoder), names(names), taken(names.size(), false) {}

  /// Takes `name` (".ftz") if it is there.
  bool accept(std::string_view name);
  /// Takes one of `choices` and returns its index, or -1.
  int acceptOneOf(std::initializer_list<std::string_view> choices);
  /// The same; an error that lists the choices when there is none.
  int oneOf(const char *what, std::initializer_list<std::string_view> choices);
  /// Takes the first type that is left; an error when there is none, or when it is not in
  /// `choices`.
  Type type(std::initializer_list<Type> choices = {});
  /// Takes the first type that is left, or returns None.
  Type acceptType();
  /// .v2, .v4, .v8 or nothing (1).
  unsigned vectorLength();
  /// The first modifier that nobody has taken, or null.
  const std::string *leftover() const;
  /// All modifiers as one text.
  std::string text() const;

private:
  Decoder &decoder;
  const std::vector<std::string> &names;
  std::vector<bool> taken;
};

class Decoder {
public:
  Decoder(FunctionDecoder &function, const assembly::Instruction &source, Instruction &result);

  const assembly::Instruction &source;
  Instruction &result;
  Modifiers modifiers;

  /// Throws AssemblyError at the instruction, or at a position.
  [[noreturn]] void fail(const std::string &message);
  [[noreturn]] void fail(assembly::Position position, const std::string &message);

  size_t operandCount() const { return source.operands.size(); }
  /// An error unless there are `least` to `most` operands.
  void operandCount(size_t least, size_t most);
  void operandCount(size_t count) { operandCount(count, count); }
  const assembly::Operand &operand(size_t index) const { return source.operands[index]; }

  // A source or destination of exactly the width of `type`: a register, or for sources a constant,
  // a special register or the address of a variable.
  Operand read(size_t index, Type type) { return read(operand(index), type); }
  Operand read(const assembly::Operand &operand, Type type);
  Operand write(size_t index, Type type) { return write(operand(index), type); }
  Operand write(const assembly::Operand &operand, Type type);
  /// The same, but a register may be wider than the type (ld, st, cvt).
  Operand readWide(const assembly::Operand &operand, Type type);
  Operand writeWide(const assembly::Operand &operand, Type type);
  /// "{a, b}" as its elements, or a single operand; an error unless there are `count`.
  std::vector<const assembly::Operand *> elements(const assembly::Operand &operand, size_t count);
  /// "[a + 4]" of `space`; the value is 32 or 64 bits wide.
  Operand address(const assembly::Operand &operand, Space space);
  Operand address(size_t index, Space space) { return address(operand(index), space); }
  /// An integer that is known now.
  int64_t immediate(size_t index, int64_t least, int64_t most);
  /// A constant of the frame.
  Operand constant(Type type, uint64_t value);
  /// Sets the operands of the result: the destination, then `sources`, in the order of the text; as
  /// many are an error unless the instruction has them.
  void takeOperands(Type destination, std::initializer_list<Type> sources);

  /// The instruction is executed by all lanes named in the mask together.
  void requireMembers(size_t index);
  /// It is executed by the whole warp together (`.aligned`).
  void requireWarp() { result.convergence = Convergence::Warp; }

  /// For control flow: what the operand names.
  FunctionDecoder &function;
};

using Decode = void (*)(Decoder &);

/// Opcode to decoder.
class InstructionTable {
public:
  void add(std::string_view opcode, Decode decode);
  Decode find(std::string_view opcode) const;
  std::vector<std::string> opcodes() const;

private:
  std::map<std::string, Decode, std::less<>> table;
};

/// All families.
const InstructionTable &instructionTable();

/// Turns the instructions of one function into its code.
class FunctionDecoder {
public:
  FunctionDecoder(const assembly::Module &module, const assembly::Function &source,
                  Program &program, Function &result)
      : module(module), source(source), program(program), result(result) {}
  void decode();

  const assembly::Module &module;
  const assembly::Function &source;
  Program &program;
  Function &result;

  Operand registerOperand(const assembly::Operand &operand) const {
    return registers[operand.index];
  }
  Operand registerAt(uint32_t index) const { return registers[index]; }
  /// The place of a constant; equal constants of a function share it.
  Operand constant(ConstantKind kind, uint32_t symbol, uint64_t value, unsigned bits);
  /// A place for results that are dropped.
  Operand sink(unsigned bits);
  /// The carry flag, a predicate.
  Operand carry();
  /// The address of a variable or parameter as a constant, and the space where it was declared. An
  /// address in parameter memory is generic, any other one belongs to its space.
  Operand symbolAddress(Decoder &decoder, const assembly::Operand &operand, unsigned bits,
                        Space *space);
  /// Where parameters and returned values of a function that is no kernel lie in its local memory,
  /// which begins with them; returns their size.
  static uint64_t layOutParameters(const assembly::Function &function,
                                   std::vector<uint32_t> &parameters,
                                   std::vector<uint32_t> &returns);
  /// Offset in local memory of a parameter of a call, a variable of the function.
  uint32_t localOffset(uint32_t variable) const { return variableOffsets[variable]; }
  /// Lets `observe` see all instructions that use the registers of `operand`, or registers that
  /// such a register is moved to or from, but for the one that is being decoded and others that
  /// watch.
  void watch(const Instruction &watcher, const Operand &operand,
             void (*observe)(Warp &, const Instruction &));

private:
  std::vector<Operand> registers;
  std::map<std::tuple<ConstantKind, uint32_t, uint64_t, unsigned>, Operand> constants;
  std::map<unsigned, Operand> sinks;
  std::optional<Operand> carryFlag;
  /// Of the function's variables: offset in local memory, or index of the shared variable.
  std::vector<uint32_t> variableOffsets;
  std::set<uint32_t> watched;
  std::set<const Instruction *> watchers;
  void (*observer)(Warp &, const Instruction &) = nullptr;

  void markWatched();
  Operand place(unsigned bits);
  void layOut();
  void decodeInstruction(uint32_t index);
};

/// Bits of a lane of a register of a type: 1, 16, 32, 64 or 128.
unsigned laneBits(Type type);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_DECODER_H
