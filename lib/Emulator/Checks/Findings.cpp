//===- Findings.cpp - Collects what is wrong with a launch ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Checks/Findings.h"

namespace quern::emulator {

std::string_view name(FindingKind kind) {
  switch (kind) {
  case FindingKind::OutOfBounds:
    return "out-of-bounds";
  case FindingKind::Misaligned:
    return "misaligned";
  case FindingKind::ReadOnlyWrite:
    return "read-only-write";
  case FindingKind::UninitializedMemory:
    return "uninitialized-memory";
  case FindingKind::UninitializedRegister:
    return "uninitialized-register";
  case FindingKind::Deadlock:
    return "deadlock";
  case FindingKind::Livelock:
    return "livelock";
  case FindingKind::DivergentBarrier:
    return "divergent-barrier";
  case FindingKind::InactiveLane:
    return "inactive-lane";
  case FindingKind::InvalidOperand:
    return "invalid-operand";
  case FindingKind::SharedRace:
    return "shared-race";
  case FindingKind::GlobalRace:
    return "global-race";
  case FindingKind::MissingWait:
    return "missing-wait";
  case FindingKind::MissingFence:
    return "missing-fence";
  case FindingKind::RegisterInFlight:
    return "register-in-flight";
  case FindingKind::Trap:
    return "trap";
  }
  return "";
}

static std::string text(const Dim3 &dim) {
  return "(" + std::to_string(dim.x) + ", " + std::to_string(dim.y) + ", " + std::to_string(dim.z) +
         ")";
}

std::string format(const Finding &finding, std::string_view ptxName) {
  std::string out = std::string(ptxName) + ":" + std::to_string(finding.location.ptxLine) + ": " +
                    std::string(name(finding.kind)) + ": " + finding.message + "\n";
  out += "  kernel " + finding.kernel + ", block " + text(finding.block) + ", thread " +
         text(finding.thread) + "\n";
  if (!finding.instruction.empty())
    out += "  " + finding.instruction + "\n";
  if (finding.location.line)
    out += "  from " + finding.location.file + ":" + std::to_string(finding.location.line) + "\n";
  if (finding.count > 1)
    out += "  found " + std::to_string(finding.count) + " times\n";
  return out;
}

namespace checks {

bool Findings::count(FindingKind kind, const void *instruction) {
  auto found = known.find({kind, instruction});
  if (found == known.end())
    return false;
  ++list[found->second].count;
  return true;
}

void Findings::add(Finding finding, const void *instruction) {
  known[{finding.kind, instruction}] = list.size();
  list.push_back(std::move(finding));
}

} // namespace checks
} // namespace quern::emulator
