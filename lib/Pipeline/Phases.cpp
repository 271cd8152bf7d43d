//===- Phases.cpp - The phase table ----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Pipeline/Phases.h"

#include "quern/CPU/Machine.h"
#include "quern/CPU/Passes.h"
#include "quern/GPU/Passes.h"
#include "quern/Kernels/Passes.h"
#include "quern/Model/Passes.h"
#include "quern/Target/Lowering.h"
#include "quern/Target/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace quern::pipeline {

static void buildFuse(OpPassManager &manager, const Options &) { model::addFusePasses(manager); }
static void buildDerive(OpPassManager &manager, const Options &options) {
  model::DeriveOptions derive;
  derive.programs.assign(options.programs.begin(), options.programs.end());
  derive.clip = options.clip;
  manager.addPass(model::createDerive(derive));
  if (!options.shape.empty()) {
    model::SetShapesOptions shapes;
    shapes.dims.assign(options.shape.begin(), options.shape.end());
    manager.addPass(model::createSetShapes(shapes));
  }
}

static void buildKernels(OpPassManager &manager, const Options &) {
  kernels::addKernelsPasses(manager);
}

static void buildPrecision(OpPassManager &manager, const Options &options) {
  if (options.hasGPU()) {
    kernels::SelectTargetsOptions select;
    select.targets.assign(options.targets.begin(), options.targets.end());
    manager.addPass(kernels::createSelectTargets(select));
  }
  // TF32 is how f32 is multiplied, not how it is stored.
  bool isStored = options.precision != "tf32";
  // A processor that is not known is for the phase that emits code for it to report.
  llvm::Expected<cpu::Machine> machine = cpu::Machine::get(options.cpu, options.machine);
  bool copiesWeights = machine ? machine->usesBf16Dot : true;
  if (!machine)
    llvm::consumeError(machine.takeError());
  manager.addPass(kernels::createPrecision({isStored ? options.precision : "f32", copiesWeights}));
  kernels::addTargetPasses(manager);
}

static void buildLayout(OpPassManager &manager, const Options &options) {
  // What a GPU takes lies in rows, and both share the files that weights come from.
  if (options.layout == "panels" && !options.hasGPU())
    manager.addPass(cpu::createLayout({options.cpu, options.machine}));
}

static void buildBuffers(OpPassManager &manager, const Options &) {
  kernels::addBuffersPasses(manager);
}

static void buildEmit(OpPassManager &manager, const Options &options) {
  if (options.hasGPU()) {
    manager.addPass(nvidia::createEmitNVIDIA({options.precision == "tf32"}));
    manager.addNestedPass<mlir::gpu::GPUModuleOp>(nvidia::createExpandDeviceMath());
  }
  if (options.hasCPU()) {
    manager.addPass(cpu::createEmitCPU({options.cpu, options.machine}));
    manager.addPass(cpu::createExpandMath({options.cpu}));
  }
}

static void buildLLVM(OpPassManager &manager, const Options &options) {
  if (options.hasGPU()) {
    target::addDeviceLowering(manager);
    // Lines alone: with more, the PTX says `.target ..., debug`, and such is not optimized.
    if (options.debugInfo)
      manager.addPass(
          LLVM::createDIScopeForLLVMFuncOpPass({LLVM::DIEmissionKind::DebugDirectivesOnly}));
    manager.addPass(target::createDeviceCode());
  }
  manager.addPass(target::createExportPrograms({options.cpu}));
  target::addLoweringToLLVM(manager);
  if (options.debugInfo)
    manager.addPass(LLVM::createDIScopeForLLVMFuncOpPass());
}

ArrayRef<Phase> phases() {
  static const Phase table[] = {
      {"fuse", "attention, losses, norms and projections become single operations, however written",
       "quern, linalg", "quern", "what a kernel computes in one pass stands as one operation",
       buildFuse},
      {"derive", "each program is derived from forward and loss, and its layers become loops",
       "quern", "quern", "each requested program exists and is closed: parameters are arguments",
       buildDerive},
      {"kernels",
       "the work is partitioned into kernels, and epilogues go to the products before them",
       "quern", "kernel, linalg", "no quern op is left; the module describes its programs",
       buildKernels},
      {"precision",
       "each target gets its programs, each value its storage type, and each update its place",
       "kernel, linalg", "kernel, linalg",
       "what may be bf16 is, where that was asked for; master weights and sums are f32",
       buildPrecision},
      {"layout",
       "parameters, their moments and gradients lie in memory as the micro-kernels read them",
       "kernel, linalg", "kernel, linalg",
       "products of large matrices read and write parameters in place, in panels", buildLayout},
      {"buffers", "tensors become memory: arguments, and places in one arena", "tensors", "memrefs",
       "no allocation at run time; the arena's size is a closed formula of the dimensions",
       buildBuffers},
      {"emit",
       "every kernel becomes vector code that all threads share, or launches and device code",
       "kernel, linalg", "scf, vector, omp, gpu, nvvm",
       "no kernel op is left; no call of libm or libdevice in a hot loop", buildEmit},
      {"llvm", "loops, vectors and memrefs become the LLVM dialect, and programs C functions",
       "scf, vector, omp, gpu", "llvm, PTX",
       "a verified module that exports its programs; lines of the model are kept", buildLLVM},
      {"link", "LLVM optimizes and generates code, and a linker joins it with the runtime", "llvm",
       "executable, .so + .h, .o, .s, .ll, .ptx",
       "a file that needs libc, libstdc++ and libomp, and no compiler", nullptr},
  };
  return table;
}

const Phase *findPhase(StringRef name) {
  const Phase *phase = llvm::find_if(phases(), [&](const Phase &p) { return name == p.name; });
  return phase == phases().end() ? nullptr : phase;
}

std::string phaseNames() {
  return llvm::join(llvm::map_range(phases(), [](const Phase &p) { return p.name; }), ", ");
}

void printPhases(llvm::raw_ostream &out) {
  for (const Phase &phase : phases())
    out << llvm::formatv("{0,-8} {1}\n         {2} -> {3}\n         after it: {4}\n", phase.name,
                         phase.description, phase.from, phase.to, phase.holds);
}

void printPhasesAsMarkdown(llvm::raw_ostream &out) {
  out << "| phase | what it does | from | to | what holds after it |\n|---|---|---|---|---|\n";
  for (const Phase &phase : phases())
    out << "| " << phase.name << " | " << phase.description << " | " << phase.from << " | "
        << phase.to << " | " << phase.holds << " |\n";
}

namespace {
struct PhaseOptions : PassPipelineOptions<PhaseOptions> {
  Option<std::string> cpu{*this, "cpu", llvm::cl::desc("processor to compile for"),
                          llvm::cl::init("native")};
  Option<std::string> machine{
      *this, "machine",
      llvm::cl::desc("changes to the model of the processor, such as l2=1M,tile-rows=2"),
      llvm::cl::init("")};
  Option<std::string> precision{*this, "precision", llvm::cl::desc("f32, tf32, bf16 or auto"),
                                llvm::cl::init("auto")};
  Option<std::string> layout{*this, "layout", llvm::cl::desc("of parameters: panels or rows"),
                             llvm::cl::init("panels")};
  ListOption<std::string> targets{*this, "targets",
                                  llvm::cl::desc("cpu, or architectures of GPUs")};
  ListOption<std::string> programs{*this, "programs", llvm::cl::desc("programs to derive")};
  ListOption<std::string> shape{*this, "shape", llvm::cl::desc("sizes of named dimensions")};
  Option<bool> clip{*this, "clip", llvm::cl::desc("train_step clips gradients"),
                    llvm::cl::init(true)};
  Option<bool> debugInfo{*this, "debug-info", llvm::cl::desc("keep the lines of the model"),
                         llvm::cl::init(true)};
};
} // namespace

void registerPhases() {
  for (const Phase &phase : phases()) {
    if (!phase.build)
      continue;
    auto build = [&phase](OpPassManager &manager, const PhaseOptions &given) {
      Options options;
      options.cpu = given.cpu;
      options.machine = given.machine;
      options.precision = given.precision;
      options.layout = given.layout;
      options.targets.assign(given.targets.begin(), given.targets.end());
      options.programs.assign(given.programs.begin(), given.programs.end());
      options.shape.assign(given.shape.begin(), given.shape.end());
      options.clip = given.clip;
      options.debugInfo = given.debugInfo;
      phase.build(manager, options);
    };
    PassPipelineRegistration<PhaseOptions>(std::string("quern-phase-") + phase.name,
                                           phase.description, build);
  }
}

} // namespace quern::pipeline
