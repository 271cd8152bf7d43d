//===- Memory.cpp - The memory of a device and of a block -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Memory.h"

#include "lib/Emulator/Machine/Program.h"

#include <algorithm>
#include <cstring>

namespace quern::emulator::machine {

Bytes::Bytes(uint64_t size) : length(size) {
  // calloc, so that pages of large allocations that are never touched cost nothing.
  storage.reset(static_cast<std::byte *>(std::calloc(std::max<uint64_t>(size, 1), 1)));
  written.reset(static_cast<uint8_t *>(std::calloc(size / 8 + 1, 1)));
  if (!storage || !written)
    throw Error("no memory on this machine for an allocation of " + std::to_string(size) +
                " bytes on the emulated device");
}

void Bytes::setBit(uint64_t offset, bool value) {
  uint8_t &word = written.get()[offset >> 3];
  word = uint8_t(value ? word | 1u << (offset & 7) : word & ~(1u << (offset & 7)));
}

void Bytes::setRange(uint64_t offset, uint64_t bytes) {
  uint64_t end = offset + bytes;
  for (; offset < end && (offset & 7); ++offset)
    setBit(offset, true);
  uint64_t whole = (end - offset) / 8;
  std::memset(written.get() + (offset >> 3), 0xff, whole);
  for (offset += whole * 8; offset < end; ++offset)
    setBit(offset, true);
}

uint64_t Bytes::countUninitialized(uint64_t offset, uint64_t bytes) const {
  uint64_t end = offset + bytes, count = 0;
  while (offset < end) {
    if (!(offset & 7) && end - offset >= 8) {
      count += uint64_t(8 - __builtin_popcount(written.get()[offset >> 3]));
      offset += 8;
    } else {
      count += !bit(offset++);
    }
  }
  return count;
}

/// Space between allocations, so that running out of one does not end in the next.
static constexpr uint64_t gap = uint64_t(1) << 20;

uint64_t Memory::allocate(uint64_t bytes, std::string name, bool readOnly) {
  if (bytes > uint64_t(1) << 40)
    throw Error("an allocation of " + std::to_string(bytes) + " bytes is too large");
  uint64_t address = next;
  regions[address].reset(new Region{address, std::move(name), Bytes(bytes), readOnly, nullptr, 0});
  next += (bytes + gap + 511) / 512 * 512;
  allocated += bytes;
  return address;
}

void Memory::free(uint64_t address) {
  auto found = regions.find(address);
  if (found == regions.end()) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
    throw Error(std::string("cannot free ") + text + ": no allocation begins there");
  }
  allocated -= found->second->bytes.size();
  regions.erase(found);
}

Region *Memory::find(uint64_t address) {
  auto after = regions.upper_bound(address);
  if (after == regions.begin())
    return nullptr;
  Region *region = std::prev(after)->second.get();
  return address - region->address < region->bytes.size() ? region : nullptr;
}

const Region *Memory::nearest(uint64_t address) const {
  auto after = regions.upper_bound(address);
  const Region *best = nullptr;
  uint64_t distance = 0;
  if (after != regions.begin()) {
    best = std::prev(after)->second.get();
    uint64_t end = best->address + best->bytes.size();
    distance = address < end ? 0 : address - end;
  }
  if (after != regions.end() && (!best || after->first - address < distance))
    best = after->second.get();
  return best;
}

const InstalledModule &Memory::install(const std::shared_ptr<const Program> &program) {
  auto [entry, isNew] = modules.try_emplace(program.get());
  InstalledModule &installed = entry->second;
  if (!isNew)
    return installed;
  installed.program = program;
  const std::vector<assembly::Variable> &variables = program->source->variables;
  for (const assembly::Variable &variable : variables) {
    bool lives = variable.space == Space::Global || variable.space == Space::Constant;
    installed.addresses.push_back(
        lives ? allocate(variable.bytes, variable.name, variable.space == Space::Constant) : 0);
  }
  for (size_t i = 0; i < variables.size(); ++i) {
    const assembly::Variable &variable = variables[i];
    if (!installed.addresses[i])
      continue;
    Region &region = *regions.at(installed.addresses[i]);
    std::copy(variable.initializer.begin(), variable.initializer.end(), region.bytes.data());
    for (const assembly::Relocation &relocation : variable.relocations) {
      uint64_t value = uint64_t(relocation.addend);
      for (size_t k = 0; k < variables.size(); ++k)
        if (variables[k].name == relocation.symbol)
          value += installed.addresses[k];
      std::memcpy(region.bytes.data() + relocation.offset, &value, relocation.bytes);
    }
    // PTX ISA 8.3, section 5.4.4: without an initializer variables are zero.
    region.bytes.setInitialized(0, variable.bytes);
  }
  return installed;
}

void Memory::unload(const Program *program) {
  auto found = modules.find(program);
  if (found == modules.end())
    return;
  for (uint64_t address : found->second.addresses)
    if (address)
      free(address);
  modules.erase(found);
}

} // namespace quern::emulator::machine
