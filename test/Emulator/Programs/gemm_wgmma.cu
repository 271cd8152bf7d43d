// C = A B^T for bf16 A (M x K) and B (N x K), f32 accumulation and bf16 C (M x N): TMA fills a ring of
// stages, wgmma empties it, TMA stores. Blocks of a producer warpgroup and one consumer warpgroup;
// each computes 64 x 64 of C. K is a multiple of 64.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hopper.cuh"

namespace {
constexpr int stages = 3, tileBytes = 64 * 64 * 2;

struct Shared {
  alignas(1024) unsigned char a[stages][tileBytes], b[stages][tileBytes];
  alignas(1024) unsigned char c[tileBytes];
  alignas(8) unsigned long long full[stages], empty[stages];
};

__device__ void produce(Shared &shared, const TensorMap *a, const TensorMap *b, int k) {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
  if (threadIdx.x >= 32 || !elect())
    return;
  for (int step = 0; step < k / 64; ++step) {
    int stage = step % stages;
    // The first round finds all stages empty: the phase before the first one counts as complete.
    wait(sharedAddress(&shared.empty[stage]), (step / stages + 1) & 1);
    unsigned full = sharedAddress(&shared.full[stage]);
    expectBytes(full, 2 * tileBytes);
    loadBox(sharedAddress(shared.a[stage]), a, step * 64, blockIdx.y * 64, full);
    loadBox(sharedAddress(shared.b[stage]), b, step * 64, blockIdx.x * 64, full);
  }
}

__device__ void consume(Shared &shared, const TensorMap *c, int k) {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  int thread = threadIdx.x - 128;
  float sums[32] = {};
  for (int step = 0; step < k / 64; ++step) {
    int stage = step % stages;
    wait(sharedAddress(&shared.full[stage]), step / stages & 1);
    unsigned long long a = describeTile(sharedAddress(shared.a[stage]));
    unsigned long long b = describeTile(sharedAddress(shared.b[stage]));
    fenceWarpgroup(sums);
    for (int slice = 0; slice < 4; ++slice)
      multiplyTiles(sums, a + slice * 2, b + slice * 2);
    commitWarpgroup();
    waitWarpgroup<0>();
    // Each warp has waited for its own part alone.
    if (thread % 32 == 0)
      arrive(sharedAddress(&shared.empty[stage]));
  }
  // The tile of C with the 128-byte swizzle, four 8 x 8 matrices at a time.
  int warp = thread / 32, lane = thread % 32;
  for (int group = 0; group < 4; ++group) {
    unsigned packed[4];
    for (int i = 0; i < 4; ++i) {
      __nv_bfloat162 pair = __floats2bfloat162_rn(sums[group * 8 + i * 2], sums[group * 8 + i * 2 + 1]);
      packed[i] = *reinterpret_cast<unsigned *>(&pair);
    }
    int row = warp * 16 + lane % 16, chunk = group * 2 + lane / 16;
    unsigned address = sharedAddress(shared.c) + row * 128 + ((chunk ^ (row & 7)) << 4);
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
                 "r"(packed[0]), "r"(packed[1]), "r"(packed[2]), "r"(packed[3])
                 : "memory");
  }
  fenceAsync();
  asm volatile("bar.sync 1, 128;" ::: "memory");
  if (thread == 0) {
    storeBox(c, blockIdx.x * 64, blockIdx.y * 64, sharedAddress(shared.c));
    commitBulk();
    waitBulk();
  }
}
} // namespace

extern "C" __global__ void __launch_bounds__(256, 1)
    gemm_wgmma(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
               const __grid_constant__ TensorMap c, int k) {
  extern __shared__ unsigned char memory[];
  Shared &shared = *reinterpret_cast<Shared *>(((unsigned long long)memory + 1023) & ~1023ull);
  if (threadIdx.x == 0) {
    prefetch(&a);
    prefetch(&b);
    for (int stage = 0; stage < stages; ++stage) {
      initialize(sharedAddress(&shared.full[stage]), 1);
      initialize(sharedAddress(&shared.empty[stage]), 4);
    }
    fenceInitialization();
  }
  __syncthreads();
  if (threadIdx.x < 128)
    produce(shared, &a, &b, k);
  else
    consume(shared, &c, k);
}
