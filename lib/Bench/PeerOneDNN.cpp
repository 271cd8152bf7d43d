//===- PeerOneDNN.cpp - oneDNN ----------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Measure.h"
#include "PeerLibraries.h"
#include "Peers.h"

namespace quern::bench {

namespace {

class OneDNN : public Peer {
public:
  explicit OneDNN(void *handle)
      : gemm(find<Sgemm>(handle, "dnnl_sgemm")),
        // Of the OpenMP that it is linked with: a symbol's search goes on in what a library needs.
        setThreads(find<void(int)>(handle, "omp_set_num_threads")),
        version(find<const Version *()>(handle, "dnnl_version")) {}
  bool isComplete() const { return gemm && setThreads && version; }

  std::string name() const override { return "onednn"; }
  std::string description() const override {
    const Version *v = version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
           std::to_string(v->patch);
  }
  std::optional<double> measure(const Kernel &kernel, int threads, double seconds) override {
    if (!kernel.gemm)
      return std::nullopt;
    setThreads(threads);
    const Gemm &g = *kernel.gemm;
    Operands x(g);
    return bench::measure(seconds,
                          [&] {
                            gemm(g.transposeA ? 'T' : 'N', g.transposeB ? 'T' : 'N', g.rows,
                                 g.columns, g.depth, 1, x.a.data(), x.rowOfA, x.b.data(), x.rowOfB,
                                 0, x.c.data(), g.columns);
                          })
        .least;
  }

private:
  using Sgemm = int(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t,
                    const float *, int64_t, float, float *, int64_t);
  struct Version {
    int major, minor, patch;
  };
  Sgemm *gemm;
  void (*setThreads)(int);
  const Version *(*version)();
};

} // namespace

std::unique_ptr<Peer> findOneDNN() {
  void *handle = openFirst({"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"});
  if (!handle)
    return nullptr;
  auto peer = std::make_unique<OneDNN>(handle);
  return peer->isComplete() ? std::move(peer) : nullptr;
}

} // namespace quern::bench
