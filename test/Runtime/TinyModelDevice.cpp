//===- TinyModelDevice.cpp - The tiny model for an NVIDIA GPU ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The launches of the kernels of Device/Inputs/tiny.cu that make up the programs of TinyModel.cpp,
/// and the PTX. It is compiled once; that of sm_90a differs in its target alone.
///
#include "TinyModel.h"

#include <cstring>

using namespace tiny;

namespace {

constexpr int64_t threads = 64; // of kernels that reduce over a block; as in tiny.cu

template <typename... Values>
void launch(const char *kernel, int64_t blocks, int64_t blockThreads, Values... values) {
  const void *const arguments[] = {&values...};
  quern_launch launch = {
      kernel, {blocks, 1, 1}, {blockThreads, 1, 1}, {1, 1, 1}, 0, sizeof...(values), arguments};
  quern_device_launch(&launch);
}

int64_t blocksFor(int64_t count) { return (count + threads - 1) / threads; }

/// Sizes as kernels take them.
struct Sizes {
  explicit Sizes(const quern_descriptor *tokens)
      : B(int(tokens->shape[0])), S(int(tokens->shape[1])), rows(B * S) {}
  int B, S, rows, V = int(vocabulary), W = int(width), L = int(layers);
};

/// The arena, cut into pieces at multiples of 256 bytes; null pointers when only its size is asked.
struct Scratch {
  Scratch(const Sizes &n, void *arena) : base(static_cast<char *>(arena)) {
    cached = take<float>(n.L * n.rows * n.W);
    means = take<float>(n.L * n.rows * n.W);
    last = take<float>(n.rows * n.W);
    slope = take<float>(n.rows * n.W);
    logits = take<float>(int64_t(n.rows) * n.V);
    losses = take<double>(n.rows);
    gradients = take<float>(parameterCount);
    norm = take<double>(1);
  }
  float *cached, *means, *last, *slope, *logits, *gradients;
  double *losses, *norm;
  int64_t bytes = 0;

private:
  template <typename T>
  T *take(int64_t count) {
    char *piece = base + bytes;
    bytes += (count * int64_t(sizeof(T)) + 255) / 256 * 256;
    return static_cast<T *>(static_cast<void *>(piece));
  }
  char *base;
};

int64_t arenaBytes(Arguments a) {
  static char nowhere[1];
  return Scratch(Sizes(a[0]), nowhere).bytes;
}

struct Weights {
  explicit Weights(Arguments a)
      : token(data<float>(a[0])), mix(data<float>(a[1])), head(data<float>(a[2])) {}
  float *token, *mix, *head;
};

void states(const Sizes &n, const Weights &w, const quern_descriptor *tokens, Scratch &scratch) {
  const int *position = nullptr;
  launch("states", blocksFor(n.B * n.W), threads, data<int>(tokens), position, w.token, w.mix,
         scratch.cached, scratch.means, scratch.last, n.B, n.S, n.S, n.W, n.L);
}

void forward(Arguments a, void *arena) {
  Sizes n(a[0]);
  Weights w(a + 1);
  Scratch scratch(n, arena);
  states(n, w, a[0], scratch);
  launch("project", n.rows, threads, scratch.last, w.head, data<float>(a[4]), n.V, n.W);
}

/// The loss, and d loss / d logits in place of the logits.
void lossOf(const Sizes &n, const Weights &w, Arguments a, const quern_descriptor *loss,
            Scratch &scratch) {
  const int *targets = data<int>(a[1]);
  states(n, w, a[0], scratch);
  launch("project", n.rows, threads, scratch.last, w.head, scratch.logits, n.V, n.W);
  launch("cross_entropy", n.rows, threads, targets, scratch.logits, scratch.losses, n.rows, n.V);
  launch("mean_loss", 1, 1, targets, scratch.losses, data<float>(loss), n.rows);
}

void loss(Arguments a, void *arena) {
  Sizes n(a[0]);
  Scratch scratch(n, arena);
  lossOf(n, Weights(a + 2), a, a[5], scratch);
}

void gradientsOf(const Sizes &n, const Weights &w, Arguments a, const quern_descriptor *loss,
                 Scratch &scratch, const Weights &g) {
  lossOf(n, w, a, loss, scratch);
  launch("last_gradient", blocksFor(n.rows * n.W), threads, scratch.logits, w.head, scratch.slope,
         n.rows, n.V, n.W);
  launch("head_gradient", blocksFor(tokenCount), threads, scratch.logits, scratch.last, g.head,
         n.rows, n.V, n.W);
  launch("mix_gradient", 1, n.W, w.mix, scratch.means, scratch.slope, g.mix, n.B, n.S, n.W, n.L);
  launch("token_gradient", blocksFor(tokenCount), threads, data<int>(a[0]), scratch.slope, g.token,
         n.rows, n.V, n.W);
}

void gradients(Arguments a, void *arena) {
  Sizes n(a[0]);
  Scratch scratch(n, arena);
  gradientsOf(n, Weights(a + 2), a, a[5], scratch, Weights(a + 6));
}

void trainStep(Arguments a, void *arena) {
  Sizes n(a[0]);
  Scratch scratch(n, arena);
  Weights w(a + 10), m(a + 13), v(a + 16), g(a + 10);
  g.token = scratch.gradients;
  g.mix = g.token + tokenCount;
  g.head = g.mix + mixCount;
  gradientsOf(n, w, a, a[19], scratch, g);
  launch("global_norm", 1, threads, scratch.gradients, data<float>(a[20]), scratch.norm,
         int(parameterCount));
  // learning_rate, beta1, beta2, epsilon, weight_decay, weight_decay_others, clip, step
  auto option = [&](int i) { return data<double>(a[2 + i]); };
  auto update = [&](float *gradient, float *weight, float *first, float *second, int decay,
                    int64_t count) {
    launch("adamw", blocksFor(count), threads, gradient, weight, first, second, scratch.norm,
           option(0), option(1), option(2), option(3), option(decay), option(6), option(7),
           int(count));
  };
  update(g.token, w.token, m.token, v.token, 4, tokenCount);
  update(g.mix, w.mix, m.mix, v.mix, 5, mixCount);
  update(g.head, w.head, m.head, v.head, 4, tokenCount);
}

void prefill(Arguments a, void *arena) {
  Sizes n(a[0]);
  Weights w(a + 3);
  Scratch scratch(n, arena);
  float *means = nullptr;
  int capacity = int(a[2]->shape[2]);
  launch("states", blocksFor(n.B * n.W), threads, data<int>(a[0]), data<int>(a[1]), w.token, w.mix,
         data<float>(a[2]), means, scratch.last, n.B, n.S, capacity, n.W, n.L);
  launch("project", n.rows, threads, scratch.last, w.head, data<float>(a[6]), n.V, n.W);
}

const quern_program programs[] = {
    {"forward", forward, arenaBytes},     {"loss", loss, arenaBytes},
    {"gradients", gradients, arenaBytes}, {"train_step", trainStep, arenaBytes},
    {"prefill", prefill, arenaBytes},     {"decode", prefill, arenaBytes},
    {nullptr, nullptr, nullptr}};

// Written by CMake.
#ifndef TINY_HOPPER
const std::string ampere = tiny::packed(
#include "tiny.sm_80.inc"
);
#endif
const std::string hopper = tiny::packed(
#include "tiny.sm_90a.inc"
);

} // namespace

extern "C" {
extern const quern_device_code quern_device_codes[];
const quern_device_code quern_device_codes[] = {
#ifndef TINY_HOPPER
    {"sm_80", ampere.data(), programs, int64_t(ampere.size())},
#endif
    {"sm_90a", hopper.data(), programs, int64_t(hopper.size())},
    {nullptr, nullptr, nullptr, 0}};
}
