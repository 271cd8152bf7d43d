//===- Pending.cpp - Kernels that wait for their emitter
//----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Each emitter that is written deletes its line here; the file goes with the last one.

#include "Emitters.h"

using namespace mlir;

namespace quern::cpu {

#define PENDING(Op)                                                                                \
  LogicalResult emit(Op op, ValueRange, Emission &) {                                              \
    return op->emitOpError("has no emitter for the CPU");                                          \
  }
PENDING(kernel::AttentionBackwardOp)

} // namespace quern::cpu
