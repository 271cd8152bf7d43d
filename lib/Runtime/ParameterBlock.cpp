//===- ParameterBlock.cpp - Weights and optimizer state in memory -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/ParameterBlock.h"

#include "quern/Runtime/Bfloat.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Philox.h"
#include "quern/Runtime/Threads.h"

#include <algorithm>
#include <cmath>

namespace quern::runtime {

/// Every tensor starts where programs want it (Program.h).
static int64_t roundUp(int64_t bytes) { return (bytes + 255) / 256 * 256; }

/// bf16 where every user of parameter `i` takes it so, else the model's type.
static Type keptType(const Module &module, size_t i, const std::vector<const Program *> &users,
                     bool onHost) {
  bool narrow = false;
  for (const Program *user : users)
    for (const Argument &argument : user->arguments) {
      if (argument.role != Role::Parameter || argument.parameter != i)
        continue;
      if (argument.typeOn(onHost) != Type::BF16)
        return module.parameters[i].type;
      narrow = true;
    }
  return narrow ? Type::BF16 : module.parameters[i].type;
}

ParameterBlock::ParameterBlock(const Module &module, const std::string &purpose, Device &device,
                               const std::vector<const Program *> &users)
    : owner(&module), home(&device), copies(module.parameters.size()) {
  int64_t total = 0;
  for (const Parameter &parameter : module.parameters) {
    Type type = keptType(module, tensors.size(), users, device.isHost());
    Panels panels = device.isHost() ? parameter.panels : Panels();
    tensors.push_back({parameter.name, type, parameter.shape, nullptr, device.memory(), panels});
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
  changed();
}

const Tensor &ParameterBlock::in(Type type, size_t i) const {
  const Tensor &kept = tensors[i];
  if (kept.type == type)
    return kept;
  if (kept.type != Type::F32 || type != Type::BF16)
    throw Error(concat("parameter '", kept.name, "' is kept in ", nameOf(kept.type),
                       ", which does not make a copy in ", nameOf(type)));
  Copy &copy = copies[i];
  if (!copy.tensor.data) {
    copy.tensor = kept;
    copy.tensor.type = type;
    copy.block = home->allocate(copy.tensor.bytes(),
                                concat("a copy of parameter '", kept.name, "' in ", nameOf(type)),
                                Contents::Any);
    copy.tensor.data = copy.block.data();
    copied = 0;
  }
  return copy.tensor;
}

/// Small enough for the first-level caches, and even, so that pairs of drawn numbers stay together.
static constexpr int64_t chunk = int64_t(1) << 16;

/// Calls `body(begin, end)` for all chunks of `count` elements, on all threads.
template <typename Body>
static void forChunks(int64_t count, Body body) {
  parallelFor((count + chunk - 1) / chunk,
              [&](int64_t c) { body(c * chunk, std::min(count, (c + 1) * chunk)); });
}

void ParameterBlock::refresh() const {
  if (copied == version)
    return;
  // Element by element, in whatever order they lie.
  auto inPlace = [](Tensor tensor) {
    tensor.panels = {};
    return tensor;
  };
  for (size_t i = 0; i < copies.size(); ++i)
    if (copies[i].tensor.data)
      readTensor(inPlace(tensors[i]), [&](const Tensor &from) {
        writeTensor(inPlace(copies[i].tensor), [&](const Tensor &to) {
          forChunks(from.elements(), [&](int64_t begin, int64_t end) {
            for (int64_t e = begin; e < end; ++e)
              static_cast<uint16_t *>(to.data)[e] = toBfloat(static_cast<float *>(from.data)[e]);
          });
        });
      });
  copied = version;
}

/// `convert` makes an element of a number.
template <typename T, typename Convert>
static void fill(void *data, int64_t begin, int64_t end, const Parameter &parameter, uint32_t index,
                 uint64_t seed, Convert convert) {
  auto *out = static_cast<T *>(data);
  if (parameter.initializer == "zeros" || parameter.initializer == "ones") {
    std::fill(out + begin, out + end, convert(parameter.initializer == "ones" ? 1.0 : 0.0));
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
        out[pair * 2 + k] = convert(scale * values[size_t(k)]);
  }
}

void ParameterBlock::initialize(uint64_t seed) {
  // In bf16 what an f32 would be rounded to.
  auto single = [](double value) { return float(value); };
  auto half = [](double value) { return toBfloat(float(value)); };
  auto wide = [](double value) { return value; };
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Parameter &parameter = owner->parameters[i];
    writeTensor(tensors[i], [&](const Tensor &tensor) {
      forChunks(tensor.elements(), [&](int64_t begin, int64_t end) {
        if (tensor.type == Type::F32)
          fill<float>(tensor.data, begin, end, parameter, uint32_t(i), seed, single);
        else if (tensor.type == Type::BF16)
          fill<uint16_t>(tensor.data, begin, end, parameter, uint32_t(i), seed, half);
        else
          fill<double>(tensor.data, begin, end, parameter, uint32_t(i), seed, wide);
      });
    });
  }
  changed();
}

} // namespace quern::runtime
