//===- Opt.cpp - quern-opt: every pass and pipeline phase by name -----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Tools/Opt.h"

#include "dialects/Kernel/Kernel.h"
#include "dialects/Quern/Quern.h"
#include "quern/CPU/Passes.h"
#include "quern/GPU/Passes.h"
#include "quern/Kernels/Passes.h"
#include "quern/Model/Passes.h"
#include "quern/Pipeline/Phases.h"
#include "quern/Target/CodeGeneration.h"
#include "quern/Target/Lowering.h"
#include "quern/Target/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

using namespace mlir;
using namespace quern;

int quern::tools::runOpt(int argc, char **argv) {
  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<QuernDialect, kernel::KernelDialect>();
  kernel::registerBufferization(registry);
  target::registerTranslations(registry);
  registerAllPasses();
  cpu::registerCPUPasses();
  quern::nvidia::registerGPUPasses();
  model::registerModelPasses();
  model::registerModelPipelines();
  kernels::registerKernelsPasses();
  target::registerTargetPasses();
  pipeline::registerPhases();
  PassPipelineRegistration<> lowering(
      "quern-lower-to-llvm", "from emitted vector code to the LLVM dialect",
      [](OpPassManager &manager) { target::addLoweringToLLVM(manager); });
  return asMainReturnCode(MlirOptMain(argc, argv, "Quern's pass driver\n", registry));
}
