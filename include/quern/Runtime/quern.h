//===- quern.h - A compiled model as a library: the C interface -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// What `quern compile --emit=lib` exports. One library holds one model. Functions that can fail
/// return 0 on success and -1 on failure, or a null pointer; `quern_error` then says what was wrong
/// and what to do. Nothing here ends the process. A `quern_model` may be used by one thread at a
/// time; different models are independent.
///
///     quern_model *model = quern_open();
///     quern_load_weights(model, "weights.safetensors");
///     quern_tensor inputs[] = {{"tokens", QUERN_I32, 2, {1, 3}, tokens}};
///     quern_run(model, "forward", inputs, 1);
///     quern_tensor logits;
///     quern_result(model, "logits", &logits);
///
#ifndef QUERN_RUNTIME_QUERN_H
#define QUERN_RUNTIME_QUERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QUERN_EXPORT __attribute__((visibility("default")))
#else
#define QUERN_EXPORT
#endif

/// A model with its weights in memory.
typedef struct quern_model quern_model;

typedef enum quern_type {
  QUERN_F32 = 0,
  QUERN_F64 = 1,
  QUERN_I32 = 2,
  QUERN_I64 = 3,
  QUERN_BF16 = 4 /* 16 bits: the upper half of an f32; caches of programs that keep them so */
} quern_type;

/// A dense row-major tensor.
typedef struct quern_tensor {
  const char *name;
  quern_type type;
  int32_t rank;
  int64_t shape[8];
  void *data;
} quern_tensor;

/// How `quern_generate` chooses tokens.
typedef struct quern_sampling {
  double temperature; /* 0: the most likely token */
  int64_t top_k;      /* 0: all */
  double top_p;       /* 1: all */
  uint64_t seed;
} quern_sampling;

/// The message of the last failure in this thread, or "". Valid until the next failure.
QUERN_EXPORT const char *quern_error(void);

/// Opens the library's model: all weights are zero. Null if this processor cannot run it, or
/// without memory. It runs on the processor if there is code for it, else on the first GPU.
QUERN_EXPORT quern_model *quern_open(void);
/// The same on a device of your choice: "cpu", "gpu", or "gpu:N" for GPU number N.
QUERN_EXPORT quern_model *quern_open_on(const char *device);
/// Frees the model and everything that it returned. Null is fine.
QUERN_EXPORT void quern_close(quern_model *model);
/// The description of the model as JSON, in the form of Program.h.
QUERN_EXPORT const char *quern_description(const quern_model *model);
/// Threads of compiled code, for the whole process; results do not depend on it.
QUERN_EXPORT int quern_set_threads(int threads);

/// Draws all weights from `seed`, as `train` does.
QUERN_EXPORT int quern_initialize(quern_model *model, uint64_t seed);
/// Reads or writes weights in safetensors, under their names in weight files.
QUERN_EXPORT int quern_load_weights(quern_model *model, const char *path);
QUERN_EXPORT int quern_save_weights(quern_model *model, const char *path);

/// Number of parameters as weight files hold them (one a layer), and view `index` of them: its data
/// is the model's own memory, which may be read, and written between runs. On a GPU, and where
/// quern_description says `panels` (--layout=panels), it is a copy, made by this call and valid
/// until the next one for the same parameter. Programs that take
/// weights in bf16 (quern_description says so) round them again in each run after this was called
/// on the processor, for there is no other way to know what was written; where that takes too long,
/// use quern_set_parameter and quern_load_weights alone.
QUERN_EXPORT int64_t quern_parameter_count(const quern_model *model);
QUERN_EXPORT int quern_parameter(quern_model *model, int64_t index, quern_tensor *parameter);
/// Overwrites parameter `index`, on any device, with the numbers at `data`: as many, and of the
/// type, as `quern_parameter` says.
QUERN_EXPORT int quern_set_parameter(quern_model *model, int64_t index, const void *data);

/// Number of programs, and the name of one (null out of range).
QUERN_EXPORT int64_t quern_program_count(const quern_model *model);
QUERN_EXPORT const char *quern_program_name(const quern_model *model, int64_t index);

/// Runs a program on inputs by name: tensors (`tokens`, `targets`, caches, of the program's type)
/// and options as scalars of type QUERN_F64 (`learning_rate`, `step`, ...) or QUERN_I32
/// (`position`). Options left out of `train_step` have the defaults of the `train` command; `step`
/// counts the calls. Every token id is checked. Results are kept until the next call.
QUERN_EXPORT int quern_run(quern_model *model, const char *program, const quern_tensor *inputs,
                           size_t input_count);
/// The result of that name of the last run: `logits`, `loss`, `gradient.<weight name>`, a cache.
QUERN_EXPORT int quern_result(quern_model *model, const char *name, quern_tensor *result);

/// Continues `prompt` by up to `count` tokens, through prefill and generate (or decode, where the
/// library has no generate: the tokens are the same). Calls `token` with each one as it comes; it
/// returns 0 to go on, anything else to stop. Returns how many came, or -1.
QUERN_EXPORT int64_t quern_generate(quern_model *model, const int32_t *prompt, size_t prompt_length,
                                    int64_t count, const quern_sampling *sampling,
                                    int (*token)(int32_t token, void *user), void *user);

#ifdef __cplusplus
}
#endif
#endif /* QUERN_RUNTIME_QUERN_H */
