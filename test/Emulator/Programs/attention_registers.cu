// O = softmax(Q K^T) V of one head: 64 queries, 64 keys, head dimension 64, all bf16, O in f32. The
// scores stay in registers and become the A operand of the second product (wgmma with A in registers);
// V is used as it lies, N-major. One warpgroup.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hopper.cuh"

extern "C" __global__ void __launch_bounds__(128)
    attention_registers(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap k,
                        const __grid_constant__ TensorMap v, float *out) {
  __shared__ alignas(1024) __nv_bfloat16 tiles[3][64 * 64];
  __shared__ alignas(8) unsigned long long full;
  int thread = threadIdx.x;
  if (thread == 0) {
    initialize(sharedAddress(&full), 1);
    fenceInitialization();
    expectBytes(sharedAddress(&full), sizeof tiles);
    loadBox(sharedAddress(tiles[0]), &q, 0, 0, sharedAddress(&full));
    loadBox(sharedAddress(tiles[1]), &k, 0, 0, sharedAddress(&full));
    loadBox(sharedAddress(tiles[2]), &v, 0, 0, sharedAddress(&full));
  }
  __syncthreads();
  wait(sharedAddress(&full), 0);

  float scores[32] = {};
  fenceWarpgroup(scores);
  for (int slice = 0; slice < 4; ++slice)
    multiplyTiles(scores, describeTile(sharedAddress(tiles[0])) + slice * 2,
                  describeTile(sharedAddress(tiles[1])) + slice * 2);
  commitWarpgroup();
  waitWarpgroup<0>();

  // Registers 4 i, 4 i + 1 belong to one row of the thread, 4 i + 2, 4 i + 3 to the row 8 below.
  float total[2];
  for (int half = 0; half < 2; ++half) {
    float most = -INFINITY, sum = 0;
    for (int i = 0; i < 16; ++i)
      most = fmaxf(most, scores[i / 2 * 4 + half * 2 + i % 2]);
    for (int mask = 1; mask < 4; mask *= 2)
      most = fmaxf(most, __shfl_xor_sync(~0u, most, mask));
    for (int i = 0; i < 16; ++i) {
      float &score = scores[i / 2 * 4 + half * 2 + i % 2];
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(score) : "f"((score - most) * 1.44269504f));
      sum += score;
    }
    for (int mask = 1; mask < 4; mask *= 2)
      sum += __shfl_xor_sync(~0u, sum, mask);
    total[half] = sum;
  }

  // The accumulator's layout is that of A: four 8 x 8 matrices are one slice of 16 keys.
  unsigned weights[4][4];
  for (int slice = 0; slice < 4; ++slice)
    for (int i = 0; i < 4; ++i) {
      const float *pair = &scores[slice * 8 + i * 2];
      __nv_bfloat162 packed = __floats2bfloat162_rn(pair[0], pair[1]);
      weights[slice][i] = *reinterpret_cast<unsigned *>(&packed);
    }
  float result[32] = {};
  fenceWarpgroup(result, weights[0], weights[1], weights[2], weights[3]);
  for (int slice = 0; slice < 4; ++slice)
    // 16 keys are 16 lines of 128 bytes further down.
    multiplyRegisters(result, weights[slice],
                      describeTile(sharedAddress(tiles[2])) + slice * (16 * 128 >> 4));
  commitWarpgroup();
  waitWarpgroup<0>();
  int row = thread / 32 * 16 + thread % 32 / 4;
  for (int i = 0; i < 32; ++i)
    out[(row + i / 2 % 2 * 8) * 64 + i / 4 * 8 + thread % 4 * 2 + i % 2] =
        result[i] / total[i / 2 % 2];
}
