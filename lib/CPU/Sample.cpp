//===- Sample.cpp - A token drawn from each row of logits -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// A row is one thread's: some tenths of a millisecond for a vocabulary of 50000, where the token's
// weights took some tens of milliseconds to read.

#include "Emitters.h"
#include "Rows.h"
#include "quern/Emission/Sampling.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace quern::cpu {

namespace {

class OneThread : public SamplingTeam {
public:
  explicit OneThread(Emission &emission) : e(emission) {}

  Value memory(int64_t size, Type element) override {
    return e.privateScratch(MemRefType::get({size}, element));
  }
  void barrier() override {}

  SmallVector<Value> forLogits(Value row, ValueRange carried, LogitBody body) override {
    return e.forLoop(e.index(0), e.dim(row, 0), 1, carried, [&](Value id, ValueRange values) {
      Value logit = memref::LoadOp::create(e.builder, e.loc, row, id);
      return body(id, widenLogit(e, logit), values);
    });
  }
  void forShare(Value count, llvm::function_ref<void(Value)> body) override {
    e.forLoop(e.index(0), count, 1, body);
  }
  Value combine(Value value, llvm::function_ref<Value(Value, Value)>) override { return value; }

  Value fetchAdd(Value memory, Value index, Value value) override {
    Value old = memref::LoadOp::create(e.builder, e.loc, memory, index);
    Value sum = arith::AddIOp::create(e.builder, e.loc, old, value);
    memref::StoreOp::create(e.builder, e.loc, sum, memory, index);
    return old;
  }
  void prefixSums(ArrayRef<Value> memories) override {
    Value zero = arith::ConstantOp::create(e.builder, e.loc, e.builder.getI64IntegerAttr(0));
    for (Value memory : memories)
      e.forLoop(e.index(0), e.index(samplingBins), 1, zero, [&](Value i, ValueRange sum) {
        fetchAdd(memory, i, sum[0]);
        return SmallVector<Value>{memref::LoadOp::create(e.builder, e.loc, memory, i)};
      });
  }
  int64_t listSize() const override { return 256; }

private:
  Emission &e;
};

} // namespace

LogicalResult emit(kernel::SampleOp op, ValueRange operands, Emission &e) {
  if (failed(checkRows(op, operands)))
    return failure();
  kernel::SampleOp::Adaptor in(operands, op);
  Value logits = in.getLogits();
  int64_t last = cast<MemRefType>(logits.getType()).getRank() - 1;
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < last; ++i)
    sizes.push_back(e.dim(logits, i));
  e.forUnits(e.leadingSize(logits, last), [&](Value row) {
    SmallVector<Value> place = last ? delinearize(e, row, sizes) : SmallVector<Value>();
    OneThread team(e);
    Value token = drawToken(e, team,
                            {last ? rowAt(e, logits, place) : logits, in.getTemperature(),
                             in.getTopK(), in.getTopP(), in.getSeed(), in.getIndex()},
                            row);
    memref::StoreOp::create(e.builder, e.loc, token, in.getOutputs()[0], place);
    memref::StoreOp::create(e.builder, e.loc, tokenToGoOnFrom(e, token), in.getOutputs()[1], place);
  });
  return success();
}

} // namespace quern::cpu
