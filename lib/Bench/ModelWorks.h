//===- ModelWorks.h - Whole programs of models ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_BENCH_MODELWORKS_H
#define QUERN_LIB_BENCH_MODELWORKS_H

#include "Row.h"
#include "quern/Bench/Bench.h"

namespace quern::bench {

/// Training, prefill, decoding and compilation of models whose texts `Compiler::model` has.
struct ModelFamily {
  const char *name, *description, *form;
  std::vector<const char *> shapes;
  /// Measures one shape, "MODEL:SIZES", with each number of threads.
  llvm::Expected<std::vector<Row>> (*measure)(llvm::StringRef model, llvm::ArrayRef<int64_t> sizes,
                                              const std::vector<int> &threads, double seconds,
                                              const Compiler &compiler);
};
llvm::ArrayRef<ModelFamily> modelFamilies();

/// Rows of `family` at `shape`; the error names the form that a shape has.
llvm::Expected<std::vector<Row>> measureModel(const ModelFamily &family, llvm::StringRef shape,
                                              const std::vector<int> &threads, double seconds,
                                              const Compiler &compiler);

} // namespace quern::bench

#endif // QUERN_LIB_BENCH_MODELWORKS_H
