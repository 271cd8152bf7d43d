//===- Streams.cpp - Work in order, as late as allowed ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Records.h"

namespace quern::cuda {

void StreamRecord::enqueue(Operation operation) {
  if (capture) {
    capture->operations.push_back(std::move(operation));
    return;
  }
  queue.push_back(std::move(operation));
  ++enqueued;
}

void StreamRecord::drain(uint64_t end) {
  while (done < end) {
    Operation operation = std::move(queue.front());
    queue.pop_front();
    ++done;
    operation();
  }
}

bool DriverState::isPinned(const void *start, size_t bytes) const {
  const char *first = static_cast<const char *>(start);
  auto after = pinned.upper_bound(first);
  if (after == pinned.begin())
    return false;
  const auto &[base, memory] = *std::prev(after);
  return first + bytes <= base + memory.size;
}

} // namespace quern::cuda
