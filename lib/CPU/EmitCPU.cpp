//===- EmitCPU.cpp - Kernels to code that all threads of a program share ----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Emitters.h"
#include "OwnCopies.h"
#include "Turns.h"
#include "quern/CPU/Passes.h"
#include "quern/Emission/Kernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

namespace quern::cpu {
#define GEN_PASS_DEF_EMITCPU
#include "quern/CPU/Passes.h.inc"
} // namespace quern::cpu

using namespace mlir;
using namespace quern;
using namespace quern::cpu;

namespace {

LogicalResult emitKernel(Operation *op, ValueRange operands, Emission &emission) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<kernel::GemmOp, kernel::BatchGemmOp, kernel::AttentionOp, kernel::CachedAttentionOp,
            kernel::AttentionBackwardOp, kernel::SoftmaxOp, kernel::SoftmaxBackwardOp,
            kernel::CountTargetsOp, kernel::CrossEntropyOp, kernel::CrossEntropyGradientOp,
            kernel::NormOp, kernel::NormBackwardOp, kernel::EmbeddingOp,
            kernel::PositionEmbeddingOp, kernel::EmbeddingBackwardOp,
            kernel::PositionEmbeddingBackwardOp, kernel::RotaryOp, kernel::CacheAppendOp,
            kernel::SampleOp, kernel::SumRowsOp, kernel::SquaredNormOp, kernel::AdamWOp,
            kernel::GemmAdamWOp, linalg::GenericOp>(
          [&](auto kernel) { return emit(kernel, operands, emission); })
      .Default([](Operation *op) { return op->emitOpError("has no emitter for the CPU"); });
}

/// The function of a kernel and the shared scratch that it needs.
struct KernelFunction {
  Operation *op; ///< the first op that it was emitted for
  func::FuncOp function;
  int64_t scratchBytes;
};

class Emitter {
public:
  Emitter(ModuleOp module, const Machine &machine)
      : module(module), machine(machine), symbols(module),
        indexType(IndexType::get(module.getContext())),
        scratchType(
            MemRefType::get({ShapedType::kDynamic}, IntegerType::get(module.getContext(), 8))) {}

  LogicalResult run(func::FuncOp program);
  int64_t calls = 0, barriers = 0;
  int64_t functions() const { return emitted.size(); }

private:
  FailureOr<KernelFunction> getKernel(Operation *op);
  func::FuncOp declare(StringRef name, FunctionType type);
  void placeBarriers(const Turns &few, const Turns &many, Value isFew);
  LogicalResult replaceKernels(func::FuncOp body, int64_t &scratchBytes);

  ModuleOp module;
  const Machine &machine;
  SymbolTable symbols;
  IndexType indexType;
  MemRefType scratchType;
  SmallVector<KernelFunction> emitted;
  llvm::DenseMap<OperationName, int64_t> counts;
};

/// On a kernel of which each thread has its own first output: its function takes one i1 more,
/// whether that is so in this call.
constexpr llvm::StringLiteral ownResult = "quern.own_result";

FailureOr<KernelFunction> Emitter::getKernel(Operation *op) {
  for (const KernelFunction &known : emitted)
    if (emission::sameKernel(known.op, op))
      return known;
  SmallVector<Type> types(op->getOperandTypes());
  types.append({scratchType, indexType, indexType});
  OpBuilder builder(module.getContext());
  if (op->hasAttr(ownResult))
    types.push_back(builder.getI1Type());
  builder.setInsertionPointToEnd(module.getBody());
  // The name tells in a profile which kernel this is.
  std::string name = (op->getName().getStringRef() + "." + Twine(counts[op->getName()]++)).str();
  auto function =
      func::FuncOp::create(builder, op->getLoc(), name, builder.getFunctionType(types, {}));
  function.setPrivate();
  // Profiles then tell kernels apart, and LLVM optimizes many small functions rather than one huge
  // one.
  function->setAttr("passthrough", builder.getStrArrayAttr({"noinline"}));
  symbols.insert(function);
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  size_t operands = op->getNumOperands();
  Emission emission(builder, op->getLoc(), machine, entry->getArgument(operands + 1),
                    entry->getArgument(operands + 2), entry->getArgument(operands));
  if (op->hasAttr(ownResult))
    emission.ownResult = entry->getArgument(operands + 3);
  // The op is kept apart: it goes on describing the function after its program is rewritten.
  if (failed(emitKernel(op, entry->getArguments().take_front(operands), emission)))
    return failure();
  func::ReturnOp::create(builder, op->getLoc());
  emitted.push_back({op->clone(), function, emission.scratchBytes});
  return emitted.back();
}

func::FuncOp Emitter::declare(StringRef name, FunctionType type) {
  if (auto known = symbols.lookup<func::FuncOp>(name))
    return known;
  OpBuilder builder(module.getContext());
  auto function = func::FuncOp::create(builder, module.getLoc(), name, type);
  function.setPrivate();
  symbols.insert(function);
  return function;
}

/// Barriers where they are needed in any case, and those that are only where threads share what
/// they may have copies of.
void Emitter::placeBarriers(const Turns &few, const Turns &many, Value isFew) {
  IRRewriter rewriter(module.getContext());
  for (Operation *op : few.barriers()) {
    rewriter.setInsertionPoint(op);
    omp::BarrierOp::create(rewriter, op->getLoc());
    ++barriers;
  }
  for (Operation *op : many.barriers()) {
    if (llvm::is_contained(few.barriers(), op))
      continue;
    rewriter.setInsertionPoint(op);
    // An empty branch rather than a negation: copies are chosen by this very value, and LLVM then
    // knows on either side which they are, which it does not from the opposite comparison.
    auto conditional = scf::IfOp::create(rewriter, op->getLoc(), TypeRange(), isFew,
                                         /*addThenBlock=*/true, /*addElseBlock=*/true);
    rewriter.setInsertionPointToStart(conditional.thenBlock());
    scf::YieldOp::create(rewriter, op->getLoc());
    rewriter.setInsertionPointToStart(conditional.elseBlock());
    omp::BarrierOp::create(rewriter, op->getLoc());
    scf::YieldOp::create(rewriter, op->getLoc());
    ++barriers;
  }
}

LogicalResult Emitter::replaceKernels(func::FuncOp body, int64_t &scratchBytes) {
  FailureOr<SmallVector<Operation *>> kernels = emission::takeKernels(body, "the CPU");
  if (failed(kernels))
    return failure();
  OwnCopies copies(body);
  llvm::DenseMap<Operation *, KernelFunction> functionOf;
  for (Operation *op : *kernels) {
    OwnCopies::Share share = copies.shareOf(op);
    if (isa<kernel::CachedAttentionOp>(op) && share != OwnCopies::Share::Units)
      op->setAttr(ownResult, UnitAttr::get(module.getContext()));
    FailureOr<KernelFunction> kernel = getKernel(op);
    if (failed(kernel))
      return failure();
    if (kernel->scratchBytes && share != OwnCopies::Share::Units && !op->hasAttr(ownResult))
      return op->emitOpError("needs memory that threads share, and is to run on each of them");
    functionOf.try_emplace(op, *kernel);
  }
  auto scratchOf = [&](Operation *op) { return functionOf.at(op).scratchBytes; };
  // Where threads have copies, fewer kernels wait: what may run together then has scratch memory of
  // its own in either case.
  IRRewriter rewriter(module.getContext());
  Turns few(body, scratchOf, copies, /*few=*/true), many(body, scratchOf, copies, /*few=*/false);
  scratchBytes = few.scratchBytes();
  Value isFew = copies.few(rewriter);
  placeBarriers(few, many, isFew);
  auto added = body.getArguments().take_back(3);
  Value scratch = added[0], thread = added[1], threads = added[2];
  for (Operation *op : *kernels) {
    const KernelFunction &kernel = functionOf.at(op);
    rewriter.setInsertionPoint(op);
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(rewriter, op->getLoc(), value);
    };
    Value own = scratch;
    if (int64_t start = few.scratchStart(op))
      own = memref::ViewOp::create(rewriter, op->getLoc(), scratchType, scratch, constant(start),
                                   constant(kernel.scratchBytes));
    SmallVector<Value> operands(op->getOperands());
    OwnCopies::Share share = copies.shareOf(op);
    if (share == OwnCopies::Share::Units) {
      operands.append({own, thread, threads});
    } else {
      Value whole = isFew;
      if (share == OwnCopies::Share::Whole)
        whole = arith::ConstantIntOp::create(rewriter, op->getLoc(), 1, /*width=*/1);
      auto where = [&](int64_t alone, Value shared) -> Value {
        return arith::SelectOp::create(rewriter, op->getLoc(), whole, constant(alone), shared);
      };
      if (op->hasAttr(ownResult))
        operands.append({own, thread, threads, whole});
      else
        operands.append({own, where(0, thread), where(1, threads)});
    }
    func::CallOp::create(rewriter, op->getLoc(), kernel.function, operands);
    rewriter.eraseOp(op);
    ++calls;
  }
  copies.makeCopies(rewriter);
  return success();
}

LogicalResult Emitter::run(func::FuncOp program) {
  OpBuilder builder(module.getContext());
  Location loc = program.getLoc();
  Value arena;
  for (BlockArgument argument : program.getArguments())
    if (program.getArgAttr(argument.getArgNumber(), "quern.arena"))
      arena = argument;

  // The body moves into a function that every thread calls.
  SmallVector<Type> types(program.getArgumentTypes());
  types.append({scratchType, indexType, indexType});
  auto threads = func::FuncOp::create(builder, loc, (program.getSymName() + ".threads").str(),
                                      builder.getFunctionType(types, {}));
  threads.setPrivate();
  symbols.insert(threads);
  threads.getBody().takeBody(program.getBody());
  threads.getBody().front().addArguments({scratchType, indexType, indexType}, {loc, loc, loc});
  int64_t scratchBytes = 0;
  if (failed(replaceKernels(threads, scratchBytes)))
    return failure();

  Block *entry = program.addEntryBlock();
  builder.setInsertionPointToStart(entry);
  Value bytes = arith::ConstantIndexOp::create(builder, loc, scratchBytes);
  Value scratch;
  bool ownScratch = !arena;
  if (arena) {
    arena = entry->getArgument(cast<BlockArgument>(arena).getArgNumber());
    Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
    Value size = memref::DimOp::create(builder, loc, arena, zero);
    Value offset = arith::SubIOp::create(builder, loc, size, bytes);
    scratch = memref::ViewOp::create(builder, loc, scratchType, arena, offset, bytes);
    emission::growArena(symbols, program, scratchBytes);
  } else {
    scratch =
        memref::AllocOp::create(builder, loc, scratchType, bytes, builder.getI64IntegerAttr(64));
  }

  IntegerType i32 = builder.getI32Type();
  func::FuncOp number = declare("omp_get_thread_num", builder.getFunctionType({}, {i32}));
  func::FuncOp count = declare("omp_get_num_threads", builder.getFunctionType({}, {i32}));
  auto parallel = omp::ParallelOp::create(builder, loc);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(&parallel.getRegion().emplaceBlock());
    auto call = [&](func::FuncOp function) -> Value {
      Value result = func::CallOp::create(builder, loc, function, ValueRange()).getResult(0);
      return arith::IndexCastOp::create(builder, loc, indexType, result);
    };
    SmallVector<Value> operands(entry->getArguments());
    operands.append({scratch, call(number), call(count)});
    func::CallOp::create(builder, loc, threads, operands);
    omp::TerminatorOp::create(builder, loc);
  }
  if (ownScratch)
    memref::DeallocOp::create(builder, loc, scratch);
  func::ReturnOp::create(builder, loc);
  return success();
}

struct EmitCPU : quern::cpu::impl::EmitCPUBase<EmitCPU> {
  using EmitCPUBase::EmitCPUBase;

  void runOnOperation() override {
    llvm::Expected<Machine> machine = Machine::get(cpu, this->machine);
    if (!machine) {
      getOperation().emitError(llvm::toString(machine.takeError()));
      return signalPassFailure();
    }
    SmallVector<func::FuncOp> programs;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function->hasAttr("quern.target") || !emission::hasKernels(function))
        continue;
      if (function.getNumResults() || !llvm::hasSingleElement(function.getBody())) {
        function.emitError("a program with kernels must have one block and no results");
        return signalPassFailure();
      }
      programs.push_back(function);
    }
    Emitter emitter(getOperation(), *machine);
    for (func::FuncOp program : programs)
      if (failed(emitter.run(program)))
        return signalPassFailure();
    numKernels += emitter.calls;
    numBarriers += emitter.barriers;
    numFunctions += emitter.functions();
  }
};

} // namespace
