//===- Tensor.h - Element types, shapes and views of tensors ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// A tensor of the runtime is a dense row-major view: name, type, shape, pointer.
///
#ifndef QUERN_RUNTIME_TENSOR_H
#define QUERN_RUNTIME_TENSOR_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quern::runtime {

/// Element types of programs. BF16 is a type of storage: the upper half of an f32.
enum class Type { F32, F64, I32, I64, BF16 };

/// Bytes of one element.
int64_t sizeOf(Type type);
/// "f32", ... as in Program.h; nothing for another text.
const char *nameOf(Type type);
std::optional<Type> parseType(std::string_view name);

using Shape = std::vector<int64_t>;
/// Sizes by name: batch, sequence, capacity, ...
using Dimensions = std::map<std::string, int64_t>;

/// "4x64x768"; "scalar" for no dimensions; "?" for a size that is not known.
std::string formatShape(const Shape &shape);

/// The number of elements. Throws Error naming `what` if it, or eight bytes each, exceeds 63 bits.
int64_t countElements(const Shape &shape, const std::string &what);

class Device;

/// The order of the elements of a matrix, the last two dimensions of a tensor, in memory: panels of
/// `width` columns or rows (`#kernel.panels` of the compiler); row by row when width is 0.
struct Panels {
  int64_t width = 0;
  bool ofRows = false;
};

/// A dense tensor that someone else owns.
struct Tensor {
  std::string name;
  Type type = Type::F32;
  Shape shape;
  void *data = nullptr;
  Device *device = nullptr; // in whose memory the data lie (see readTensor); null: the host's
  Panels panels = {};       // how its matrices lie there (see readTensor)

  int64_t elements() const { return countElements(shape, name); }
  int64_t bytes() const { return elements() * sizeOf(type); }
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_TENSOR_H
