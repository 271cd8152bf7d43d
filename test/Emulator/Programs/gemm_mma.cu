// C = A B^T for bf16 A (M x K), B (N x K) and f32 C (M x N), by mma.sync, ldmatrix and cp.async: what
// sm_80 offers. One block of 4 warps computes 64 x 64 of C; K is a multiple of 32, M and N of 64.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <cuda_bf16.h>

namespace {
constexpr int tile = 64, depth = 32, stages = 3;
/// A row of a stage is 64 bytes; 16-byte chunks change places so that ldmatrix meets no bank conflict.
__device__ unsigned offsetOf(int row, int chunk) {
  return row * 64 + (chunk ^ (row >> 1 & 3)) * 16;
}

__device__ void copy(unsigned target, const void *source) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(source) : "memory");
}

__device__ void loadMatrices(unsigned (&to)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

__device__ void multiply(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
} // namespace

extern "C" __global__ void __launch_bounds__(128)
    gemm_mma(const __nv_bfloat16 *a, const __nv_bfloat16 *b, float *c, int n, int k) {
  __shared__ alignas(128) unsigned char shared[stages][2][tile * 64];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int firstRow = blockIdx.y * tile, firstColumn = blockIdx.x * tile;
  unsigned base = (unsigned)__cvta_generic_to_shared(shared);

  auto load = [&](int step) {
    unsigned stage = base + step % stages * 2 * tile * 64;
    for (int i = threadIdx.x; i < tile * 4; i += 128) {
      int row = i / 4, chunk = i % 4;
      copy(stage + offsetOf(row, chunk), a + (firstRow + row) * k + step * depth + chunk * 8);
      copy(stage + tile * 64 + offsetOf(row, chunk),
           b + (firstColumn + row) * k + step * depth + chunk * 8);
    }
  };

  float sums[8][4] = {};
  int steps = k / depth;
  for (int step = 0; step < stages - 1; ++step) {
    if (step < steps)
      load(step);
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  for (int step = 0; step < steps; ++step) {
    asm volatile("cp.async.wait_group %0;" ::"n"(stages - 2) : "memory");
    __syncthreads();
    if (step + stages - 1 < steps)
      load(step + stages - 1);
    asm volatile("cp.async.commit_group;" ::: "memory");
    unsigned stage = base + step % stages * 2 * tile * 64;
    for (int part = 0; part < 2; ++part) {
      unsigned fragmentA[4], fragmentB[4];
      loadMatrices(fragmentA, stage + offsetOf(warp * 16 + lane % 16, part * 2 + lane / 16));
      for (int pair = 0; pair < 4; ++pair) {
        int row = pair * 16 + lane % 8 + lane / 16 * 8;
        loadMatrices(fragmentB, stage + tile * 64 + offsetOf(row, part * 2 + lane / 8 % 2));
        multiply(sums[2 * pair], fragmentA, fragmentB[0], fragmentB[1]);
        multiply(sums[2 * pair + 1], fragmentA, fragmentB[2], fragmentB[3]);
      }
    }
  }
  for (int j = 0; j < 8; ++j)
    for (int i = 0; i < 4; ++i)
      c[(firstRow + warp * 16 + lane / 4 + i / 2 * 8) * n + firstColumn + j * 8 + lane % 4 * 2 +
        i % 2] = sums[j][i];
}
