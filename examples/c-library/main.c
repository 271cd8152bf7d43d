/*===- main.c - A C program that trains and runs a compiled model ---------------------------------===
 *
 * Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 *===----------------------------------------------------------------------------------------------===
 * Learns a short text by heart and then continues its first bytes. gpt.h and libgpt.so come from
 * `quern compile gpt.mlir --emit=lib`; see the Makefile.
 */
#include "libgpt.h"

#include <stdio.h>
#include <string.h>

static const char text[] = "A quern is a small mill. This one grinds models into machine code.";

static int print_token(int32_t token, void *user) {
  (void)user;
  putchar(token);
  return 0; /* go on */
}

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, quern_error());
  return 1;
}

int main(void) {
  enum { length = sizeof text - 2, steps = 150 };
  int32_t tokens[length], targets[length];
  for (int i = 0; i < length; ++i) {
    tokens[i] = text[i];
    targets[i] = text[i + 1];
  }

  quern_model *model = quern_open();
  if (!model)
    return fail("opening the model");
  if (quern_initialize(model, /*seed=*/1))
    return fail("drawing weights");
  for (int step = 0; step < steps; ++step) {
    quern_tensor loss;
    if (gpt_train_step(model, tokens, targets, /*batch=*/1, /*sequence=*/length, &loss, NULL))
      return fail("training");
    if (step % 50 == 0 || step == steps - 1)
      printf("step %3d: loss %.3f\n", step, *(const float *)loss.data);
  }

  const quern_sampling greedy = {/*temperature=*/0, /*top_k=*/0, /*top_p=*/1, /*seed=*/0};
  printf("%.7s", text);
  if (quern_generate(model, tokens, 7, 40, &greedy, print_token, NULL) < 0)
    return fail("writing");
  putchar('\n');
  quern_close(model);
  return 0;
}
