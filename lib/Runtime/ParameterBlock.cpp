//===- ParameterBlock.cpp - Weights and optimizer state in memory -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/ParameterBlock.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/Philox.h"
#include "quern/Runtime/Threads.h"

#include <algorithm>
#include <cmath>

namespace quern::runtime {

/// Every tensor starts where programs want it (Program.h).
static int64_t roundUp(int64_t bytes) { return (bytes + 255) / 256 * 256; }

ParameterBlock::ParameterBlock(const Module &module, const std::string &purpose, Device &device)
    : owner(&module), home(&device) {
  int64_t total = 0;
  for (const Parameter &parameter : module.parameters) {
    tensors.push_back({parameter.name, parameter.type, parameter.shape, nullptr, device.memory()});
    if (__builtin_add_overflow(total, roundUp(tensors.back().bytes()), &total))
      throw Error("the parameters of the model are too large");
  }
  block = device.allocate(total, purpose, Contents::Zeros);
  int64_t offset = 0;
  for (Tensor &tensor : tensors) {
    tensor.data = block.data() + offset;
    offset += roundUp(tensor.bytes());
  }
}

std::vector<Tensor> ParameterBlock::fileTensors(const std::string &prefix) const {
  std::vector<Tensor> result;
  for (size_t i = 0; i < tensors.size(); ++i)
    for (Tensor &tensor : owner->parameters[i].fileTensors(tensors[i], prefix))
      result.push_back(std::move(tensor));
  return result;
}

void ParameterBlock::copyFrom(const ParameterBlock &other) {
  if (block.size())
    home->copy(block.data(), other.block.data(), block.size());
}

template <typename T>
static void fill(T *out, int64_t begin, int64_t end, const Parameter &parameter, uint32_t index,
                 uint64_t seed) {
  if (parameter.initializer == "zeros" || parameter.initializer == "ones") {
    std::fill(out + begin, out + end, T(parameter.initializer == "ones"));
    return;
  }
  bool isUniform = parameter.initializer == "uniform";
  double scale = parameter.scale;
  if (parameter.initializer == "residual")
    scale /= std::sqrt(2.0 * double(std::max<int64_t>(parameter.layers, 1)));
  for (int64_t pair = begin / 2; pair * 2 < end; ++pair) {
    PhiloxCounter words = draw(seed, Stream::Initialize, index, uint64_t(pair));
    std::array<double, 2> values;
    if (isUniform)
      values = {2 * uniform(words[0], words[1]) - 1, 2 * uniform(words[2], words[3]) - 1};
    else
      values = normal(words);
    for (int64_t k = 0; k < 2; ++k)
      if (pair * 2 + k < end)
        out[pair * 2 + k] = T(scale * values[size_t(k)]);
  }
}

void ParameterBlock::initialize(uint64_t seed) {
  constexpr int64_t chunk = int64_t(1) << 16; // even, so that pairs stay together
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Parameter &parameter = owner->parameters[i];
    writeTensor(tensors[i], [&](const Tensor &tensor) {
      int64_t count = tensor.elements();
      parallelFor((count + chunk - 1) / chunk, [&](int64_t c) {
        int64_t begin = c * chunk, end = std::min(count, begin + chunk);
        if (tensor.type == Type::F32)
          fill(static_cast<float *>(tensor.data), begin, end, parameter, uint32_t(i), seed);
        else
          fill(static_cast<double *>(tensor.data), begin, end, parameter, uint32_t(i), seed);
      });
    });
  }
}

} // namespace quern::runtime
