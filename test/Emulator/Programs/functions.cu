// One thread an element; functions of the standard library; what a kernel prints.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <assert.h>
#include <math.h>
#include <stdio.h>

extern "C" __global__ void functions(const float *x, float *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  float v = x[i];
  y[0 * n + i] = expf(v);
  y[1 * n + i] = logf(fabsf(v) + 1);
  y[2 * n + i] = tanhf(v);
  y[3 * n + i] = erff(v);
  y[4 * n + i] = sinf(v);
  y[5 * n + i] = cosf(v);
  y[6 * n + i] = rsqrtf(fabsf(v) + 0.5f);
  y[7 * n + i] = powf(fabsf(v), 1.7f);
  y[8 * n + i] = v / (v * v + 1);
  y[9 * n + i] = sqrtf(fabsf(v));
}

extern "C" __global__ void functions_of_doubles(const double *x, double *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  double v = x[i];
  y[0 * n + i] = exp(v);
  y[1 * n + i] = log(fabs(v) + 1);
  y[2 * n + i] = tanh(v);
  y[3 * n + i] = erf(v);
  y[4 * n + i] = sin(v);
  y[5 * n + i] = v / (v * v + 3);
  y[6 * n + i] = sqrt(fabs(v));
  y[7 * n + i] = rsqrt(fabs(v) + 0.5);
}

/// Quotients and remainders of integers of all widths.
extern "C" __global__ void divide(const long long *a, const long long *b, long long *quotient,
                                  long long *remainder, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  quotient[i] = a[i] / b[i];
  remainder[i] = a[i] % b[i];
  quotient[n + i] = (int)a[i] / (int)b[i];
  remainder[n + i] = (unsigned)a[i] % (unsigned)b[i];
}

struct Pair {
  int first;
  double second;
};

extern "C" __global__ void print(Pair pair, const char *name) {
  if (threadIdx.x == 3)
    printf("%s: thread %d of %u, %5.2f, %lld%%\n", name, threadIdx.x, blockDim.x, pair.second,
           (long long)pair.first);
}

extern "C" __global__ void check(int n) { assert(threadIdx.x < n); }
