//===- Peers.h - Other libraries on the same work ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_PEERS_H
#define QUERN_LIB_BENCH_PEERS_H

#include "Work.h"
#include "quern/Bench/Bench.h"

#include <memory>
#include <optional>

namespace quern::bench {

class Peer {
public:
  virtual ~Peer() = default;
  virtual std::string name() const = 0;
  /// Version and choice of code, for the record.
  virtual std::string description() const = 0;
  /// Seconds of the fastest of several runs within `seconds`; nothing where it has no such work.
  virtual std::optional<double> measure(const Kernel &kernel, int threads, double seconds) = 0;
  /// The same of a whole program of a model, by the names in its row: "train", "gpt2:4x64".
  virtual std::optional<double> measureModel(llvm::StringRef /*work*/, llvm::StringRef /*shape*/,
                                             int /*threads*/, double /*seconds*/) {
    return std::nullopt;
  }
};

/// Those that `settings` name, or all that are here and have one of `works`. The error tells what
/// was named but not found. `threads`: as many as will be asked for at most. `tool`: a path of
/// `quern`.
llvm::Expected<std::vector<std::unique_ptr<Peer>>> findPeers(const Settings &settings,
                                                             llvm::ArrayRef<std::string> works,
                                                             int threads, const std::string &tool);

/// OpenBLAS from a shared library, with the core type that is the fastest on `threads` threads, or
/// that the user's OPENBLAS_CORETYPE names; null where there is none.
std::unique_ptr<Peer> findOpenBLAS(const std::string &tool, int threads);
/// The work, known to no user, by which `tool` is called to try OpenBLAS as it is loaded there.
inline constexpr char openBLASTrial[] = "openblas-core-type";
/// That work: prints the core type, and the seconds of a product.
llvm::Error tryOpenBLAS(int threads, double seconds);

/// oneDNN from a shared library; null where there is none.
std::unique_ptr<Peer> findOneDNN();
/// PyTorch of the settings' Python as it executes programs, and with `compiles` once more as
/// torch.compile compiles them; the error is what Python said. `settings` must outlive them.
llvm::Expected<std::vector<std::unique_ptr<Peer>>> findTorch(const Settings &settings,
                                                             bool compiles);
/// llm.c of this checkout, compiled; the error tells what is missing, or what the compiler said.
llvm::Expected<std::unique_ptr<Peer>> findLlmc(const std::string &checkout);

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_PEERS_H
