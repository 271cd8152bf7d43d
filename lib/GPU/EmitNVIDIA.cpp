//===- EmitNVIDIA.cpp - Kernels become launches and device code -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Emitters.h"
#include "quern/Emission/Kernels.h"
#include "quern/Emission/Views.h"
#include "quern/GPU/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

namespace quern::nvidia {
#define GEN_PASS_DEF_EMITNVIDIA
#include "quern/GPU/Passes.h.inc"
} // namespace quern::nvidia

using namespace mlir;
using namespace quern;
using namespace quern::nvidia;

namespace {

LogicalResult emitKernel(Operation *op, ValueRange operands, nvidia::Emission &emission) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<kernel::AttentionOp, kernel::AttentionBackwardOp, kernel::CacheAppendOp,
            kernel::RotaryOp, kernel::NormOp, kernel::NormBackwardOp, kernel::SoftmaxOp,
            kernel::SoftmaxBackwardOp, kernel::CountTargetsOp, kernel::CrossEntropyOp,
            kernel::CrossEntropyGradientOp, kernel::EmbeddingOp, kernel::PositionEmbeddingOp,
            kernel::EmbeddingBackwardOp, kernel::PositionEmbeddingBackwardOp, kernel::SumRowsOp,
            kernel::SquaredNormOp, kernel::AdamWOp, kernel::SampleOp, kernel::GemmOp,
            kernel::BatchGemmOp, linalg::GenericOp>(
          [&](auto kernel) { return emit(kernel, operands, emission); })
      .Default([](Operation *op) { return op->emitOpError("has no emitter for NVIDIA GPUs"); });
}

/// The host function of a kernel and the scratch memory that its launches need.
struct KernelFunction {
  Operation *op; ///< what it was emitted for, kept apart from the program
  func::FuncOp function;
  int64_t scratchBytes;
};

/// Emits the programs of one architecture.
class Emitter {
public:
  Emitter(ModuleOp module, const Architecture &architecture, bool tensorFloat)
      : module(module), architecture(architecture), tensorFloat(tensorFloat), symbols(module),
        scratchType(
            MemRefType::get({ShapedType::kDynamic}, IntegerType::get(module.getContext(), 8))) {
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    device = mlir::gpu::GPUModuleOp::create(builder, module.getLoc(), architecture.name);
  }
  ~Emitter() {
    for (KernelFunction &kernel : emitted)
      kernel.op->destroy();
  }
  Emitter(const Emitter &) = delete;
  Emitter &operator=(const Emitter &) = delete;

  LogicalResult run(func::FuncOp program);
  int64_t calls = 0;
  int64_t functions() const { return emitted.size(); }

private:
  FailureOr<KernelFunction> getKernel(Operation *op);
  LogicalResult placeConstants(func::FuncOp program, Value scratch, int64_t from, int64_t &bytes);

  ModuleOp module;
  const Architecture &architecture;
  bool tensorFloat;
  SymbolTable symbols;
  MemRefType scratchType;
  mlir::gpu::GPUModuleOp device;
  SmallVector<KernelFunction> emitted;
  llvm::StringMap<int64_t> counts;
};

FailureOr<KernelFunction> Emitter::getKernel(Operation *op) {
  for (const KernelFunction &known : emitted)
    if (emission::sameKernel(known.op, op))
      return known;
  SmallVector<Type> types(op->getOperandTypes());
  types.push_back(scratchType);
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  // The name tells in a profile which kernel this is.
  StringRef kind = op->getName().stripDialect();
  std::string name = (kind + "_" + Twine(counts[kind]++)).str();
  auto function = func::FuncOp::create(builder, op->getLoc(), architecture.name + "." + name,
                                       builder.getFunctionType(types, {}));
  function.setPrivate();
  function->setAttr("passthrough", builder.getStrArrayAttr({"noinline"}));
  symbols.insert(function);
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  size_t operands = op->getNumOperands();
  nvidia::Emission emission(builder, op->getLoc(), architecture, device, name,
                            entry->getArgument(operands), tensorFloat);
  if (failed(emitKernel(op, entry->getArguments().take_front(operands), emission)))
    return failure();
  func::ReturnOp::create(builder, op->getLoc());
  emitted.push_back({op->clone(), function, emission.scratchBytes});
  return emitted.back();
}

LogicalResult Emitter::run(func::FuncOp program) {
  FailureOr<SmallVector<Operation *>> kernels = emission::takeKernels(program, "NVIDIA GPUs");
  if (failed(kernels))
    return failure();
  Value arena;
  for (BlockArgument argument : program.getArguments())
    if (program.getArgAttr(argument.getArgNumber(), "quern.arena"))
      arena = argument;
  if (!arena)
    return program.emitError("program '")
           << program.getSymName()
           << "' has no arena, where launches keep what passes between them";

  // Scratch lies at the end of the arena; how much is known when all kernels are emitted.
  IRRewriter rewriter(module.getContext());
  rewriter.setInsertionPointToStart(&program.getBody().front());
  Location loc = program.getLoc();
  auto bytes = arith::ConstantIndexOp::create(rewriter, loc, 0);
  Value zero = arith::ConstantIndexOp::create(rewriter, loc, 0);
  Value size = memref::DimOp::create(rewriter, loc, arena, zero);
  Value offset = arith::SubIOp::create(rewriter, loc, size, bytes);
  Value scratch =
      memref::ViewOp::create(rewriter, loc, scratchType, arena, offset, ValueRange{bytes});
  int64_t scratchBytes = 0;
  for (Operation *op : *kernels) {
    FailureOr<KernelFunction> kernel = getKernel(op);
    if (failed(kernel))
      return failure();
    scratchBytes = std::max(scratchBytes, kernel->scratchBytes);
    rewriter.setInsertionPoint(op);
    SmallVector<Value> operands(op->getOperands());
    operands.push_back(scratch);
    func::CallOp::create(rewriter, op->getLoc(), kernel->function, operands);
    rewriter.eraseOp(op);
    ++calls;
  }
  int64_t constantBytes = 0;
  if (failed(placeConstants(program, scratch, scratchBytes, constantBytes)))
    return failure();
  int64_t total = scratchBytes + constantBytes;
  bytes->setAttr("value", rewriter.getIndexAttr(total));
  emission::growArena(symbols, program, total);
  return success();
}

/// One block copies the constant from the device's code to `place`.
static void emitConstant(memref::GlobalOp global, Value place, nvidia::Emission &e) {
  auto type = cast<MemRefType>(place.getType());
  auto values = cast<DenseElementsAttr>(*global.getInitialValue());
  auto flat = values.reshape(RankedTensorType::get({type.getNumElements()}, type.getElementType()));
  Value target = emission::flatten(e, place);
  constexpr int64_t threads = 256;
  e.launch({}, threads, {target}, [&](Thread &t, ValueRange operands) {
    Value from = e.constants(t, "values", flat);
    t.strided(t.thread(), t.index(type.getNumElements()), t.index(threads),
              [&](Value i) { t.store(t.load(from, i), operands[0], i); });
  });
}

/// A constant of the host is no memory of the device: it is copied from the device's code to the
/// end of the arena, before the program's first kernel.
LogicalResult Emitter::placeConstants(func::FuncOp program, Value scratch, int64_t from,
                                      int64_t &bytes) {
  SmallVector<memref::GetGlobalOp> uses;
  program.walk([&](memref::GetGlobalOp use) { uses.push_back(use); });
  OpBuilder builder(module.getContext());
  for (memref::GetGlobalOp use : uses) {
    auto global = symbols.lookup<memref::GlobalOp>(use.getName());
    auto type = dyn_cast<MemRefType>(use.getType());
    if (!global || !global.getConstant() || !type || !type.hasStaticShape())
      return use.emitOpError("refers to '")
             << use.getName() << "', which is no constant; a program for a GPU reads its arguments "
             << "and constants only";
    builder.setInsertionPointAfterValue(scratch);
    Location loc = use.getLoc();
    Value at = arith::ConstantIndexOp::create(builder, loc, from + bytes);
    Value place = memref::ViewOp::create(builder, loc, type, scratch, at, ValueRange());
    std::string name = ("constant_" + Twine(counts["constant"]++)).str();
    nvidia::Emission emission(builder, loc, architecture, device, name, scratch);
    emitConstant(global, place, emission);
    use.replaceAllUsesWith(place);
    use.erase();
    bytes += llvm::alignTo(type.getNumElements() * ((type.getElementTypeBitWidth() + 7) / 8), 256);
  }
  return success();
}

struct EmitNVIDIA : quern::nvidia::impl::EmitNVIDIABase<EmitNVIDIA> {
  using EmitNVIDIABase::EmitNVIDIABase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::MapVector<StringAttr, SmallVector<func::FuncOp>> programs;
    for (auto function : module.getOps<func::FuncOp>()) {
      auto target = function->getAttrOfType<StringAttr>("quern.target");
      if (!target)
        continue;
      programs[target]; // an architecture without kernels is one still
      if (!emission::hasKernels(function))
        continue;
      if (function.getNumResults() || !llvm::hasSingleElement(function.getBody())) {
        function.emitError("a program with kernels must have one block and no results");
        return signalPassFailure();
      }
      programs[target].push_back(function);
    }
    for (auto &[target, functions] : programs) {
      llvm::Expected<Architecture> architecture = Architecture::get(target);
      if (!architecture) {
        module.emitError(llvm::toString(architecture.takeError()));
        return signalPassFailure();
      }
      Emitter emitter(module, *architecture, tensorFloat);
      for (func::FuncOp program : functions)
        if (failed(emitter.run(program)))
          return signalPassFailure();
      numKernels += emitter.calls;
      numFunctions += emitter.functions();
    }
  }
};

} // namespace
