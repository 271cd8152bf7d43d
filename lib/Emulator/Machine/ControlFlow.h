//===- ControlFlow.h - Control flow: branches, calls, and where lanes meet again --------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_CONTROLFLOW_H
#define QUERN_EMULATOR_MACHINE_CONTROLFLOW_H

#include "lib/Emulator/Machine/Program.h"

namespace quern::emulator::machine {

/// How an instruction goes on; kept in Instruction::data[0] by the decoders of control flow.
enum class Flow : uint64_t { Next, Branch, IndexedBranch, End };

/// The targets of brx.idx, its plan.
using TargetList = std::vector<uint32_t>;

/// Sets `reconvergence` of every branch to its immediate post-dominator.
void findReconvergence(Function &function);

/// The return that stands behind the last instruction.
Instruction endOfFunction();

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_CONTROLFLOW_H
