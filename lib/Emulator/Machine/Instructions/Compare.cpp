//===- Compare.cpp - Comparisons of all lanes of a warp ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/Compare.h"

#include "lib/Emulator/Machine/Instructions/HalfOperations.h"

namespace quern::emulator::machine {

namespace {

template <Comparison comparison, typename T>
bool compare(T a, T b) {
  bool unordered = a != a || b != b;
  switch (comparison) {
  case Comparison::Eq:
    return a == b;
  case Comparison::Ne:
    return a != b && !unordered;
  case Comparison::Lo:
  case Comparison::Lt:
    return a < b;
  case Comparison::Ls:
  case Comparison::Le:
    return a <= b;
  case Comparison::Hi:
  case Comparison::Gt:
    return a > b;
  case Comparison::Hs:
  case Comparison::Ge:
    return a >= b;
  case Comparison::Equ:
    return unordered || a == b;
  case Comparison::Neu:
    return a != b;
  case Comparison::Ltu:
    return !(a >= b);
  case Comparison::Leu:
    return !(a > b);
  case Comparison::Gtu:
    return !(a <= b);
  case Comparison::Geu:
    return !(a < b);
  case Comparison::Num:
    return !unordered;
  case Comparison::Nan:
    return unordered;
  }
  return false;
}

/// Bytes that are 0 or 1 as bits.
LaneMask packed(const uint8_t *bytes) {
  LaneMask mask = 0;
  for (unsigned i = 0; i < warpSize; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, bytes + i, sizeof eight);
    // Moves the lowest bit of byte k to bit 56 + k.
    mask |= LaneMask(eight * 0x0102040810204080 >> 56) << i;
  }
  return mask;
}

/// Lanes of T as what is compared, V.
template <typename T, typename V>
struct Plain {
  static V value(T bits) { return bits; }
};
struct Flushed {
  static float value(float bits) { return flushed(bits); }
};
template <typename H, bool flush, unsigned shift>
struct Half {
  template <typename T>
  static float value(T bits) {
    auto half = uint16_t(bits >> shift);
    return float(H::decode(flush ? H::flush(half) : half));
  }
};

template <typename T, typename Reader, Comparison comparison>
LaneMask compareLanes(const std::byte *first, const std::byte *second) {
  const T *a = reinterpret_cast<const T *>(first), *b = reinterpret_cast<const T *>(second);
  uint8_t holds[warpSize];
  for (unsigned lane = 0; lane < warpSize; ++lane)
    holds[lane] = compare<comparison>(Reader::value(a[lane]), Reader::value(b[lane]));
  return packed(holds);
}

template <typename T, typename Reader>
CompareFunction ordered(Comparison comparison) {
  switch (comparison) {
  case Comparison::Eq:
    return compareLanes<T, Reader, Comparison::Eq>;
  case Comparison::Ne:
    return compareLanes<T, Reader, Comparison::Ne>;
  case Comparison::Lt:
    return compareLanes<T, Reader, Comparison::Lt>;
  case Comparison::Le:
    return compareLanes<T, Reader, Comparison::Le>;
  case Comparison::Gt:
    return compareLanes<T, Reader, Comparison::Gt>;
  case Comparison::Ge:
    return compareLanes<T, Reader, Comparison::Ge>;
  default:
    return nullptr;
  }
}

template <typename T, typename Reader>
CompareFunction withNaN(Comparison comparison) {
  switch (comparison) {
  case Comparison::Equ:
    return compareLanes<T, Reader, Comparison::Equ>;
  case Comparison::Neu:
    return compareLanes<T, Reader, Comparison::Neu>;
  case Comparison::Ltu:
    return compareLanes<T, Reader, Comparison::Ltu>;
  case Comparison::Leu:
    return compareLanes<T, Reader, Comparison::Leu>;
  case Comparison::Gtu:
    return compareLanes<T, Reader, Comparison::Gtu>;
  case Comparison::Geu:
    return compareLanes<T, Reader, Comparison::Geu>;
  case Comparison::Num:
    return compareLanes<T, Reader, Comparison::Num>;
  case Comparison::Nan:
    return compareLanes<T, Reader, Comparison::Nan>;
  default:
    return ordered<T, Reader>(comparison);
  }
}

template <typename T>
CompareFunction integers(Comparison comparison) {
  if (std::is_unsigned_v<T> && comparison >= Comparison::Lo && comparison <= Comparison::Hs)
    comparison = Comparison(int(comparison) - int(Comparison::Lo) + int(Comparison::Lt));
  return ordered<T, Plain<T, T>>(comparison);
}

/// Untyped operands are equal or not.
template <typename T>
CompareFunction bits(Comparison comparison) {
  return comparison <= Comparison::Ne ? integers<T>(comparison) : nullptr;
}

template <typename H>
CompareFunction halves(Comparison comparison, bool isPacked, bool flush, unsigned half) {
  if (!isPacked)
    return flush ? withNaN<uint16_t, Half<H, true, 0>>(comparison)
                 : withNaN<uint16_t, Half<H, false, 0>>(comparison);
  if (half)
    return flush ? withNaN<uint32_t, Half<H, true, 16>>(comparison)
                 : withNaN<uint32_t, Half<H, false, 16>>(comparison);
  return flush ? withNaN<uint32_t, Half<H, true, 0>>(comparison)
               : withNaN<uint32_t, Half<H, false, 0>>(comparison);
}

} // namespace

CompareFunction compareFunction(Comparison comparison, Type type, bool flush, unsigned half) {
  switch (type) {
  case Type::B16:
    return bits<uint16_t>(comparison);
  case Type::B32:
    return bits<uint32_t>(comparison);
  case Type::B64:
    return bits<uint64_t>(comparison);
  case Type::U16:
    return integers<uint16_t>(comparison);
  case Type::U32:
    return integers<uint32_t>(comparison);
  case Type::U64:
    return integers<uint64_t>(comparison);
  case Type::S16:
    return integers<int16_t>(comparison);
  case Type::S32:
    return integers<int32_t>(comparison);
  case Type::S64:
    return integers<int64_t>(comparison);
  case Type::F32:
    return flush ? withNaN<float, Flushed>(comparison)
                 : withNaN<float, Plain<float, float>>(comparison);
  case Type::F64:
    return withNaN<double, Plain<double, double>>(comparison);
  case Type::F16:
  case Type::F16x2:
    return halves<F16>(comparison, type == Type::F16x2, flush, half);
  case Type::BF16:
  case Type::BF16x2:
    return halves<BF16>(comparison, type == Type::BF16x2, flush, half);
  default:
    return nullptr;
  }
}

} // namespace quern::emulator::machine
