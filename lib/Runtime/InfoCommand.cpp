//===- InfoCommand.cpp - `info`: what this executable is --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/CommandLine.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Memory.h"
#include "quern/Runtime/Threads.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace quern::runtime {

using Json = nlohmann::ordered_json;

namespace {

struct InfoSettings {
  bool json = false;
  std::string device;
  int64_t batch = 0, sequence = 0, capacity = 0;
};

/// The sizes for which `info` evaluates costs: those compiled in, else given, else a usual case.
Dimensions sizesFor(const Module &module, const Program &program, const InfoSettings &settings) {
  int64_t usual = module.context ? std::min<int64_t>(module.context, 64) : 64;
  bool oneToken = program.name == "decode" || program.name == "generate";
  Dimensions sizes{{"batch", program.has(Role::Cache) ? 1 : 4},
                   {"sequence", oneToken ? 1 : usual},
                   {"capacity", module.context ? module.context : 1024}};
  if (settings.batch)
    sizes["batch"] = settings.batch;
  if (settings.sequence && !oneToken)
    sizes["sequence"] = settings.sequence;
  if (settings.capacity)
    sizes["capacity"] = settings.capacity;
  for (const auto &[name, size] : program.fixedDimensions())
    sizes[name] = size;
  return sizes;
}

/// Groups are the first part of a parameter's name: `block.qkv` belongs to `block`.
std::vector<std::pair<std::string, int64_t>> groups(const Module &module) {
  std::vector<std::pair<std::string, int64_t>> result;
  for (const Parameter &parameter : module.parameters) {
    std::string group = parameter.name.substr(0, parameter.name.find('.'));
    int64_t count = countElements(parameter.shape, parameter.name);
    if (!result.empty() && result.back().first == group)
      result.back().second += count;
    else
      result.push_back({group, count});
  }
  return result;
}

/// Bytes of `argument`, as far as `sizes` tell.
int64_t bytesOf(const Argument &argument, Type type, const Dimensions &sizes) {
  int64_t bytes = sizeOf(type);
  for (size_t i = 0; i < argument.shape.size(); ++i) {
    auto known = sizes.find(argument.dimensions[i]);
    bytes *= known != sizes.end() ? known->second : std::max<int64_t>(argument.shape[i], 0);
  }
  return bytes;
}

Json describe(const Module &module, const Program &program, const InfoSettings &settings) {
  Dimensions sizes = sizesFor(module, program, settings);
  bool onHost = settings.device.empty() ? module.hasHostCode() : settings.device == "cpu";
  Json arguments = Json::array(), weights = Json::object();
  int64_t state = 0, caches = 0;
  for (const Argument &argument : program.arguments) {
    Type type = argument.typeOn(onHost);
    int64_t bytes = bytesOf(argument, type, sizes);
    if (argument.role == Role::Parameter)
      weights[nameOf(type)] = weights.value(nameOf(type), int64_t(0)) + bytes;
    if (argument.role == Role::Cache)
      caches += bytes;
    if (argument.role == Role::FirstMoment || argument.role == Role::SecondMoment)
      state += countElements(argument.shape, argument.name) * sizeOf(argument.type);
    if (argument.role == Role::Input || argument.role == Role::Output ||
        argument.role == Role::Cache || argument.role == Role::Option ||
        argument.role == Role::State)
      arguments.push_back({{"name", argument.name},
                           {"type", nameOf(type)},
                           {"shape", argument.shape},
                           {"dimensions", argument.dimensions}});
  }
  Json entry{{"name", program.name}, {"sizes", sizes}};
  auto flops = program.flops.evaluate(sizes);
  entry["flops"] = flops && *flops > 0 ? Json(*flops) : Json();
  double total = 0;
  Json arena = Json::array();
  for (const auto &[use, bytes] : program.arena) {
    auto value = bytes.evaluate(sizes);
    arena.push_back({{"use", use}, {"bytes", value ? Json(int64_t(*value)) : Json()}});
    total += value.value_or(0);
  }
  entry["arena"] = arena;
  entry["arena_bytes"] = int64_t(total);
  entry["weights_bytes"] = weights;
  entry["cache_bytes"] = caches;
  entry["optimizer_state_bytes"] = state;
  if (program.updatesParameters())
    entry["clips"] = !program.neverClips();
  entry["arguments"] = arguments;
  return entry;
}

/// The GPU that would be used, or why there is none; null for a program without code for GPUs.
Json describeGpu(const Module &module, const InfoSettings &settings) {
  std::vector<std::string> architectures = module.deviceArchitectures();
  bool asked = !settings.device.empty() && settings.device != "cpu";
  if (architectures.empty() && !asked)
    return Json();
  Json entry{{"architectures", architectures}, {"precision", module.devicePrecision}};
  if (settings.device == "cpu")
    return entry;
  try {
    auto device = openDevice(module, asked ? settings.device : "gpu");
    DeviceDescription gpu = *device->describe();
    entry["name"] = gpu.name;
    entry["product"] = gpu.product;
    entry["compute_capability"] = gpu.capability;
    entry["multiprocessors"] = gpu.multiprocessors;
    entry["memory_bytes"] = gpu.memory;
    entry["free_bytes"] = gpu.free;
    entry["driver"] = gpu.driver;
    entry["code"] = gpu.code;
  } catch (const Error &error) {
    if (asked)
      throw;
    entry["missing"] = error.what();
  }
  return entry;
}

Json describe(const Module &module, const InfoSettings &settings) {
  Json info{{"model", module.name},
            {"kind", module.kind},
            {"context", module.context},
            {"vocabulary", module.vocabulary},
            {"parameters", module.parameterCount()},
            {"fingerprint", module.fingerprint()}};
  int64_t bytes = 0;
  for (const Parameter &parameter : module.parameters)
    bytes += countElements(parameter.shape, parameter.name) * sizeOf(parameter.type);
  info["parameter_bytes"] = bytes;
  info["groups"] = Json::array();
  for (const auto &[name, count] : groups(module))
    info["groups"].push_back({{"name", name}, {"parameters", count}});
  info["tensors"] = Json::array();
  for (const Parameter &parameter : module.parameters)
    info["tensors"].push_back({{"name", parameter.name},
                               {"file", parameter.file},
                               {"type", nameOf(parameter.type)},
                               {"shape", parameter.shape},
                               {"decay", parameter.decay}});
  info["target"] = {{"triple", module.triple},
                    {"cpu", module.cpu},
                    {"precision", module.precision},
                    {"requires", module.requires_},
                    {"missing_here", missingFeatures(module.requires_)}};
  info["threads"] = threads();
  info["host_code"] = module.hasHostCode();
  info["device"] = describeGpu(module, settings);
  info["programs"] = Json::array();
  for (const Program &program : module.programs)
    info["programs"].push_back(describe(module, program, settings));
  return info;
}

std::string sizeText(const Json &sizes, const Json &arguments) {
  std::vector<std::string> parts;
  for (const auto &[name, size] : sizes.items()) {
    bool used = false;
    for (const Json &argument : arguments)
      for (const Json &dimension : argument["dimensions"])
        used |= dimension == name;
    if (used)
      parts.push_back(concat(name, " ", size.get<int64_t>()));
  }
  return join(parts, ", ");
}

void printGpu(const Json &gpu) {
  auto text = [&](const char *key) { return gpu[key].get<std::string>(); };
  std::vector<std::string> all = gpu["architectures"].get<std::vector<std::string>>();
  std::printf("gpu code    %s, precision %s\n", join(all, ", ").c_str(), text("precision").c_str());
  if (gpu.contains("missing"))
    std::printf("            cannot run here: %s\n", text("missing").c_str());
  if (!gpu.contains("name"))
    return;
  std::printf("device      %s: %s, compute capability %s, %lld multiprocessors\n",
              text("name").c_str(), text("product").c_str(), text("compute_capability").c_str(),
              gpu["multiprocessors"].get<long long>());
  std::printf("            %s of memory, %s free\n",
              formatBytes(gpu["memory_bytes"].get<double>()).c_str(),
              formatBytes(gpu["free_bytes"].get<double>()).c_str());
  std::printf("            runs the code for %s\n", text("code").c_str());
  std::printf("driver      %s\n", text("driver").c_str());
}

void print(const Json &info) {
  auto text = [](const Json &value) { return value.get<std::string>(); };
  std::printf("model       %s (%s)\n", text(info["model"]).c_str(), text(info["kind"]).c_str());
  std::printf("parameters  %lld (%s)\n", info["parameters"].get<long long>(),
              formatBytes(info["parameter_bytes"].get<double>()).c_str());
  for (const Json &group : info["groups"])
    std::printf("  %-24s %lld\n", text(group["name"]).c_str(),
                group["parameters"].get<long long>());
  if (info["context"] != 0)
    std::printf("context     %lld tokens\n", info["context"].get<long long>());
  else
    std::printf("context     unlimited\n");
  std::printf("vocabulary  %lld\n", info["vocabulary"].get<long long>());
  std::vector<std::string> features = info["target"]["requires"].get<std::vector<std::string>>();
  std::printf("target      %s, %s, precision %s\n", text(info["target"]["cpu"]).c_str(),
              text(info["target"]["triple"]).c_str(), text(info["target"]["precision"]).c_str());
  if (!info["target"]["missing_here"].empty())
    std::printf("            cannot run here: this processor lacks %s\n",
                join(info["target"]["missing_here"].get<std::vector<std::string>>(), ", ").c_str());
  std::printf("threads     %d\n", info["threads"].get<int>());
  if (!info["device"].is_null())
    printGpu(info["device"]);
  std::printf("programs\n");
  for (const Json &program : info["programs"]) {
    std::printf("  %-12s %s\n", text(program["name"]).c_str(),
                sizeText(program["sizes"], program["arguments"]).c_str());
    if (!program["flops"].is_null())
      std::printf("    %-26s %.3g GFLOP\n", "work", program["flops"].get<double>() * 1e-9);
    for (const auto &[type, bytes] : program["weights_bytes"].items())
      std::printf("    %-26s %s\n", concat("weights in ", type).c_str(),
                  formatBytes(bytes.get<double>()).c_str());
    if (program["cache_bytes"] != 0)
      std::printf("    %-26s %s\n", "caches",
                  formatBytes(program["cache_bytes"].get<double>()).c_str());
    std::printf("    %-26s %s\n", "arena",
                formatBytes(program["arena_bytes"].get<double>()).c_str());
    for (const Json &use : program["arena"])
      if (!use["bytes"].is_null())
        std::printf("      %-24s %s\n", text(use["use"]).c_str(),
                    formatBytes(use["bytes"].get<double>()).c_str());
    if (program["optimizer_state_bytes"] != 0)
      std::printf("    %-26s %s\n", "optimizer state",
                  formatBytes(program["optimizer_state_bytes"].get<double>()).c_str());
    if (program.contains("clips"))
      std::printf("    %-26s %s\n", "clipping of gradients",
                  program["clips"].get<bool>() ? "as --clip says" : "never");
  }
}

} // namespace

void addInfoCommand(CommandLine &commands) {
  auto settings = std::make_shared<InfoSettings>();
  CLI::App *command = commands.add(
      "info", "Print parameters, memory, work, programs and target",
      [settings, &commands] {
        Json info = describe(commands.module, *settings);
        if (settings->json)
          std::printf("%s\n", info.dump(2).c_str());
        else
          print(info);
      },
      /*runsCode=*/false);
  command->add_flag("--json", settings->json, "Machine-readable");
  addDevice(*command, settings->device);
  addInteger(*command, "--batch", settings->batch, 1, INT32_MAX, "Batch size for costs");
  addInteger(*command, "--sequence", settings->sequence, 1, INT32_MAX, "Sequence length for costs");
  addInteger(*command, "--capacity", settings->capacity, 1, INT32_MAX, "Cache capacity for costs");
}

} // namespace quern::runtime
