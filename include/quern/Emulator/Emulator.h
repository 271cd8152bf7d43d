//===- Emulator.h - Runs PTX text on the CPU and checks it ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The seam of the emulator: a `Module` is checked PTX text, a `Device` is memory, `run` executes
/// one launch of a kernel of the module on the memory of the device and reports what it found and
/// counted. Nothing here needs LLVM, CUDA or a GPU.
///
///     Device device;
///     Module module = Module::load(text, "kernel.ptx");
///     uint64_t x = device.allocate(4096, "x");
///     Launch launch;
///     launch.kernel = "scale";
///     launch.block = {128, 1, 1};
///     launch.arguments = {argument(x), argument(int32_t(1024))};
///     Report report = run(device, module, launch);
///
/// Nothing here is safe to call from several threads for one `Device` at the same time.
///
#ifndef QUERN_EMULATOR_EMULATOR_H
#define QUERN_EMULATOR_EMULATOR_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace quern::emulator {

namespace assembly {
struct Module;
}
namespace machine {
class Memory;
struct Program;
} // namespace machine

/// What was asked for cannot be done: an unknown kernel, arguments that do not fit, a block too
/// large.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// The PTX text is wrong or uses what the emulator does not know. `what()` begins with
/// "NAME:LINE:COLUMN: error: " and shows the line.
class AssemblyError : public Error {
public:
  AssemblyError(const std::string &text, uint32_t line, uint32_t column)
      : Error(text), line(line), column(column) {}
  uint32_t line;
  uint32_t column;
};

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

/// One parameter of a kernel: its place in the parameter block, in bytes.
struct Parameter {
  std::string name;
  uint32_t offset = 0;
  uint32_t bytes = 0;
  uint32_t alignment = 1;
  /// Its type as the text declares it: "u64", "f32", "b8" (an aggregate of `bytes` bytes).
  std::string type;
};

/// What a kernel declares; a dimension of 0 was not declared.
struct Kernel {
  std::string name;
  std::vector<Parameter> parameters;
  /// Statically declared shared memory, in bytes.
  uint32_t sharedBytes = 0;
  /// Local memory of one thread, in bytes.
  uint32_t localBytes = 0;
  /// `.maxntid`, `.reqntid`, `.reqnctapercluster`.
  Dim3 maximumBlock{0, 0, 0};
  Dim3 requiredBlock{0, 0, 0};
  Dim3 requiredCluster{0, 0, 0};
};

/// Checked PTX text. Copies share what they hold.
class Module {
public:
  /// Parses and decodes `text`; `name` is its file name in messages. Every directive, instruction,
  /// modifier and type must be known, or this throws AssemblyError.
  static Module load(std::string text, std::string name = "ptx");

  const std::vector<Kernel> &kernels() const;
  /// The kernel of this name, or null.
  const Kernel *find(std::string_view name) const;

  /// For the parts of the emulator.
  const std::shared_ptr<const machine::Program> &program() const { return decoded; }

private:
  std::shared_ptr<const machine::Program> decoded;
};

/// What a piece of device memory is, as a message names it.
struct Allocation {
  uint64_t address = 0;
  uint64_t bytes = 0;
  std::string name;
};

/// The memory of one device: a flat 64-bit address space with gaps between allocations, so that a
/// pointer that runs out of one never lands in the next.
class Device {
public:
  Device();
  ~Device();
  Device(Device &&) noexcept;
  Device &operator=(Device &&) noexcept;

  /// `bytes` of memory whose contents are uninitialized, at a multiple of 512. `name` is for
  /// messages.
  uint64_t allocate(uint64_t bytes, std::string name = "");
  /// Throws Error when `address` is not the start of an allocation.
  void free(uint64_t address);
  /// Throw Error when the range is not inside one allocation.
  void write(uint64_t address, const void *source, uint64_t bytes);
  void read(uint64_t address, void *destination, uint64_t bytes) const;
  /// Copies bytes and which of them are initialized.
  void copy(uint64_t destination, uint64_t source, uint64_t bytes);
  /// Sets each of `bytes` bytes.
  void fill(uint64_t address, uint8_t value, uint64_t bytes);
  /// The number of bytes of the range that nothing has been written to.
  uint64_t uninitialized(uint64_t address, uint64_t bytes) const;
  /// The allocation that holds the address, or one with `bytes` 0.
  Allocation find(uint64_t address) const;
  uint64_t allocatedBytes() const;

  /// The place of a module's global variable; installs the module's globals when they are not yet
  /// there. `bytes` is 0 for an unknown name.
  Allocation global(const Module &module, std::string_view name);
  /// Frees the globals of a module.
  void unload(const Module &module);

  /// For the parts of the emulator.
  machine::Memory &memory() { return *storage; }
  const machine::Memory &memory() const { return *storage; }

private:
  std::unique_ptr<machine::Memory> storage;
};

/// The bytes of one argument, as many as the parameter has.
using Argument = std::vector<std::byte>;

template <typename T>
Argument argument(const T &value) {
  static_assert(std::is_trivially_copyable<T>::value, "arguments are passed by their bytes");
  Argument bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

struct Launch {
  std::string kernel;
  Dim3 grid;
  Dim3 block;
  /// Blocks of a cluster; {1, 1, 1} unless the kernel requires another.
  Dim3 cluster;
  /// Dynamic shared memory, in bytes.
  uint32_t sharedBytes = 0;
  std::vector<Argument> arguments;

  /// 0: warps run in turn from barrier to barrier. Otherwise the seed of random switches between
  /// them and of random completion of asynchronous work.
  uint64_t schedule = 0;
  /// A launch is given up as hanging when so many warp instructions in a row neither wrote memory
  /// nor passed a barrier nor ended a thread.
  uint64_t patience = 20'000'000;
  /// Different findings after which a launch is given up.
  uint32_t maximumFindings = 100;
  /// Finding races costs time and memory; a caller that only wants results can do without.
  bool checkRaces = true;
  /// Clusters that run, spread evenly over the grid; 0: all. A few of a large launch count for the
  /// rest. What the others would have written is not there: reads of unwritten memory
  /// are not reported, and products of matrices are not computed.
  uint64_t sample = 0;
};

enum class FindingKind {
  OutOfBounds,
  Misaligned,
  ReadOnlyWrite,
  UninitializedMemory,
  UninitializedRegister,
  Deadlock,
  Livelock,
  DivergentBarrier,
  InactiveLane,
  InvalidOperand,
  SharedRace,
  GlobalRace,
  MissingWait,
  MissingFence,
  RegisterInFlight,
  Trap,
};

/// The name of a kind in reports, like "out-of-bounds".
std::string_view name(FindingKind kind);

/// Where an instruction stands.
struct Location {
  /// Line of the PTX text, from 1; 0 for none.
  uint32_t ptxLine = 0;
  /// From `.loc`: "" and 0 when the text has none.
  std::string file;
  uint32_t line = 0;
};

/// Something that is wrong with a kernel or its launch.
struct Finding {
  FindingKind kind;
  std::string kernel;
  Dim3 block{0, 0, 0};
  Dim3 thread{0, 0, 0};
  /// The text of the instruction, and where it is.
  std::string instruction;
  Location location;
  /// The address, where there is one.
  uint64_t address = 0;
  std::string message;
  /// How often it was found: the same kind at the same instruction is recorded once.
  uint64_t count = 1;
};

/// One finding in several lines of text, as quern-emulate prints it.
std::string format(const Finding &finding, std::string_view ptxName);

struct Counters {
  /// Executed thread instructions (those whose predicate was false do not count), in all and by
  /// opcode with its modifiers.
  uint64_t threadInstructions = 0;
  uint64_t warpInstructions = 0;
  uint64_t blocks = 0; ///< that ran
  std::map<std::string, uint64_t> byOpcode;
  uint64_t globalBytesRead = 0, globalBytesWritten = 0;
  uint64_t sharedBytesRead = 0, sharedBytesWritten = 0;
  uint64_t localBytesRead = 0, localBytesWritten = 0;
  /// 32-byte sectors of global memory that warps touched, as a measure of coalescing.
  uint64_t globalSectors = 0;
  /// Shared-memory accesses of warps, and the additional passes that bank conflicts cost.
  uint64_t sharedAccesses = 0;
  uint64_t bankConflicts = 0;
  /// Warps that executed wgmma, the instructions of these, those of them that they executed while
  /// products of their own were under way, and how often such a time began.
  uint64_t productWarps = 0, productInstructions = 0;
  uint64_t coveredInstructions = 0, productStretches = 0;
};

struct Report {
  std::vector<Finding> findings;
  Counters counters;
  /// What the kernel has printed by printf.
  std::string output;
  bool clean() const { return findings.empty(); }
};

/// Executes one launch to its end. What the kernel does wrong is in the report; Error is for
/// launches that cannot begin.
Report run(Device &device, const Module &module, const Launch &launch);

} // namespace quern::emulator

#endif // QUERN_EMULATOR_EMULATOR_H
