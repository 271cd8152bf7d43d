//===- FusePipeline.cpp - The phase fuse as a pipeline -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------===//

#include "quern/Model/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

void quern::model::addFusePasses(OpPassManager &manager) {
  manager.addPass(createInlineCalls());
  manager.addPass(createFuseLinalg());
  manager.addPass(createFuseSoftmax());
  manager.addPass(createFuseAttention());
  manager.addPass(createFuseLinearCrossEntropy());
  manager.addPass(createFuseActivations());
  manager.addPass(createFuseSwiglu());
  manager.addPass(createFuseProjections());
  manager.addPass(createFuseNorms());
  manager.addPass(createFuseResidualNorm());
}

void quern::model::registerModelPipelines() {
  PassPipelineRegistration<>(
      "quern-fuse",
      "the phase fuse: what fused operations compute becomes them, however it was written",
      [](OpPassManager &manager) { addFusePasses(manager); });
}
