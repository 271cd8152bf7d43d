//===- Records.h - What the handles of the emulated driver stand for --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_EMULATOR_DRIVER_RECORDS_H
#define QUERN_LIB_EMULATOR_DRIVER_RECORDS_H

#include "Settings.h"
#include "quern/Emulator/Emulator.h"
#include "quern/Runtime/CudaDriver.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace quern::cuda {

/// A call that does not succeed. What the result alone does not say goes to standard error.
struct Failure {
  Result result;
  std::string message;
};

/// A piece of work of a stream; throws Failure.
using Operation = std::function<void()>;

/// One GPU. Everything of it is in its one (primary) context.
struct ContextRecord {
  explicit ContextRecord(int index) : index(index) {}
  int index;
  int retained = 0;
  emulator::Device memory;
  uint64_t allocations = 0; // so far, for their names
  Result fault = Success;   // after a kernel failed, nothing works any more
};

struct FunctionRecord {
  ModuleRecord *module = nullptr;
  const emulator::Kernel *kernel = nullptr;
  int64_t dynamicLimit = 48 * 1024; // bytes of dynamic shared memory that it may use
};

struct ModuleRecord {
  ContextRecord *context;
  emulator::Module code;
  std::map<std::string, FunctionRecord> functions = {};
};

/// Work is done as late as a real driver may do it: when somebody waits for it. What the host
/// overwrites too early, or reads too early, then shows.
struct StreamRecord {
  ContextRecord *context;
  std::deque<Operation> queue = {};
  uint64_t enqueued = 0, done = 0;
  std::unique_ptr<GraphRecord> capture = nullptr; // takes the work instead while it is there

  void enqueue(Operation operation);
  /// Does what was enqueued before position `end`.
  void drain(uint64_t end);
};

struct EventRecord {
  ContextRecord *context;
  StreamRecord *stream = nullptr; // where it was recorded last
  uint64_t position = 0;          // in the work of that stream
};

struct GraphRecord {
  ContextRecord *context;
  std::vector<Operation> operations = {};
};

struct GraphExecutionRecord {
  ContextRecord *context;
  std::shared_ptr<const std::vector<Operation>> operations;
};

/// The handles of one kind that are alive.
template <typename Record>
class Handles {
public:
  template <typename... Values>
  Record *make(Values &&...values) {
    auto record = std::unique_ptr<Record>(new Record{std::forward<Values>(values)...});
    Record *handle = record.get();
    alive.emplace(handle, std::move(record));
    return handle;
  }
  Record *adopt(std::unique_ptr<Record> record) {
    Record *handle = record.get();
    alive.emplace(handle, std::move(record));
    return handle;
  }
  /// The record, or a failure for what is no living handle.
  Record &get(Record *handle) {
    if (!alive.count(handle))
      throw Failure{InvalidHandle, "a handle is not, or not any more, valid"};
    return *handle;
  }
  void destroy(Record *handle) {
    get(handle);
    alive.erase(handle);
  }
  size_t countIn(const ContextRecord &context) const {
    size_t count = 0;
    for (const auto &[handle, record] : alive)
      count += record->context == &context;
    return count;
  }
  void destroyIn(const ContextRecord &context) {
    for (auto entry = alive.begin(); entry != alive.end();)
      entry = entry->first->context == &context ? alive.erase(entry) : std::next(entry);
  }
  auto begin() { return alive.begin(); }
  auto end() { return alive.end(); }

private:
  std::map<Record *, std::unique_ptr<Record>> alive;
};

/// Page-locked memory of the host.
struct HostMemory {
  ContextRecord *context;
  std::unique_ptr<char[]> bytes;
  size_t size;
};

/// All that the driver knows.
struct DriverState {
  Settings settings;
  bool initialized = false;
  uint64_t launches = 0; // so far
  std::vector<std::unique_ptr<ContextRecord>> gpus;
  Handles<ModuleRecord> modules;
  Handles<StreamRecord> streams;
  Handles<EventRecord> events;
  Handles<GraphRecord> graphs;
  Handles<GraphExecutionRecord> executions;
  std::map<const char *, HostMemory> pinned;

  /// Whether [start, start + bytes) is page-locked.
  bool isPinned(const void *start, size_t bytes) const;
};

/// Makes `launch` run when its turn comes: reports it, prints what was found, and throws Failure if
/// anything was.
Operation launchOperation(DriverState &state, ContextRecord &context, const emulator::Module &code,
                          emulator::Launch launch);

} // namespace quern::cuda

#endif // QUERN_LIB_EMULATOR_DRIVER_RECORDS_H
