// The instructions of sm_90a that the kernels of this folder use, one function each.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cuda_bf16.h>

/// The driver's CUtensorMap without its header.
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

__device__ inline unsigned sharedAddress(const void *pointer) {
  return (unsigned)__cvta_generic_to_shared(pointer);
}

__device__ inline void initialize(unsigned barrier, unsigned count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

__device__ inline void fenceInitialization() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void expectBytes(unsigned barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

__device__ inline void arrive(unsigned barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/// Arrives at the barrier at the same offset in the block `rank` of the cluster.
__device__ inline void arriveRemote(unsigned barrier, unsigned rank) {
  asm volatile("{\n\t.reg .b32 remote;\n\t"
               "mapa.shared::cluster.u32 remote, %0, %1;\n\t"
               "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n\t}" ::"r"(barrier),
               "r"(rank)
               : "memory");
}

__device__ inline void wait(unsigned barrier, unsigned parity) {
  asm volatile("{\n\t.reg .pred done;\n"
               "again:\n\t"
               "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n\t"
               "@done bra finished;\n\t"
               "bra again;\n"
               "finished:\n\t}" ::"r"(barrier),
               "r"(parity)
               : "memory");
}

/// Acquires what other blocks of the cluster wrote before they arrived.
__device__ inline void waitCluster(unsigned barrier, unsigned parity) {
  asm volatile("{\n\t.reg .pred done;\n"
               "again:\n\t"
               "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n\t"
               "@done bra finished;\n\t"
               "bra again;\n"
               "finished:\n\t}" ::"r"(barrier),
               "r"(parity)
               : "memory");
}

__device__ inline void clusterSync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n\t"
               "barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}

__device__ inline unsigned clusterRank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ inline bool elect() {
  unsigned elected;
  asm volatile("{\n\t.reg .pred chosen;\n\t"
               "elect.sync _|chosen, 0xffffffff;\n\t"
               "selp.u32 %0, 1, 0, chosen;\n\t}"
               : "=r"(elected));
  return elected != 0;
}

__device__ inline void loadBox(unsigned to, const TensorMap *map, int x, int y, unsigned barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
               "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
               "l"(map), "r"(x), "r"(y), "r"(barrier)
               : "memory");
}

__device__ inline void loadBoxMulticast(unsigned to, const TensorMap *map, int x, int y,
                                        unsigned barrier, unsigned short blocks) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
               ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
               "l"(map), "r"(x), "r"(y), "r"(barrier), "h"(blocks)
               : "memory");
}

__device__ inline void storeBox(const TensorMap *map, int x, int y, unsigned from) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];" ::"l"(
                   map),
               "r"(x), "r"(y), "r"(from)
               : "memory");
}

__device__ inline void prefetch(const TensorMap *map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

__device__ inline void commitBulk() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

__device__ inline void waitBulk() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

__device__ inline void waitBulkRead() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

/// Lets TMA and wgmma see what this thread wrote to shared memory.
__device__ inline void fenceAsync() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Sets a register here: the compiler does not take wgmma.fence for a use of it and would set it behind.
__device__ inline void hold(float &value) { asm volatile("" : "+f"(value)::"memory"); }
__device__ inline void hold(unsigned &value) { asm volatile("" : "+r"(value)::"memory"); }

/// wgmma.fence for the registers of arrays.
template <typename... Arrays>
__device__ inline void fenceWarpgroup(Arrays &...arrays) {
  auto holdAll = [](auto &array) {
    for (auto &value : array)
      hold(value);
  };
  (holdAll(arrays), ...);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ inline void commitWarpgroup() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int pending>
__device__ inline void waitWarpgroup() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

/// A K-major tile with rows of 128 bytes, as TMA writes it with the 128-byte swizzle.
__device__ inline unsigned long long describeTile(unsigned address) {
  return (unsigned long long)1 << 62 | (unsigned long long)(1024 >> 4) << 32 |
         (unsigned long long)1 << 16 | (address & 0x3ffff) >> 4;
}

/// D (64 x 64, 32 registers a thread) += A (64 x 16) B (16 x 64), both from shared memory.
__device__ inline void multiplyTiles(float (&d)[32], unsigned long long a, unsigned long long b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, 1, 1, 1, 0, 0;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "l"(a), "l"(b));
}

/// The same with A in four registers of bf16 pairs and B transposed (N-major).
__device__ inline void multiplyRegisters(float (&d)[32], const unsigned (&a)[4],
                                         unsigned long long b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, 1, 1, 1, 1;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
