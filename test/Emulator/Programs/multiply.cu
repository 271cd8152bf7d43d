// C = A B for row-major f32 A (M x K) and B (K x N): blocks of 16 x 16 threads, tiles in shared memory.
// `without` says which of the two barriers of a step is missing: the one behind the loads, or the one behind
// the use.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

constexpr int tile = 16;

template <int without>
__device__ void multiply(const float *a, const float *b, float *c, int m, int n, int k) {
  __shared__ float tileA[tile][tile], tileB[tile][tile];
  int row = blockIdx.y * tile + threadIdx.y, column = blockIdx.x * tile + threadIdx.x;
  float sum = 0;
  for (int step = 0; step < k; step += tile) {
    int i = step + threadIdx.x, j = step + threadIdx.y;
    tileA[threadIdx.y][threadIdx.x] = row < m && i < k ? a[row * k + i] : 0;
    tileB[threadIdx.y][threadIdx.x] = j < k && column < n ? b[j * n + column] : 0;
    if (without != 1)
      __syncthreads();
    for (int l = 0; l < tile; ++l)
      sum += tileA[threadIdx.y][l] * tileB[l][threadIdx.x];
    if (without != 2)
      __syncthreads();
  }
  if (row < m && column < n)
    c[row * n + column] = sum;
}

extern "C" __global__ void multiply_synchronized(const float *a, const float *b, float *c, int m, int n,
                                                 int k) {
  multiply<0>(a, b, c, m, n, k);
}

extern "C" __global__ void multiply_without_first(const float *a, const float *b, float *c, int m, int n,
                                                  int k) {
  multiply<1>(a, b, c, m, n, k);
}

extern "C" __global__ void multiply_without_second(const float *a, const float *b, float *c, int m, int n,
                                                   int k) {
  multiply<2>(a, b, c, m, n, k);
}
