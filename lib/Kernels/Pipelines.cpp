//===- Pipelines.cpp - The phases kernels and buffers -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace quern::kernels {

void addKernelsPasses(OpPassManager &manager) {
  manager.addPass(createConvertQuernToKernel());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  // Chains of elementwise ops become one loop each; a producer with several users stays apart.
  manager.addPass(createLinalgElementwiseOpFusionPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createFuseEpilogues());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void addTargetPasses(OpPassManager &manager) {
  manager.addPass(createFuseCacheAppends());
  manager.addPass(createAdvanceUpdates());
  manager.addPass(createFuseUpdates());
  // What is left together, when updates with the same options have the same values for them.
  manager.addPass(createMergeAdamW());
}

void addBuffersPasses(OpPassManager &manager) {
  manager.addPass(createSeparateBuffers());
  // Kernels write into slices and outputs directly, where nothing else is in the way.
  manager.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions options;
  options.allowReturnAllocsFromLoops = false;
  manager.addPass(bufferization::createOneShotBufferizePass(options));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createPadRows());
  manager.addPass(createPerThreadBuffers());
  manager.addPass(createPlanArena());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

} // namespace quern::kernels
