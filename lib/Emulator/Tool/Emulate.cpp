//===- Emulate.cpp - The command quern-emulate ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Emulator/Tool.h"

#include "lib/Emulator/Tool/TensorArgument.h"
#include "quern/Emulator/Emulator.h"

#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

namespace quern::emulator {

namespace {

/// A buffer on the device and the file that it comes from and goes back to.
struct BufferFile {
  std::string path;
  uint64_t address;
  uint64_t bytes;
};

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw Error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// "X", "X,Y" or "X,Y,Z"
Dim3 parseDimensions(const std::string &option, const std::string &text) {
  uint32_t values[3] = {1, 1, 1};
  const char *at = text.c_str();
  for (int i = 0; i < 3; ++i) {
    char *end = nullptr;
    errno = 0;
    unsigned long value = std::strtoul(at, &end, 10);
    if (end == at || *at == '-' || errno || value > UINT32_MAX)
      throw Error(option + " takes one to three numbers like 4,2,1, not '" + text + "'");
    values[i] = uint32_t(value);
    at = end;
    if (*at != ',')
      break;
    ++at;
  }
  if (*at)
    throw Error(option + " takes one to three numbers like 4,2,1, not '" + text + "'");
  return {values[0], values[1], values[2]};
}

int64_t parseInteger(const std::string &text, const std::string &whole, int64_t least,
                     uint64_t most) {
  char *end = nullptr;
  errno = 0;
  bool negative = !text.empty() && text[0] == '-';
  int64_t value = negative ? std::strtoll(text.c_str(), &end, 0)
                           : int64_t(std::strtoull(text.c_str(), &end, 0));
  if (text.empty() || *end)
    throw Error("--argument " + whole + ": '" + text + "' is not an integer");
  if (errno || (negative ? value < least : uint64_t(value) > most))
    throw Error("--argument " + whole + ": " + text + " does not fit");
  return value;
}

double parseReal(const std::string &text, const std::string &whole) {
  char *end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end)
    throw Error("--argument " + whole + ": '" + text + "' is not a number");
  return value;
}

/// The contents of a file on the device.
uint64_t loadBuffer(Device &device, const std::string &path, std::vector<BufferFile> &buffers) {
  std::string contents = readFile(path);
  uint64_t address = device.allocate(contents.size(), path);
  device.write(address, contents.data(), contents.size());
  buffers.push_back({path, address, contents.size()});
  return address;
}

/// KIND:VALUE
Argument parseArgument(Device &device, const std::string &text, std::vector<BufferFile> &buffers) {
  size_t colon = text.find(':');
  std::string kind = text.substr(0, colon);
  std::string value = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (kind == "i32")
    return argument(int32_t(parseInteger(value, text, INT32_MIN, UINT32_MAX)));
  if (kind == "i64")
    return argument(parseInteger(value, text, INT64_MIN, UINT64_MAX));
  if (kind == "f32")
    return argument(float(parseReal(value, text)));
  if (kind == "f64")
    return argument(parseReal(value, text));
  if (kind == "buffer")
    return argument(loadBuffer(device, value, buffers));
  if (kind == "tensor" || kind == "tensor-address") {
    size_t end = value.find(':');
    matrix::TensorMap map = parseTensor(value.substr(0, end), text);
    std::string path = end == std::string::npos ? "" : value.substr(end + 1);
    map.address = loadBuffer(device, path, buffers);
    if (kind == "tensor")
      return argument(map.encode());
    // A map in memory rather than in the parameters.
    matrix::TensorMap::Encoded bytes = map.encode();
    uint64_t address = device.allocate(bytes.size(), "the map of " + path);
    device.write(address, bytes.data(), bytes.size());
    return argument(address);
  }
  throw Error("--argument " + text +
              ": expected i32:N, i64:N, f32:X, f64:X, buffer:FILE, tensor:...:FILE or "
              "tensor-address:...:FILE with the value of "
              "a parameter");
}

void writeBack(const Device &device, const std::vector<BufferFile> &buffers) {
  for (const BufferFile &buffer : buffers) {
    std::string contents(buffer.bytes, '\0');
    device.read(buffer.address, contents.data(), buffer.bytes);
    std::ofstream file(buffer.path, std::ios::binary | std::ios::trunc);
    file.write(contents.data(), std::streamsize(contents.size()));
    file.close();
    if (!file)
      throw Error("cannot write " + buffer.path);
  }
}

void printCounters(const Counters &counters) {
  auto line = [](const char *what, uint64_t value) {
    std::printf("%-28s %llu\n", what, static_cast<unsigned long long>(value));
  };
  line("blocks run", counters.blocks);
  line("thread instructions", counters.threadInstructions);
  line("warp instructions", counters.warpInstructions);
  line("global bytes read", counters.globalBytesRead);
  line("global bytes written", counters.globalBytesWritten);
  line("global sectors", counters.globalSectors);
  line("shared bytes read", counters.sharedBytesRead);
  line("shared bytes written", counters.sharedBytesWritten);
  line("shared accesses", counters.sharedAccesses);
  line("bank conflicts", counters.bankConflicts);
  line("warps with wgmma", counters.productWarps);
  line("their instructions", counters.productInstructions);
  line("of them beside wgmma", counters.coveredInstructions);
  line("stretches of wgmma", counters.productStretches);
  line("local bytes read", counters.localBytesRead);
  line("local bytes written", counters.localBytesWritten);
  for (const auto &[opcode, count] : counters.byOpcode)
    line(("  " + opcode).c_str(), count);
}

} // namespace

int runEmulate(int argc, char **argv) {
  CLI::App app("Executes one launch of a kernel of a PTX file on the CPU, thread by thread, and "
               "reports what is wrong with it: accesses out of bounds or misaligned, reads of "
               "uninitialized memory, races, deadlocks.",
               "quern-emulate");
  app.footer(
      "Exit code: 0 when nothing was found, 1 with findings, 2 when the text or the launch is "
      "wrong.");
  std::string path, grid = "1", block = "1", cluster;
  std::vector<std::string> arguments;
  Launch launch;
  bool counters = false, noRaces = false;
  app.add_option("FILE", path, "PTX text")->required();
  app.add_option("--kernel", launch.kernel, "the kernel; may be left out when there is one");
  app.add_option("--grid", grid, "blocks, X,Y,Z")->capture_default_str();
  app.add_option("--block", block, "threads of a block, X,Y,Z")->capture_default_str();
  app.add_option("--cluster", cluster,
                 "blocks of a cluster, X,Y,Z; default: what the kernel requires");
  app.add_option("--shared", launch.sharedBytes, "dynamic shared memory of a block in bytes");
  app.add_option(
         "--argument", arguments,
         "a parameter, in order: i32:N, i64:N, f32:X, f64:X, buffer:FILE, which is read from a "
         "raw file and written back, tensor:TYPE,DIMENSIONS,BOX[,SWIZZLE]:FILE, the tensor map of "
         "such a buffer, like tensor:bf16,64x128,64x32,128:FILE, or tensor-address:...:FILE, the "
         "address of such a map")
      ->allow_extra_args(false);
  app.add_option("--schedule", launch.schedule,
                 "switch between warps at random places drawn from this seed; 0: at barriers only");
  app.add_option("--patience", launch.patience,
                 "warp instructions without any effect after which a launch is given up")
      ->capture_default_str();
  app.add_option("--sample", launch.sample,
                 "run only so many clusters, spread over the grid, to count; 0: all")
      ->capture_default_str();
  app.add_flag("--no-races", noRaces, "do not look for races");
  app.add_flag("--counters", counters, "print what was counted");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) ? 2 : 0;
  }
  try {
    launch.checkRaces = !noRaces;
    launch.grid = parseDimensions("--grid", grid);
    launch.block = parseDimensions("--block", block);
    Module module = Module::load(readFile(path), path);
    if (launch.kernel.empty() && module.kernels().size() == 1)
      launch.kernel = module.kernels()[0].name;
    if (!cluster.empty())
      launch.cluster = parseDimensions("--cluster", cluster);
    else if (const Kernel *kernel = module.find(launch.kernel); kernel && kernel->requiredCluster.x)
      launch.cluster = kernel->requiredCluster;
    Device device;
    std::vector<BufferFile> buffers;
    for (const std::string &text : arguments)
      launch.arguments.push_back(parseArgument(device, text, buffers));
    Report report = run(device, module, launch);
    writeBack(device, buffers);
    std::cout << report.output;
    for (const Finding &finding : report.findings)
      std::cout << format(finding, path);
    if (counters)
      printCounters(report.counters);
    return report.clean() ? 0 : 1;
  } catch (const AssemblyError &error) {
    std::cerr << error.what() << "\n";
  } catch (const Error &error) {
    std::cerr << "quern-emulate: error: " << error.what() << "\n";
  }
  return 2;
}

} // namespace quern::emulator
