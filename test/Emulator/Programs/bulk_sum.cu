// Adds blocks of 1024 f32 into one: a bulk copy brings a block's part to shared memory, threads double
// it, a bulk reduction adds it to `sum` in global memory.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hopper.cuh"

extern "C" __global__ void __launch_bounds__(128) bulk_sum(const float *parts, float *sum) {
  __shared__ alignas(16) float values[1024];
  __shared__ alignas(8) unsigned long long full;
  int thread = threadIdx.x;
  if (thread == 0) {
    initialize(sharedAddress(&full), 1);
    fenceInitialization();
    expectBytes(sharedAddress(&full), sizeof values);
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];" ::"r"(sharedAddress(values)),
                 "l"(parts + blockIdx.x * 1024), "r"((unsigned)sizeof values),
                 "r"(sharedAddress(&full))
                 : "memory");
  }
  __syncthreads();
  wait(sharedAddress(&full), 0);
  for (int i = thread; i < 1024; i += 128)
    values[i] *= 2;
  fenceAsync();
  __syncthreads();
  if (thread == 0) {
    asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(
                     sum),
                 "r"(sharedAddress(values)), "r"((unsigned)sizeof values)
                 : "memory");
    commitBulk();
    waitBulkRead();
  }
}
