//===- tiny.cu - The kernels of the tiny model's device twin ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The formulas of ../../TinyModel.cpp, with every sum in the same order, so that float32 results
/// have the same bits as on the host; float64 ones (softmax, norm, AdamW) agree to a few units in
/// the last place. tiny.sm_80.ptx and tiny.sm_90a.ptx beside it come from
///
///     nvcc --ptx -arch=compute_80 -fmad=false -lineinfo tiny.cu -o tiny.sm_80.ptx
///     nvcc --ptx -arch=compute_90a -fmad=false -lineinfo tiny.cu -o tiny.sm_90a.ptx
///
/// Sizes: B batch, S sequence, V vocabulary, W width, L layers, C rows of a cache. A row is a
/// position of a text; there are B x S.
///
constexpr int threads = 64;

/// The states before each layer, cached[L][B][C][W], and after the last, last[B][S][W]; unless it
/// is null, means[B][S][L][W]. One thread for each text and component.
extern "C" __global__ void states(const int *tokens, const int *position, const float *token,
                                  const float *mix, float *cached, float *means, float *last,
                                  int B, int S, int C, int W, int L) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= B * W)
    return;
  int b = i / W, k = i % W, first = position ? *position : 0;
  for (int s = 0; s < S; ++s) {
    int t = first + s;
    float x = token[tokens[b * S + s] * W + k];
    for (int l = 0; l < L; ++l) {
      float *column = cached + ((l * B + b) * C) * W + k;
      column[t * W] = x;
      float sum = 0;
      for (int j = 0; j <= t; ++j)
        sum += column[j * W];
      float mean = sum / float(t + 1);
      if (means)
        means[((b * S + s) * L + l) * W + k] = mean;
      x += mix[l * W + k] * mean;
    }
    last[(b * S + s) * W + k] = x;
  }
}

/// logits[row][v] = last[row] . head[v].
extern "C" __global__ void project(const float *last, const float *head, float *logits, int V,
                                   int W) {
  int row = blockIdx.x;
  for (int v = threadIdx.x; v < V; v += blockDim.x) {
    float sum = 0;
    for (int k = 0; k < W; ++k)
      sum += last[row * W + k] * head[v * W + k];
    logits[row * V + v] = sum;
  }
}

/// Reduces `value` over the block.
template <typename T, typename Combine>
__device__ T reduce(T value, Combine combine) {
  __shared__ T values[threads];
  __syncthreads();
  values[threadIdx.x] = value;
  for (int half = threads / 2; half; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      values[threadIdx.x] = combine(values[threadIdx.x], values[threadIdx.x + half]);
  }
  __syncthreads();
  return values[0];
}

/// The loss of each row, losses[B x S], and in place of the logits d loss / d logits, where the loss
/// is the mean over the rows with a target. One block for each row.
extern "C" __global__ void cross_entropy(const int *targets, float *logits, double *losses,
                                         int rows, int V) {
  auto add = [](auto a, auto b) { return a + b; };
  int counted = 0;
  for (int row = threadIdx.x; row < rows; row += threads)
    counted += targets[row] >= 0;
  counted = reduce(counted, add);
  int target = targets[blockIdx.x];
  float *own = logits + blockIdx.x * V;
  if (target < 0) {
    for (int v = threadIdx.x; v < V; v += threads)
      own[v] = 0;
    if (threadIdx.x == 0)
      losses[blockIdx.x] = 0;
    return;
  }
  float largest = own[0];
  for (int v = threadIdx.x; v < V; v += threads)
    largest = fmaxf(largest, own[v]);
  largest = reduce(largest, [](float a, float b) { return fmaxf(a, b); });
  double sum = 0;
  for (int v = threadIdx.x; v < V; v += threads)
    sum += exp(double(own[v] - largest));
  sum = reduce(sum, add);
  if (threadIdx.x == 0)
    losses[blockIdx.x] = log(sum) + double(largest) - double(own[target]);
  __syncthreads();
  for (int v = threadIdx.x; v < V; v += threads)
    own[v] = float((exp(double(own[v] - largest)) / sum - (v == target)) / double(counted));
}

/// The mean of the losses of rows with a target. One thread.
extern "C" __global__ void mean_loss(const int *targets, const double *losses, float *loss,
                                     int rows) {
  double total = 0;
  int counted = 0;
  for (int row = 0; row < rows; ++row) {
    total += losses[row];
    counted += targets[row] >= 0;
  }
  *loss = counted ? float(total / double(counted)) : 0.0f;
}

/// slope[row][k], the gradient of `last`. One thread for each.
extern "C" __global__ void last_gradient(const float *d, const float *head, float *slope, int rows,
                                         int V, int W) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * W)
    return;
  float sum = 0;
  for (int v = 0; v < V; ++v)
    sum += d[i / W * V + v] * head[v * W + i % W];
  slope[i] = sum;
}

/// One thread for each element of the head.
extern "C" __global__ void head_gradient(const float *d, const float *last, float *gradient,
                                         int rows, int V, int W) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= V * W)
    return;
  float sum = 0;
  for (int row = 0; row < rows; ++row)
    sum += d[row * V + i / W] * last[row * W + i % W];
  gradient[i] = sum;
}

/// Turns `slope` into the gradient of the embedded tokens, and sums that of `mix` up. One block with
/// a thread for each component.
extern "C" __global__ void mix_gradient(const float *mix, const float *means, float *slope,
                                        float *gradient, int B, int S, int W, int L) {
  int k = threadIdx.x;
  for (int l = 0; l < L; ++l)
    gradient[l * W + k] = 0;
  for (int b = 0; b < B; ++b)
    for (int l = L; l--;) {
      float later = 0;
      for (int t = S; t--;) {
        int row = b * S + t;
        float d = slope[row * W + k];
        gradient[l * W + k] += d * means[(row * L + l) * W + k];
        later += d / float(t + 1);
        slope[row * W + k] = d + mix[l * W + k] * later;
      }
    }
}

/// One thread for each element of the embedding.
extern "C" __global__ void token_gradient(const int *tokens, const float *slope, float *gradient,
                                          int rows, int V, int W) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= V * W)
    return;
  float sum = 0;
  for (int row = 0; row < rows; ++row)
    if (tokens[row] == i / W)
      sum += slope[row * W + i % W];
  gradient[i] = sum;
}

/// The Euclidean norm. One block.
extern "C" __global__ void global_norm(const float *gradient, float *result, double *exact, int count) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += threads)
    sum += double(gradient[i]) * double(gradient[i]);
  sum = reduce(sum, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) {
    *exact = sqrt(sum);
    *result = float(sqrt(sum));
  }
}

/// AdamW with clipping. One thread for each element.
extern "C" __global__ void adamw(const float *gradient, float *weight, float *m, float *v,
                                 const double *norm, const double *rate, const double *beta1,
                                 const double *beta2, const double *epsilon, const double *decay,
                                 const double *clip, const double *step, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count)
    return;
  double factor = *clip > 0 && *norm > *clip ? *clip / *norm : 1;
  double d = double(gradient[i]) * factor;
  m[i] = float(*beta1 * double(m[i]) + (1 - *beta1) * d);
  v[i] = float(*beta2 * double(v[i]) + (1 - *beta2) * d * d);
  double first = double(m[i]) / (1 - pow(*beta1, *step));
  double second = double(v[i]) / (1 - pow(*beta2, *step));
  weight[i] = float(double(weight[i]) * (1 - *rate * *decay) -
                    *rate * first / (sqrt(second) + *epsilon));
}
