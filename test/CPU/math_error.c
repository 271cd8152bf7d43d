/*===- math_error.c - Measures the errors of the expanded functions
 * ------------------------------------===
 *
 * Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===---------------------------------------------------------------------------------------------===
 *
 * Links with the functions under test, void NAME(const float *x, float *y, int64_t n) with n a
 * multiple of 64. Arguments: the stride between the bit patterns to try (1: all 2^32 of them), then
 * pairs of a name and the largest error allowed, in units in the last place. Prints the largest
 * errors, and fails where one is larger, or where a NaN, an infinity or a sign is wrong.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void function(const float *x, float *y, int64_t n);
function test_exp, test_exp2, test_log, test_log2, test_tanh, test_erf, test_rsqrt,
    test_exp_non_positive, test_exp2_non_positive;

static double reciprocal_root(double x) { return 1 / sqrt(x); }

static const struct {
  const char *name;
  function *tested;
  double (*reference)(double);
  int is_non_positive; /* tested up to 0, and may be 0 below the smallest normal float */
} functions[] = {{"exp", test_exp, exp},
                 {"exp2", test_exp2, exp2},
                 {"log", test_log, log},
                 {"log2", test_log2, log2},
                 {"tanh", test_tanh, tanh},
                 {"erf", test_erf, erf},
                 {"rsqrt", test_rsqrt, reciprocal_root},
                 {"exp_non_positive", test_exp_non_positive, exp, 1},
                 {"exp2_non_positive", test_exp2_non_positive, exp2, 1}};

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

/* In units in the last place of a float near `want`; infinity where the kind or the sign is wrong.
 */
static double error(float got, double want) {
  if (isnan(want) || isnan(got))
    return isnan(want) && isnan(got) ? 0 : INFINITY;
  if (!signbit(got) != !signbit(want))
    return INFINITY;
  if (isinf(want))
    return isinf(got) ? 0 : INFINITY;
  if (want == 0)
    return got == 0 ? 0 : INFINITY;
  int exponent;
  frexp(want, &exponent);
  /* Above the largest float, infinity stands for 2^128. */
  double value = isinf(got) ? copysign(0x1p128, want) : got;
  if (exponent > 128)
    return isinf(got) ? 0 : INFINITY;
  return fabs(value - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

enum { block = 4096 };

static double worst_of(int f, const uint32_t *bits, int64_t n, double worst, uint32_t *where) {
  static float x[block], y[block];
  for (int64_t i = 0; i < block; ++i)
    x[i] = float_of(bits[i < n ? i : 0]);
  functions[f].tested(x, y, block);
  for (int64_t i = 0; i < n; ++i) {
    double want = functions[f].reference((double)x[i]);
    if (functions[f].is_non_positive && (x[i] > 0 || (y[i] == 0 && want < 0x1p-126)))
      continue;
    double e = error(y[i], want);
    if (e > worst) {
      worst = e;
      *where = bits[i];
    }
  }
  return worst;
}

/* Zeros, denormals, powers of two and their neighbours, ends of ranges, infinities, NaNs. */
static int64_t edge_cases(uint32_t *bits) {
  int64_t n = 0;
  for (uint32_t sign = 0; sign < 2; ++sign) {
    for (uint32_t exponent = 0; exponent < 256; ++exponent)
      for (int32_t near = -2; near <= 2; ++near)
        bits[n++] = (sign << 31) | (((exponent << 23) + near) & 0x7fffffff);
    static const float ends[] = {
        88.72283f,  103.97208f, 87.33654f,   126.0f,     127.99999f, 149.0f,     149.99999f, 150.0f,
        0.9277f,    3.9192f,    4.0f,        9.01f,      10.0f,      0.3465736f, 0.5f,       1.5f,
        0.7071068f, 1.4142135f, 2097152.25f, 8388608.5f, 1e10f,      1e38f};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; ++i)
      for (int32_t near = -3; near <= 3; ++near) {
        uint32_t pattern;
        memcpy(&pattern, &ends[i], 4);
        bits[n++] = (sign << 31) | (pattern + near);
      }
    bits[n++] = (sign << 31) | 0x7fc12345;
    bits[n++] = (sign << 31) | 0x7fffffff;
  }
  return n;
}

int main(int argc, char **argv) {
  if (argc < 4 || argc % 2)
    return fprintf(stderr, "usage: %s STRIDE NAME ULP [NAME ULP ...]\n", argv[0]), 2;
  uint64_t stride = strtoull(argv[1], NULL, 10);
  int failed = 0;
  for (int a = 2; a < argc; a += 2) {
    int f = 0;
    while (strcmp(functions[f].name, argv[a]))
      ++f;
    uint32_t bits[block], where = 0;
    double worst = worst_of(f, bits, edge_cases(bits), -1, &where);
    for (uint64_t pattern = 0; pattern < 1ull << 32;) {
      int64_t n = 0;
      for (; n < block && pattern < 1ull << 32; pattern += stride)
        bits[n++] = (uint32_t)pattern;
      worst = worst_of(f, bits, n, worst, &where);
    }
    int wrong = !(worst <= strtod(argv[a + 1], NULL));
    printf("%-17s %.4f ulp at %a = %.9g%s\n", argv[a], worst, float_of(where), float_of(where),
           wrong ? "  TOO LARGE" : "");
    failed |= wrong;
  }
  return failed;
}
