//===- Memory.cpp - Blocks of memory for weights, arenas and caches ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Memory.h"

#include "quern/Runtime/Error.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace quern::runtime {

static constexpr size_t hugePage = size_t(2) << 20;

Block::Block(int64_t bytes, const std::string &purpose) : length(bytes) {
  if (bytes <= 0) {
    length = 0;
    return;
  }
  bool huge = size_t(bytes) >= hugePage;
  size_t page = huge ? hugePage : size_t(sysconf(_SC_PAGESIZE));
  size_t room = 0;
  bool overflow = __builtin_add_overflow(size_t(bytes), huge ? 2 * page : page, &room);
  // The kernel lends more than it has; what exceeds the machine's memory would end in a kill later.
  double machine = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
  if (overflow || double(bytes) > machine)
    throw Error(concat("cannot allocate ", bytes, " bytes (", formatBytes(double(bytes)), ") for ",
                       purpose, ": the machine has ", formatBytes(machine),
                       "; use a smaller batch, sequence or model"));
  mapped = room / page * page;
  mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    mapping = nullptr;
    throw Error(concat("cannot allocate ", bytes, " bytes (", formatBytes(double(bytes)), ") for ",
                       purpose, ": ", std::strerror(errno),
                       "; use a smaller batch, sequence or model"));
  }
  auto address = reinterpret_cast<uintptr_t>(mapping);
  start = static_cast<char *>(mapping) + ((page - address % page) % page);
  if (huge)
    madvise(start, (size_t(bytes) + page - 1) / page * page, MADV_HUGEPAGE); // only advice
}

Block::~Block() {
  if (mapping)
    munmap(mapping, mapped);
}

Block::Block(Block &&other) noexcept { *this = std::move(other); }

Block &Block::operator=(Block &&other) noexcept {
  std::swap(mapping, other.mapping);
  std::swap(mapped, other.mapped);
  std::swap(start, other.start);
  std::swap(length, other.length);
  return *this;
}

std::string formatBytes(double bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  int unit = 0;
  while (std::fabs(bytes) >= 1024 && unit < 6) {
    bytes /= 1024;
    ++unit;
  }
  char text[40];
  std::snprintf(text, sizeof text, unit && std::fabs(bytes) < 10 ? "%.1f %s" : "%.0f %s", bytes,
                units[unit]);
  return text;
}

} // namespace quern::runtime
