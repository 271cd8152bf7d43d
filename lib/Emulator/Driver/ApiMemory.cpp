//===- ApiMemory.cpp - Memory and copies ------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Api.h"

namespace quern::cuda {

/// All work of a context, as freeing memory waits for it.
static void drainAll(DriverState &state, ContextRecord &context) {
  for (const auto &[handle, stream] : state.streams)
    if (stream->context == &context && !stream->capture)
      stream->drain(stream->enqueued);
}

/// Throws Failure unless the range lies in one allocation.
static void checkRange(ContextRecord &context, Pointer address, size_t bytes) {
  emulator::Allocation found = context.memory.find(address);
  if (!found.bytes)
    throw Failure{InvalidValue, "a copy goes from or to memory that is not allocated"};
  if (address + bytes > found.address + found.bytes)
    throw Failure{InvalidValue,
                  "a copy of " + std::to_string(bytes) + " bytes goes beyond '" + found.name + "'"};
}

extern "C" {

Result cuMemAlloc_v2(Pointer *pointer, size_t bytes) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(pointer);
    if (!bytes)
      throw Failure{InvalidValue, "an allocation of no bytes"};
    if (bytes > state.settings.memory - context.memory.allocatedBytes())
      throw Failure{OutOfMemory, ""};
    *pointer = context.memory.allocate(
        bytes, "allocation " + std::to_string(++context.allocations) + " of cuMemAlloc");
  });
}

Result cuMemFree_v2(Pointer pointer) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    drainAll(state, context);
    context.memory.free(pointer);
  });
}

Result cuMemGetInfo_v2(size_t *free, size_t *total) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(free);
    need(total);
    *total = state.settings.memory;
    *free = state.settings.memory - context.memory.allocatedBytes();
  });
}

Result cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(pointer);
    HostMemory memory{&context, std::make_unique<char[]>(bytes), bytes};
    *pointer = memory.bytes.get();
    state.pinned.emplace(memory.bytes.get(), std::move(memory));
  });
}

Result cuMemFreeHost(void *pointer) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    drainAll(state, context);
    if (!state.pinned.erase(static_cast<char *>(pointer)))
      throw Failure{InvalidValue, "not page-locked memory"};
  });
}

Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(from);
    checkRange(context, to, bytes);
    if (state.isPinned(from, bytes)) {
      state.streams.get(stream).enqueue(
          [&context, to, from, bytes] { context.memory.write(to, from, bytes); });
      return;
    }
    // Memory that is not page-locked has been read when the call returns.
    auto first = static_cast<const char *>(from);
    std::vector<char> copy(first, first + bytes);
    state.streams.get(stream).enqueue([&context, to, copy = std::move(copy)] {
      context.memory.write(to, copy.data(), copy.size());
    });
  });
}

Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(to);
    checkRange(context, from, bytes);
    StreamRecord &record = state.streams.get(stream);
    bool isWhole = !state.settings.sample;
    record.enqueue([&context, to, from, bytes, isWhole] {
      uint64_t missing = isWhole ? context.memory.uninitialized(from, bytes) : 0;
      if (missing)
        throw Failure{InvalidValue, "a copy to the host reads " + std::to_string(missing) +
                                        " bytes of '" + context.memory.find(from).name +
                                        "' that nothing has written"};
      context.memory.read(from, to, bytes);
    });
    // Memory that is not page-locked has been written when the call returns.
    if (!record.capture && !state.isPinned(to, bytes))
      record.drain(record.enqueued);
  });
}

Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    checkRange(context, to, bytes);
    checkRange(context, from, bytes);
    state.streams.get(stream).enqueue(
        [&context, to, from, bytes] { context.memory.copy(to, from, bytes); });
  });
}

Result cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, Stream stream) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    checkRange(context, to, bytes);
    state.streams.get(stream).enqueue(
        [&context, to, value, bytes] { context.memory.fill(to, value, bytes); });
  });
}

} // extern "C"

} // namespace quern::cuda
