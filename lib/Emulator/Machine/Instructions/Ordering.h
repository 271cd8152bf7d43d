//===- Ordering.h - Modifiers of accesses to memory that several instructions share -----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ORDERING_H
#define QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ORDERING_H

#include "lib/Emulator/Machine/Decoder.h"

namespace quern::emulator::machine {

/// What an access promises (PTX ISA 8.3, section 8.7).
struct Ordering {
  /// volatile, relaxed, acquire, release: does not race with others of its kind.
  bool isStrong = false;
  bool acquires = false;
  bool releases = false;
};

/// {.weak, .volatile, .relaxed, .acquire, .release, .acq_rel} with their scope. Atomic
/// operations without one are relaxed.
Ordering takeOrdering(Decoder &decoder, bool isLoad, bool isStore, bool isAtomic);

/// {.global, .shared{::cta, ::cluster}, .local, .const, .param{::entry, ::func}} or none: generic.
Space takeSpace(Decoder &decoder);

/// Caching, eviction and prefetch hints, which change nothing of what is computed. True if an
/// operand with a cache policy follows the others (.L2::cache_hint).
bool takeCacheHints(Decoder &decoder);

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_INSTRUCTIONS_ORDERING_H
