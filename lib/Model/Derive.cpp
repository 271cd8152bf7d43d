//===- Derive.cpp - The pass that derives programs --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DeriveExpand.h"
#include "DerivePrograms.h"
#include "Gradient.h"
#include "GradientRules.h"
#include "quern/Model/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinOps.h"

namespace quern::model {
#define GEN_PASS_DEF_DERIVE
#include "quern/Model/Passes.h.inc"
} // namespace quern::model

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

class Derive : public model::impl::DeriveBase<Derive> {
public:
  using DeriveBase::DeriveBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    DeriveBase::getDependentDialects(registry);
    registerGradientRules(registry);
  }

  void runOnOperation() override {
    SmallVector<std::string> known = {"forward", "loss",   "gradients", "train_step",
                                      "prefill", "decode", "generate"};
    for (const std::string &name : programs)
      if (!llvm::is_contained(known, name)) {
        InFlightDiagnostic error = mlir::emitError(getOperation().getLoc(), "unknown program '")
                                   << name << "'; there are ";
        llvm::interleaveComma(known, error);
        return signalPassFailure();
      }
    for (auto model : getOperation().getOps<ModelOp>())
      if (failed(deriveAll(model, known)))
        return signalPassFailure();
  }

private:
  static FunctionOp deriveDecoding(ModelOp model, StringRef name) {
    return name == "generate" ? deriveGenerate(model)
                              : deriveDecoder(model, name, /*oneToken=*/name == "decode");
  }

  /// Not every model generates text: without a wish for it, a remark tells why there is no decoder.
  LogicalResult deriveDecoderIfPossible(ModelOp model, StringRef name) {
    std::optional<Location> where;
    std::string reason;
    FunctionOp program;
    {
      ScopedDiagnosticHandler handler(&getContext(), [&](Diagnostic &diagnostic) {
        if (!where && diagnostic.getSeverity() == DiagnosticSeverity::Error) {
          where = diagnostic.getLocation();
          reason = diagnostic.str();
        }
        return success();
      });
      program = deriveDecoding(model, name);
    }
    if (program)
      ++numPrograms;
    else if (name == "decode" || (name == "generate" && model.lookupSymbol<FunctionOp>("decode")))
      mlir::emitRemark(*where, reason); // the others fail for the same reason
    return success();
  }

  LogicalResult deriveAll(ModelOp model, ArrayRef<std::string> known) {
    for (const std::string &name : known)
      if (programs.empty() || llvm::is_contained(programs, name))
        if (failed(derive(model, name)))
          return failure();
    eraseSources(model);
    return success();
  }

  LogicalResult derive(ModelOp model, StringRef name) {
    auto loss = model.lookupSymbol<FunctionOp>("loss");
    bool needsLoss = name == "loss" || name == "gradients" || name == "train_step";
    if (needsLoss && !loss) {
      if (programs.empty())
        return success();
      return mlir::emitError(model.getLoc(), "model @")
             << model.getSymName() << " has no function @loss, which " << name << " derives from";
    }
    if (auto present = model.lookupSymbol<FunctionOp>(name); present && present.getProgram())
      return success();
    FunctionOp program;
    if (name == "forward" || name == "loss")
      program = expand(model, model.lookupSymbol<FunctionOp>(name), name);
    else if (name == "gradients")
      program = deriveGradients(model, name);
    else if (name == "train_step")
      program = deriveTrainStep(model, clip);
    else if (programs.empty())
      return deriveDecoderIfPossible(model, name);
    else
      program = deriveDecoding(model, name);
    if (!program)
      return failure();
    ++numPrograms;
    // One report is enough: train_step has the backward pass of gradients.
    bool first = name == "gradients" || !model.lookupSymbol<FunctionOp>("gradients");
    GradientSummary summary = summarizeGradients(program, report && first);
    numSaved += summary.numSaved;
    numRecomputed += summary.numRecomputed;
    return success();
  }
};

} // namespace
