//===- Ceiling.cpp - What this machine can do at most -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Runtime/Ceiling.h"

#include "quern/Runtime/Memory.h"
#include "quern/Runtime/Threads.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace quern::runtime {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Runs `work` on every thread at once and gives the best of a few rounds: units of work a second,
/// all threads together.
template <typename Work>
double bestRate(int rounds, Work work) {
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    std::vector<double> done(size_t(threads()), 0.0);
    double start = now();
    parallelFor(threads(), [&](int64_t thread) { done[size_t(thread)] = work(thread); });
    double time = now() - start, total = 0;
    for (double units : done)
      total += units;
    best = std::max(best, total / time);
  }
  return best;
}

#if defined(__x86_64__)
// Independent chains that hide the latency of a multiply-add, all in registers. The empty
// statements keep the compiler from computing the chains in advance.
#define QUERN_FMA_LOOP(Vector, count, set, fma)                                                    \
  Vector sums[count];                                                                              \
  for (int i = 0; i < (count); ++i)                                                                \
    sums[i] = set(0.001f * float(i + 1));                                                          \
  Vector x = set(0.999f), y = set(0.0001f);                                                        \
  for (int64_t step = 0; step < steps; ++step) {                                                   \
    _Pragma("GCC unroll 32") for (int i = 0; i < (count); ++i) sums[i] = fma(sums[i], x, y);       \
    __asm__ volatile("" : "+x"(x), "+x"(y));                                                       \
  }                                                                                                \
  Vector total = sums[0]; /* all chains count, or the compiler leaves them out */                  \
  for (int i = 1; i < (count); ++i)                                                                \
    total += sums[i];                                                                              \
  float sink[16];                                                                                  \
  std::memcpy(sink, &total, sizeof(Vector));                                                       \
  __asm__ volatile("" : : "r"(sink) : "memory");                                                   \
  return 2.0 * (count) * double(sizeof(Vector) / sizeof(float)) * double(steps)

__attribute__((target("avx512f"))) double multiplyAdd512(int64_t steps) {
  QUERN_FMA_LOOP(__m512, 24, _mm512_set1_ps, _mm512_fmadd_ps);
}
__attribute__((target("avx2,fma"))) double multiplyAdd256(int64_t steps) {
  QUERN_FMA_LOOP(__m256, 12, _mm256_set1_ps, _mm256_fmadd_ps);
}
__m128 multiplyThenAdd(__m128 a, __m128 x, __m128 y) { return _mm_add_ps(_mm_mul_ps(a, x), y); }
double multiplyAdd128(int64_t steps) { QUERN_FMA_LOOP(__m128, 12, _mm_set1_ps, multiplyThenAdd); }
#undef QUERN_FMA_LOOP

/// The same with pairs of bf16.
__attribute__((target("avx512f,avx512bf16"))) double bf16Dots512(int64_t steps) {
  constexpr int count = 24;
  __m512 sums[count];
  for (int i = 0; i < count; ++i)
    sums[i] = _mm512_set1_ps(0.001f * float(i + 1));
  auto ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (int64_t step = 0; step < steps; ++step) {
    _Pragma("GCC unroll 32") for (int i = 0; i < count; ++i) sums[i] =
        _mm512_dpbf16_ps(sums[i], ones, ones);
    __asm__ volatile("" : "+x"(ones));
  }
  __m512 total = sums[0];
  for (int i = 1; i < count; ++i)
    total += sums[i];
  float sink[16];
  std::memcpy(sink, &total, sizeof total);
  __asm__ volatile("" : : "r"(sink) : "memory");
  return 4.0 * count * 16 * double(steps);
}

double multiplyAdd(int64_t steps) {
  if (__builtin_cpu_supports("avx512f"))
    return multiplyAdd512(steps);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return multiplyAdd256(steps);
  return multiplyAdd128(steps);
}
#else
double multiplyAdd(int64_t steps) {
  float sums[16] = {};
  for (int64_t step = 0; step < steps; ++step)
    for (float &sum : sums)
      sum = sum * 0.999f + 0.0001f;
  __asm__ volatile("" : : "r"(sums) : "memory");
  return 32.0 * double(steps);
}
#endif

/// Reads all of it; gives the bytes.
double readMemory(const uint64_t *data, int64_t words) {
  uint64_t sums[32] = {};
  for (int64_t i = 0; i + 32 <= words; i += 32)
    for (int j = 0; j < 32; ++j)
      sums[j] += data[i + j];
  __asm__ volatile("" : : "r"(sums) : "memory");
  return 8.0 * double(words);
}

/// Reads all of it and writes it back; gives the bytes of both.
double updateMemory(uint64_t *data, int64_t words) {
  for (int64_t i = 0; i < words; ++i)
    data[i] += 1;
  __asm__ volatile("" : : "r"(data) : "memory");
  return 16.0 * double(words);
}

/// The rate in 1e9 bytes a second of `pass(data, words)`, which gives how many bytes it moved, on
/// far more memory than the last cache holds, in one part a thread.
template <typename Pass>
double memoryRate(Pass pass) {
  constexpr int64_t words = int64_t(512) << 17;
  // Kept for the next time: its pages take as long to get as the measurement.
  static Block memory = [] {
    Block block(words * 8, "measuring the speed of memory");
    std::memset(block.data(), 1, size_t(words) * 8);
    return block;
  }();
  int64_t part = words / threads();
  auto *data = static_cast<uint64_t *>(static_cast<void *>(memory.data()));
  return bestRate(5, [&](int64_t thread) { return pass(data + thread * part, part); }) * 1e-9;
}

} // namespace

double measureMultiplyAdds() {
  return bestRate(5, [](int64_t) { return multiplyAdd(4000000); }) * 1e-9;
}

double measureReading() { return memoryRate(readMemory); }

double measureUpdating() { return memoryRate(updateMemory); }

double measureBf16Dots() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16"))
    return bestRate(5, [](int64_t) { return bf16Dots512(2000000); }) * 1e-9;
#endif
  return 0;
}

Ceiling measureCeiling(bool ofBf16) {
  double multiplyAdds = measureMultiplyAdds(), dots = ofBf16 ? measureBf16Dots() : 0;
  return {std::max(multiplyAdds, dots), dots > multiplyAdds, measureReading()};
}

} // namespace quern::runtime
