//===- Memory.h - Blocks of memory for weights, arenas and caches -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Memory straight from the kernel: zeroed, aligned to 2 MiB where that pays (huge pages are asked
/// for), to a page otherwise. Nothing is committed before it is touched.
///
#ifndef QUERN_RUNTIME_MEMORY_H
#define QUERN_RUNTIME_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace quern::runtime {

/// An anonymous mapping that is freed with its owner.
class Block {
public:
  Block() = default;
  /// Maps `bytes` of zeros for `purpose` ("the weights"). Throws Error naming both when there is no
  /// room.
  Block(int64_t bytes, const std::string &purpose);
  ~Block();
  Block(Block &&other) noexcept;
  Block &operator=(Block &&other) noexcept;
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;

  char *data() const { return start; }
  int64_t size() const { return length; }

private:
  void *mapping = nullptr;
  size_t mapped = 0;
  char *start = nullptr;
  int64_t length = 0;
};

/// "1.5 GiB", "312 KiB", "17 bytes".
std::string formatBytes(double bytes);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_MEMORY_H
