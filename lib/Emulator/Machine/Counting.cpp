//===- Counting.cpp - Counts bytes, sectors and bank conflicts --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"

#include <algorithm>

namespace quern::emulator::machine {

namespace {

/// Passes that shared memory takes for the words at `addresses` of up to `count` lanes: lanes of
/// one bank with different words go one after the other. 32 banks of 4 bytes (CUDA C++ Programming
/// Guide, "Shared Memory").
unsigned passes(const uint64_t *addresses, unsigned count, unsigned bytes) {
  constexpr unsigned banks = 32;
  unsigned words = std::max(bytes / 4, 1u);
  uint64_t seen[banks][32];
  uint8_t used[banks] = {};
  unsigned most = 0;
  for (unsigned i = 0; i < count; ++i)
    for (unsigned k = 0; k < words; ++k) {
      uint64_t word = addresses[i] / 4 + k;
      unsigned bank = word % banks;
      uint8_t &number = used[bank];
      if (std::find(seen[bank], seen[bank] + number, word) != seen[bank] + number)
        continue;
      seen[bank][number++] = word;
      most = std::max<unsigned>(most, number);
    }
  return most;
}

} // namespace

unsigned bankConflicts(const uint64_t *addresses, unsigned count, unsigned bytes) {
  // Wide accesses are made by halves or quarters of a warp.
  unsigned together = bytes <= 4 ? warpSize : bytes == 8 ? warpSize / 2 : warpSize / 4;
  unsigned conflicts = 0;
  for (unsigned i = 0; i < count; i += together)
    conflicts += passes(addresses + i, std::min(together, count - i), bytes) - 1;
  return conflicts;
}

void Warp::countAccess(Space space, LaneMask lanes, const Operand &address, unsigned bytes,
                       AccessKind kind) {
  Counters &counters = block.grid.counters;
  uint64_t addresses[warpSize];
  unsigned count = 0;
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    addresses[count++] = this->address(address, unsigned(__builtin_ctz(rest)));
  if (space == Space::Generic || space == Space::Parameter) {
    space = addresses[0] - sharedWindow < windowBytes  ? Space::Shared
            : addresses[0] - localWindow < windowBytes ? Space::Local
                                                       : Space::Global;
    // Parameters and constants come from a cache of their own.
    if (space == Space::Global && addresses[0] - block.grid.parameters < 4096)
      return;
  }
  uint64_t total = uint64_t(count) * bytes;
  switch (space) {
  case Space::Shared:
    counters.sharedBytesRead += reads(kind) ? total : 0;
    counters.sharedBytesWritten += writes(kind) ? total : 0;
    ++counters.sharedAccesses;
    counters.bankConflicts += bankConflicts(addresses, count, bytes);
    break;
  case Space::Local:
    counters.localBytesRead += reads(kind) ? total : 0;
    counters.localBytesWritten += writes(kind) ? total : 0;
    break;
  case Space::Global: {
    counters.globalBytesRead += reads(kind) ? total : 0;
    counters.globalBytesWritten += writes(kind) ? total : 0;
    constexpr uint64_t sector = 32;
    uint64_t sectors[warpSize];
    unsigned number = 0;
    for (unsigned i = 0; i < count; ++i)
      for (uint64_t at = addresses[i] / sector; at <= (addresses[i] + bytes - 1) / sector; ++at) {
        if (number && sectors[number - 1] == at)
          continue;
        if (std::find(sectors, sectors + number, at) == sectors + number && number < warpSize)
          sectors[number++] = at;
      }
    counters.globalSectors += number;
    break;
  }
  default:
    break;
  }
}

} // namespace quern::emulator::machine
