//===- Array.h - Values of the reference interpreter -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// A dense row-major array of float64 or int64 numbers. Every float type of a program becomes
/// float64, every integer type int64; a scalar is an array without dimensions.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_REFERENCE_ARRAY_H
#define QUERN_REFERENCE_ARRAY_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"

#include <cassert>
#include <cstdint>
#include <string>
#include <vector>

namespace quern::reference {

class Array {
public:
  using Shape = llvm::SmallVector<int64_t, 4>;

  Array() = default;
  /// All zeros.
  static Array floats(llvm::ArrayRef<int64_t> shape, double value = 0.0) {
    Array array(shape, true);
    array.doubles.assign(array.size(), value);
    return array;
  }
  static Array integers(llvm::ArrayRef<int64_t> shape, int64_t value = 0) {
    Array array(shape, false);
    array.ints.assign(array.size(), value);
    return array;
  }
  /// An array of the other's kind.
  static Array zeros(llvm::ArrayRef<int64_t> shape, bool isFloat) {
    return isFloat ? floats(shape) : integers(shape);
  }
  static Array zerosLike(const Array &other) { return zeros(other.shape(), other.isFloat()); }

  llvm::ArrayRef<int64_t> shape() const { return dims; }
  int64_t rank() const { return dims.size(); }
  int64_t dim(int64_t i) const { return dims[i < 0 ? i + rank() : i]; }
  bool isFloat() const { return floating; }
  int64_t size() const {
    int64_t n = 1;
    for (int64_t d : dims)
      n *= d;
    return n;
  }
  /// Vectors along the last dimension, and how many there are.
  int64_t width() const { return dim(-1); }
  int64_t rows() const { return width() ? size() / width() : 0; }

  /// The element with this place in row-major order.
  double &flat(int64_t i) { return doubles[i]; }
  double flat(int64_t i) const { return doubles[i]; }
  int64_t &flatInteger(int64_t i) { return ints[i]; }
  int64_t flatInteger(int64_t i) const { return ints[i]; }
  double *row(int64_t i) { return doubles.data() + i * width(); }
  const double *row(int64_t i) const { return doubles.data() + i * width(); }

  /// The element with these indices, one for each dimension.
  template <typename... Indices>
  double &operator()(Indices... indices) {
    return doubles[place({static_cast<int64_t>(indices)...})];
  }
  template <typename... Indices>
  double operator()(Indices... indices) const {
    return doubles[place({static_cast<int64_t>(indices)...})];
  }
  template <typename... Indices>
  int64_t integer(Indices... indices) const {
    return ints[place({static_cast<int64_t>(indices)...})];
  }
  int64_t place(llvm::ArrayRef<int64_t> indices) const {
    assert(indices.size() == dims.size() && "one index for each dimension");
    int64_t at = 0;
    for (size_t i = 0; i < dims.size(); ++i)
      at = at * dims[i] + indices[i];
    return at;
  }
  /// The indices of the element in place `at`.
  Shape indices(int64_t at) const {
    Shape result(dims.size());
    for (int64_t i = rank() - 1; i >= 0; --i) {
      result[i] = at % dims[i];
      at /= dims[i];
    }
    return result;
  }
  /// Sets element `to` of this array to element `from` of the other, of the same kind.
  void copy(int64_t to, const Array &other, int64_t from) {
    if (floating)
      doubles[to] = other.doubles[from];
    else
      ints[to] = other.ints[from];
  }
  /// The same elements in the same order under another shape.
  Array reshaped(llvm::ArrayRef<int64_t> shape) const {
    Array result = *this;
    result.dims.assign(shape.begin(), shape.end());
    assert(result.size() == size() && "a reshape keeps the number of elements");
    return result;
  }
  /// Slice `i` of the first dimension; `setSlice` writes one.
  Array slice(int64_t i) const;
  void setSlice(int64_t i, const Array &value);

private:
  Array(llvm::ArrayRef<int64_t> shape, bool isFloat)
      : dims(shape.begin(), shape.end()), floating(isFloat) {}

  Shape dims;
  bool floating = true;
  std::vector<double> doubles;
  std::vector<int64_t> ints;
};

using Arrays = llvm::SmallVector<Array, 4>;
/// Arrays by the names that programs give them.
using NamedArrays = llvm::StringMap<Array>;

/// "2x3", or "scalar".
std::string formatShape(llvm::ArrayRef<int64_t> shape);

} // namespace quern::reference

#endif // QUERN_REFERENCE_ARRAY_H
