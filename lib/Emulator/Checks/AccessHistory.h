//===- AccessHistory.h - Who read and wrote a piece of memory last ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// For every 4 bytes of a memory the last write, and the reads since then that do not know of each
/// other. A new access is compared with them by what its agent knows (Knowledge.h). Two lanes of
/// one warp are ordered when the warp's time has advanced in between, as bar.warp.sync brings
/// about.
///
/// What is kept is bounded, so a conflict can be missed (a write to one byte of a word hides an
/// older write to another byte of it), but none is reported that is not there.
///
#ifndef QUERN_EMULATOR_CHECKS_ACCESSHISTORY_H
#define QUERN_EMULATOR_CHECKS_ACCESSHISTORY_H

#include "lib/Emulator/Checks/Knowledge.h"

#include <memory>
#include <vector>

namespace quern::emulator::checks {

/// How an access gets to memory.
enum class Proxy : uint8_t {
  Generic,
  /// TMA and wgmma: they see generic writes after a fence.proxy.async alone.
  Async,
};

/// One access as it is remembered.
struct Access {
  /// The lane is that of the thread; `severalLanes` if more than one took part.
  static constexpr uint8_t severalLanes = 0xff;

  /// What did it, for messages.
  const void *instruction = nullptr;
  /// 0 if there was none: time starts at 1.
  Time time = 0;
  Agent agent = 0;
  uint8_t lane = 0;
  /// Bits 0 to 3: which bytes of the word. Bit 4: an atomic operation. Bit 5: by the async proxy.
  uint8_t flags = 0;

  uint8_t bytes() const { return flags & 0xf; }
  bool isAtomic() const { return flags & 0x10; }
  Proxy proxy() const { return flags & 0x20 ? Proxy::Async : Proxy::Generic; }
};

/// What accesses now. `agent` and `time` are what is remembered; they differ from those of the
/// actor for asynchronous work, whose completion others learn by a channel.
struct Accessor {
  const Knowledge &knowledge;
  Agent agent;
  Time time;
  uint8_t lane;
  Proxy proxy = Proxy::Generic;
  bool isAtomic = false;
  const void *instruction = nullptr;
  /// The warp on whose behalf it happens, whose own earlier accesses come before it.
  Agent issuer = agent;
};

struct Conflict {
  /// What the new access collides with.
  Access previous;
  bool previousWrites;
  /// The previous access is known to have happened, but no fence.proxy.async lies between.
  bool isUnfenced;
};

class AccessHistory {
public:
  /// What nobody accesses takes next to no room.
  explicit AccessHistory(uint64_t bytes) : pages((bytes + pageBytes - 1) / pageBytes) {}

  /// Compares an access with earlier ones and remembers it. False if it conflicts, with the first
  /// conflict in `conflict`. The range lies within the memory.
  bool read(const Accessor &by, uint64_t offset, uint64_t bytes, Conflict &conflict);
  bool write(const Accessor &by, uint64_t offset, uint64_t bytes, Conflict &conflict);

  /// Forgets about a range, as if it had just been allocated.
  void forget(uint64_t offset, uint64_t bytes);

private:
  struct Word {
    Access write;
    /// One read, or the first of several.
    Access read;
    std::vector<Access> moreReads;
  };
  static constexpr uint64_t pageBytes = 1024;
  std::vector<std::unique_ptr<Word[]>> pages;

  Word &word(uint64_t index) {
    std::unique_ptr<Word[]> &page = pages[index * 4 / pageBytes];
    if (!page)
      page = std::make_unique<Word[]>(pageBytes / 4);
    return page[index % (pageBytes / 4)];
  }
  static uint8_t byteMask(uint64_t word, uint64_t offset, uint64_t bytes);
  static void rememberRead(Word &word, const Accessor &by, const Access &access);
};

} // namespace quern::emulator::checks

#endif // QUERN_EMULATOR_CHECKS_ACCESSHISTORY_H
