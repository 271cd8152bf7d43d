//===- Sample.cpp - A token drawn from each row of logits -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A block takes a row. Its logits were just written, and come from the second-level cache; weights
// are computed anew where they are needed, which costs less than to keep them. Bins are filled by
// atomic additions of integers: their sums do not depend on the order.

#include "Emitters.h"
#include "Pointer.h"
#include "Rows.h"
#include "quern/Emission/Sampling.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace quern::nvidia {

namespace {

constexpr int64_t samplingThreads = 1024;
static_assert(samplingThreads == samplingBins, "prefix sums have a thread for each bin");

class BlockTeam : public SamplingTeam {
public:
  explicit BlockTeam(Thread &thread) : t(thread) {}

  Value memory(int64_t size, Type element) override { return t.shared({size}, element); }
  void barrier() override { t.barrier(); }

  SmallVector<Value> forLogits(Value row, ValueRange carried, LogitBody body) override {
    constexpr int64_t ahead = 4; // logits that a thread reads before it uses the first
    Value columns = t.dim(row, 0);
    Value last = arith::SubIOp::create(t.builder, t.loc, columns, t.index(1));
    return t.strided(t.thread(), columns, t.index(ahead * t.threads), carried,
                     [&](Value first, ValueRange start) {
                       SmallVector<Value> ids, logits, values(start);
                       for (int64_t i = 0; i < ahead; ++i) {
                         ids.push_back(addIndex(t, first, t.index(i * t.threads)));
                         // Past the end another one is read, so that no branch is between the
                         // reads.
                         logits.push_back(widenLogit(t, t.load(row, minIndex(t, ids[i], last))));
                       }
                       for (int64_t i = 0; i < ahead; ++i)
                         values = t.when(t.less(ids[i], columns), values,
                                         [&] { return body(ids[i], logits[i], values); });
                       return values;
                     });
  }
  void forShare(Value count, llvm::function_ref<void(Value)> body) override {
    t.strided(t.thread(), count, t.index(t.threads), body);
  }
  Value combine(Value value, llvm::function_ref<Value(Value, Value)> operation) override {
    return t.overBlock(value, operation);
  }

  Value fetchAdd(Value memory, Value index, Value value) override {
    // Barriers order what is added before it is read.
    return LLVM::AtomicRMWOp::create(t.builder, t.loc, LLVM::AtomicBinOp::add,
                                     Pointer(t, memory).at(t, index).address(t), value,
                                     LLVM::AtomicOrdering::monotonic, "block");
  }
  void prefixSums(ArrayRef<Value> memories) override {
    // Hillis and Steele 1986: after each step a bin has the sum of twice as many.
    Value own = t.thread();
    SmallVector<Value> sums, zeros;
    Value zero = arith::ConstantOp::create(t.builder, t.loc, t.builder.getI64IntegerAttr(0));
    for (Value memory : memories) {
      sums.push_back(t.load(memory, own));
      zeros.push_back(zero);
    }
    for (int64_t distance = 1; distance < samplingBins; distance *= 2) {
      Value hasOther = t.no(t.less(own, t.index(distance)));
      SmallVector<Value> others = t.when(hasOther, zeros, [&] {
        Value other = arith::SubIOp::create(t.builder, t.loc, own, t.index(distance));
        return llvm::map_to_vector(memories, [&](Value memory) { return t.load(memory, other); });
      });
      t.barrier();
      for (auto [memory, sum, other] : llvm::zip(memories, sums, others)) {
        sum = arith::AddIOp::create(t.builder, t.loc, sum, other);
        t.store(sum, memory, own);
      }
      t.barrier();
    }
  }
  int64_t listSize() const override { return 512; }

private:
  Thread &t;
};

} // namespace

LogicalResult emit(kernel::SampleOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  int64_t last = cast<MemRefType>(op.getLogits().getType()).getRank() - 1;
  Grid grid;
  grid.x = e.leadingSize(operands[0], last);
  e.launch(grid, samplingThreads, operands, [&](Thread &t, ValueRange onDevice) {
    kernel::SampleOp::Adaptor in(onDevice, op);
    Value row = t.block(0), logits = in.getLogits();
    SmallVector<Value> place = last ? rowIndices(t, logits, row) : SmallVector<Value>();
    BlockTeam team(t);
    Value token = drawToken(t, team,
                            {last ? rowAt(t, logits, place) : logits, in.getTemperature(),
                             in.getTopK(), in.getTopP(), in.getSeed(), in.getIndex()},
                            row);
    t.when(t.equal(t.thread(), t.index(0)), [&] {
      t.store(token, in.getOutputs()[0], place);
      t.store(tokenToGoOnFrom(t, token), in.getOutputs()[1], place);
    });
  });
  return success();
}

} // namespace quern::nvidia
