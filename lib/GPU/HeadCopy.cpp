//===- HeadCopy.cpp - Copies of rows of one head by the tensor memory accelerator -------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "HeadCopy.h"

#include "Wgmma.h"
#include "quern/Emission/Views.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

/// Columns of a box, of 16 bits each.
constexpr int64_t boxColumns = swizzleBytes / 2;

/// Bytes from one index of dimensions 0, 1 and 2 to the next.
static SmallVector<Value> stridesOf(Code &code, Value x) {
  auto type = cast<MemRefType>(x.getType());
  auto [known, offset] = type.getStridesAndOffset();
  SmallVector<Value> strides;
  memref::ExtractStridedMetadataOp metadata;
  for (int64_t dim = 0; dim < 3; ++dim) {
    bool isOpen = ShapedType::isDynamic(known[dim]);
    if (isOpen && !metadata)
      metadata = memref::ExtractStridedMetadataOp::create(code.builder, code.loc, x);
    Value stride = isOpen ? metadata.getStrides()[dim] : code.index(known[dim]);
    strides.push_back(mulIndex(code, stride, code.index(elementBytes(type.getElementType()))));
  }
  return strides;
}

Value allowsHeadMap(Code &code, Value x) {
  OpBuilder &b = code.builder;
  Value result = allowsTensorMap(code, x, stridesOf(code, x));
  for (int64_t dim = 0; dim < 4; ++dim) {
    Value exists = b.createOrFold<arith::CmpIOp>(code.loc, arith::CmpIPredicate::ne,
                                                 code.dim(x, dim), code.index(0));
    result = b.createOrFold<arith::AndIOp>(code.loc, result, exists);
  }
  return result;
}

TensorMap headMap(Code &code, Value x, int64_t rows) {
  SmallVector<Value> strides = stridesOf(code, x);
  TensorMap map;
  map.address = addressOf(code, x);
  map.element = cast<MemRefType>(x.getType()).getElementType();
  // The documentation of cuTensorMapEncodeTiled wants strides that grow.
  map.sizes = {code.dim(x, 3), code.dim(x, 2), code.dim(x, 1), code.dim(x, 0)};
  map.strides = {strides[2], strides[1], strides[0]};
  map.box = {boxColumns, 1, rows, 1};
  map.swizzle = swizzleBytes;
  return map;
}

int64_t HeadTile::boxes() const {
  return static_cast<int64_t>(llvm::divideCeil(width, boxColumns));
}
int64_t HeadTile::bytes() const { return boxes() * rows * swizzleBytes; }

void HeadTile::copy(Thread &t, const Pointer &to, Value map, Value row, Value head, Value sequence,
                    const Mbarrier &barrier) const {
  int64_t boxElements = rows * swizzleBytes / to.elementBytes();
  for (int64_t box = 0; box < boxes(); ++box)
    copyBox(t, to.at(t, box * boxElements), map, {t.int32(box * boxColumns), head, row, sequence},
            barrier);
}

} // namespace quern::nvidia
