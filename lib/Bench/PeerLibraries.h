//===- PeerLibraries.h - Libraries opened at run time -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Peers that are shared libraries are opened at run time, by what their headers promise, so that
/// nothing is needed to build.
///
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_PEERLIBRARIES_H
#define QUERN_LIB_BENCH_PEERLIBRARIES_H

#include "Work.h"

#include <dlfcn.h>
#include <initializer_list>
#include <vector>

namespace quern::bench {

/// The first of these libraries that is there; null if none is.
inline void *openFirst(std::initializer_list<const char *> names) {
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

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_PEERLIBRARIES_H
