//===- Pointer.h - Addresses of device memory, for accesses that memrefs do not have ----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Several consecutive elements in one access, and copies from global to shared memory that run
/// beside the thread (PTX ISA 7.8, section 9.7.8.22, cp.async).
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_POINTER_H
#define QUERN_LIB_GPU_POINTER_H

#include "quern/GPU/Thread.h"

namespace quern::nvidia {

/// The address of an element in global or shared memory.
class Pointer {
public:
  Pointer() = default;
  /// Of the first element of a memref of the device.
  Pointer(Thread &thread, mlir::Value memref);

  /// Of an element in global memory, whose address is an i64.
  static Pointer global(Thread &thread, mlir::Value address, mlir::Type element);

  mlir::Type element;
  /// !llvm.ptr<1> (global) or !llvm.ptr<3> (shared).
  mlir::Value address(Thread &thread) const;
  /// i32: the same of shared memory, as a number of bytes.
  mlir::Value sharedAddress(Thread &thread) const;

  /// The address `offset` elements (an index or i32) further.
  Pointer at(Thread &thread, mlir::Value offset) const;
  Pointer at(Thread &thread, int64_t offset) const;
  /// The same address in shared memory, as that of elements of another type.
  Pointer as(Thread &thread, mlir::Type element) const;

  /// The same in shared memory, of which the compiler does not know where it is from: it then adds
  /// constants in instructions, rather than keep each sum in a register through a loop.
  Pointer anew(Thread &thread) const;

  /// `count` consecutive elements (1, 2, 4 or 8; no more than 16 bytes), each as a `type`, in one
  /// access. The address is a multiple of the bytes that they take.
  llvm::SmallVector<mlir::Value> load(Thread &thread, int64_t count, mlir::Type type) const;
  /// Writes consecutive elements, in one access, under the same conditions.
  void store(Thread &thread, mlir::ValueRange values) const;

  int64_t elementBytes() const { return element.getIntOrFloatBitWidth() / 8; }

private:
  /// A pointer to global memory. In shared memory, whose addresses are short, a number of bytes
  /// (i32): arithmetic on it takes half the registers.
  mlir::Value base;
  int64_t offset = 0; ///< elements that constants add, which instructions can do themselves
};

/// Starts a copy of `bytes` (4, 8 or 16, and both addresses multiples of it) from global to shared
/// memory. Only the first `valid` bytes (i32) are read; zeros take the place of the others.
void copyAsync(Thread &thread, const Pointer &shared, const Pointer &global, int64_t bytes,
               mlir::Value valid);
/// Makes the copies that this thread started since the last call a group.
void closeCopies(Thread &thread);
/// Waits until at most `pending` groups of this thread, the youngest ones, are under way.
void awaitCopies(Thread &thread, int64_t pending);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_POINTER_H
