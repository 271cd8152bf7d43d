//===- Machine.cpp - What the emitters know of a processor ------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/CPU/Machine.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
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

Expected<Machine> Machine::get(StringRef cpu) {
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
  machine.hasBf16Dot = info->checkFeatures("+avx512bf16");
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
  }
  return machine;
}

int64_t Machine::lanes(mlir::Type type) const {
  return vectorBytes * 8 / type.getIntOrFloatBitWidth();
}

} // namespace quern::cpu
