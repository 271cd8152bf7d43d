//===- Ordering.cpp - Modifiers of accesses to memory that several instructions share ---------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/Ordering.h"

namespace quern::emulator::machine {

Ordering takeOrdering(Decoder &decoder, bool isLoad, bool isStore, bool isAtomic) {
  Modifiers &modifiers = decoder.modifiers;
  Ordering ordering;
  ordering.isStrong = isAtomic;
  if (!isAtomic && modifiers.accept(".weak"))
    return ordering;
  if (!isAtomic && modifiers.accept(".volatile")) {
    ordering.isStrong = true;
    return ordering;
  }
  bool named = modifiers.accept(".relaxed");
  if (!named && (isLoad || isAtomic) && modifiers.accept(".acquire"))
    named = ordering.acquires = true;
  if (!named && (isStore || isAtomic) && modifiers.accept(".release"))
    named = ordering.releases = true;
  if (!named && isAtomic && modifiers.accept(".acq_rel"))
    named = ordering.acquires = ordering.releases = true;
  ordering.isStrong |= named;
  int scope = modifiers.acceptOneOf({".cta", ".cluster", ".gpu", ".sys"});
  if (named && scope < 0 && !isAtomic)
    decoder.fail("'" + decoder.source.opcode + modifiers.text() +
                 "' needs a scope: .cta, .cluster, .gpu or .sys");
  if (!named && scope >= 0 && !isAtomic)
    decoder.fail("a scope is known together with .relaxed, .acquire or .release only");
  return ordering;
}

Space takeSpace(Decoder &decoder) {
  static constexpr Space spaces[] = {Space::Global,    Space::Shared,    Space::Shared,
                                     Space::Shared,    Space::Local,     Space::Constant,
                                     Space::Parameter, Space::Parameter, Space::Parameter};
  int space = decoder.modifiers.acceptOneOf({".global", ".shared", ".shared::cta",
                                             ".shared::cluster", ".local", ".const", ".param",
                                             ".param::entry", ".param::func"});
  return space < 0 ? Space::Generic : spaces[space];
}

bool takeCacheHints(Decoder &decoder) {
  Modifiers &modifiers = decoder.modifiers;
  modifiers.acceptOneOf({".ca", ".cg", ".cs", ".cv", ".lu", ".wb", ".wt"});
  modifiers.acceptOneOf({".L1::evict_normal", ".L1::evict_unchanged", ".L1::evict_first",
                         ".L1::evict_last", ".L1::no_allocate"});
  modifiers.acceptOneOf({".L2::evict_normal", ".L2::evict_first", ".L2::evict_last"});
  modifiers.acceptOneOf({".L2::64B", ".L2::128B", ".L2::256B"});
  return modifiers.accept(".L2::cache_hint");
}

} // namespace quern::emulator::machine
