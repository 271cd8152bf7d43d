//===- MatrixDescriptor.cpp - Operands of wgmma in shared memory ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Matrix/MatrixDescriptor.h"

#include <cstdio>

namespace quern::emulator::matrix {

namespace {
constexpr uint32_t addressMask = 0x3ffff;

/// matrix-descriptor-encode of the manual.
uint64_t encodeOffset(uint32_t bytes) { return (bytes & addressMask) >> 4; }
uint32_t decodeOffset(uint64_t field) { return uint32_t(field & 0x3fff) << 4; }

/// The two bits of the swizzle mode count the span downwards.
uint64_t encodeSwizzle(Swizzle mode) { return mode == Swizzle::None ? 0 : 4 - uint64_t(mode); }
} // namespace

uint64_t MatrixDescriptor::encode() const {
  return encodeOffset(start) | encodeOffset(leadingOffset) << 16 |
         encodeOffset(strideOffset) << 32 | uint64_t(baseOffset & 7) << 49 |
         encodeSwizzle(swizzle) << 62;
}

bool MatrixDescriptor::decode(uint64_t bits, MatrixDescriptor &result, std::string &problem) {
  MatrixDescriptor decoded;
  decoded.start = decodeOffset(bits);
  decoded.leadingOffset = decodeOffset(bits >> 16);
  decoded.strideOffset = decodeOffset(bits >> 32);
  decoded.baseOffset = bits >> 49 & 7;
  unsigned mode = bits >> 62;
  decoded.swizzle = mode == 0 ? Swizzle::None : Swizzle(4 - mode);
  if (decoded.encode() != bits) {
    char text[160];
    std::snprintf(text, sizeof text,
                  "matrix descriptor 0x%016llx has bits set outside of the fields of wgmma's "
                  "descriptors (mask 0x%016llx)",
                  static_cast<unsigned long long>(bits),
                  static_cast<unsigned long long>(bits & ~decoded.encode()));
    problem = text;
    return false;
  }
  if (decoded.swizzle == Swizzle::None && decoded.baseOffset != 0) {
    problem = "matrix descriptor has base offset " + std::to_string(decoded.baseOffset) +
              ", which is valid with a swizzle mode alone";
    return false;
  }
  result = decoded;
  return true;
}

uint32_t chunkAddress(const MatrixDescriptor &descriptor, const OperandShape &shape, int chunk) {
  uint32_t span = swizzleSpan(descriptor.swizzle);
  uint32_t stride = descriptor.strideOffset, leading = descriptor.leadingOffset;
  uint32_t offset;
  if (shape.major == Major::K) {
    uint32_t row = uint32_t(chunk) / 2, along = uint32_t(chunk) % 2;
    offset = row % 8 * span + row / 8 * stride +
             along * (descriptor.swizzle == Swizzle::None ? leading : 16);
  } else {
    uint32_t k = uint32_t(shape.firstK(chunk)), along = uint32_t(shape.firstExtent(chunk)) / 8;
    if (descriptor.swizzle == Swizzle::None)
      offset = along * stride + k % 8 * 16 + k / 8 * leading;
    else
      offset =
          along % (span / 16) * 16 + along / (span / 16) * leading + k % 8 * span + k / 8 * stride;
  }
  return swizzleAddress(descriptor.swizzle, (descriptor.start + offset) & addressMask,
                        descriptor.baseOffset);
}

} // namespace quern::emulator::matrix
