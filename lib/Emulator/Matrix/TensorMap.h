//===- TensorMap.h - What TMA knows of a tensor -----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The tensor map that `cuTensorMapEncodeTiled` makes and `cp.async.bulk.tensor` reads (CUDA driver
/// API, "Tensor Map Object Management"; PTX ISA 9.1, sections 5.5.2 to 5.5.8). NVIDIA's 128 bytes
/// are opaque, so these are our own: only what this emulator encodes can be decoded.
///
/// Enumerators have the values of the driver's, so that a driver API can pass them through.
///
#ifndef QUERN_EMULATOR_MATRIX_TENSORMAP_H
#define QUERN_EMULATOR_MATRIX_TENSORMAP_H

#include "lib/Emulator/Matrix/Swizzle.h"

#include <array>
#include <string>

namespace quern::emulator::matrix {

/// CUtensorMapDataType without the packed 4- and 6-bit types of sm_100.
enum class TensorType : uint8_t {
  U8,
  U16,
  U32,
  S32,
  U64,
  S64,
  F16,
  F32,
  F64,
  BF16,
  F32Flush,
  TF32,
  TF32Flush
};

/// Bytes of an element.
int tensorTypeBytes(TensorType type);
bool isFloatingPoint(TensorType type);

struct TensorMap {
  static constexpr int maximalRank = 5;
  static constexpr int encodedBytes = 128;
  using Encoded = std::array<uint8_t, encodedBytes>;

  TensorType type = TensorType::U8;
  int rank = 1;
  /// Where the tensor begins in global memory.
  uint64_t address = 0;
  /// Elements by dimension, the contiguous one first; bytes from one index of dimension i + 1 to
  /// the next; elements of the box; its step in elements.
  std::array<uint64_t, maximalRank> dimensions = {1, 1, 1, 1, 1};
  std::array<uint64_t, maximalRank - 1> strides = {};
  std::array<uint32_t, maximalRank> box = {1, 1, 1, 1, 1};
  std::array<uint32_t, maximalRank> elementStrides = {1, 1, 1, 1, 1};
  Swizzle swizzle = Swizzle::None;
  /// Elements outside become the NaN that CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA asks
  /// for rather than zero.
  bool fillNaN = false;

  /// Empty if cuTensorMapEncodeTiled would take it, else the rule that is broken, in its words.
  std::string check() const;

  /// Of a valid map.
  Encoded encode() const;
  /// False if the bytes are not what `encode` wrote.
  static bool decode(const Encoded &bytes, TensorMap &result);

  /// Elements that the box has along a dimension: ceil(box / element stride).
  uint32_t boxElements(int dimension) const;
  /// Bytes that a whole box takes in shared memory, and that complete_tx counts; also where parts
  /// of it lie outside of the tensor.
  uint64_t boxBytes() const;
};

} // namespace quern::emulator::matrix

#endif // QUERN_EMULATOR_MATRIX_TENSORMAP_H
