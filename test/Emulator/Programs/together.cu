// What threads and blocks do to memory together: histograms, the last block that sums up, a lock.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// Counts of bytes, first in shared memory. `atomic` false: as if nobody else counted.
template <bool atomic>
__device__ void histogram(const unsigned char *bytes, unsigned *counts, int n) {
  __shared__ unsigned local[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    local[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    if (atomic)
      atomicAdd(&local[bytes[i]], 1);
    else
      ++local[bytes[i]];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x) {
    if (atomic)
      atomicAdd(&counts[i], local[i]);
    else
      counts[i] += local[i];
  }
}

extern "C" __global__ void histogram_atomic(const unsigned char *bytes, unsigned *counts, int n) {
  histogram<true>(bytes, counts, n);
}

extern "C" __global__ void histogram_racing(const unsigned char *bytes, unsigned *counts, int n) {
  histogram<false>(bytes, counts, n);
}

/// Each block writes its sum; the block that comes last adds them up. `fenced` false: without the fence
/// that makes a sum visible before its block is counted.
template <bool fenced>
__device__ void sumOfBlocks(const int *x, volatile int *sums, unsigned *done, int *total, int n) {
  __shared__ bool isLast;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int sum = __reduce_add_sync(0xffffffff, i < n ? x[i] : 0);
  if (threadIdx.x == 0) {
    const_cast<int *>(sums)[blockIdx.x] = sum;
    if (fenced)
      __threadfence();
    isLast = atomicInc(done, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (isLast && threadIdx.x == 0) {
    if (fenced)
      __threadfence();
    int all = 0;
    for (int block = 0; block < gridDim.x; ++block)
      all += const_cast<int *>(sums)[block];
    *total = all;
  }
}

extern "C" __global__ void sum_of_blocks(const int *x, int *sums, unsigned *done, int *total, int n) {
  sumOfBlocks<true>(x, sums, done, total, n);
}

extern "C" __global__ void sum_of_blocks_unfenced(const int *x, int *sums, unsigned *done, int *total,
                                                  int n) {
  sumOfBlocks<false>(x, sums, done, total, n);
}

/// Every thread increments a counter that a lock guards: lanes of a warp wait for each other.
extern "C" __global__ void locked(int *lock, int *counter) {
  while (atomicCAS(lock, 0, 1) != 0)
    ;
  __threadfence();
  *counter += 1;
  __threadfence();
  atomicExch(lock, 0);
}

/// All blocks wait until all have come: it ends if they are all there at once.
extern "C" __global__ void grid_barrier(unsigned *arrived, int *values, int *result) {
  values[blockIdx.x] = blockIdx.x * blockIdx.x;
  __threadfence();
  atomicAdd(arrived, 1);
  while (*(volatile unsigned *)arrived < gridDim.x)
    ;
  __threadfence();
  result[blockIdx.x] = values[gridDim.x - 1 - blockIdx.x];
}
