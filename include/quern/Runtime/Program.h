//===- Program.h - The seam between compiled code and the runtime -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// What a compiled model object exports and how the runtime (or a C program) calls it. The compiler
/// writes exactly these symbols; the runtime reads nothing else of the model. Plain C.
///
/// A *program* is one derived function (`forward`, `loss`, `gradients`, `train_step`, `prefill`,
/// `decode`, `generate`, ...). All its tensors, parameters included, are arguments; results are
/// written into arguments as well. The JSON text in `quern_module_json` describes programs and
/// parameters:
///
///     {"quern": 1, "model": "gpt", "kind": "causal_lm", "context": 1024, "vocabulary": 50257,
///      "target": {"triple": "x86_64-...", "cpu": "znver4", "requires": ["avx512f", ...],
///                 "precision": "f32"},
///      "device": {"kind": "nvidia", "architectures": ["sm_80", "sm_90a"], "precision": "f32"},
///      "parameters": [{"name": "block.qkv", "file": "h.{layer}.attn.c_attn.weight", "type": "f32",
///                      "shape": [12, 768, 2304], "layers": 12, "decay": true,
///                      "initializer": {"kind": "normal", "scale": 0.02}}, ...],
///      "programs": [{"name": "train_step", "flops": POLYNOMIAL,
///                    "arena": [{"use": "saved activations", "bytes": POLYNOMIAL}, ...],
///                    "arguments": [{"name": "tokens", "role": "input", "type": "i32",
///                                   "shape": [-1, -1], "dimensions": ["batch", "sequence"]},
///                                   ...]}]}
///
/// - `precision` is bf16 where programs store weights and caches, or activations, in 16 bits, else
///   f32; arguments have the types listed.
/// - `device` is there when device programs are; their memory is laid out as the host's is, but for
///   arguments that say `"device_type": "bf16"` beside their `type`, the host's.
/// - a parameter with `"panels": {"width": 24, "side": "columns"}` or `"rows"` lies in all programs
///   of the host, with its moments and its gradient, in panels: each matrix [R, C] of columns, its
///   element (r, c) at p R + r min(24, C - p) + (c - p) with p = c - c mod 24; of rows, the
///   transposed matrix so. All other tensors are row-major.
/// - `layers` is 0 for a parameter outside rolled layers; otherwise it is the leading dimension of
///   `shape`. A `file` that contains `{layer}` names one tensor a layer; without it the file holds
///   the stacked tensor. `context` is 0 when the text sets no limit; `vocabulary` is the size of
///   the last dimension of the logits (0 when there are none).
/// - `initializer.kind` is zeros, ones, normal (scale: standard deviation), uniform (scale: the
/// bound;
///   values lie in [-scale, scale)) or residual (GPT-2: normal with scale / sqrt(2 x layers)).
/// - `type` is f32, f64, i32 or i64, and bf16 for caches and for parameters of programs that do not
///   update them: those whose f32 parameters are factors of products or tables of embeddings may
///   take them rounded to nearest, ties to even. `parameters` lists the model's own types. A
///   dimension is -1 where it is known only at run time; two dimensions of one program with the
///   same name in `dimensions` are equal ("" means unnamed).
/// - `role` is one of
///     input          read; `tokens`, `targets` (i32; -1 in targets is ignored), ...
///                    An integer input may say which values it takes: "range": [low, high], both
///                    included. Without it `tokens` takes 0 to vocabulary - 1, and `targets` also
///                    -1. The runtime checks; compiled code does not.
///     option         a scalar (shape []; f64 unless said) read by the program: learning_rate,
///     beta1, beta2,
///                    epsilon, weight_decay, weight_decay_others (for parameters without the decay
///                    flag), clip (maximum global norm; 0: off; a program compiled to never clip
///                    has neither it nor `gradient_norm`), step (1 in the first call);
///                    `position` (i32, shape []) of prefill and decode: tokens already in the cache
///                    temperature, top_p (f64), top_k (i64; 0: all) and seed (i64) of generate
///     state          read and updated in place, so that the next run goes on from there: `tokens`
///                    ([batch, 1] i32), `position` (i32, shape []) and `index` (i64, shape []; the
///                    number of the draw) of generate
///     parameter      the weights; `name` is a parameter's name. Updated in place by train_step
///     first_moment, second_moment   AdamW's state of the parameter `name`; updated in place
///     cache          keys or values of a decoder, updated in place; dimensions has "capacity"
///     output         written: `logits`, `loss`, `gradient_norm`, ...; `drawn` ([batch, 1] i32) of
///                    generate, the tokens drawn: -1 where a logit is a NaN (`tokens` is 0 then)
///     gradient       written: d loss / d parameter `name`
/// - `arena` says what the memory of the host's program is for (its bytes are negative where uses
///   share memory, so that they add up to the whole); `device_arena`, that of a device's.
/// - POLYNOMIAL is a list of [coefficient, {"batch": 1, "sequence": 2}] terms: the sum of
///   coefficient x batch^1 x sequence^2 and so on. It may be missing.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_RUNTIME_PROGRAM_H
#define QUERN_RUNTIME_PROGRAM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A ranked tensor in memory, as MLIR lays it out: `shape` holds `rank` sizes and then `rank`
/// strides (in elements). Pass a pointer to a struct with exactly 2 x rank entries there, or more.
typedef struct quern_descriptor {
  void *allocated;
  void *aligned; /* 64-byte aligned */
  int64_t offset;
  int64_t shape[16];
} quern_descriptor;

typedef struct quern_program {
  const char *name; /* NULL ends the table */
  /* Runs the program. `arguments[i]` is argument i of the JSON description; dense, row-major
   * but for parameters in panels.
   * `arena` is scratch memory of at least `arena_bytes(arguments)` bytes, 64-byte aligned, whose
   * content does not matter. Uses OpenMP's current number of threads; the result has the same bits
   * for any of them. */
  void (*run)(quern_descriptor *const *arguments, void *arena);
  /* Bytes of arena that `run` needs for arguments of these shapes (only sizes are read). */
  int64_t (*arena_bytes)(quern_descriptor *const *arguments);
} quern_program;

extern const char quern_module_json[];
/* Programs for the host's processor; empty when the model was compiled for a device only. */
extern const quern_program quern_programs[];

/* What a model was compiled to for one architecture of a device (`--target=nvidia
 * --gpu=sm_80,sm_90a`).
 *
 * Its programs have the names and arguments of the host's, but every `aligned` pointer and the
 * arena lie in the device's memory, 256-byte aligned. `run` executes on the host: it computes sizes
 * and addresses, never reads or writes device memory, and calls `quern_device_launch` once for each
 * kernel, in order. The sequence of launches and their arguments depend on shapes and addresses
 * only, so that they can be recorded once and replayed. Architectures differ in kernels and
 * launches, and so each has programs of its own. */
typedef struct quern_device_code {
  const char *architecture; /* "sm_80", "sm_90a", ...; NULL ends the table */
  const char *text;         /* PTX, as one frame of Zstandard (RFC 8878) that tells its size */
  const quern_program *programs;
  int64_t text_bytes; /* of the frame */
} quern_device_code;
extern const quern_device_code quern_device_codes[]; /* without a row when there is none */

/* One launch. Launches of one `run` execute in order: each sees what those before it wrote. */
typedef struct quern_launch {
  const char *kernel;   /* name of an entry of the device's code */
  int64_t grid[3];      /* blocks; nothing is launched when one of them is 0 */
  int64_t block[3];     /* threads in a block */
  int64_t cluster[3];   /* blocks in a cluster; 1, 1, 1 where the kernel uses none */
  int64_t shared_bytes; /* of dynamic shared memory */
  int64_t argument_count;
  const void *const *arguments; /* to each value; copied by the call */
} quern_launch;

/* A tiled tensor in device memory, as the tensor memory accelerator addresses it (CUDA driver API,
 * cuTensorMapEncodeTiled). Dimension 0 is the innermost. */
typedef struct quern_tensor_map {
  void *address;      /* in device memory */
  int64_t type;       /* 0: bf16, 1: f32, 2: f16 */
  int64_t rank;       /* 1 to 5 */
  int64_t sizes[5];   /* elements */
  int64_t strides[4]; /* bytes between neighbours in dimensions 1, 2, ... */
  int64_t box[5];     /* elements of one copy */
  int64_t swizzle;    /* bytes: 0 (none), 32, 64 or 128 */
} quern_tensor_map;

/* What the runtime offers to `run` of a device program. An error (a fault, no such kernel) is kept,
 * further launches are ignored, and the runtime reports it when `run` has returned. */
void quern_device_launch(const quern_launch *launch);
/* Writes the 128 bytes, 64-byte aligned, that a kernel takes as a tensor map. */
void quern_device_tensor_map(const quern_tensor_map *description, void *encoded);

#ifdef __cplusplus
}
#endif
#endif /* QUERN_RUNTIME_PROGRAM_H */
