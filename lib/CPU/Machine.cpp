//===- Machine.cpp - What the emitters know of a processor ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/CPU/Machine.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <unistd.h>

using namespace llvm;

namespace quern::cpu {

/// The features whose absence makes code for this processor stop with an illegal instruction, among
/// those that our code can come to use. Named as in /proc/cpuinfo and `__builtin_cpu_supports`.
static const char *const checkedFeatures[] = {
    "sse4.2",  "avx",      "avx2",     "fma",      "f16c",     "bmi",        "bmi2",
    "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vnni", "avx512bf16"};

/// What one core sees of it: sysconf adds up those of all groups of cores.
static int64_t thirdLevelCache(int64_t otherwise) {
  auto file = MemoryBuffer::getFileAsStream("/sys/devices/system/cpu/cpu0/cache/index3/size");
  int64_t kilobytes;
  StringRef text = file ? (*file)->getBuffer().trim() : StringRef();
  return text.consume_back("K") && !text.getAsInteger(10, kilobytes) ? kilobytes << 10 : otherwise;
}

/// A panel of B stays in the second-level cache with room to spare.
static int64_t defaultPanel(const Machine &machine) {
  int64_t step = machine.tileVectors * machine.vectorBytes;
  return std::clamp<int64_t>(machine.l2Bytes / 6, 128 * step, 768 * step);
}

/// A number from `least` to `most`, with K or M behind it for bytes.
static Error parseChange(StringRef name, StringRef text, int64_t least, int64_t most,
                         int64_t &value) {
  StringRef digits = text;
  int64_t unit = digits.consume_back("K") ? 1 << 10 : digits.consume_back("M") ? 1 << 20 : 1;
  int64_t number;
  if (digits.getAsInteger(10, number) || number < 0 || number > most / unit ||
      number * unit < least)
    return createStringError("--machine: %s takes a number from %lld to %lld (K and M stand for "
                             "1024 and 1048576), got '%s'",
                             name.str().c_str(), static_cast<long long>(least),
                             static_cast<long long>(most), text.str().c_str());
  value = number * unit;
  return Error::success();
}

static Error change(Machine &machine, StringRef changes) {
  struct {
    const char *name;
    int64_t *value, least, most;
  } known[] = {{"l1", &machine.l1Bytes, 4 << 10, 1 << 20},
               {"l2", &machine.l2Bytes, 32 << 10, 256 << 20},
               {"l3", &machine.l3Bytes, 0, int64_t(4) << 30},
               {"tile-rows", &machine.tileRows, 1, 16},
               {"tile-vectors", &machine.tileVectors, 1, 16},
               {"panel", &machine.panelBytes, 4 << 10, 256 << 10},
               {"packed", &machine.packedBytes, 64 << 10, 64 << 20}};
  for (StringRef part : split(changes, ',')) {
    auto [name, text] = part.split('=');
    if (name == "dot") {
      if (text != "bf16" && text != "none")
        return createStringError("--machine: dot takes bf16 (products of bf16 by pairs, also where "
                                 "no instruction multiplies these) or none, got '%s'",
                                 text.str().c_str());
      machine.usesBf16Dot = text == "bf16";
      continue;
    }
    auto *found = find_if(known, [&, wanted = name](auto &one) { return wanted == one.name; });
    if (found == std::end(known))
      return createStringError("--machine takes NAME=VALUE, ... of %s; got '%s'",
                               Machine::describeChanges(), part.str().c_str());
    if (Error error = parseChange(name, text, found->least, found->most, *found->value))
      return error;
  }
  // Packing transposes by shuffles of powers of two.
  if (!isPowerOf2_64(uint64_t(machine.tileRows)))
    return createStringError("--machine: tile-rows must be a power of two, not %d",
                             int(machine.tileRows));
  int64_t registers =
      machine.tileRows * machine.tileVectors + machine.tileVectors + (machine.hasFma ? 1 : 2);
  if (registers > machine.vectorRegisters)
    return createStringError("--machine: a tile of %d rows of %d vectors needs %d registers, and "
                             "%s has %d",
                             int(machine.tileRows), int(machine.tileVectors), int(registers),
                             machine.cpu.c_str(), int(machine.vectorRegisters));
  return Error::success();
}

const char *Machine::describeChanges() {
  return "l1, l2, l3 (bytes of the caches), tile-rows, tile-vectors (of the tile in registers), "
         "panel, packed (bytes of packed matrices), dot (bf16 or none: how products of bf16 are "
         "made)";
}

std::string Machine::describe() const {
  const char *dot = usesBf16Dot && hasBf16Dot ? "; bf16 dot products (AVX512-BF16)"
                    : usesBf16Dot             ? "; bf16 dot products, slow without AVX512-BF16"
                    : hasBf16Dot              ? "; no bf16 dot products"
                                              : "";
  return formatv("{0}, {1}-bit vectors, {2} registers, L1 {3} KiB, L2 {4} KiB, L3 {5} MiB; "
                 "tiles of {6} x {7} vectors, panels of {8} KiB, {9} KiB packed{10}",
                 cpu, vectorBytes * 8, vectorRegisters, l1Bytes >> 10, l2Bytes >> 10, l3Bytes >> 20,
                 tileRows, tileVectors, panelBytes >> 10, packedBytes >> 10, dot)
      .str();
}

int64_t Machine::tileDepth(mlir::Type type) const {
  int64_t step = tileVectors * vectorBytes, line = 64 * 8 / type.getIntOrFloatBitWidth();
  return std::max<int64_t>(line, alignDown(panelBytes / step, uint64_t(line)));
}

Expected<Machine> Machine::get(StringRef cpu, StringRef changes) {
  InitializeNativeTarget();
  std::string error;
  Triple triple(sys::getDefaultTargetTriple());
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return createStringError("no code generator for %s: %s", triple.str().c_str(), error.c_str());

  Machine machine;
  machine.cpu = cpu == "native" ? sys::getHostCPUName().str() : cpu.str();
  if (cpu == "native") {
    // A virtual machine may hide features that its processor's name promises: ask, do not assume.
    StringMap<bool> host = sys::getHostCPUFeatures();
    for (auto &feature : host) {
      if (!machine.features.empty())
        machine.features += ",";
      machine.features += (feature.second ? "+" : "-") + feature.first().str();
    }
  }
  std::unique_ptr<MCSubtargetInfo> info(target->createMCSubtargetInfo(triple, "", ""));
  if (!info || !info->isCPUStringValid(machine.cpu))
    return createStringError(
        "unknown --cpu '%s'; use native, x86-64-v2, x86-64-v3, x86-64-v4, or a name that "
        "'clang-22 --print-supported-cpus' lists, such as znver4 or sapphirerapids",
        machine.cpu.c_str());
  info.reset(target->createMCSubtargetInfo(triple, machine.cpu, machine.features));

  for (const char *feature : checkedFeatures)
    if (info->checkFeatures(std::string("+") + feature))
      machine.requires_.push_back(feature);
  bool avx512 = info->checkFeatures("+avx512f,+avx512bw,+avx512dq,+avx512vl");
  bool avx = info->checkFeatures("+avx");
  machine.vectorBytes = avx512 ? 64 : avx ? 32 : 16;
  machine.vectorRegisters = avx512 ? 32 : 16;
  machine.hasFma = info->checkFeatures("+fma") || avx512;
  machine.hasBf16Dot = machine.usesBf16Dot = avx512 && info->checkFeatures("+avx512bf16");
  machine.hasInt8Dot = info->checkFeatures("+avx512vnni");
  if (avx512) {
    machine.l2Bytes = 1 << 20;
    // LLVM prefers 256-bit vectors on some of these processors; our kernels are written for 512.
    if (!machine.features.empty())
      machine.features += ",";
    machine.features += "-prefer-256-bit";
  }
  if (cpu == "native") {
    auto cache = [](int name, int64_t otherwise) {
      long bytes = sysconf(name);
      return bytes > 0 ? static_cast<int64_t>(bytes) : otherwise;
    };
    machine.l1Bytes = cache(_SC_LEVEL1_DCACHE_SIZE, machine.l1Bytes);
    machine.l2Bytes = cache(_SC_LEVEL2_CACHE_SIZE, machine.l2Bytes);
    machine.l3Bytes = thirdLevelCache(machine.l3Bytes);
  }
  // Besides the tile live its vectors of B, one broadcast element of A and, without fused
  // multiply-add, one product. Rows that are a power of two let packing transpose by shuffles.
  machine.tileRows = machine.vectorRegisters >= 32 ? 8 : 4;
  machine.tileVectors = machine.hasFma ? 3 : 2;
  machine.panelBytes = defaultPanel(machine);
  if (!changes.empty())
    if (Error error = change(machine, changes))
      return error;
  return machine;
}

int64_t Machine::lanes(mlir::Type type) const {
  return vectorBytes * 8 / type.getIntOrFloatBitWidth();
}

} // namespace quern::cpu
