//===- Access.cpp - Checked accesses to memory ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"

#include <cinttypes>
#include <cstdio>

namespace quern::emulator::machine {

static std::string hexadecimal(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%" PRIx64, value);
  return text;
}

static std::string describe(AccessKind kind) {
  return kind == AccessKind::Atomic ? "an atomic operation" : writes(kind) ? "a write" : "a read";
}

std::byte *Warp::access(const Instruction &instruction, unsigned lane, Space space,
                        uint64_t address, unsigned bytes, AccessKind kind,
                        const AsynchronousAccess *engine) {
  checks::AccessHistory *history = nullptr;
  Bytes *memory = nullptr;
  uint64_t offset = 0;
  Block *owner = nullptr;
  Space actual = space;
  if (space == Space::Generic || space == Space::Parameter) {
    if (address - sharedWindow < windowBytes) {
      actual = Space::Shared;
      address -= sharedWindow;
    } else if (address - localWindow < windowBytes) {
      actual = Space::Local;
      address -= localWindow;
    } else {
      actual = Space::Global;
    }
  }
  switch (actual) {
  case Space::Shared: {
    uint64_t rank = address >> sharedRankShift;
    offset = address & ((uint64_t(1) << sharedRankShift) - 1);
    if (rank < block.cluster.blocks.size() && offset >= sharedReserved) {
      owner = block.cluster.blocks[rank].get();
      memory = &owner->shared;
      if (owner != &block && owner->isDone())
        report(FindingKind::OutOfBounds, instruction, lane, address,
               describe(kind) + " in shared memory of block " + std::to_string(rank) +
                   " of the cluster, which has ended");
    }
    break;
  }
  case Space::Local:
    // What the executing function and its callers have.
    if (address < localEnd() && bytes <= localEnd() - address) {
      memory = &local;
      offset = uint64_t(lane) * localStride + address;
    }
    break;
  default:
    if (!lastRegion || address - lastRegion->address >= lastRegion->bytes.size())
      lastRegion = block.grid.memory.find(address);
    if (lastRegion) {
      memory = &lastRegion->bytes;
      offset = address - lastRegion->address;
      if (lastRegion->isReadOnly && writes(kind))
        memory = nullptr;
    }
    break;
  }
  if (!memory || offset >= memory->size() || bytes > memory->size() - offset ||
      (address & (bytes - 1)))
    return badAccess(instruction, lane, actual, address, bytes, kind);
  if (reads(kind) && !block.grid.launch.sample && !memory->isInitialized(offset, bytes)) {
    report(FindingKind::UninitializedMemory, instruction, lane, address,
           std::to_string(memory->countUninitialized(offset, bytes)) + " of the " +
               std::to_string(bytes) + " bytes read at " + hexadecimal(address) + " in " +
               std::string(name(actual)) + " memory were never written" +
               (actual == Space::Global
                    ? " (" + lastRegion->name + " + " + std::to_string(offset) + ")"
                    : ""));
    memory->setInitialized(offset, bytes);
  }
  if (writes(kind)) {
    memory->setInitialized(offset, bytes);
    ++block.grid.progress;
  }
  if (block.grid.launch.checkRaces) {
    if (actual == Space::Global && !lastRegion->isReadOnly)
      history = &lastRegion->historyOf(block.grid.number);
    else if (owner)
      history = &owner->history();
    if (history)
      checkRace(instruction, lane, actual, address, *history, offset, bytes, kind, engine);
  }
  return memory->data() + offset;
}

/// Says what is wrong with an access.
std::byte *Warp::badAccess(const Instruction &instruction, unsigned lane, Space space,
                           uint64_t address, unsigned bytes, AccessKind kind) {
  std::string what = describe(kind) + " of " + std::to_string(bytes) + " bytes at " +
                     hexadecimal(address) + " in " + std::string(name(space)) + " memory";
  if (address & (bytes - 1)) {
    report(FindingKind::Misaligned, instruction, lane, address,
           what + " is not at a multiple of " + std::to_string(bytes));
    return nullptr;
  }
  std::string where;
  FindingKind finding = FindingKind::OutOfBounds;
  if (space == Space::Shared) {
    where = ": the block has shared memory from " + hexadecimal(sharedReserved) + " to " +
            hexadecimal(block.shared.size());
  } else if (space == Space::Local) {
    where = ": the thread has " + std::to_string(localEnd()) + " bytes";
  } else if (lastRegion && lastRegion->isReadOnly && writes(kind)) {
    finding = FindingKind::ReadOnlyWrite;
    where = ": '" + lastRegion->name + "' is read-only";
  } else if (const Region *region = block.grid.memory.nearest(address)) {
    uint64_t size = region->bytes.size(), end = region->address + size;
    uint64_t distance = address < region->address ? region->address - address
                        : address >= end          ? address - end
                                                  : 0;
    std::string side = address < region->address ? std::to_string(distance) + " bytes before"
                       : address >= end ? std::to_string(distance) + " bytes after the end of"
                                        : "reaches beyond the end of";
    // An index that is wrong by more than a megabyte does not tell which pointer it was added to.
    where = distance > (1 << 20)
                ? ": no allocation is near"
                : ": " + side + " '" + region->name + "' (" + std::to_string(size) + " bytes at " +
                      hexadecimal(region->address) + ")";
  } else {
    where = ": nothing is allocated";
  }
  report(finding, instruction, lane, address, what + where);
  return nullptr;
}

} // namespace quern::emulator::machine
