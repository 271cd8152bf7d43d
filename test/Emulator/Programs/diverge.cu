// Lanes of a warp that go ways of their own: loops of different lengths with break and continue, returns in
// the middle, a switch, recursion, and a ballot in a branch.
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

/// Steps of the Collatz sequence from n, at most `most`.
extern "C" __global__ void collatz(const int *start, int *steps, int n, int most) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n)
    return;
  unsigned value = start[i];
  int count = 0;
  while (true) {
    if (value == 1)
      break;
    if (count == most) {
      count = -1;
      break;
    }
    ++count;
    if (value % 2) {
      value = 3 * value + 1;
      continue;
    }
    value /= 2;
  }
  steps[i] = count;
}

__device__ __noinline__ int apply(int operation, int a, int b) {
  switch (operation) {
  case 0:
    return a + b;
  case 1:
    return a - b;
  case 2:
    return a * b;
  case 3:
    return b ? a / b : 0;
  case 4:
    return a & b;
  case 5:
    return a | b;
  case 6:
    return a ^ b;
  default:
    return __popc(a) + __clz(b);
  }
}

extern "C" __global__ void interpret(const int *operation, const int *a, const int *b, int *result) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  result[i] = apply(operation[i], a[i], b[i]);
}

__device__ __noinline__ int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

extern "C" __global__ void recurse(int *result) {
  int i = threadIdx.x;
  if (i % 3 != 1)
    result[i] = fibonacci(i % 12);
  else
    result[i] = -1;
}

/// How many lanes of the warp take the same branch.
extern "C" __global__ void count_branch(const int *x, int *count) {
  int i = threadIdx.x;
  unsigned even = __ballot_sync(0xffffffff, x[i] % 2 == 0);
  if (x[i] % 2 == 0)
    count[i] = __popc(__ballot_sync(even, true)) + __reduce_add_sync(even, x[i]);
  else
    count[i] = -__popc(__ballot_sync(~even, true)) - __reduce_max_sync(~even, x[i]);
}
