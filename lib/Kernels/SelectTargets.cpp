//===- SelectTargets.cpp - A copy of each program for each target -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace quern::kernels {
#define GEN_PASS_DEF_SELECTTARGETS
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;

namespace {

struct SelectTargets : quern::kernels::impl::SelectTargetsBase<SelectTargets> {
  using SelectTargetsBase::SelectTargetsBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    SmallVector<func::FuncOp> originals;
    for (auto function : module.getOps<func::FuncOp>())
      originals.push_back(function);
    bool keep = targets.empty();
    for (StringRef target : targets) {
      if (target == "cpu") {
        keep = true;
        continue;
      }
      for (func::FuncOp original : originals) {
        func::FuncOp copy = original.clone();
        copy.setSymName((target + "." + original.getSymName()).str());
        copy->setAttr("quern.target", StringAttr::get(&getContext(), target));
        symbols.insert(copy);
      }
    }
    if (!keep)
      for (func::FuncOp original : originals)
        original.erase();
  }
};

} // namespace
