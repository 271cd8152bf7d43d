//===- PeerOpenBLAS.cpp - OpenBLAS and its core type ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// OpenBLAS has kernels for many core types and takes those of the one that it believes to run on.
// An old one knows no recent processor and may take it for something far slower. Its variable
// OPENBLAS_CORETYPE names another, but is read when the library is loaded and never again: each
// core type that can run here is tried in a process of its own before ours loads the library.

#include "Measure.h"
#include "PeerLibraries.h"
#include "Peers.h"
#include "Process.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Host.h"

#include <cmath>
#include <cstdlib>
#include <limits>

namespace quern::bench {

namespace {

constexpr char variable[] = "OPENBLAS_CORETYPE";

class OpenBLAS : public Peer {
public:
  /// Null if there is no such library, or none with the functions that it should have.
  static std::unique_ptr<OpenBLAS> open() {
    void *handle = openFirst({"libopenblas.so.0", "libopenblas.so"});
    if (!handle)
      return nullptr;
    std::unique_ptr<OpenBLAS> peer(new OpenBLAS(handle));
    return peer->isComplete() ? std::move(peer) : nullptr;
  }

  /// As OpenBLAS writes it: "Haswell".
  std::string coreType() const { return coreName(); }
  std::string choice; ///< why it has this core type

  std::string name() const override { return "openblas"; }
  std::string description() const override {
    return llvm::StringRef(configuration()).trim().str() + ", core type " + coreName() + ", " +
           choice;
  }
  std::optional<double> measure(const Kernel &kernel, int threads, double seconds) override {
    if (!kernel.gemm)
      return std::nullopt;
    return measure(*kernel.gemm, threads, seconds);
  }
  double measure(const Gemm &g, int threads, double seconds) const {
    setThreads(threads);
    Operands x(g);
    constexpr int rowMajor = 101, no = 111, yes = 112;
    return bench::measure(seconds,
                          [&] {
                            gemm(rowMajor, g.transposeA ? yes : no, g.transposeB ? yes : no,
                                 int(g.rows), int(g.columns), int(g.depth), 1, x.a.data(),
                                 int(x.rowOfA), x.b.data(), int(x.rowOfB), 0, x.c.data(),
                                 int(g.columns));
                          })
        .least;
  }

private:
  explicit OpenBLAS(void *handle)
      : gemm(find<Sgemm>(handle, "cblas_sgemm")),
        setThreads(find<void(int)>(handle, "openblas_set_num_threads")),
        coreName(find<const char *()>(handle, "openblas_get_corename")),
        configuration(find<const char *()>(handle, "openblas_get_config")) {}
  bool isComplete() const { return gemm && setThreads && coreName && configuration; }

  using Sgemm = void(int, int, int, int, int, int, float, const float *, int, const float *, int,
                     float, float *, int);
  Sgemm *gemm;
  void (*setThreads)(int);
  const char *(*coreName)();
  const char *(*configuration)();
};

/// The core types, as OpenBLAS writes them, whose instructions this processor has, and which are
/// newer than its first 64-bit ones. Where none is, OpenBLAS's own choice is as good as any.
std::vector<std::string> coreTypesToTry() {
  std::vector<std::string> types;
#if defined(__x86_64__)
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  auto has = [&](std::initializer_list<const char *> names) {
    return llvm::all_of(names, [&](const char *name) { return features.lookup(name); });
  };
  if (!has({"avx2", "fma"}))
    return types;
  types = {"Haswell", "Zen"};
  if (!has({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}))
    return types;
  types.push_back("SkylakeX");
  if (!has({"avx512bf16"}))
    return types;
  types.push_back("Cooperlake");
  if (has({"amx-tile", "amx-bf16"}))
    types.push_back("SapphireRapids");
#endif
  return types;
}

/// Seconds of a product by a `quern` whose OpenBLAS has this core type. Nothing if that crashes or
/// hangs, or if the library has no such type: then it takes another.
std::optional<double> secondsOf(const std::string &type, const std::string &tool, int threads) {
  constexpr unsigned secondsAtMost = 30;
  llvm::Expected<Finished> tried = runProcess(
      tool, {"bench", openBLASTrial, "--threads", std::to_string(threads), "--seconds", "0.1"},
      {variable + ("=" + type)}, secondsAtMost);
  if (!tried) {
    llvm::consumeError(tried.takeError());
    return std::nullopt;
  }
  auto [name, time] = llvm::StringRef(tried->out).trim().split(' ');
  double seconds;
  if (!tried->succeeded || !name.equals_insensitive(type) || time.getAsDouble(seconds))
    return std::nullopt;
  return seconds;
}

/// Sets the variable to the fastest core type on so many threads. Returns why it is that one.
std::string chooseCoreType(const std::string &tool, int threads) {
  std::vector<std::string> types = coreTypesToTry();
  std::vector<double> least(types.size(), std::numeric_limits<double>::infinity());
  // In turn, twice: what slows the machine for a moment hits one of the two.
  for (int round = 0; round < 2; ++round)
    for (auto [type, seconds] : llvm::zip(types, least))
      seconds = std::min(seconds, secondsOf(type, tool, threads).value_or(seconds));

  std::vector<std::string> ran;
  for (auto [type, seconds] : llvm::zip(types, least))
    if (std::isfinite(seconds))
      ran.push_back(type);
  if (ran.empty())
    return "its own choice";
  setenv(variable, types[llvm::min_element(least) - least.begin()].c_str(), /*overwrite=*/1);
  return ran.size() == 1 ? "the only one that ran" : "the fastest of " + llvm::join(ran, ", ");
}

} // namespace

std::unique_ptr<Peer> findOpenBLAS(const std::string &tool, int threads) {
  const char *value = std::getenv(variable);
  std::string wanted = value ? value : "";
  std::string chosen = wanted.empty() ? chooseCoreType(tool, threads) : "";
  std::unique_ptr<OpenBLAS> peer = OpenBLAS::open();
  if (!peer)
    return nullptr;
  if (wanted.empty())
    peer->choice = chosen;
  else if (llvm::StringRef(wanted).equals_insensitive(peer->coreType()))
    peer->choice = std::string("as ") + variable + " says";
  else
    peer->choice = std::string("its own choice, for it does not know ") + variable + "=" + wanted;
  return peer;
}

llvm::Error tryOpenBLAS(int threads, double seconds) {
  std::unique_ptr<OpenBLAS> peer = OpenBLAS::open();
  if (!peer)
    return llvm::createStringError("no openblas here");
  Gemm product{768, 768, 768, /*transposeA=*/false, /*transposeB=*/false};
  llvm::outs() << llvm::formatv("{0} {1:e}\n", peer->coreType(),
                                peer->measure(product, threads, seconds));
  return llvm::Error::success();
}

} // namespace quern::bench
