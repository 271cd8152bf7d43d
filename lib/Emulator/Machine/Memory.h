//===- Memory.h - The memory of a device and of a block ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_MEMORY_H
#define QUERN_EMULATOR_MACHINE_MEMORY_H

#include "lib/Emulator/Checks/AccessHistory.h"
#include "lib/Emulator/Machine/AddressSpace.h"

#include "quern/Emulator/Emulator.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

namespace quern::emulator::machine {

/// Bytes, and a bit for each that says whether anything was ever written there.
class Bytes {
public:
  explicit Bytes(uint64_t size);
  uint64_t size() const { return length; }
  std::byte *data() { return storage.get(); }
  const std::byte *data() const { return storage.get(); }

  bool isInitialized(uint64_t offset, uint64_t bytes) const {
    if (bytes <= 8 && (offset & 7) + bytes <= 8) {
      uint32_t mask = ((1u << bytes) - 1) << (offset & 7);
      return (written.get()[offset >> 3] & mask) == mask;
    }
    return countUninitialized(offset, bytes) == 0;
  }
  void setInitialized(uint64_t offset, uint64_t bytes) {
    if (bytes <= 8 && (offset & 7) + bytes <= 8)
      written.get()[offset >> 3] |= uint8_t(((1u << bytes) - 1) << (offset & 7));
    else
      setRange(offset, bytes);
  }
  bool bit(uint64_t offset) const { return written.get()[offset >> 3] >> (offset & 7) & 1; }
  void setBit(uint64_t offset, bool value);
  uint64_t countUninitialized(uint64_t offset, uint64_t bytes) const;

private:
  struct Free {
    void operator()(void *pointer) const { std::free(pointer); }
  };
  uint64_t length;
  std::unique_ptr<std::byte, Free> storage;
  std::unique_ptr<uint8_t, Free> written;

  void setRange(uint64_t offset, uint64_t bytes);
};

/// One allocation of global memory. Its address is never given out again, so that a pointer to
/// freed memory is found.
struct Region {
  uint64_t address;
  std::string name;
  Bytes bytes;
  bool isReadOnly = false;
  /// Who accessed it in the launch of number `launch`.
  std::unique_ptr<checks::AccessHistory> history;
  uint64_t launch = 0;

  checks::AccessHistory &historyOf(uint64_t current) {
    if (!history || launch != current)
      history = std::make_unique<checks::AccessHistory>(bytes.size());
    launch = current;
    return *history;
  }
};

/// A module's variables in the memory of a device.
struct InstalledModule {
  std::shared_ptr<const Program> program;
  /// Address of each of assembly::Module::variables; 0 for shared ones.
  std::vector<uint64_t> addresses;
};

class Memory {
public:
  uint64_t allocate(uint64_t bytes, std::string name, bool readOnly = false);
  void free(uint64_t address);
  /// The region that holds `address`, or null.
  Region *find(uint64_t address);
  const Region *find(uint64_t address) const { return const_cast<Memory *>(this)->find(address); }
  /// The nearest region below or above, to say what an address just misses.
  const Region *nearest(uint64_t address) const;
  uint64_t total() const { return allocated; }
  /// The number of a new launch, from 1.
  uint64_t beginLaunch() { return ++launches; }

  const InstalledModule &install(const std::shared_ptr<const Program> &program);
  void unload(const Program *program);

private:
  std::map<uint64_t, std::unique_ptr<Region>> regions;
  std::unordered_map<const Program *, InstalledModule> modules;
  uint64_t next = globalBase;
  uint64_t allocated = 0;
  uint64_t launches = 0;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_MEMORY_H
