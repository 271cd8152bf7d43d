//===- Wgmma.cpp - Matrix products of a warp group, from shared memory -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Wgmma.h"

#include "quern/Emission/Indices.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace quern::nvidia {

/// Steps in depth of one instruction, and instructions of 64 steps.
constexpr int64_t sliceDepth = 16, slices = 4;

Value SharedOperand::descriptor(Thread &t, int64_t slice) const {
  // Fields count 16 bytes. Eight rows of 128 bytes, the pattern of the swizzle, follow each other;
  // where rows run across the depth, the next 64 columns are in the next box.
  constexpr uint64_t swizzle128 = 1, patternBytes = 8 * swizzleBytes, boxBytes = 64 * swizzleBytes;
  uint64_t sliceBytes = isDepthMajor ? 2 * sliceDepth : sliceDepth * swizzleBytes;
  uint64_t constant =
      swizzle128 << 62 | (patternBytes >> 4) << 32 | (isDepthMajor ? 1 : boxBytes >> 4) << 16;
  OpBuilder &b = t.builder;
  Value place = emission::addIndex(t, address, t.int32(static_cast<int64_t>(slice * sliceBytes)));
  // The bits above are those of the block in its cluster.
  place = arith::AndIOp::create(b, t.loc, place, t.int32(0x3FFFF));
  place = arith::ShRUIOp::create(b, t.loc, place, t.int32(4));
  place = arith::ExtUIOp::create(b, t.loc, b.getI64Type(), place);
  Value rest =
      arith::ConstantOp::create(b, t.loc, b.getI64IntegerAttr(static_cast<int64_t>(constant)));
  return arith::OrIOp::create(b, t.loc, place, rest);
}

/// Assembly that has all `sums` for operands, number 0 and so on, and changes them; `descriptors`
/// follow.
static SmallVector<Value> changeSums(Thread &t, const Twine &text, ValueRange sums,
                                     ValueRange descriptors) {
  OpBuilder &b = t.builder;
  SmallVector<std::string> constraints(sums.size(), "=f");
  constraints.append(descriptors.size(), "l");
  for (size_t i = 0; i < sums.size(); ++i)
    constraints.push_back(std::to_string(i));
  constraints.push_back("~{memory}");
  SmallVector<Value> operands(descriptors);
  llvm::append_range(operands, sums);
  SmallVector<Type> types(sums.getTypes());
  Type all = LLVM::LLVMStructType::getLiteral(b.getContext(), types);
  Value changed = t.assembly(text, llvm::join(constraints, ","), operands, all);
  SmallVector<Value> result;
  for (size_t i = 0; i < sums.size(); ++i)
    result.push_back(LLVM::ExtractValueOp::create(b, t.loc, changed, static_cast<int64_t>(i)));
  return result;
}

SmallVector<Value> startProduct(Thread &t, Type element, const SharedOperand &a,
                                const SharedOperand &b, int64_t columns, ValueRange sums) {
  // One piece of assembly: the compiler puts nothing between the fence and the products, which it
  // does not know to be asynchronous.
  std::string text = "wgmma.fence.sync.aligned;\n\t", registers;
  for (size_t i = 0; i < sums.size(); ++i)
    registers += (i ? ", $" : "$") + std::to_string(i);
  StringRef type = element.isBF16() ? "bf16" : "f16";
  auto isTransposed = [](const SharedOperand &operand) { return operand.isDepthMajor ? "0" : "1"; };
  SmallVector<Value> descriptors;
  for (int64_t slice = 0; slice < slices; ++slice) {
    size_t first = sums.size() + descriptors.size();
    text += ("wgmma.mma_async.sync.aligned.m64n" + Twine(columns) + "k16.f32." + type + "." + type +
             " {" + registers + "}, $" + Twine(first) + ", $" + Twine(first + 1) + ", 1, 1, 1, " +
             isTransposed(a) + ", " + isTransposed(b) + ";\n\t")
                .str();
    descriptors.push_back(a.descriptor(t, slice));
    descriptors.push_back(b.descriptor(t, slice));
  }
  text += "wgmma.commit_group.sync.aligned;\n\twgmma.wait_group.sync.aligned 1;";
  return changeSums(t, text, sums, descriptors);
}

SmallVector<Value> awaitProducts(Thread &t, ValueRange sums) {
  // It has the sums for operands, so that nothing reads them before.
  return changeSums(t, "wgmma.wait_group.sync.aligned 0;", sums, {});
}

void setRegisters(Thread &t, int64_t count, bool increase) {
  t.assembly("setmaxnreg." + Twine(increase ? "inc" : "dec") + ".sync.aligned.u32 " + Twine(count) +
                 ";",
             "~{memory}", {});
}

} // namespace quern::nvidia
