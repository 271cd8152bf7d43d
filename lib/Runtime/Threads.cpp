//===- Threads.cpp - Threads and processor features -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Threads.h"

#include "quern/Runtime/Error.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

// OpenMP comes with the compiled model; a model without parallel code links none.
extern "C" {
__attribute__((weak)) void omp_set_num_threads(int);
__attribute__((weak)) int omp_get_max_threads();
}

namespace quern::runtime {

static int chosen = 0;

void setThreads(int threads) {
  chosen = threads;
  if (threads > 0 && omp_set_num_threads)
    omp_set_num_threads(threads);
}

int threads() {
  if (chosen > 0)
    return chosen;
  if (omp_get_max_threads)
    return omp_get_max_threads();
  const char *variable = std::getenv("OMP_NUM_THREADS");
  int count = variable ? std::atoi(variable) : 0;
  return count > 0 ? count : int(std::max(1u, std::thread::hardware_concurrency()));
}

void parallelFor(int64_t count, const std::function<void(int64_t)> &body) {
  std::atomic<int64_t> next{0};
  auto work = [&] {
    for (int64_t i; (i = next++) < count;)
      body(i);
  };
  std::vector<std::thread> helpers;
  for (int64_t i = 1; i < std::min<int64_t>(threads(), count); ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers)
    helper.join();
}

#if defined(__x86_64__)
/// Asks the processor itself (and the operating system, for wide registers) about a feature whose
/// name the compiler knows; nothing for other names.
static int askProcessor(const std::string &feature) {
#define QUERN_FEATURE(NAME)                                                                        \
  if (feature == NAME)                                                                             \
    return __builtin_cpu_supports(NAME) != 0;
  QUERN_FEATURE("sse3")
  QUERN_FEATURE("ssse3")
  QUERN_FEATURE("sse4.1")
  QUERN_FEATURE("sse4.2")
  QUERN_FEATURE("popcnt")
  QUERN_FEATURE("avx")
  QUERN_FEATURE("avx2")
  QUERN_FEATURE("fma")
  QUERN_FEATURE("bmi")
  QUERN_FEATURE("bmi2")
  QUERN_FEATURE("avx512f")
  QUERN_FEATURE("avx512vl")
  QUERN_FEATURE("avx512bw")
  QUERN_FEATURE("avx512dq")
  QUERN_FEATURE("avx512cd")
  QUERN_FEATURE("avx512ifma")
  QUERN_FEATURE("avx512vbmi")
  QUERN_FEATURE("avx512vbmi2")
  QUERN_FEATURE("avx512vnni")
  QUERN_FEATURE("avx512bitalg")
  QUERN_FEATURE("avx512vpopcntdq")
  QUERN_FEATURE("avx512bf16")
#undef QUERN_FEATURE
  return -1;
}
#else
static int askProcessor(const std::string &) { return -1; }
#endif

/// Names without punctuation, so that avx512-vnni, avx512_vnni and avx512vnni agree.
static std::string plainName(const std::string &name) {
  std::string plain;
  for (char c : name)
    if (c != '_' && c != '-' && c != '.')
      plain += c;
  return plain;
}

/// The flags of the first processor in /proc/cpuinfo, as plain names with LLVM's spelling added.
static std::vector<std::string> listedFlags() {
  static const char *const aliases[][2] = {
      {"pni", "sse3"},    {"abm", "lzcnt"},           {"pclmulqdq", "pclmul"}, {"shani", "sha"},
      {"lm", "64bit"},    {"lahflm", "sahf"},         {"rdrand", "rdrnd"},     {"bmi1", "bmi"},
      {"sse42", "crc32"}, {"3dnowprefetch", "prfchw"}};
  std::vector<std::string> flags;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, 5, "flags") != 0)
      continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) {
      flags.push_back(plainName(word));
      for (auto &alias : aliases)
        if (flags.back() == alias[0]) {
          flags.emplace_back(alias[1]);
          break;
        }
    }
    break;
  }
  return flags;
}

std::vector<std::string> missingFeatures(const std::vector<std::string> &features) {
  std::vector<std::string> missing;
  std::vector<std::string> flags;
  for (const std::string &feature : features) {
    int answer = askProcessor(feature);
    if (answer < 0) {
      if (flags.empty())
        flags = listedFlags();
      answer = std::find(flags.begin(), flags.end(), plainName(feature)) != flags.end();
    }
    if (!answer)
      missing.push_back(feature);
  }
  return missing;
}

void checkProcessor(const std::vector<std::string> &features, const std::string &cpu) {
  std::vector<std::string> missing = missingFeatures(features);
  if (!missing.empty())
    throw Error(concat("this program was compiled for the processor '", cpu,
                       "', but this machine lacks ", join(missing, ", "),
                       "; compile the model again here, or with --cpu=x86-64-v3"));
}

} // namespace quern::runtime
