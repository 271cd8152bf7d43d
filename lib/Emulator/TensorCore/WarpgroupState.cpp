//===- WarpgroupState.cpp - What wgmma of a warp has in flight --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/TensorCore/WarpgroupState.h"

#include <algorithm>

namespace quern::emulator::machine {

checks::Agent WarpgroupState::channel(Warp &warp) {
  if (!hasChannel)
    matrices = warp.block.cluster.order.addChannel(ChannelKind::Matrices);
  hasChannel = true;
  return matrices;
}

void WarpgroupState::fence() { ++fences; }

void WarpgroupState::beginProducts(const Warp &warp) {
  if (underWay)
    return;
  underWay = true;
  ++begun;
  since = warp.instructions;
}

checks::Time WarpgroupState::wait(const Warp &warp, size_t remaining) {
  if (underWay && remaining == 0) {
    underWay = false;
    meanwhile += warp.instructions - since;
  }
  return done = groups.wait(remaining);
}

WarpgroupState::Register &WarpgroupState::at(Warp &warp, uint32_t index) {
  const Frame *now = warp.path().frame.get();
  if (now != frame) {
    frame = now;
    ofFrame = &registers[now];
  }
  if (index >= ofFrame->size())
    ofFrame->resize(index + 1);
  return (*ofFrame)[index];
}

bool WarpgroupState::isTouched(Warp &warp, uint32_t index) {
  return at(warp, index).touched == fences + 1;
}

const Instruction *WarpgroupState::ownerOf(Warp &warp, uint32_t index) {
  const Register &found = at(warp, index);
  return found.time > done ? found.instruction : nullptr;
}

void WarpgroupState::own(Warp &warp, uint32_t index, checks::Time time,
                         const Instruction &instruction) {
  at(warp, index) = {time, &instruction, 0};
}

void WarpgroupState::touch(Warp &warp, uint32_t index) { at(warp, index).touched = fences + 1; }

void WarpgroupState::rename(Warp &warp, uint32_t to, uint32_t from) {
  Register source = at(warp, from);
  at(warp, to) = source;
}

const WarpgroupLog::Entry *WarpgroupLog::note(uint32_t warp, const Entry &entry) {
  Group &group = groups[warp / 4];
  uint64_t place = group.next[warp % 4]++;
  const Entry *other = nullptr;
  if (place - group.first == group.entries.size())
    group.entries.push_back(entry);
  else if (!(group.entries[size_t(place - group.first)] == entry))
    other = &group.entries[size_t(place - group.first)];
  // Entries that all four warps have passed are not needed any more, but for the one to return.
  uint64_t passed = *std::min_element(group.next, group.next + 4);
  while (group.first + 1 < passed) {
    group.entries.pop_front();
    ++group.first;
  }
  return other;
}

} // namespace quern::emulator::machine
