//===- PanelOrder.cpp - Between rows and panels ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/PanelOrder.h"

#include "quern/Runtime/Threads.h"

#include <algorithm>
#include <cstdint>

namespace quern::runtime {

/// Calls `move(row, panel)` with the places of each element of the matrices of `tensor` in both
/// orders, on all threads.
template <typename Move>
static void forPlaces(const Tensor &tensor, Move move) {
  size_t rank = tensor.shape.size();
  int64_t rows = tensor.shape[rank - 2], columns = tensor.shape[rank - 1];
  // Panels of rows are panels of columns of the transposed matrix.
  int64_t along = tensor.panels.ofRows ? columns : rows;
  int64_t across = tensor.panels.ofRows ? rows : columns;
  int64_t rowStep = tensor.panels.ofRows ? 1 : columns;
  int64_t columnStep = tensor.panels.ofRows ? columns : 1;
  int64_t width = tensor.panels.width, size = rows * columns;
  int64_t count = (across + width - 1) / width, matrices = size ? tensor.elements() / size : 0;
  parallelFor(matrices * count, [&](int64_t unit) {
    int64_t matrix = unit / count * size, first = unit % count * width;
    int64_t wide = std::min(width, across - first);
    for (int64_t r = 0; r < along; ++r)
      for (int64_t c = 0; c < wide; ++c)
        move(matrix + r * rowStep + (first + c) * columnStep,
             matrix + first * along + r * wide + c);
  });
}

/// Calls `body` with a null pointer to an element's bits.
template <typename Body>
static void withElement(Type type, Body body) {
  switch (sizeOf(type)) {
  case 2:
    return body(static_cast<uint16_t *>(nullptr));
  case 4:
    return body(static_cast<uint32_t *>(nullptr));
  default:
    return body(static_cast<uint64_t *>(nullptr));
  }
}

void fromPanels(const Tensor &tensor, void *rows) {
  withElement(tensor.type, [&](auto *element) {
    auto *from = static_cast<decltype(element)>(tensor.data);
    auto *to = static_cast<decltype(element)>(rows);
    forPlaces(tensor, [&](int64_t row, int64_t panel) { to[row] = from[panel]; });
  });
}

void toPanels(const void *rows, const Tensor &tensor) {
  withElement(tensor.type, [&](auto *element) {
    auto *from = static_cast<const std::remove_pointer_t<decltype(element)> *>(rows);
    auto *to = static_cast<decltype(element)>(tensor.data);
    forPlaces(tensor, [&](int64_t row, int64_t panel) { to[panel] = from[row]; });
  });
}

} // namespace quern::runtime
