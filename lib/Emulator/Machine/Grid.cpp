//===- Grid.cpp - Findings of a launch, with their place --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Grid.h"

namespace quern::emulator::machine {

void Grid::report(FindingKind kind, const Instruction &instruction, const Dim3 &block,
                  const Dim3 &thread, uint64_t address, const std::string &message) {
  if (findings.count(kind, &instruction))
    return;
  Finding finding;
  finding.kind = kind;
  finding.kernel = entry.name;
  finding.block = block;
  finding.thread = thread;
  finding.address = address;
  finding.message = message;
  if (instruction.source) {
    const assembly::Instruction &source = *instruction.source;
    finding.instruction = std::string(source.text);
    finding.location.ptxLine = source.position.line;
    auto file = program.source->files.find(source.location.file);
    if (source.location.line && file != program.source->files.end()) {
      finding.location.file = file->second;
      finding.location.line = source.location.line;
    }
  }
  findings.add(std::move(finding), &instruction);
  if (findings.isFull())
    throw Abandoned();
}

} // namespace quern::emulator::machine
