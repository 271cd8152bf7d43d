//===- DeviceCode.cpp - gpu.module becomes PTX ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/GPU/Architecture.h"
#include "quern/GPU/Emission.h"
#include "quern/Target/CodeGeneration.h"
#include "quern/Target/Passes.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Threading.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"

namespace quern::target {
#define GEN_PASS_DEF_DEVICECODE
#include "quern/Target/Passes.h.inc"
} // namespace quern::target

using namespace mlir;

extern "C" {
void LLVMInitializeNVPTXTargetInfo();
void LLVMInitializeNVPTXTarget();
void LLVMInitializeNVPTXTargetMC();
void LLVMInitializeNVPTXAsmPrinter();
}

namespace {

llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createDeviceMachine(const quern::nvidia::Architecture &architecture) {
  static const bool initialized = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)initialized;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string problem;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, problem);
  if (!target)
    return llvm::createStringError("this LLVM cannot generate PTX: " + problem);
  return std::unique_ptr<llvm::TargetMachine>(
      target->createTargetMachine(triple, architecture.name, architecture.features, {}, {}, {},
                                  llvm::CodeGenOptLevel::Aggressive));
}

/// Memory that a launch sizes is a declaration: a definition without elements would get a byte of
/// its own, beside the memory of the launch.
void declareDynamicSharedMemory(llvm::Module &module) {
  constexpr unsigned shared = 3;
  for (llvm::GlobalVariable &global : module.globals()) {
    auto *array = llvm::dyn_cast<llvm::ArrayType>(global.getValueType());
    if (global.getAddressSpace() != shared || !array || array->getNumElements())
      continue;
    global.setInitializer(nullptr);
    global.setLinkage(llvm::GlobalValue::ExternalLinkage);
    global.setAlignment(llvm::Align(quern::nvidia::sharedAlignment));
  }
}

/// Makes tensor maps parameters by value, which the lowering of gpu.func does not do.
void passTensorMaps(mlir::gpu::GPUModuleOp device) {
  using namespace quern::nvidia;
  Builder b(device.getContext());
  auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), tensorMapBytes);
  for (auto kernel : device.getOps<LLVM::LLVMFuncOp>()) {
    auto count = kernel->getAttrOfType<IntegerAttr>(tensorMapsAttribute);
    unsigned end = kernel.getNumArguments();
    for (unsigned i = count ? end - count.getInt() : end; i < end; ++i) {
      kernel.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(), TypeAttr::get(bytes));
      kernel.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(),
                        b.getI64IntegerAttr(tensorMapAlignment));
      kernel.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(), b.getUnitAttr());
    }
  }
}

/// The PTX of one gpu.module, or a message.
llvm::Expected<std::string> generate(mlir::gpu::GPUModuleOp device) {
  llvm::Expected<quern::nvidia::Architecture> architecture =
      quern::nvidia::Architecture::get(device.getName());
  if (!architecture)
    return architecture.takeError();
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> target = createDeviceMachine(*architecture);
  if (!target)
    return target.takeError();
  passTensorMaps(device);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      mlir::translateModuleToLLVMIR(device, context, device.getName());
  if (!module)
    return llvm::createStringError("the device code for " + device.getName() +
                                   " does not translate to LLVM IR");
  module->setTargetTriple((*target)->getTargetTriple());
  module->setDataLayout((*target)->createDataLayout());
  declareDynamicSharedMemory(*module);
  quern::target::optimize(*module, **target);
  for (const llvm::Function &function : *module)
    if (function.isDeclaration() && !function.isIntrinsic() && !function.use_empty())
      return llvm::createStringError("device code calls '" + function.getName() +
                                     "', which no GPU has");
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream stream(text);
  if (llvm::Error error = quern::target::generateCode(*module, **target,
                                                      llvm::CodeGenFileType::AssemblyFile, stream))
    return error;
  return text.str().str();
}

struct DeviceCode : quern::target::impl::DeviceCodeBase<DeviceCode> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    // Architectures side by side: each has an LLVM context of its own.
    auto devices = llvm::to_vector(module.getOps<mlir::gpu::GPUModuleOp>());
    std::vector<std::string> texts(devices.size());
    auto generateOne = [&](size_t i) -> LogicalResult {
      llvm::Expected<std::string> text = generate(devices[i]);
      if (!text)
        return devices[i].emitError(llvm::toString(text.takeError()));
      texts[i] = std::move(*text);
      return success();
    };
    if (failed(mlir::failableParallelForEachN(&getContext(), 0, devices.size(), generateOne)))
      return signalPassFailure();
    SmallVector<NamedAttribute> codes;
    for (auto [device, text] : llvm::zip_equal(devices, texts)) {
      codes.push_back({device.getNameAttr(), StringAttr::get(&getContext(), text)});
      device.erase();
    }
    if (!codes.empty())
      module->setAttr("quern.device_code", DictionaryAttr::get(&getContext(), codes));
  }
};

} // namespace
