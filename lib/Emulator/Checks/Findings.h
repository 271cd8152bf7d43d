//===- Findings.h - Collects what is wrong with a launch --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_CHECKS_FINDINGS_H
#define QUERN_EMULATOR_CHECKS_FINDINGS_H

#include "quern/Emulator/Emulator.h"

#include <unordered_map>

namespace quern::emulator::checks {

/// Equal findings (kind and instruction) are counted, not repeated.
class Findings {
public:
  explicit Findings(uint32_t maximum) : maximum(maximum) {}

  /// Whether a finding of this kind at this instruction is already there; counts it if so.
  bool count(FindingKind kind, const void *instruction);
  void add(Finding finding, const void *instruction);
  /// As many different findings as the launch bears.
  bool isFull() const { return list.size() >= maximum; }
  const std::vector<Finding> &all() const { return list; }
  std::vector<Finding> take() { return std::move(list); }

private:
  struct Key {
    FindingKind kind;
    const void *instruction;
    bool operator==(const Key &other) const {
      return kind == other.kind && instruction == other.instruction;
    }
  };
  struct Hash {
    size_t operator()(const Key &key) const {
      return std::hash<const void *>()(key.instruction) * 31 + size_t(key.kind);
    }
  };
  uint32_t maximum;
  std::vector<Finding> list;
  std::unordered_map<Key, size_t, Hash> known;
};

} // namespace quern::emulator::checks

#endif // QUERN_EMULATOR_CHECKS_FINDINGS_H
