//===- PeerLibraries.cpp - OpenBLAS and oneDNN ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// Both are opened at run time, by what their headers promise, so that nothing is needed to build.

#include "Measure.h"
#include "Peers.h"

#include <cstdlib>
#include <dlfcn.h>

namespace quern::bench {

namespace {

void *openFirst(std::initializer_list<const char *> names) {
  for (const char *name : names)
    if (void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL))
      return handle;
  return nullptr;
}

template <typename Function>
Function *find(void *handle, const char *name) {
  return reinterpret_cast<Function *>(dlsym(handle, name));
}

/// Matrices of a product, row-major, dense.
struct Operands {
  explicit Operands(const Gemm &gemm)
      : a(size_t(gemm.rows * gemm.depth), 0.5f), b(size_t(gemm.depth * gemm.columns), 0.25f),
        c(size_t(gemm.rows * gemm.columns)), rowOfA(gemm.transposeA ? gemm.rows : gemm.depth),
        rowOfB(gemm.transposeB ? gemm.depth : gemm.columns) {}
  std::vector<float> a, b, c;
  int64_t rowOfA, rowOfB;
};

class OpenBLAS : public Peer {
public:
  explicit OpenBLAS(void *handle)
      : gemm(find<Sgemm>(handle, "cblas_sgemm")),
        setThreads(find<void(int)>(handle, "openblas_set_num_threads")),
        coreName(find<const char *()>(handle, "openblas_get_corename")),
        configuration(find<const char *()>(handle, "openblas_get_config")) {}
  bool isComplete() const { return gemm && setThreads && coreName && configuration; }

  std::string name() const override { return "openblas"; }
  std::string description() const override {
    return std::string(configuration()) + " (kernels: " + coreName() + ")";
  }
  std::optional<double> measure(const Kernel &kernel, int threads, double seconds) override {
    if (!kernel.gemm)
      return std::nullopt;
    setThreads(threads);
    const Gemm &g = *kernel.gemm;
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
  using Sgemm = void(int, int, int, int, int, int, float, const float *, int, const float *, int,
                     float, float *, int);
  Sgemm *gemm;
  void (*setThreads)(int);
  const char *(*coreName)();
  const char *(*configuration)();
};

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

std::unique_ptr<Peer> findOpenBLAS() {
#if defined(__x86_64__)
  // Old ones know no recent processor and take one for something far slower: OpenBLAS's own
  // variable, which is read when it is loaded, names the widest kernels that this one runs.
  if (__builtin_cpu_supports("avx512f"))
    setenv("OPENBLAS_CORETYPE", "SKYLAKEX", /*overwrite=*/0);
#endif
  void *handle = openFirst({"libopenblas.so.0", "libopenblas.so"});
  if (!handle)
    return nullptr;
  auto peer = std::make_unique<OpenBLAS>(handle);
  return peer->isComplete() ? std::move(peer) : nullptr;
}

std::unique_ptr<Peer> findOneDNN() {
  void *handle = openFirst({"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"});
  if (!handle)
    return nullptr;
  auto peer = std::make_unique<OneDNN>(handle);
  return peer->isComplete() ? std::move(peer) : nullptr;
}

} // namespace quern::bench
