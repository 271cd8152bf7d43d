//===- openblas.c - Stands for OpenBLAS -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// It knows three core types: Haswell takes its time, SkylakeX takes more of it, and Zen crashes.
// With ALONE it knows none of them.

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

static const char *core = "Prescott";

#ifndef ALONE
__attribute__((constructor)) static void choose(void) {
  const char *known[] = {"Haswell", "SkylakeX", "Zen"};
  const char *wanted = getenv("OPENBLAS_CORETYPE");
  for (int i = 0; wanted && i < 3; ++i)
    if (!strcasecmp(wanted, known[i]))
      core = known[i];
}
#endif

const char *openblas_get_corename(void) { return core; }
const char *openblas_get_config(void) { return "OpenBLAS 1.2.3 of a test "; }
void openblas_set_num_threads(int threads) { (void)threads; }

void cblas_sgemm(int order, int transposeA, int transposeB, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc) {
  (void)order, (void)transposeA, (void)transposeB, (void)m, (void)n, (void)k, (void)alpha, (void)a;
  (void)lda, (void)b, (void)ldb, (void)beta, (void)c, (void)ldc; // nobody reads the result
  if (*core == 'Z')
    abort();
  usleep(*core == 'H' ? 1000 : 200000);
}
