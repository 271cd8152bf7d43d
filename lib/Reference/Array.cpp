//===- Array.cpp - Values of the reference interpreter ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Reference/Array.h"

#include <algorithm>

using namespace quern::reference;

Array Array::slice(int64_t i) const {
  Array result = zeros(shape().drop_front(), floating);
  for (int64_t j = 0, n = result.size(); j < n; ++j)
    result.copy(j, *this, i * n + j);
  return result;
}

void Array::setSlice(int64_t i, const Array &value) {
  for (int64_t j = 0, n = value.size(); j < n; ++j)
    copy(i * n + j, value, j);
}

std::string quern::reference::formatShape(llvm::ArrayRef<int64_t> shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}
