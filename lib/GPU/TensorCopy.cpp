//===- TensorCopy.cpp - Copies of boxes by the tensor memory accelerator ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "TensorCopy.h"

#include "quern/Emission/Views.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::nvidia {

bool beginsBuffer(Value memref) {
  return cast<MemRefType>(memref.getType()).getStridesAndOffset().second == 0;
}

Value addressOf(emission::Code &code, Value memref) {
  OpBuilder &b = code.builder;
  auto type = cast<MemRefType>(memref.getType());
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(b, code.loc, memref);
  if (beginsBuffer(memref))
    return start;
  auto metadata = memref::ExtractStridedMetadataOp::create(b, code.loc, memref);
  Value bytes = emission::mulIndex(code, metadata.getOffset(),
                                   code.index(emission::elementBytes(type.getElementType())));
  return emission::addIndex(code, start, bytes);
}

/// Strides are multiples of 16 bytes below 2^40 (CUDA driver API, cuTensorMapEncodeTiled).
Value allowsTensorMap(emission::Code &code, Value memref, ArrayRef<Value> strides) {
  OpBuilder &b = code.builder;
  Value result = arith::ConstantOp::create(b, code.loc, b.getBoolAttr(true));
  auto requireNone = [&](uint64_t bits, Value of) {
    Value wrong =
        b.createOrFold<arith::AndIOp>(code.loc, of, code.index(static_cast<int64_t>(bits)));
    Value holds =
        b.createOrFold<arith::CmpIOp>(code.loc, arith::CmpIPredicate::eq, wrong, code.index(0));
    result = b.createOrFold<arith::AndIOp>(code.loc, result, holds);
  };
  constexpr uint64_t below16 = 15, from40 = ~((uint64_t{1} << 40) - 1);
  for (Value stride : strides)
    requireNone(from40 | below16, stride);
  if (!beginsBuffer(memref))
    requireNone(below16, addressOf(code, memref));
  return result;
}

void copyBox(Thread &t, const Pointer &shared, Value map, ValueRange coordinates,
             const Mbarrier &barrier, int64_t blocks) {
  SmallVector<Value> operands{shared.sharedAddress(t), map, barrier.address(t)};
  std::string place, constraints = "r,l,r";
  for (Value coordinate : coordinates) {
    place += (place.empty() ? "$" : ", $") + std::to_string(operands.size());
    constraints += ",r";
    operands.push_back(coordinate);
  }
  std::string text = "cp.async.bulk.tensor." + std::to_string(coordinates.size()) +
                     "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes";
  std::string addresses = " [$0], [$1, {" + place + "}], [$2]";
  if (blocks > 1) {
    text += ".multicast::cluster" + addresses + ", $" + std::to_string(operands.size());
    constraints += ",h";
    auto all = static_cast<int16_t>((1 << blocks) - 1);
    operands.push_back(
        arith::ConstantOp::create(t.builder, t.loc, t.builder.getI16IntegerAttr(all)));
  } else {
    text += addresses;
  }
  t.assembly(text + ";", constraints + ",~{memory}", operands);
}

void storeBox(Thread &t, const Pointer &shared, Value map, ValueRange coordinates) {
  SmallVector<Value> operands{shared.sharedAddress(t), map};
  std::string place, constraints = "r,l";
  for (Value coordinate : coordinates) {
    place += (place.empty() ? "$" : ", $") + std::to_string(operands.size());
    constraints += ",r";
    operands.push_back(coordinate);
  }
  t.assembly("cp.async.bulk.tensor." + Twine(coordinates.size()) +
                 "d.global.shared::cta.tile.bulk_group [$1, {" + place + "}], [$0];",
             constraints + ",~{memory}", operands);
}

void closeBoxes(Thread &t) { t.assembly("cp.async.bulk.commit_group;", "~{memory}", {}); }

void awaitBoxesRead(Thread &t) { t.assembly("cp.async.bulk.wait_group.read 0;", "~{memory}", {}); }

void publishShared(Thread &t) { t.assembly("fence.proxy.async.shared::cta;", "~{memory}", {}); }

Value electLane(Thread &t) {
  Value elected = t.assembly("{\n\t"
                             ".reg .pred elected;\n\t"
                             "elect.sync _|elected, 0xffffffff;\n\t"
                             "selp.u32 $0, 1, 0, elected;\n\t"
                             "}",
                             "=r", {}, t.builder.getI32Type());
  return arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::ne, elected, t.int32(0));
}

void prefetchMap(Thread &t, Value map) {
  t.assembly("prefetch.tensormap [$0];", "l,~{memory}", map);
}

} // namespace quern::nvidia
