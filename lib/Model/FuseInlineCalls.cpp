//===- FuseInlineCalls.cpp - Put the bodies of called functions in the place of calls ------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "quern/Model/Passes.h"

#include "dialects/Quern/Quern.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"

namespace quern::model {
#define GEN_PASS_DEF_INLINECALLS
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;

namespace {

/// Inlines the calls of one model, callees first.
class Inliner {
public:
  explicit Inliner(ModelOp model) : symbols(model) {}

  /// Inlines all calls within `caller`, a function or layers.
  LogicalResult run(Operation *caller);
  int64_t inlined = 0;

private:
  LogicalResult inlineCall(CallOp call);

  SymbolTable symbols;
  llvm::DenseMap<Operation *, bool> done; // false while its calls are being inlined
};

LogicalResult Inliner::run(Operation *caller) {
  if (!done.try_emplace(caller, false).second)
    return success();
  SmallVector<CallOp> calls;
  caller->walk([&](CallOp call) { calls.push_back(call); });
  for (CallOp call : calls)
    if (failed(inlineCall(call)))
      return failure();
  done[caller] = true;
  return success();
}

LogicalResult Inliner::inlineCall(CallOp call) {
  // That the function exists and has the types of the call is verified, (C1) and (C2) of the call.
  auto callee = symbols.lookup<FunctionOp>(call.getCallee());
  if (auto state = done.find(callee); state != done.end() && !state->second)
    return call.emitError("function @")
           << call.getCallee() << " calls itself through this call; functions cannot be recursive";
  if (failed(run(callee)))
    return failure();
  auto layers = call->getParentOfType<LayersOp>();
  bool reads = callee.walk([](ReadOp) { return WalkResult::interrupt(); }).wasInterrupted();
  if (layers && reads)
    return call.emitError("layers @") << layers.getSymName() << " call @" << call.getCallee()
                                      << ", which reads parameters of the model; layers take these "
                                         "as arguments of quern.apply";

  IRMapping mapping;
  mapping.map(callee.getArguments(), call.getOperands());
  OpBuilder builder(call);
  for (Operation &op : callee.getBody().front().without_terminator())
    builder.clone(op, mapping);
  for (auto [result, value] : llvm::zip(call.getResults(), callee.getReturn().getValues()))
    result.replaceAllUsesWith(mapping.lookupOrDefault(value));
  call.erase();
  ++inlined;
  return success();
}

struct InlineCalls : quern::model::impl::InlineCallsBase<InlineCalls> {
  void runOnOperation() override {
    SmallVector<ModelOp> models;
    getOperation()->walk([&](ModelOp model) { models.push_back(model); });
    for (ModelOp model : models) {
      Inliner inliner(model);
      for (Operation &op : model.getBody().front())
        if (isa<FunctionOp, LayersOp>(op) && failed(inliner.run(&op)))
          return signalPassFailure();
      numInlined += inliner.inlined;
    }
  }
};

} // namespace
