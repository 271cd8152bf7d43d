//===- CodeGeneration.cpp - LLVM IR to machine code ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Target/CodeGeneration.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/OpenMP/OpenMPToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/CGSCCPassManager.h"
#include "llvm/Analysis/LoopAnalysisManager.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Utils/SplitModule.h"

#include <mutex>

using namespace llvm;

namespace quern::target {

void registerTranslations(mlir::DialectRegistry &registry) {
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
  mlir::registerOpenMPDialectTranslation(registry);
  mlir::registerGPUDialectTranslation(registry);
  mlir::registerNVVMDialectTranslation(registry);
}

Expected<std::unique_ptr<TargetMachine>> createTargetMachine(const cpu::Machine &machine) {
  InitializeNativeTarget();
  InitializeNativeTargetAsmPrinter();
  InitializeNativeTargetAsmParser();
  Triple triple(sys::getDefaultTargetTriple());
  std::string error;
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return createStringError("no code generator for %s: %s", triple.str().c_str(), error.c_str());
  TargetOptions options;
  // One section each, so that the linker drops what no program reaches.
  options.FunctionSections = true;
  options.DataSections = true;
  std::unique_ptr<TargetMachine> result(
      target->createTargetMachine(triple, machine.cpu, machine.features, options, Reloc::PIC_,
                                  std::nullopt, CodeGenOptLevel::Aggressive));
  if (!result)
    return createStringError("LLVM cannot generate code for %s", triple.str().c_str());
  return result;
}

std::unique_ptr<Module> translateToLLVMIR(mlir::ModuleOp source, const cpu::Machine &machine,
                                          TargetMachine &target, LLVMContext &context) {
  // Data layout and triple come first: the translation of alignments and OpenMP reads them.
  auto layout = target.createDataLayout().getStringRepresentation();
  auto *mlirContext = source->getContext();
  source->setAttr("llvm.data_layout", mlir::StringAttr::get(mlirContext, layout));
  source->setAttr("llvm.target_triple",
                  mlir::StringAttr::get(mlirContext, target.getTargetTriple().str()));
  std::string name = source.getName().value_or("quern").str();
  std::unique_ptr<Module> module = mlir::translateModuleToLLVMIR(source, context, name);
  if (!module)
    return nullptr;
  module->setPICLevel(PICLevel::BigPIC);
  bool avx512 = machine.vectorBytes >= 64;
  for (Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", machine.cpu);
    function.addFnAttr("target-features", machine.features);
    // LLVM prefers 256 bits on some processors with AVX-512.
    if (avx512) {
      function.addFnAttr("prefer-vector-width", "512");
      function.addFnAttr("min-legal-vector-width", "512");
    }
    function.setDoesNotThrow();
  }
  if (module->getNamedGlobal("quern_programs"))
    internalizeModule(*module, [](const GlobalValue &value) {
      return llvm::is_contained({"quern_programs", "quern_device_codes", "quern_module_json"},
                                value.getName());
    });
  return module;
}

void optimize(Module &module, TargetMachine &target) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PassBuilder builder(&target);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O3).run(module, modules);
}

Error generateCode(Module &module, TargetMachine &target, CodeGenFileType type,
                   raw_pwrite_stream &out) {
  legacy::PassManager manager;
  if (target.addPassesToEmitFile(manager, out, nullptr, type))
    return createStringError("LLVM cannot write this kind of file for %s",
                             target.getTargetTriple().str().c_str());
  manager.run(module);
  return Error::success();
}

/// Parts share no names with anything else in a program: no name of C has a point in it.
static void renameLocals(Module &module) {
  for (GlobalValue &value : module.global_values())
    if (value.hasLocalLinkage() && !value.getName().contains('.'))
      value.setName(value.getName() + ".program");
}

/// Optimizes one part and generates its code, in a context of its own.
static Error generateObject(StringRef bitcode, const cpu::Machine &machine,
                            SmallString<0> &object) {
  LLVMContext context;
  Expected<std::unique_ptr<Module>> part =
      parseBitcodeFile(MemoryBufferRef(bitcode, "part"), context);
  if (!part)
    return part.takeError();
  Expected<std::unique_ptr<TargetMachine>> target = createTargetMachine(machine);
  if (!target)
    return target.takeError();
  optimize(**part, **target);
  raw_svector_ostream stream(object);
  return generateCode(**part, **target, CodeGenFileType::ObjectFile, stream);
}

Expected<std::vector<SmallString<0>>> generateObjects(Module &module, const cpu::Machine &machine) {
  constexpr unsigned partCount = 4;
  renameLocals(module);
  std::vector<SmallString<0>> parts;
  SplitModule(
      module, partCount,
      [&](std::unique_ptr<Module> part) {
        raw_svector_ostream stream(parts.emplace_back());
        WriteBitcodeToFile(*part, stream);
      },
      /*PreserveLocals=*/false, /*RoundRobin=*/true);
  std::vector<SmallString<0>> objects(parts.size());
  std::mutex mutex;
  Error errors = Error::success();
  {
    DefaultThreadPool pool(hardware_concurrency(parts.size()));
    for (size_t i = 0; i < parts.size(); ++i)
      pool.async([&, i] {
        Error error = generateObject(parts[i], machine, objects[i]);
        std::lock_guard<std::mutex> lock(mutex);
        errors = joinErrors(std::move(errors), std::move(error));
      });
    pool.wait();
  }
  if (errors)
    return errors;
  return objects;
}

} // namespace quern::target
