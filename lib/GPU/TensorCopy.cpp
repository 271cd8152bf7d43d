//===- TensorCopy.cpp - Copies of boxes by the tensor memory accelerator ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "TensorCopy.h"

using namespace mlir;

namespace quern::nvidia {

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
