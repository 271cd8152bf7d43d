//===- Precision.cpp - Which values are stored in 16 bits -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Values that must have one type (an operand that a kernel overwrites and its result, a slice and
/// its source, what a loop carries) form classes. A class is stored as bf16 when a kernel makes one
/// of its members as an activation, and none of them is the program's own memory: moments,
/// gradients, losses and statistics stay f32, and so do parameters that the program trains. What
/// multiplies an activation is a copy of such a parameter in bf16, made once a step, where the
/// target multiplies bf16 with bf16.
///
/// Programs that do not train read parameters and caches, again and again, and in a decoder that is
/// all their time. There caches, and parameters that are factors or tables, are bf16 in memory.
///
//===---------------------------------------------------------------------------------------------===//

#include "SeparateBuffers.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace quern::kernels {
#define GEN_PASS_DEF_PRECISION
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

/// Tensors that could be stored in 16 bits.
bool isCandidate(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() > 0 && type.getElementType().isF32();
}

bool isNarrow(Value value) { return getElementTypeOrSelf(value.getType()).isBF16(); }

RankedTensorType narrowed(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), BFloat16Type::get(type.getContext()),
                               tensor.getEncoding());
}

/// Of Q, K and V.
SmallVector<Value> gradients(kernel::AttentionBackwardOp op) {
  return SmallVector<Value>(op->getResults().take_front(3));
}

/// The results of a kernel that are activations, or gradients of activations: what is as large as
/// the batch. All others are small, or sums over the batch, and keep their digits.
SmallVector<Value> activations(Operation *op) {
  auto all = [&] { return SmallVector<Value>(op->getResults()); };
  auto first = [&] { return SmallVector<Value>{op->getResult(0)}; };
  return TypeSwitch<Operation *, SmallVector<Value>>(op)
      .Case([&](kernel::GemmOp gemm) {
        return gemm.getTransposeA() ? SmallVector<Value>() : all(); // else a weight's gradient
      })
      .Case<kernel::BatchGemmOp, kernel::NormOp, kernel::SoftmaxOp, kernel::SoftmaxBackwardOp,
            kernel::EmbeddingOp, kernel::PositionEmbeddingOp, kernel::RotaryOp>(
          [&](auto) { return all(); })
      // D, the fourth, is a sum over a row, as the log-sum-exp is.
      .Case([&](kernel::AttentionBackwardOp op) { return gradients(op); })
      .Case<kernel::AttentionOp, kernel::NormBackwardOp>([&](auto) { return first(); })
      .Case([&](kernel::CrossEntropyGradientOp) { return SmallVector<Value>{op->getResult(1)}; })
      .Default([](Operation *) { return SmallVector<Value>(); });
}

/// Operands that a kernel multiplies with each other: where it is matrix instructions that do, they
/// take them in one type.
SmallVector<OpOperand *> factors(Operation *op) {
  auto operands = [&](std::initializer_list<unsigned> numbers) {
    SmallVector<OpOperand *> list;
    for (unsigned number : numbers)
      list.push_back(&op->getOpOperand(number));
    return list;
  };
  return TypeSwitch<Operation *, SmallVector<OpOperand *>>(op)
      .Case<kernel::GemmOp, kernel::BatchGemmOp>([&](auto) { return operands({0, 1}); })
      .Case<kernel::AttentionOp>([&](auto) { return operands({0, 1, 2}); })
      .Case<kernel::AttentionBackwardOp>([&](auto) {
        // Q, K, V, O and the gradient of O; the log-sum-exp between them is f32.
        return operands({0, 1, 2, 3, 5});
      })
      .Default([](Operation *) { return SmallVector<OpOperand *>(); });
}

bool isView(Operation *op) {
  return isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
             tensor::CastOp>(op);
}

/// Whether all that is read of `value`, also through views, are factors of products and rows of
/// tables: what is large. Kernels widen these on their way into registers.
bool isFactorOrTable(Value value) {
  return llvm::all_of(value.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    unsigned number = use.getOperandNumber();
    if (isView(user))
      return isFactorOrTable(user->getResult(0));
    return llvm::TypeSwitch<Operation *, bool>(user)
        .Case<kernel::GemmOp, kernel::BatchGemmOp>([&](auto) { return number < 2; })
        .Case([&](kernel::EmbeddingOp op) {
          return use.get() == op.getTable() || use.get() == op.getPositions();
        })
        .Case([&](kernel::PositionEmbeddingOp op) { return use.get() == op.getTable(); })
        .Case([](tensor::DimOp) { return true; })
        .Default([](Operation *) { return false; });
  });
}

/// What an argument of a program is for: "parameter", "cache", ...
StringRef roleOf(func::FuncOp program, Value argument) {
  auto known = dyn_cast<BlockArgument>(argument);
  auto role = known ? program.getArgAttrOfType<StringAttr>(known.getArgNumber(), "quern.role")
                    : StringAttr();
  return role ? role.getValue() : StringRef();
}

/// The argument of a program that `value` is a view of; null for all else.
Value argumentOf(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && isView(op))
    op = op->getOperand(0).getDefiningOp();
  auto read = dyn_cast_or_null<bufferization::ToTensorOp>(op);
  return read ? read.getBuffer() : Value();
}

/// Which values of a program become bf16.
struct Storage {
  bool activations; ///< else kernels leave their results in f32
  bool arguments;   ///< parameters and caches
  bool oneType;     ///< copies of all f32 factors, for kernels that multiply bf16 with bf16
  bool weights;     ///< copies of weights that are trained, where products multiply them
};

class Narrowing {
public:
  Narrowing(func::FuncOp program, Storage storage)
      : program(program), storage(storage), builder(program.getContext()) {}

  /// Returns whether anything is bf16 now.
  bool run() {
    // Each of a type of its own.
    kernels::separateEmpties(
        program, [](OpOperand &use) { return use.get().getDefiningOp()->getNextNode(); });
    program.walk([&](Operation *op) { collect(op); });
    spread();
    retype();
    if (storage.oneType || (storage.activations && storage.weights))
      castFactors();
    return !narrow.empty();
  }

private:
  void collect(Operation *op);
  bool collectArgument(Operation *op);
  void spread();
  void retype();
  void retypeArguments();
  void retypeBody(linalg::LinalgOp op);
  void castFactors();
  bool wantsCast(Operation *op, Value factor) const;
  Value narrowCopy(Value value);

  void tie(Value a, Value b) {
    if (isCandidate(a) && isCandidate(b))
      classes.unionSets(a.getAsOpaquePointer(), b.getAsOpaquePointer());
  }
  void pin(Value value) {
    if (isCandidate(value))
      pinned.push_back(value);
  }
  void *leader(Value value) { return classes.getOrInsertLeaderValue(value.getAsOpaquePointer()); }

  func::FuncOp program;
  Storage storage;
  OpBuilder builder;
  llvm::EquivalenceClasses<void *> classes;
  SmallVector<Value> seeds, pinned;
  SmallVector<linalg::LinalgOp> elementwise;
  llvm::MapVector<Value, SmallVector<Value>> tensors; ///< of parameters and caches
  llvm::DenseSet<void *> wide, narrow;                ///< leaders
  llvm::DenseMap<Value, Value> casts;
};

void Narrowing::collect(Operation *op) {
  for (Value result : op->getResults())
    if (isCandidate(result))
      classes.insert(result.getAsOpaquePointer());
  if (isa<kernel::KernelDialect, linalg::LinalgDialect>(op->getDialect()) &&
      isa<DestinationStyleOpInterface>(op)) {
    if (!op->getNumResults()) // written on memrefs
      return;
    auto kernel = cast<DestinationStyleOpInterface>(op);
    for (auto [init, result] : llvm::zip_equal(kernel.getDpsInits(), op->getResults()))
      tie(init, result);
    if (auto generic = dyn_cast<linalg::LinalgOp>(op)) {
      elementwise.push_back(generic);
      // What is reduced in the memory of the result keeps its digits.
      if (storage.activations && !storage.oneType && generic.getNumReductionLoops())
        for (Value result : op->getResults())
          pin(result);
      return;
    }
    if (storage.activations)
      for (Value value : activations(op))
        if (isCandidate(value))
          seeds.push_back(value);
    if (isa<kernel::AttentionOp>(op))
      tie(op->getOperand(0), op->getResult(0));
    // What is drawn depends on them as on logits that a program returns.
    if (auto sample = dyn_cast<kernel::SampleOp>(op))
      pin(sample.getLogits());
    if (auto attention = dyn_cast<kernel::AttentionBackwardOp>(op))
      for (Value gradient : gradients(attention))
        tie(op->getOperand(0), gradient);
    return;
  }
  if (isa<tensor::EmptyOp>(op))
    return;
  if (isView(op))
    return tie(op->getOperand(0), op->getResult(0));
  if (isa<tensor::InsertSliceOp>(op)) {
    tie(op->getOperand(0), op->getResult(0));
    return tie(op->getOperand(1), op->getResult(0));
  }
  if (isa<tensor::DimOp>(op))
    return;
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    for (auto [init, argument, last, result] :
         llvm::zip_equal(loop.getInits(), loop.getRegionIterArgs(), loop.getYieldedValues(),
                         loop.getResults())) {
      tie(init, argument);
      tie(argument, last);
      tie(argument, result);
    }
    return;
  }
  if (isa<scf::YieldOp, linalg::YieldOp>(op) || (storage.arguments && collectArgument(op)))
    return;
  // The program's own memory, and whatever else there is.
  for (Value operand : op->getOperands())
    pin(operand);
  for (Value result : op->getResults())
    pin(result);
}

/// Takes note of a parameter or a cache that may be bf16 in memory; false for all else.
bool Narrowing::collectArgument(Operation *op) {
  if (auto read = dyn_cast<bufferization::ToTensorOp>(op)) {
    StringRef role = roleOf(program, read.getBuffer());
    Value value = read.getResult();
    if (!isCandidate(value) ||
        !(role == "cache" || (role == "parameter" && isFactorOrTable(value))))
      return false;
    seeds.push_back(value);
    tensors[read.getBuffer()].push_back(value);
    return true;
  }
  // The cache, updated.
  auto write = dyn_cast<bufferization::MaterializeInDestinationOp>(op);
  if (!write || roleOf(program, write.getDest()) != "cache" || !tensors.contains(write.getDest()))
    return false;
  tie(write.getSource(), tensors[write.getDest()].front());
  return true;
}

/// What elementwise work makes of activations alone is an activation too.
void Narrowing::spread() {
  for (Value value : pinned)
    wide.insert(leader(value));
  auto mark = [&](Value value) {
    void *of = leader(value);
    return !wide.contains(of) && narrow.insert(of).second;
  };
  for (Value value : seeds)
    mark(value);
  bool changed = storage.activations;
  while (changed) {
    changed = false;
    for (linalg::LinalgOp op : elementwise) {
      if (op.getNumReductionLoops())
        continue;
      bool fromActivation = llvm::any_of(op.getDpsInputs(), [&](Value input) {
        return isCandidate(input) && narrow.contains(leader(input));
      });
      if (fromActivation)
        for (Value result : op->getResults())
          changed |= isCandidate(result) && mark(result);
    }
  }
}

void Narrowing::retype() {
  auto narrowValue = [&](Value value) {
    if (isCandidate(value) && narrow.contains(leader(value)))
      value.setType(narrowed(value.getType()));
  };
  // Leaders are looked up by value, and types change here only.
  program.walk([&](Operation *op) {
    for (Value result : op->getResults())
      narrowValue(result);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (Value argument : block.getArguments())
          narrowValue(argument);
  });
  for (linalg::LinalgOp op : elementwise)
    retypeBody(op);
  retypeArguments();
}

/// The memory of values that are bf16 now.
void Narrowing::retypeArguments() {
  SmallVector<Type> types(program.getArgumentTypes());
  for (auto &entry : tensors) {
    Value buffer = entry.first;
    if (!isNarrow(entry.second.front()))
      continue;
    auto type = cast<MemRefType>(buffer.getType());
    buffer.setType(MemRefType::Builder(type).setElementType(builder.getBF16Type()));
    types[cast<BlockArgument>(buffer).getArgNumber()] = buffer.getType();
  }
  program.setFunctionType(builder.getFunctionType(types, {}));
}

/// The body goes on computing in f32.
void Narrowing::retypeBody(linalg::LinalgOp op) {
  Block *body = op.getBlock();
  Type f32 = builder.getF32Type();
  for (auto [operand, argument] : llvm::zip_equal(op->getOperands(), body->getArguments())) {
    if (!isNarrow(operand) || !argument.getType().isF32())
      continue;
    argument.setType(builder.getBF16Type());
    builder.setInsertionPointToStart(body);
    auto wider = arith::ExtFOp::create(builder, op.getLoc(), f32, argument);
    argument.replaceAllUsesExcept(wider, wider);
  }
  Operation *yield = body->getTerminator();
  builder.setInsertionPoint(yield);
  for (auto [init, value] : llvm::zip_equal(op.getDpsInits(), yield->getOpOperands()))
    if (isNarrow(init) && value.get().getType().isF32())
      value.set(arith::TruncFOp::create(builder, op.getLoc(), builder.getBF16Type(), value.get()));
}

/// `value` in bf16. Views are taken of the cast source, so that a parameter is cast once, whole.
Value Narrowing::narrowCopy(Value value) {
  if (isNarrow(value))
    return value;
  Value &known = casts[value];
  if (known)
    return known;
  builder.setInsertionPointAfterValue(value);
  Operation *view = value.getDefiningOp();
  if (isa_and_nonnull<tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
          view)) {
    Value source = narrowCopy(view->getOperand(0));
    builder.setInsertionPointAfterValue(value);
    Operation *clone = builder.clone(*view);
    clone->setOperand(0, source);
    clone->getResult(0).setType(narrowed(value.getType()));
    return casts[value] = clone->getResult(0);
  }
  Location loc = value.getLoc();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, value);
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, builder.getBF16Type());
  auto rank = static_cast<unsigned>(sizes.size());
  SmallVector<AffineMap> maps(2, builder.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(builder, loc, empty.getType(), value, empty, maps, loops,
                                           [](OpBuilder &b, Location loc, ValueRange arguments) {
                                             Value narrow = arith::TruncFOp::create(
                                                 b, loc, b.getBF16Type(), arguments[0]);
                                             linalg::YieldOp::create(b, loc, narrow);
                                           });
  return casts[value] = generic.getResult(0);
}

/// Whether `op` multiplies `factor`, which is f32, as bf16 with what is bf16. A processor widens
/// what it loads, so that it need not; one that multiplies pairs of bf16 does so with weights.
bool Narrowing::wantsCast(Operation *op, Value factor) const {
  if (!getElementTypeOrSelf(factor.getType()).isF32())
    return false;
  if (storage.oneType)
    return true;
  Value argument = argumentOf(factor);
  return isa<kernel::GemmOp, kernel::BatchGemmOp>(op) && argument &&
         roleOf(program, argument) == "parameter";
}

void Narrowing::castFactors() {
  SmallVector<Operation *> kernels;
  program.walk([&](Operation *op) { kernels.push_back(op); });
  for (Operation *op : kernels) {
    SmallVector<OpOperand *> list = factors(op);
    if (llvm::none_of(list, [](OpOperand *factor) { return isNarrow(factor->get()); }))
      continue;
    for (OpOperand *factor : list)
      if (wantsCast(op, factor->get()))
        factor->set(narrowCopy(factor->get()));
  }
}

/// A program that trains has the parameters themselves: its updates would be lost in 8 bits.
bool isTraining(func::FuncOp program) {
  return llvm::any_of(program.getArguments(), [&](BlockArgument argument) {
    StringRef role = roleOf(program, argument);
    return role == "gradient" || role == "first_moment";
  });
}

struct Precision : quern::kernels::impl::PrecisionBase<Precision> {
  using PrecisionBase::PrecisionBase;

  void runOnOperation() override {
    if (precision != "f32" && precision != "bf16" && precision != "auto") {
      getOperation().emitError("there is no precision '")
          << precision << "'; there are f32, bf16 and auto";
      return signalPassFailure();
    }
    for (auto program : getOperation().getOps<func::FuncOp>()) {
      bool onDevice = program->hasAttr("quern.target");
      bool narrow = precision == "bf16" || (precision == "auto" && onDevice);
      if (!narrow || !program->hasAttr("quern.program"))
        continue;
      bool trains = isTraining(program);
      // Processors take factors of two types.
      Storage storage{/*activations=*/onDevice || trains, /*arguments=*/!trains,
                      /*oneType=*/onDevice, /*weights=*/weightCopies};
      if (!Narrowing(program, storage).run())
        continue;
      program->setAttr("quern.precision", StringAttr::get(&getContext(), "bf16"));
      ++numPrograms;
    }
  }
};

} // namespace
