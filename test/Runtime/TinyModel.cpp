//===- TinyModel.cpp - A small language model written by hand to the contract -----------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Stands in for compiled code in tests of the runtime, with honest numbers. With x_0 = E[token]:
///
///     m_t = mean of x_i over i <= t;   x <- x + a_l * m   (layer l, elementwise);   logits = x H^T
///
/// so that it has rolled layers, a cache (the x of every layer), and gradients that are easy to
/// derive.
///
#include "TinyModel.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace tiny;

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)
#define V TEXT(TINY_VOCABULARY)
#define W TEXT(TINY_WIDTH)
#define B TEXT(TINY_BATCH)
#define S TEXT(TINY_SEQUENCE)

#define TOKENS                                                                                     \
  R"({"name": "tokens", "role": "input", "type": "i32", "shape": [)" B ", " S                      \
  R"(], "dimensions": ["batch", "sequence"]},)"
#define TARGETS                                                                                    \
  R"({"name": "targets", "role": "input", "type": "i32", "shape": [)" B ", " S                     \
  R"(], "dimensions": ["batch", "sequence"]},)"
#define PARAMETERS(ROLE)                                                                           \
  R"({"name": "token", "role": ")" ROLE R"(", "type": "f32", "shape": [)" V ", " W                 \
  R"(], "dimensions": ["", ""]},)"                                                                 \
  R"({"name": "block.mix", "role": ")" ROLE R"(", "type": "f32", "shape": [2, )" W                 \
  R"(], "dimensions": ["", ""]},)"                                                                 \
  R"({"name": "head", "role": ")" ROLE R"(", "type": "f32", "shape": [)" V ", " W                  \
  R"(], "dimensions": ["", ""]})"
#define OPTION(NAME) R"({"name": ")" NAME R"(", "role": "option", "type": "f64", "shape": []},)"
#define SCALAR(NAME) R"({"name": ")" NAME R"(", "role": "output", "type": "f32", "shape": []})"
#define CACHE                                                                                      \
  R"({"name": "position", "role": "option", "type": "i32", "shape": []},)"                         \
  R"({"name": "states", "role": "cache", "type": "f32", "shape": [2, -1, -1, )" W                  \
  R"(], "dimensions": ["", "batch", "capacity", ""]},)"
#ifdef TINY_ARCHITECTURES
#define DEVICE                                                                                     \
  R"("device": {"kind": "nvidia", "architectures": [)" TINY_ARCHITECTURES                          \
  R"(], "precision": "f32"},)"
#else
#define DEVICE
#endif
#define ARENA                                                                                      \
  R"("arena": [{"use": "activations", "bytes": [[)" TEXT(                                          \
      TINY_WIDTH) R"(, {"batch": 1, "sequence": 1}]]}],)"

extern "C" {

extern const char quern_module_json[];
const char quern_module_json[] = R"({"quern": 1, "model": "tiny", "kind": ")" TINY_KIND R"(", "context": )" TEXT(
    TINY_CONTEXT) R"(, "vocabulary": )" V
                  R"(, "target": {"triple": "x86_64-unknown-linux-gnu", "cpu": "x86-64-v2", "requires": [")" TINY_REQUIRES
                  R"("]},)" DEVICE R"(
  "parameters": [
    {"name": "token", "file": "wte.weight", "type": "f32", "shape": [)" V ", " W
                  R"(], "layers": 0, "decay": true, "initializer": {"kind": "normal", "scale": 0.3}},
    {"name": "block.mix", "file": "h.{layer}.mix.weight", "type": "f32", "shape": [2, )" W
                  R"(], "layers": 2, "decay": false, "initializer": {"kind": "residual", "scale": 0.3}},
    {"name": "head", "file": "lm_head.weight", "type": "f32", "shape": [)" V ", " W
                  R"(], "layers": 0, "decay": true, "initializer": {"kind": "uniform", "scale": 0.3}}],
  "programs": [
    {"name": "forward", )" ARENA R"( "arguments": [)" TOKENS PARAMETERS(
                      "parameter") R"(, {"name": "logits", "role": "output", "type": "f32", "shape": [)" B
                                   ", " S ", " V
                                   R"(], "dimensions": ["batch", "sequence", ""]}]},
    {"name": "loss", )" ARENA R"( "arguments": [)" TOKENS TARGETS PARAMETERS("parameter") "," SCALAR("loss") R"(]},
    {"name": "gradients", )" ARENA R"( "arguments": [)" TOKENS TARGETS PARAMETERS(
                                       "parameter") "," SCALAR("loss") "," PARAMETERS("gradient") R"(]},
    {"name": "train_step", "flops": [[)" TEXT(TINY_WIDTH) R"(, {"batch": 1, "sequence": 2}]], )" ARENA R"( "arguments": [)" TOKENS
                                       TARGETS OPTION("learning_rate") OPTION("beta1") OPTION(
                                           "beta"
                                           "2") OPTION("epsilon") OPTION("weight_decay") OPTION("we"
                                                                                                "ig"
                                                                                                "ht"
                                                                                                "_d"
                                                                                                "ec"
                                                                                                "ay"
                                                                                                "_"
                                                                                                "ot"
                                                                                                "he"
                                                                                                "r"
                                                                                                "s")
                                           OPTION("clip") OPTION("step")
                                               PARAMETERS("parameter") "," PARAMETERS(
                                                   "f"
                                                   "i"
                                                   "r"
                                                   "s"
                                                   "t"
                                                   "_"
                                                   "m"
                                                   "o"
                                                   "m"
                                                   "e"
                                                   "n"
                                                   "t") "," PARAMETERS("second_moment") "," SCALAR("los"
                                                                                                   "s") "," SCALAR("grad"
                                                                                                                   "ient"
                                                                                                                   "_nor"
                                                                                                                   "m") R"(]},
    {"name": "prefill", )" ARENA R"( "arguments": [{"name": "tokens", "role": "input", "type": "i32", "shape": [-1, -1], "dimensions": ["batch", "sequence"]},)" CACHE
                                                   PARAMETERS(
                                                       "parameter") R"(, {"name": "logits", "role": "output", "type": "f32", "shape": [-1, -1, )" V
                                                                    R"(], "dimensions": ["batch", "sequence", ""]}]},
    {"name": "decode", )" ARENA R"( "arguments": [{"name": "tokens", "role": "input", "type": "i32", "shape": [-1, 1], "dimensions": ["batch", "sequence"]},)" CACHE
                                                                        PARAMETERS(
                                                                            "parameter") R"(, {"name": "logits", "role": "output", "type": "f32", "shape": [-1, 1, )" V
                                                                                         R"(], "dimensions": ["batch", "sequence", ""]}]}]})";

} // extern "C"

namespace {

struct Weights {
  const float *token, *mix, *head;
};

Weights weightsAt(Arguments arguments) {
  return {data<float>(arguments[0]), data<float>(arguments[1]), data<float>(arguments[2])};
}

/// The states before layer `l` of one text: base + l x stride; a row is a position.
struct States {
  float *base;
  int64_t stride;
  float *row(int64_t l, int64_t t) const { return base + l * stride + t * width; }
};

/// The state after all layers at position `t`, from the rows before it.
void step(const Weights &w, const States &states, int64_t t, int32_t token, float *x,
          float *means) {
  std::copy_n(w.token + token * width, width, x);
  for (int64_t l = 0; l < layers; ++l) {
    std::copy_n(x, width, states.row(l, t));
    for (int64_t k = 0; k < width; ++k) {
      float sum = 0;
      for (int64_t i = 0; i <= t; ++i)
        sum += states.row(l, i)[k];
      float mean = sum / float(t + 1);
      if (means)
        means[l * width + k] = mean;
      x[k] += w.mix[l * width + k] * mean;
    }
  }
}

void project(const Weights &w, const float *x, float *logits) {
  for (int64_t v = 0; v < vocabulary; ++v) {
    float sum = 0;
    for (int64_t k = 0; k < width; ++k)
      sum += x[k] * w.head[v * width + k];
    logits[v] = sum;
  }
}

struct Gradients {
  float *token, *mix, *head;
};

/// The mean loss over counted targets and, unless `g` is null, its gradient (added to zeros).
/// `scratch` holds (3 + 2 x layers) x sequence x width + 2 x vocabulary floats.
float lossOf(const quern_descriptor *tokens, const int32_t *targets, const Weights &w,
             float *scratch, Gradients *g) {
  int64_t batch = tokens->shape[0], sequence = tokens->shape[1];
  const int32_t *ids = data<int32_t>(tokens);
  int64_t counted = 0;
  for (int64_t i = 0; i < batch * sequence; ++i)
    counted += targets[i] >= 0;
  float *final = scratch, *slope = final + sequence * width, *next = slope + sequence * width;
  float *means = next + sequence * width, *rows = means + layers * sequence * width;
  float *logits = rows + layers * sequence * width;
  States states{rows, sequence * width};
  double total = 0;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < sequence; ++t) {
      float *x = final + t * width;
      step(w, states, t, ids[b * sequence + t], x, means + t * layers * width);
      float *dx = slope + t * width;
      std::fill_n(dx, width, 0.0f);
      int32_t target = targets[b * sequence + t];
      if (target < 0)
        continue;
      project(w, x, logits);
      float largest = *std::max_element(logits, logits + vocabulary);
      double sum = 0;
      for (int64_t v = 0; v < vocabulary; ++v)
        sum += std::exp(double(logits[v] - largest));
      total += std::log(sum) + double(largest) - double(logits[target]);
      if (!g)
        continue;
      for (int64_t v = 0; v < vocabulary; ++v) {
        auto d =
            float((std::exp(double(logits[v] - largest)) / sum - (v == target)) / double(counted));
        for (int64_t k = 0; k < width; ++k) {
          g->head[v * width + k] += d * x[k];
          dx[k] += d * w.head[v * width + k];
        }
      }
    }
    if (!g)
      continue;
    for (int64_t l = layers; l--;) {
      // x_t' = x_t + a * m_t: x_i gets dx_i + a * sum of dx_t / (t + 1) over t >= i.
      for (int64_t k = 0; k < width; ++k) {
        float later = 0;
        for (int64_t t = sequence; t--;) {
          float d = slope[t * width + k];
          g->mix[l * width + k] += d * means[(t * layers + l) * width + k];
          later += d / float(t + 1);
          next[t * width + k] = d + w.mix[l * width + k] * later;
        }
      }
      std::swap(slope, next);
    }
    for (int64_t t = 0; t < sequence; ++t)
      for (int64_t k = 0; k < width; ++k)
        g->token[ids[b * sequence + t] * width + k] += slope[t * width + k];
  }
  return counted ? float(total / double(counted)) : 0.0f;
}

int64_t arenaBytes(Arguments arguments) {
  int64_t sequence = arguments[0]->shape[1];
  return ((3 + 2 * layers) * sequence * width + 2 * vocabulary + parameterCount) * 4;
}

void forward(Arguments a, void *arena) {
  int64_t batch = a[0]->shape[0], sequence = a[0]->shape[1];
  Weights w = weightsAt(a + 1);
  States states{static_cast<float *>(arena), sequence * width};
  float *x = states.base + layers * sequence * width;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t t = 0; t < sequence; ++t) {
      step(w, states, t, data<int32_t>(a[0])[b * sequence + t], x, nullptr);
      project(w, x, data<float>(a[4]) + (b * sequence + t) * vocabulary);
    }
}

void loss(Arguments a, void *arena) {
  *data<float>(a[5]) =
      lossOf(a[0], data<int32_t>(a[1]), weightsAt(a + 2), static_cast<float *>(arena), nullptr);
}

void gradients(Arguments a, void *arena) {
  Gradients g{data<float>(a[6]), data<float>(a[7]), data<float>(a[8])};
  std::fill_n(g.token, tokenCount, 0.0f);
  std::fill_n(g.mix, mixCount, 0.0f);
  std::fill_n(g.head, tokenCount, 0.0f);
  *data<float>(a[5]) =
      lossOf(a[0], data<int32_t>(a[1]), weightsAt(a + 2), static_cast<float *>(arena), &g);
}

void trainStep(Arguments a, void *arena) {
  auto option = [&](int i) { return *data<double>(a[2 + i]); };
  double rate = option(0), beta1 = option(1), beta2 = option(2), epsilon = option(3);
  double decay = option(4), others = option(5), clip = option(6), now = option(7);
  auto *all = static_cast<float *>(arena);
  std::fill_n(all, parameterCount, 0.0f);
  Gradients g{all, all + tokenCount, all + tokenCount + mixCount};
  *data<float>(a[19]) =
      lossOf(a[0], data<int32_t>(a[1]), weightsAt(a + 10), all + parameterCount, &g);
  double squares = 0;
  for (int64_t i = 0; i < parameterCount; ++i)
    squares += double(all[i]) * double(all[i]);
  double norm = std::sqrt(squares), factor = clip > 0 && norm > clip ? clip / norm : 1;
  *data<float>(a[20]) = float(norm);
  const float *gradient[] = {g.token, g.mix, g.head};
  const int64_t counts[] = {tokenCount, mixCount, tokenCount};
  for (int p = 0; p < 3; ++p) {
    float *weight = data<float>(a[10 + p]), *m = data<float>(a[13 + p]),
          *v = data<float>(a[16 + p]);
    double shrink = rate * (p == 1 ? others : decay);
    for (int64_t i = 0; i < counts[p]; ++i) {
      double d = double(gradient[p][i]) * factor;
      m[i] = float(beta1 * double(m[i]) + (1 - beta1) * d);
      v[i] = float(beta2 * double(v[i]) + (1 - beta2) * d * d);
      double first = double(m[i]) / (1 - std::pow(beta1, now));
      double second = double(v[i]) / (1 - std::pow(beta2, now));
      weight[i] =
          float(double(weight[i]) * (1 - shrink) - rate * first / (std::sqrt(second) + epsilon));
    }
  }
}

void prefill(Arguments a, void *arena) {
  int64_t batch = a[0]->shape[0], sequence = a[0]->shape[1], capacity = a[2]->shape[2];
  int32_t position = *data<int32_t>(a[1]);
  Weights w = weightsAt(a + 3);
  auto *x = static_cast<float *>(arena);
  for (int64_t b = 0; b < batch; ++b) {
    States states{data<float>(a[2]) + b * capacity * width, batch * capacity * width};
    for (int64_t t = 0; t < sequence; ++t) {
      step(w, states, position + t, data<int32_t>(a[0])[b * sequence + t], x, nullptr);
      project(w, x, data<float>(a[6]) + (b * sequence + t) * vocabulary);
    }
  }
}

} // namespace

extern "C" {
extern const quern_program quern_programs[];
const quern_program quern_programs[] = {
    {TINY_HOST ? "forward" : nullptr, forward, arenaBytes}, // null: here ends the table
    {"loss", loss, arenaBytes},
    {"gradients", gradients, arenaBytes},
    {"train_step", trainStep, arenaBytes},
    {"prefill", prefill, arenaBytes},
    {"decode", prefill, arenaBytes},
    {nullptr, nullptr, nullptr}};
#ifndef TINY_ARCHITECTURES // or TinyModelDevice.cpp has them
extern const quern_device_code quern_device_codes[];
const quern_device_code quern_device_codes[] = {{nullptr, nullptr, nullptr, 0}};
#endif
}
