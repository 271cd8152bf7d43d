//===- AccessHistory.cpp - Who read and wrote a piece of memory last --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Checks/AccessHistory.h"

namespace quern::emulator::checks {

namespace {
Access remembered(const Accessor &by, uint8_t mask) {
  Access access;
  access.time = by.time;
  access.agent = by.agent;
  access.lane = by.lane;
  access.flags = uint8_t(mask | (by.isAtomic ? 0x10 : 0) | (by.proxy == Proxy::Async ? 0x20 : 0));
  access.instruction = by.instruction;
  return access;
}

/// Whether `previous` happened before the access that `by` makes now.
bool isOrdered(const Access &previous, const Accessor &by) {
  if (previous.agent == by.issuer) {
    if (previous.time < by.knowledge.timeOf(by.issuer))
      return true;
    // The same warp since lanes were last synchronized: each lane is in order with itself.
    return previous.lane == by.lane || previous.lane == Access::severalLanes ||
           by.lane == Access::severalLanes;
  }
  return by.knowledge.knows(previous.agent, previous.time);
}

/// Whether `by` needs a proxy fence to come after `previous`. Asynchronous work brings its own.
bool needsFence(const Access &previous, bool previousWrites, const Accessor &by) {
  return previousWrites && by.proxy == Proxy::Async && previous.proxy() == Proxy::Generic &&
         !by.knowledge.isFenced(previous.agent, previous.time);
}

/// True if there is a conflict, which is then in `conflict`.
bool collides(const Access &previous, bool previousWrites, const Accessor &by, uint8_t mask,
              Conflict &conflict) {
  if (!previous.time || !(previous.bytes() & mask) || (previous.isAtomic() && by.isAtomic))
    return false;
  bool ordered = isOrdered(previous, by);
  if (ordered && !needsFence(previous, previousWrites, by))
    return false;
  conflict = {previous, previousWrites, ordered};
  return true;
}

/// One more access of the same instant can be remembered as one.
bool merge(Access &previous, const Access &access) {
  if (previous.time != access.time || previous.agent != access.agent ||
      (previous.flags ^ access.flags) & 0xf0)
    return false;
  if (previous.lane != access.lane)
    previous.lane = Access::severalLanes;
  previous.flags |= access.flags;
  previous.instruction = access.instruction;
  return true;
}
} // namespace

uint8_t AccessHistory::byteMask(uint64_t word, uint64_t offset, uint64_t bytes) {
  uint64_t first = std::max(offset, word * 4) - word * 4;
  uint64_t last = std::min(offset + bytes, word * 4 + 4) - word * 4;
  return uint8_t(((1U << last) - 1) & ~((1U << first) - 1));
}

void AccessHistory::rememberRead(Word &word, const Accessor &by, const Access &access) {
  // Whoever is ordered after this read is ordered after what the reader knows of too, which need
  // not be remembered then. Not so for asynchronous work: its completion says nothing of its
  // issuer.
  auto replaces = [&](Access &old) {
    if (old.time && merge(old, access))
      return true;
    bool covers = !(old.bytes() & ~access.bytes());
    bool isImplied = old.agent == access.agent ||
                     (by.agent == by.issuer && by.knowledge.knows(old.agent, old.time));
    if (old.time && !(covers && isImplied))
      return false;
    old = access;
    return true;
  };
  if (replaces(word.read))
    return;
  for (Access &old : word.moreReads)
    if (replaces(old))
      return;
  // Operands of wgmma are read by the four warps of a warpgroup.
  if (word.moreReads.empty())
    word.moreReads.reserve(3);
  word.moreReads.push_back(access);
}

bool AccessHistory::read(const Accessor &by, uint64_t offset, uint64_t bytes, Conflict &conflict) {
  bool clean = true;
  for (uint64_t at = offset / 4; at * 4 < offset + bytes; ++at) {
    Word &word = this->word(at);
    uint8_t mask = byteMask(at, offset, bytes);
    if (clean && collides(word.write, true, by, mask, conflict))
      clean = false;
    rememberRead(word, by, remembered(by, mask));
  }
  return clean;
}

bool AccessHistory::write(const Accessor &by, uint64_t offset, uint64_t bytes, Conflict &conflict) {
  bool clean = true;
  for (uint64_t at = offset / 4; at * 4 < offset + bytes; ++at) {
    Word &word = this->word(at);
    uint8_t mask = byteMask(at, offset, bytes);
    if (clean)
      clean = !collides(word.write, true, by, mask, conflict) &&
              !collides(word.read, false, by, mask, conflict);
    for (const Access &old : word.moreReads)
      if (clean && collides(old, false, by, mask, conflict))
        clean = false;
    Access access = remembered(by, mask);
    if (!merge(word.write, access))
      word.write = access;
    if (mask == 0xf) {
      word.read = Access();
      // Its room stays: what is read by several is often read so again.
      word.moreReads.clear();
    }
  }
  return clean;
}

void AccessHistory::forget(uint64_t offset, uint64_t bytes) {
  for (uint64_t at = offset / 4; at * 4 < offset + bytes; ++at)
    word(at) = Word();
}

} // namespace quern::emulator::checks
