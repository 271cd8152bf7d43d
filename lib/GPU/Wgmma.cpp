//===- Wgmma.cpp - Matrix products of a warp group, from shared memory -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Wgmma.h"

#include "quern/Emission/Indices.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace quern::nvidia {

/// Steps in depth of one instruction; of a row of 128 bytes.
constexpr int64_t sliceDepth = 16, rowDepth = 64;
/// Descriptors count so many bytes.
constexpr int64_t descriptorUnit = 16;

/// The upper half of every descriptor: eight rows of 128 bytes, the pattern of the swizzle, follow
/// each other.
constexpr int64_t upperDescriptor = int64_t{1} << 30 | 8 * swizzleBytes / descriptorUnit;

Value SharedOperand::descriptor(Thread &t) const {
  // Where rows run across the depth, the next 64 columns are in the next box.
  int64_t leadingUnits = isDepthMajor ? 1 : boxRows * swizzleBytes / descriptorUnit;
  OpBuilder &b = t.builder;
  // The bits above are those of the block in its cluster.
  Value place = arith::AndIOp::create(b, t.loc, address, t.int32(0x3FFFF));
  place = arith::ShRUIOp::create(b, t.loc, place, t.int32(4));
  return arith::OrIOp::create(b, t.loc, place, t.int32(leadingUnits << 16));
}

int64_t SharedOperand::descriptorStep(int64_t slice) const {
  constexpr int64_t slicesOfRow = rowDepth / sliceDepth;
  int64_t bytes = slice * sliceDepth * swizzleBytes;
  if (isDepthMajor)
    bytes = slice / slicesOfRow * boxRows * swizzleBytes + slice % slicesOfRow * 2 * sliceDepth;
  return bytes / descriptorUnit;
}

/// Assembly that has `sums` for operands, number 0 and so on, and changes them; those of `others`
/// follow, under their constraints. Without `sums`, it makes so many.
static SmallVector<Value> changeSums(Thread &t, const Twine &text, size_t count, ValueRange sums,
                                     ValueRange others, ArrayRef<StringRef> constraintsOfOthers) {
  OpBuilder &b = t.builder;
  // Written before all operands have been read.
  SmallVector<std::string> constraints(count, "=&f");
  for (StringRef constraint : constraintsOfOthers)
    constraints.push_back(constraint.str());
  for (size_t i = 0; i < sums.size(); ++i)
    constraints.push_back(std::to_string(i));
  constraints.push_back("~{memory}");
  SmallVector<Value> operands(others);
  llvm::append_range(operands, sums);
  if (!count) {
    t.assembly(text, llvm::join(constraints, ","), operands);
    return {};
  }
  SmallVector<Type> types(count, b.getF32Type());
  Type all = count == 1 ? types[0] : Type(LLVM::LLVMStructType::getLiteral(b.getContext(), types));
  Value changed = t.assembly(text, llvm::join(constraints, ","), operands, all);
  if (count == 1)
    return {changed};
  SmallVector<Value> result;
  for (size_t i = 0; i < count; ++i)
    result.push_back(LLVM::ExtractValueOp::create(b, t.loc, changed, static_cast<int64_t>(i)));
  return result;
}

namespace {

/// The text of a product and the operands behind its sums.
class ProductText {
public:
  ProductText(Thread &t, const GroupProduct &product, bool addsToSums)
      : t(t), product(product), accumulates(addsToSums),
        sums(static_cast<size_t>(sumsOfThread(product.columns))) {}

  /// An operand in shared memory; returns its number.
  size_t share(const SharedOperand &operand) {
    size_t number = sums + operands.size();
    add(operand.descriptor(t), "r");
    return number;
  }
  /// Makes `name` the descriptor of 16 steps of an operand in depth.
  void describe(StringRef name, size_t operand, int64_t step) {
    text += ("add.u32 lower, $" + Twine(operand) + ", " + Twine(step) + ";\n\tmov.b64 " + name +
             ", {lower, upper};\n\t")
                .str();
  }
  /// One instruction, of a left factor in registers unless it is empty.
  void multiply(ValueRange a, const Twine &transposes) {
    std::string type = product.element.isBF16() ? ".bf16" : ".f16", left = "left";
    if (!a.empty())
      left = "{" + list(sums + operands.size(), a.size()) + "}";
    for (Value value : a)
      add(value, "r");
    text += "wgmma.mma_async.sync.aligned.m64n" + std::to_string(product.columns) + "k16.f32" +
            type + type + " {" + list(0, sums) + "}, " + left + ", right" +
            (accumulates ? ", 1, 1, 1" : ", 0, 1, 1") + transposes.str() + ";\n\t";
    accumulates = true;
  }

  SmallVector<Value> start(ValueRange before) {
    text += "wgmma.commit_group.sync.aligned;\n\t}";
    return changeSums(t, text, sums, before, operands, constraints);
  }

private:
  static std::string list(size_t first, size_t count) {
    std::string names;
    for (size_t i = first; i < first + count; ++i)
      names += (names.empty() ? "$" : ", $") + std::to_string(i);
    return names;
  }
  void add(Value operand, StringRef constraint) {
    operands.push_back(operand);
    constraints.push_back(constraint);
  }

  Thread &t;
  const GroupProduct &product;
  bool accumulates;
  size_t sums;
  // One piece of assembly: the compiler puts nothing between the fence and the products, which it
  // does not know to be asynchronous. Descriptors are made where they are used: the compiler would
  // keep all of them in registers.
  std::string text = "{\n\t.reg .b32 lower, upper;\n\t.reg .b64 left, right;\n\tmov.b32 upper, " +
                     std::to_string(upperDescriptor) + ";\n\twgmma.fence.sync.aligned;\n\t";
  SmallVector<Value> operands;
  SmallVector<StringRef> constraints;
};

StringRef transposed(const SharedOperand &operand) { return operand.isDepthMajor ? ", 0" : ", 1"; }

} // namespace

SmallVector<Value> GroupProduct::start(Thread &t, const SharedOperand &a, const SharedOperand &b,
                                       ValueRange sums) const {
  ProductText text(t, *this, !sums.empty());
  size_t left = text.share(a), right = text.share(b);
  for (int64_t slice = 0; slice < depth / sliceDepth; ++slice) {
    text.describe("left", left, a.descriptorStep(slice));
    text.describe("right", right, b.descriptorStep(slice));
    text.multiply({}, transposed(a) + Twine(transposed(b)));
  }
  return text.start(sums);
}

SmallVector<Value> GroupProduct::start(Thread &t, ValueRange a, const SharedOperand &b,
                                       ValueRange sums) const {
  ProductText text(t, *this, !sums.empty());
  size_t right = text.share(b);
  constexpr int64_t count = factorsOfThread(sliceDepth);
  for (int64_t slice = 0; slice < depth / sliceDepth; ++slice) {
    text.describe("right", right, b.descriptorStep(slice));
    text.multiply(a.slice(slice * count, count), transposed(b));
  }
  return text.start(sums);
}

SmallVector<Value> awaitProducts(Thread &t, ValueRange sums, int64_t pending) {
  // It has the sums for operands, so that nothing reads them before.
  return changeSums(t, "wgmma.wait_group.sync.aligned " + Twine(pending) + ";", sums.size(), sums,
                    {}, {});
}

Value warpNumber(Thread &t) {
  return mlir::gpu::ShuffleOp::create(t.builder, t.loc, t.int32(t.warp()), /*offset=*/0,
                                      static_cast<int32_t>(warpSize), mlir::gpu::ShuffleMode::IDX)
      .getShuffleResult();
}

Value warpGroup(Thread &t) {
  return arith::DivUIOp::create(t.builder, t.loc, warpNumber(t), t.int32(warpsOfGroup));
}

static void groupBarrier(Thread &t, StringRef what, int64_t number) {
  t.assembly("barrier.cta." + what + ".aligned " + Twine(number) + ", " + Twine(2 * warpGroupSize) +
                 ";",
             "~{memory}", {});
}
void awaitGroup(Thread &t, int64_t number) { groupBarrier(t, "sync", number); }
void releaseGroup(Thread &t, int64_t number) { groupBarrier(t, "arrive", number); }

/// Two groups meet at a barrier: one waits, the one before it has its turn behind it.
constexpr int64_t threadsAtTurn = 2 * warpGroupSize;

void Turns::take(Thread &t, Value group) const {
  t.assembly("bar.sync $0, " + Twine(threadsAtTurn) + ";", "r,~{memory}",
             emission::addIndex(t, group, t.int32(1)));
}

void Turns::pass(Thread &t, Value group) const {
  Value following = emission::addIndex(t, group, t.int32(1));
  following = t.select(t.equal(following, t.int32(groups)), t.int32(0), following);
  t.assembly("bar.arrive $0, " + Twine(threadsAtTurn) + ";", "r,~{memory}",
             emission::addIndex(t, following, t.int32(1)));
}

void Turns::begin(Thread &t, Value group) const {
  t.when(t.equal(group, t.int32(groups - 1)), [&] { pass(t, group); });
}

void Turns::end(Thread &t, Value group) const {
  // The last group has passed a turn that nobody needs: no barrier stays half full.
  t.when(t.equal(group, t.int32(0)), [&] { take(t, group); });
}

void setRegisters(Thread &t, int64_t count, bool increase) {
  t.assembly("setmaxnreg." + Twine(increase ? "inc" : "dec") + ".sync.aligned.u32 " + Twine(count) +
                 ";",
             "~{memory}", {});
}

} // namespace quern::nvidia
