//===- Device.cpp - Moving tensors between the host and a device ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Device.h"

#include "quern/Runtime/Error.h"
#include "quern/Runtime/Memory.h"
#include "quern/Runtime/PanelOrder.h"

#include <algorithm>

namespace quern::runtime {

/// `tensor`, which a device holds, with room for it in `block` of the host.
static Tensor onHost(const Tensor &tensor, Block &block) {
  block = Block(tensor.bytes(), concat("a copy of '", tensor.name, "'"));
  return {tensor.name, tensor.type, tensor.shape, block.data(), nullptr, {}};
}

void readTensor(const Tensor &tensor, const std::function<void(const Tensor &)> &use) {
  if (!tensor.device && !tensor.panels.width)
    return use(tensor);
  Block block;
  Tensor copy = onHost(tensor, block);
  if (tensor.device)
    tensor.device->download(copy.data, tensor.data, tensor.bytes());
  else
    fromPanels(tensor, copy.data);
  use(copy);
}

void writeTensor(const Tensor &tensor, const std::function<void(const Tensor &)> &fill) {
  if (!tensor.device && !tensor.panels.width)
    return fill(tensor);
  Block block;
  Tensor copy = onHost(tensor, block);
  fill(copy);
  if (tensor.device)
    tensor.device->upload(tensor.data, copy.data, tensor.bytes());
  else
    toPanels(copy.data, tensor);
}

double readScalar(const Tensor &tensor) {
  double value = 0;
  readTensor(tensor, [&](const Tensor &one) {
    value = one.type == Type::F32 ? double(*static_cast<float *>(one.data))
                                  : *static_cast<double *>(one.data);
  });
  return value;
}

void *Arena::reserve(int64_t bytes) {
  bytes = std::max<int64_t>(bytes, 64);
  if (bytes > block.size()) {
    block = DeviceBlock(); // give the old one back first
    block = owner.allocate(bytes, "the arena of activations", Contents::Any);
  }
  return block.data();
}

} // namespace quern::runtime
