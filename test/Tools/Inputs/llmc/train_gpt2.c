//===- train_gpt2.c - Stands for llm.c -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// Has the functions that a training step calls, which only look at how they are called.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef OMP
#include <omp.h>
#endif

enum { NUM_PARAMETER_TENSORS = 4 };

typedef struct {
  int max_seq_len, vocab_size, padded_vocab_size, num_layers, num_heads, channels;
} GPT2Config;

typedef struct {
  float *wte, *ln1w, *ln2w, *lnfw;
} ParameterTensors;

typedef struct {
  GPT2Config config;
  ParameterTensors params;
  size_t param_sizes[NUM_PARAMETER_TENSORS], num_parameters;
  float *params_memory, mean_loss;
  int calls;
} GPT2;

static void expect(int holds, const char *what) {
  if (holds)
    return;
  fprintf(stderr, "expected: %s\n", what);
  exit(1);
}
#define EXPECT(condition) expect(condition, #condition)

void fill_in_parameter_sizes(size_t *sizes, GPT2Config c) {
  sizes[0] = (size_t)c.padded_vocab_size;
  sizes[1] = sizes[2] = (size_t)c.num_layers * c.channels;
  sizes[3] = c.channels;
}

float *malloc_and_point_parameters(ParameterTensors *params, size_t *sizes) {
  params->wte = malloc((sizes[0] + sizes[1] + sizes[2] + sizes[3]) * sizeof(float));
  params->ln1w = params->wte + sizes[0];
  params->ln2w = params->ln1w + sizes[1];
  params->lnfw = params->ln2w + sizes[2];
  return params->wte;
}

void gpt2_forward(GPT2 *model, int *tokens, int *targets, size_t batch, size_t length) {
  EXPECT(model->calls++ % 4 == 0);
  EXPECT(batch == 1 && length == 8);
  EXPECT(targets == tokens + 1 && targets[length - 1] < model->config.vocab_size);
  EXPECT(model->num_parameters == 50304 + 2 * 12 * 768 + 768);
  EXPECT(model->params_memory[0] != model->params_memory[1]);
  EXPECT(model->params.ln1w[0] == 1 && model->params.lnfw[767] == 1);
  EXPECT(omp_get_max_threads() == 2); // it is compiled with OMP
  printf("a line that llm.c prints: 12\n");
}
void gpt2_zero_grad(GPT2 *model) { EXPECT(model->calls++ % 4 == 1); }
void gpt2_backward(GPT2 *model) { EXPECT(model->calls++ % 4 == 2); }
void gpt2_update(GPT2 *model, float rate, float beta1, float beta2, float epsilon, float decay,
                 int step) {
  EXPECT(rate > 0 && beta1 > 0 && beta2 > beta1 && epsilon > 0 && decay == 0);
  EXPECT(model->calls++ == 4 * step - 1);
}

#ifndef TESTING
int main(void) { return 1; }
#endif
