//===- Ceiling.h - What this machine can do at most -------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_RUNTIME_CEILING_H
#define QUERN_RUNTIME_CEILING_H

namespace quern::runtime {

/// The machine's limits, measured now on all threads in use. Machines are shared and their clocks
/// vary: compare a rate only with ceilings measured right before and after it.
struct Ceiling {
  double gflops = 0;     ///< products and sums on registers (2 a multiply-add), 1e9 a second
  bool bf16Dots = false; ///< of dot products of bf16 rather than of float32 multiply-adds
  double gigabytes = 0;  ///< reading memory that no cache holds, 1e9 bytes a second
};

/// Takes about a second. With `ofBf16` for work that multiplies bf16 by bf16, which takes dot
/// products where the processor has them and they are faster than multiply-adds.
Ceiling measureCeiling(bool ofBf16 = false);

/// Each of them alone, and two more. Units as above.
double measureMultiplyAdds();
double measureReading();
/// Reading memory and writing it back in place: both count.
double measureUpdating();
/// bf16 products added up in f32 (AVX512-BF16, vdpbf16ps), 2 operations each; 0 without them.
double measureBf16Dots();

} // namespace quern::runtime

#endif // QUERN_RUNTIME_CEILING_H
