//===- Device.cpp - The memory of a device, as callers see it ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Memory.h"
#include "lib/Emulator/Machine/Program.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <utility>

namespace quern::emulator {

using machine::Region;

Device::Device() : storage(std::make_unique<machine::Memory>()) {}
Device::~Device() = default;
Device::Device(Device &&) noexcept = default;
Device &Device::operator=(Device &&) noexcept = default;

uint64_t Device::allocate(uint64_t bytes, std::string name) {
  return storage->allocate(bytes, std::move(name));
}

void Device::free(uint64_t address) { storage->free(address); }

/// The region that holds a range of which there is at least one byte; throws Error.
static Region &require(machine::Memory &memory, uint64_t address, uint64_t bytes,
                       const char *what) {
  Region *region = memory.find(address);
  if (region && bytes <= region->bytes.size() - (address - region->address))
    return *region;
  char text[160];
  std::snprintf(text, sizeof text, "cannot %s %" PRIu64 " bytes at 0x%" PRIx64 ": ", what, bytes,
                address);
  throw Error(text + (region
                          ? "'" + region->name + "' has " +
                                std::to_string(region->bytes.size() - (address - region->address)) +
                                " bytes from there"
                          : std::string("nothing is allocated there")));
}

void Device::write(uint64_t address, const void *source, uint64_t bytes) {
  if (!bytes)
    return;
  Region &region = require(*storage, address, bytes, "write");
  std::memcpy(region.bytes.data() + (address - region.address), source, bytes);
  region.bytes.setInitialized(address - region.address, bytes);
}

void Device::read(uint64_t address, void *destination, uint64_t bytes) const {
  if (!bytes)
    return;
  Region &region = require(*storage, address, bytes, "read");
  std::memcpy(destination, region.bytes.data() + (address - region.address), bytes);
}

void Device::copy(uint64_t destination, uint64_t source, uint64_t bytes) {
  if (!bytes)
    return;
  Region &from = require(*storage, source, bytes, "copy");
  Region &to = require(*storage, destination, bytes, "copy to");
  uint64_t first = source - from.address, second = destination - to.address;
  std::memmove(to.bytes.data() + second, from.bytes.data() + first, bytes);
  if (!from.bytes.countUninitialized(first, bytes)) {
    to.bytes.setInitialized(second, bytes);
    return;
  }
  std::vector<bool> written(bytes);
  for (uint64_t i = 0; i < bytes; ++i)
    written[i] = from.bytes.bit(first + i);
  for (uint64_t i = 0; i < bytes; ++i)
    to.bytes.setBit(second + i, written[i]);
}

void Device::fill(uint64_t address, uint8_t value, uint64_t bytes) {
  if (!bytes)
    return;
  Region &region = require(*storage, address, bytes, "fill");
  std::memset(region.bytes.data() + (address - region.address), value, bytes);
  region.bytes.setInitialized(address - region.address, bytes);
}

uint64_t Device::uninitialized(uint64_t address, uint64_t bytes) const {
  if (!bytes)
    return 0;
  Region &region = require(*storage, address, bytes, "look at");
  return region.bytes.countUninitialized(address - region.address, bytes);
}

Allocation Device::find(uint64_t address) const {
  const Region *region = std::as_const(*storage).find(address);
  if (!region)
    return {};
  return {region->address, region->bytes.size(), region->name};
}

uint64_t Device::allocatedBytes() const { return storage->total(); }

Allocation Device::global(const Module &module, std::string_view name) {
  const machine::InstalledModule &installed = storage->install(module.program());
  const std::vector<assembly::Variable> &variables = module.program()->source->variables;
  for (size_t i = 0; i < variables.size(); ++i)
    if (variables[i].name == name && installed.addresses[i])
      return {installed.addresses[i], variables[i].bytes, variables[i].name};
  return {};
}

void Device::unload(const Module &module) { storage->unload(module.program().get()); }

} // namespace quern::emulator
