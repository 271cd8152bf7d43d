//===- Tensor.cpp - Element types, shapes and views of tensors --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Tensor.h"

#include "quern/Runtime/Error.h"

namespace quern::runtime {

static const char *const typeNames[] = {"f32", "f64", "i32", "i64", "bf16"};

int64_t sizeOf(Type type) {
  static const int64_t bytes[] = {4, 8, 4, 8, 2};
  return bytes[int(type)];
}
const char *nameOf(Type type) { return typeNames[int(type)]; }

std::optional<Type> parseType(std::string_view name) {
  for (size_t i = 0; i < std::size(typeNames); ++i)
    if (name == typeNames[i])
      return Type(int(i));
  return std::nullopt;
}

std::string formatShape(const Shape &shape) {
  if (shape.empty())
    return "scalar";
  std::vector<std::string> sizes;
  for (int64_t size : shape)
    sizes.push_back(size < 0 ? "?" : std::to_string(size));
  return join(sizes, "x");
}

int64_t countElements(const Shape &shape, const std::string &what) {
  int64_t count = 1;
  int64_t bytes = 0;
  // A zero hides an overflow of the other sizes, which would still break strides: leave it out.
  bool zero = false;
  for (int64_t size : shape) {
    zero |= size == 0;
    if (size < 0 || __builtin_mul_overflow(count, size ? size : 1, &count) ||
        __builtin_mul_overflow(count, int64_t(8), &bytes))
      throw Error(concat(what, " of shape ", formatShape(shape), " is too large"));
  }
  return zero ? 0 : count;
}

} // namespace quern::runtime
