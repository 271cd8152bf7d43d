//===- Program.h - Decoded instructions, ready to execute -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// A warp's registers are one stretch of memory, the frame. A 32-bit register is 32 lanes of 4
/// bytes in it, a predicate one word with a bit for each lane. Constants, addresses of variables
/// and special registers are lanes of the frame too, filled when it is made, so that a handler
/// reads every source operand in the same way.
///
#ifndef QUERN_EMULATOR_MACHINE_PROGRAM_H
#define QUERN_EMULATOR_MACHINE_PROGRAM_H

#include "lib/Emulator/Assembly/Syntax.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace quern::emulator::machine {

class Warp;
struct Instruction;
struct Function;

/// A bit for each lane of a warp.
using LaneMask = uint32_t;
constexpr unsigned warpSize = 32;
constexpr LaneMask allLanes = ~LaneMask(0);

/// What follows an instruction.
enum class Step : uint8_t {
  /// The next instruction.
  Next,
  /// Nothing happened: the lanes wait for something. Others run, then it is executed again.
  Retry,
  /// The handler has set the path's place or state itself.
  Moved,
};

/// Executes one instruction for the lanes of `lanes`: those of the path whose predicate holds, at
/// least one.
using Handler = Step (*)(Warp &warp, const Instruction &instruction, LaneMask lanes);

/// Where a value is in a frame.
struct Operand {
  /// In bytes from the start of the frame.
  uint32_t offset = 0;
  /// Of its mask of initialized lanes. 0 is that of constants, which is full.
  uint32_t index = 0;
  /// Of one lane: 1 for predicates, else 16, 32, 64 or 128.
  uint8_t bits = 0;
  /// "!p"
  bool negated = false;
  /// "_": results are dropped into lanes that nobody reads.
  bool isSink = false;
  /// Addresses: added to the value.
  int64_t displacement = 0;
};

/// Which lanes must execute an instruction together.
enum class Convergence : uint8_t {
  /// Each lane by itself.
  None,
  /// The lanes in the member mask, `Instruction::members`.
  Members,
  /// All lanes of the warp that have not exited (`.aligned`).
  Warp,
};

/// How an instruction uses registers that another family watches (those of wgmma, which may be in
/// flight).
struct Watch {
  /// Called before the instruction is executed.
  void (*observe)(Warp &warp, const Instruction &instruction);
  /// Indices of its watched registers.
  std::vector<uint32_t> registers;
  /// "mov a, b" between two of them.
  bool isMove = false;
};

struct Instruction {
  Handler handler = nullptr;
  std::vector<Operand> operands;
  bool guarded = false;
  bool guardNegated = false;
  /// Does not simply go on to the next instruction: data[0] is its Flow.
  bool isBranch = false;
  Convergence convergence = Convergence::None;
  /// Lanes may be at different instructions with this mark: bar.warp.sync.
  bool gathersAnywhere = false;
  Operand guard;
  Operand members;
  /// Branches: indices in the code.
  uint32_t target = 0;
  /// Where diverged lanes meet again: the immediate post-dominator, or `never`.
  uint32_t reconvergence = 0;
  /// Free for the handler: small numbers, and what takes more room.
  uint64_t data[2] = {0, 0};
  std::shared_ptr<const void> plan;
  /// Set if it uses registers that a family of instructions watches.
  std::shared_ptr<const Watch> watch;
  const assembly::Instruction *source = nullptr;

  template <typename T>
  const T &planAs() const {
    return *static_cast<const T *>(plan.get());
  }
};

constexpr uint32_t never = ~uint32_t(0);

/// What a constant stands for beyond its own value.
enum class ConstantKind : uint8_t {
  Value,
  /// Plus the address of a variable of the module (`symbol`).
  ModuleVariable,
  /// Plus the shared address of `symbol` in Program::sharedVariables, in the executing block.
  SharedVariable,
  /// Plus the start of the frame in local memory.
  Local,
  /// The same as a generic address.
  LocalGeneric,
  /// Plus the address of the launch's parameters.
  Parameter,
  /// A special register: `symbol` is a `Special`.
  Special,
};

struct Constant {
  Operand place;
  ConstantKind kind;
  uint32_t symbol;
  uint64_t value;
};

struct Function {
  std::string name;
  const assembly::Function *source = nullptr;
  bool isKernel = false;
  std::vector<Instruction> code;
  std::vector<Constant> constants;
  /// Size of the frame, in bytes, and number of validity masks.
  uint32_t frameBytes = 0;
  uint32_t masks = 1;
  /// Local memory of one thread in this function, in bytes, parameters of calls included.
  uint32_t localBytes = 0;
  /// Offsets in local memory of parameters and returned values of a function that is no kernel.
  std::vector<uint32_t> parameterOffsets;
  std::vector<uint32_t> returnOffsets;
  /// Indices of the shared variables and functions that its instructions name.
  std::vector<uint32_t> sharedVariables;
  std::vector<uint32_t> callees;
};

struct SharedVariable {
  const assembly::Variable *source;
  /// Dynamic shared memory: all such variables of a kernel begin at the same place.
  bool isDynamic;
};

/// How a kernel's blocks use their shared memory, offsets from the start of the block's window.
struct SharedLayout {
  /// Of each of Program::sharedVariables; 0 for those that the kernel does not use.
  std::vector<uint32_t> offsets;
  /// Where dynamic shared memory begins.
  uint32_t dynamicOffset = 0;
};

struct Program {
  std::shared_ptr<const assembly::Module> source;
  std::vector<std::unique_ptr<Function>> functions;
  std::vector<Kernel> kernels;
  /// In the same order: the index of the kernel's function, and its shared memory.
  std::vector<uint32_t> kernelFunctions;
  std::vector<SharedLayout> sharedLayouts;
  std::vector<SharedVariable> sharedVariables;
  /// By index in assembly::Module::variables: index in sharedVariables, or `never`.
  std::vector<uint32_t> sharedOfModule;
};

/// Gives every instruction its handler; throws AssemblyError at what is not known.
std::shared_ptr<const Program> decode(std::shared_ptr<const assembly::Module> module);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_PROGRAM_H
