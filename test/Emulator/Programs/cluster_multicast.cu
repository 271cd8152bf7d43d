// Clusters of two blocks. Each block loads half of a 64 x 64 tile of f32 and sends it to both by
// multicast; then block r adds up the columns r, r + 2, ... of the tile and gives its sums to the
// other block through distributed shared memory. Both write all sums: out[cluster][block][column].
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hopper.cuh"

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(128)
    cluster_multicast(const __grid_constant__ TensorMap map, float *out) {
  __shared__ alignas(1024) float tile[64][64];
  __shared__ float sums[64];
  __shared__ alignas(8) unsigned long long full, exchanged;
  unsigned rank = clusterRank(), other = rank ^ 1;
  int thread = threadIdx.x, cluster = blockIdx.x / 2;
  if (thread == 0) {
    initialize(sharedAddress(&full), 1);
    initialize(sharedAddress(&exchanged), 32);
    fenceInitialization();
    expectBytes(sharedAddress(&full), sizeof tile);
  }
  clusterSync();
  if (thread == 0)
    loadBoxMulticast(sharedAddress(tile[rank * 32]), &map, 0, cluster * 64 + rank * 32,
                     sharedAddress(&full), 3);
  wait(sharedAddress(&full), 0);

  if (thread < 32) {
    int column = thread * 2 + rank;
    float sum = 0;
    for (int row = 0; row < 64; ++row)
      sum += tile[row][column];
    sums[column] = sum;
    unsigned remote;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(remote)
                 : "r"(sharedAddress(&sums[column])), "r"(other));
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(remote), "f"(sum) : "memory");
    arriveRemote(sharedAddress(&exchanged), other);
  }
  __syncthreads();
  waitCluster(sharedAddress(&exchanged), 0);
  if (thread < 64)
    out[(cluster * 2 + rank) * 64 + thread] = sums[thread];
  // No block ends while the other may still write to it.
  clusterSync();
}
