// The sum of n floats by one block: each thread adds every 256th, lanes by shuffles, warps through shared
// memory. `reduce_racing` lacks the barrier between the two.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

template <bool synchronized>
__device__ void reduce(const float *x, float *sum, int n) {
  __shared__ float partial[8];
  float value = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x)
    value += x[i];
  for (int offset = 16; offset; offset /= 2)
    value += __shfl_down_sync(0xffffffff, value, offset);
  if (threadIdx.x % 32 == 0)
    partial[threadIdx.x / 32] = value;
  if (synchronized)
    __syncthreads();
  if (threadIdx.x == 0) {
    float total = 0;
    for (int i = 0; i < blockDim.x / 32; ++i)
      total += partial[i];
    *sum = total;
  }
}

extern "C" __global__ void reduce_synchronized(const float *x, float *sum, int n) {
  reduce<true>(x, sum, n);
}

extern "C" __global__ void reduce_racing(const float *x, float *sum, int n) {
  reduce<false>(x, sum, n);
}
