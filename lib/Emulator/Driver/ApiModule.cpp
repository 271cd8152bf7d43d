//===- ApiModule.cpp - Modules, kernels and launches ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Api.h"

#include "lib/Emulator/Matrix/TensorMap.h"

#include <cstdio>
#include <cstring>

namespace quern::cuda {

/// The newest PTX that a driver for `cuda` takes, as 10 x major + minor (PTX ISA 9.0, section 13,
/// "Release Notes": 8.5 came with CUDA 12.5, 8.6 with 12.7, otherwise the minor numbers agree).
static int newestPtx(int cuda) {
  int major = cuda / 1000 - 4, minor = cuda % 1000 / 10;
  return 10 * major + (major == 8 && minor > 5 ? minor - 1 : minor);
}

/// Throws Failure unless a GPU and driver as set take `text`, with the reason in `log`.
static void checkTarget(const Settings &settings, const char *text, std::string &log) {
  int major = 0, minor = 0;
  if (const char *version = std::strstr(text, ".version"))
    std::sscanf(version, ".version %d.%d", &major, &minor);
  if (10 * major + minor > newestPtx(settings.cuda)) {
    log =
        "PTX " + std::to_string(major) + "." + std::to_string(minor) + " is newer than this driver";
    throw Failure{UnsupportedPtxVersion, ""};
  }
  int wanted = 0, here = 10 * settings.major + settings.minor;
  char suffix = 0;
  const char *target = std::strstr(text, ".target");
  if (!target || std::sscanf(target, ".target sm_%d%c", &wanted, &suffix) < 1) {
    log = "the PTX has no .target sm_...";
    throw Failure{InvalidPtx, ""};
  }
  if (suffix == 'a' ? wanted != here : wanted > here) {
    log = "PTX for sm_" + std::to_string(wanted) + (suffix == 'a' ? "a" : "") +
          " does not run on compute capability " + std::to_string(settings.major) + "." +
          std::to_string(settings.minor);
    throw Failure{NoBinaryForGpu, ""};
  }
}

/// The buffer for the log of errors that the caller gave, if it did.
static void writeLog(const std::string &log, unsigned count, const JitOption *options,
                     void *const *values) {
  char *buffer = nullptr;
  size_t size = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == ErrorLogBuffer)
      buffer = static_cast<char *>(values[i]);
    if (options[i] == ErrorLogBufferSizeBytes)
      size = size_t(reinterpret_cast<uintptr_t>(values[i]));
  }
  if (buffer && size)
    std::snprintf(buffer, size, "%s", log.c_str());
}

static emulator::Dim3 dim3(const unsigned *sizes) { return {sizes[0], sizes[1], sizes[2]}; }

/// Throws Failure where the driver does ("CUDA Driver API", cuLaunchKernelEx).
static void checkLaunch(const Settings &settings, const FunctionRecord &function,
                        const emulator::Launch &launch) {
  auto require = [&](bool holds, const char *what) {
    if (!holds)
      throw Failure{InvalidValue, "kernel " + launch.kernel + ": " + what};
  };
  const emulator::Kernel &kernel = *function.kernel;
  const emulator::Dim3 &grid = launch.grid, &block = launch.block, &cluster = launch.cluster;
  require(grid.x && grid.y && grid.z && grid.x < 0x80000000u && grid.y < 65536 && grid.z < 65536,
          "the grid is empty or too large");
  require(block.x && block.y && block.z && block.x <= 1024 && block.y <= 1024 && block.z <= 64 &&
              block.count() <= 1024,
          "the block is empty or too large");
  const emulator::Dim3 &most = kernel.maximumBlock, &exact = kernel.requiredBlock;
  require(!most.count() || block.count() <= most.count(), "the block is larger than its .maxntid");
  require(!exact.count() || (block.x == exact.x && block.y == exact.y && block.z == exact.z),
          "the block is not its .reqntid");
  require(launch.sharedBytes <= function.dynamicLimit,
          "it is not allowed that much dynamic shared memory");
  require(int64_t(launch.sharedBytes) + kernel.sharedBytes <= settings.sharedBytes(),
          "static and dynamic shared memory are more than the GPU has for a block");
  require(settings.major >= 9 || cluster.count() == 1, "the GPU has no clusters");
  require(cluster.count() && cluster.count() <= 16 && grid.x % cluster.x == 0 &&
              grid.y % cluster.y == 0 && grid.z % cluster.z == 0,
          "the cluster is too large, or does not divide the grid");
}

/// Copies of the values of a kernel's parameters.
static std::vector<emulator::Argument> copyArguments(const emulator::Kernel &kernel,
                                                     void **values) {
  std::vector<emulator::Argument> arguments;
  for (size_t i = 0; i < kernel.parameters.size(); ++i) {
    need(values);
    need(values[i]);
    auto first = static_cast<const std::byte *>(values[i]);
    arguments.emplace_back(first, first + kernel.parameters[i].bytes);
  }
  return arguments;
}

extern "C" {

Result cuModuleLoadDataEx(ModuleHandle *module, const void *image, unsigned count,
                          JitOption *options, void **values) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(module);
    need(image);
    auto text = static_cast<const char *>(image);
    std::string log;
    try {
      checkTarget(state.settings, text, log);
      *module = state.modules.make(&context, emulator::Module::load(text));
    } catch (const emulator::AssemblyError &error) {
      writeLog(error.what(), count, options, values);
      throw Failure{InvalidPtx, ""};
    } catch (const Failure &) {
      writeLog(log, count, options, values);
      throw;
    }
  });
}

Result cuModuleUnload(ModuleHandle module) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    context.memory.unload(state.modules.get(module).code);
    state.modules.destroy(module);
  });
}

Result cuModuleGetFunction(Function *function, ModuleHandle module, const char *name) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    need(function);
    need(name);
    ModuleRecord &record = state.modules.get(module);
    const emulator::Kernel *kernel = record.code.find(name);
    if (!kernel)
      throw Failure{NotFound, ""};
    FunctionRecord &found = record.functions[name];
    found.module = &record;
    found.kernel = kernel;
    *function = &found;
  });
}

Result cuFuncSetAttribute(Function function, FunctionAttribute attribute, int value) {
  return guardedContext([&](DriverState &state, ContextRecord &) {
    need(function);
    if (attribute == NonPortableClusterSizeAllowed) {
      if (state.settings.major < 9)
        throw Failure{InvalidValue, ""};
      return;
    }
    if (attribute != MaxDynamicSharedSizeBytes || value < 0 ||
        value + int64_t(function->kernel->sharedBytes) > state.settings.sharedBytes())
      throw Failure{InvalidValue, ""};
    function->dynamicLimit = value;
  });
}

Result cuLaunchKernelEx(const LaunchConfiguration *configuration, Function function,
                        void **parameters, void **extra) {
  return guardedContext([&](DriverState &state, ContextRecord &context) {
    need(configuration);
    need(function);
    if (extra)
      throw Failure{InvalidValue, "arguments in one buffer are not emulated"};
    emulator::Launch launch;
    launch.kernel = function->kernel->name;
    launch.grid = dim3(configuration->grid);
    launch.block = dim3(configuration->block);
    launch.sharedBytes = configuration->sharedBytes;
    launch.schedule = state.settings.schedule;
    launch.checkRaces = state.settings.checkRaces;
    launch.sample = state.settings.sample;
    if (function->kernel->requiredCluster.count())
      launch.cluster = function->kernel->requiredCluster;
    for (unsigned i = 0; i < configuration->attributeCount; ++i) {
      const LaunchAttribute &attribute = configuration->attributes[i];
      if (attribute.id != ClusterDimension)
        throw Failure{InvalidValue, "unknown launch attribute " + std::to_string(attribute.id)};
      const auto &cluster = attribute.value.clusterDimension;
      launch.cluster = {cluster.x, cluster.y, cluster.z};
    }
    checkLaunch(state.settings, *function, launch);
    launch.arguments = copyArguments(*function->kernel, parameters);
    state.streams.get(configuration->stream)
        .enqueue(launchOperation(state, context, function->module->code, std::move(launch)));
  });
}

Result cuTensorMapEncodeTiled(TensorMap *map, TensorMapType type, unsigned rank, void *address,
                              const uint64_t *sizes, const uint64_t *strides, const unsigned *box,
                              const unsigned *elementStrides, TensorMapInterleave interleave,
                              TensorMapSwizzle swizzle, TensorMapPromotion, TensorMapFill fill) {
  return guardedContext([&](DriverState &, ContextRecord &) {
    using emulator::matrix::TensorMap;
    need(map);
    if (reinterpret_cast<uintptr_t>(map) % 64)
      throw Failure{InvalidValue, "the place for the tensor map is not 64-byte aligned"};
    if (rank < 1 || rank > unsigned(TensorMap::maximalRank) || interleave != InterleaveNone)
      throw Failure{InvalidValue, "the tensor map has a rank or interleaving that is not emulated"};
    TensorMap described;
    described.type = emulator::matrix::TensorType(type);
    described.rank = int(rank);
    described.address = reinterpret_cast<uintptr_t>(address);
    described.swizzle = emulator::matrix::Swizzle(swizzle);
    described.fillNaN = fill != FillZeros;
    for (unsigned i = 0; i < rank; ++i) {
      described.dimensions[i] = sizes[i];
      described.box[i] = box[i];
      described.elementStrides[i] = elementStrides[i];
      if (i + 1 < rank)
        described.strides[i] = strides[i];
    }
    if (std::string wrong = described.check(); !wrong.empty())
      throw Failure{InvalidValue, wrong};
    TensorMap::Encoded bytes = described.encode();
    std::memcpy(map, bytes.data(), bytes.size());
  });
}

} // extern "C"

} // namespace quern::cuda
