//===- PlanArena.cpp - Places all buffers of a program in one arena ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "ArenaUse.h"
#include "dialects/Kernel/Description.h"
#include "quern/Kernels/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

namespace quern::kernels {
#define GEN_PASS_DEF_PLANARENA
#include "quern/Kernels/Passes.h.inc"
} // namespace quern::kernels

using namespace mlir;
using namespace quern;

namespace {

constexpr int64_t alignment = 64; // a cache line, and the widest vector

/// One buffer: its size in bytes is `bytes` times the product of `factors`; it lives from op
/// `first` to op `last`.
struct Buffer {
  memref::AllocOp alloc;
  int64_t bytes;
  SmallVector<Value> factors;
  int64_t first, last;
  int64_t offset = 0;
};

/// Buffers with the same dynamic factor, which share one part of the arena.
struct Region {
  SmallVector<Value> factors;
  SmallVector<Buffer *> buffers;
  int64_t bytes = 0;
};

class ArenaPlanner {
public:
  explicit ArenaPlanner(func::FuncOp program) : program(program) {}

  LogicalResult run(SymbolTable &symbols);
  int64_t buffers() const { return all.size(); }
  llvm::json::Array description; ///< of what the arena is for, by Program.h
  int64_t staticBytes = 0, unsharedBytes = 0;

private:
  LogicalResult collect();
  int64_t lastUse(memref::AllocOp alloc);
  int64_t lastWait(Operation *user);
  void place(Region &region);
  Value product(OpBuilder &b, Location loc, ArrayRef<Value> factors, IRMapping *mapping);

  func::FuncOp program;
  DenseMap<Operation *, int64_t> position; ///< of each op in program order
  DenseMap<Operation *, int64_t> end;      ///< the last position within an op
  std::vector<Buffer> all;
  std::vector<Region> regions;
};

/// Until when other threads may still run `user`: what each of them does for itself has no barrier
/// after it, but before what comes after the use of its results.
int64_t ArenaPlanner::lastWait(Operation *user) {
  int64_t last = 0;
  auto kernel = dyn_cast<DestinationStyleOpInterface>(user);
  for (Value output : kernel ? ValueRange(kernel.getDpsInits()) : ValueRange()) {
    while (auto view = output.getDefiningOp<ViewLikeOpInterface>())
      output = view.getViewSource();
    auto own = output.getDefiningOp<memref::AllocOp>();
    if (own && own->hasAttr("quern.per_thread"))
      last = std::max(last, lastUse(own));
  }
  return last;
}

/// The last position at which a buffer or a view of it is used. A use in a loop that the buffer was
/// made outside of counts until the end of the loop, for the next iteration may use it again.
int64_t ArenaPlanner::lastUse(memref::AllocOp alloc) {
  int64_t last = position[alloc];
  SmallVector<Value> aliases{alloc.getResult()};
  llvm::SmallPtrSet<Operation *, 16> seen;
  while (!aliases.empty()) {
    for (Operation *user : aliases.pop_back_val().getUsers()) {
      Operation *ancestor = alloc->getBlock()->findAncestorOpInBlock(*user);
      last = std::max(last, end[ancestor]);
      if (!seen.insert(user).second)
        continue;
      if (!alloc->hasAttr("quern.per_thread"))
        last = std::max(last, lastWait(user));
      // Whatever gives a memref for a memref may be the same memory: views, and the arguments and
      // results of loops.
      for (Value result : user->getResults())
        if (isa<MemRefType>(result.getType()))
          aliases.push_back(result);
      if (auto loop = dyn_cast<LoopLikeOpInterface>(user))
        for (BlockArgument argument : loop.getRegionIterArgs())
          if (isa<MemRefType>(argument.getType()))
            aliases.push_back(argument);
      if (user->hasTrait<OpTrait::IsTerminator>())
        for (Value result : user->getParentOp()->getResults())
          if (isa<MemRefType>(result.getType()))
            aliases.push_back(result);
    }
  }
  return last;
}

LogicalResult ArenaPlanner::collect() {
  int64_t next = 0;
  program.walk<WalkOrder::PreOrder>([&](Operation *op) { position[op] = next++; });
  program.walk<WalkOrder::PostOrder>([&](Operation *op) {
    // By value: a lookup may move what an earlier one referred to.
    int64_t last = std::max(end.lookup(op), position.lookup(op));
    end[op] = last;
    if (Operation *parent = op->getParentOp())
      end[parent] = std::max(end.lookup(parent), last);
  });
  WalkResult walk = program.walk([&](memref::AllocOp alloc) {
    MemRefType type = alloc.getType();
    if (!type.getLayout().isIdentity()) {
      alloc.emitError("a buffer of the arena is dense, not ") << type;
      return WalkResult::interrupt();
    }
    Type element = type.getElementType();
    int64_t bytes = element.isIndex() ? 8 : llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
    for (int64_t size : type.getShape())
      if (!ShapedType::isDynamic(size))
        bytes *= size;
    Buffer buffer{alloc, static_cast<int64_t>(llvm::alignTo(bytes, alignment)),
                  llvm::to_vector(alloc.getDynamicSizes()), position[alloc], lastUse(alloc)};
    // In an order of the program's own: arguments first, then results.
    auto placeOf = [&](Value factor) -> std::pair<int64_t, int64_t> {
      if (auto result = dyn_cast<OpResult>(factor))
        return {position.lookup(result.getOwner()), result.getResultNumber()};
      return {-1, cast<BlockArgument>(factor).getArgNumber()};
    };
    llvm::sort(buffer.factors, [&](Value a, Value b) { return placeOf(a) < placeOf(b); });
    all.push_back(buffer);
    return WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}

/// Largest first, each at the lowest place that is free for its whole life (Pisarchyk and Lee 2020,
/// greedy by size).
void ArenaPlanner::place(Region &region) {
  llvm::sort(region.buffers, [](Buffer *a, Buffer *b) {
    return std::pair(-a->bytes, a->first) < std::pair(-b->bytes, b->first);
  });
  SmallVector<Buffer *> placed; // by offset
  for (Buffer *buffer : region.buffers) {
    int64_t offset = 0;
    for (Buffer *other : placed) {
      if (other->last < buffer->first || buffer->last < other->first)
        continue;
      if (offset + buffer->bytes <= other->offset)
        break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    buffer->offset = offset;
    region.bytes = std::max(region.bytes, offset + buffer->bytes);
    placed.insert(llvm::upper_bound(placed, buffer,
                                    [](Buffer *a, Buffer *b) { return a->offset < b->offset; }),
                  buffer);
  }
}

Value ArenaPlanner::product(OpBuilder &b, Location loc, ArrayRef<Value> factors,
                            IRMapping *mapping) {
  Value result;
  for (Value factor : factors) {
    if (mapping)
      factor = mapping->lookup(factor);
    result = result ? arith::MulIOp::create(b, loc, result, factor).getResult() : factor;
  }
  return result;
}

LogicalResult ArenaPlanner::run(SymbolTable &symbols) {
  if (failed(collect()))
    return failure();
  kernels::ArenaUse use(program);
  for (Buffer &buffer : all)
    use.add(buffer.alloc, buffer.bytes, buffer.factors);
  for (Buffer &buffer : all) {
    auto known =
        llvm::find_if(regions, [&](Region &region) { return region.factors == buffer.factors; });
    if (known == regions.end())
      known = regions.insert(regions.end(), {buffer.factors, {}, 0});
    known->buffers.push_back(&buffer);
  }
  // The constant part comes first, so that its addresses are constants as well.
  auto constant =
      llvm::find_if(regions, [](const Region &region) { return region.factors.empty(); });
  if (constant != regions.end())
    std::rotate(regions.begin(), constant, std::next(constant));
  for (Region &region : regions) {
    place(region);
    int64_t unshared = 0;
    for (Buffer *buffer : region.buffers)
      unshared += buffer->bytes;
    use.share(unshared - region.bytes, region.factors);
    if (region.factors.empty()) {
      staticBytes = region.bytes;
      unsharedBytes = unshared;
    }
  }
  description = use.describe();

  // Sizes are made of the arguments' dimensions; what computes them moves to the entry.
  Block &entry = program.getBody().front();
  llvm::SetVector<Operation *> sizeOps;
  std::function<LogicalResult(Value)> need = [&](Value value) -> LogicalResult {
    Operation *op = value.getDefiningOp();
    if (!op || sizeOps.contains(op))
      return success();
    if (!isa<memref::DimOp, arith::MulIOp, arith::DivUIOp, arith::DivSIOp, arith::AddIOp,
             arith::SubIOp, arith::ConstantOp>(op))
      return op->emitError("the size of a buffer depends on more than the sizes of arguments");
    if (auto dim = dyn_cast<memref::DimOp>(op); dim && !isa<BlockArgument>(dim.getSource()))
      return op->emitError("the size of a buffer depends on more than the sizes of arguments");
    for (Value operand : op->getOperands())
      if (failed(need(operand)))
        return failure();
    sizeOps.insert(op);
    return success();
  };
  for (Region &region : regions)
    for (Value factor : region.factors)
      if (failed(need(factor)))
        return failure();

  OpBuilder b(program);
  Location loc = program.getLoc();
  // The function that evaluates the formula.
  auto formula =
      func::FuncOp::create(b, loc, (program.getSymName() + ".arena_bytes").str(),
                           b.getFunctionType(program.getArgumentTypes(), {b.getI64Type()}));
  symbols.insert(formula, program->getIterator());
  IRMapping mapping;
  Block *formulaEntry = formula.addEntryBlock();
  mapping.map(entry.getArguments(), formulaEntry->getArguments());
  b.setInsertionPointToStart(formulaEntry);
  for (Operation *op : sizeOps)
    b.clone(*op, mapping);

  // Offsets are computed at the program's entry.
  auto argument = MemRefType::get({ShapedType::kDynamic}, b.getI8Type());
  if (failed(program.insertArgument(
          program.getNumArguments(), argument,
          b.getDictionaryAttr(b.getNamedAttr("quern.arena", b.getUnitAttr())), loc)))
    return program.emitError("cannot take an arena");
  Value arena = entry.getArguments().back();
  OpBuilder atEntry = OpBuilder::atBlockBegin(&entry), atFormula(formula.getContext());
  Value offset = arith::ConstantIndexOp::create(atEntry, loc, 0);
  for (Operation *op : sizeOps)
    op->moveBefore(offset.getDefiningOp());
  atEntry.setInsertionPointAfterValue(offset);
  atFormula.setInsertionPointToEnd(formulaEntry);
  Value total = arith::ConstantIndexOp::create(atFormula, loc, 0);
  for (auto [number, region] : llvm::enumerate(regions)) {
    Value factor = product(atEntry, loc, region.factors, nullptr);
    auto scaled = [&](OpBuilder &b, int64_t bytes, Value factor) -> Value {
      Value constant = arith::ConstantIndexOp::create(b, loc, bytes);
      return factor ? arith::MulIOp::create(b, loc, constant, factor).getResult() : constant;
    };
    for (Buffer *buffer : region.buffers) {
      Value start =
          arith::AddIOp::create(atEntry, loc, offset, scaled(atEntry, buffer->offset, factor));
      OpBuilder here(buffer->alloc);
      auto view = memref::ViewOp::create(here, buffer->alloc.getLoc(), buffer->alloc.getType(),
                                         arena, start, buffer->alloc.getDynamicSizes());
      // Which part of the arena it is, for those who ask whether two buffers overlap.
      view->setAttr("quern.place",
                    here.getDenseI64ArrayAttr({static_cast<int64_t>(number), buffer->offset,
                                               buffer->offset + buffer->bytes}));
      if (Attribute rows = buffer->alloc->getAttr("quern.per_thread"))
        view->setAttr("quern.per_thread", rows);
      buffer->alloc.replaceAllUsesWith(view.getResult());
    }
    offset = arith::AddIOp::create(atEntry, loc, offset, scaled(atEntry, region.bytes, factor));
    total = arith::AddIOp::create(
        atFormula, loc, total,
        scaled(atFormula, region.bytes, product(atFormula, loc, region.factors, &mapping)));
  }
  // Not before: the builder at the entry may stand before the first of them.
  for (Buffer &buffer : all)
    buffer.alloc.erase();
  Value bytes = arith::IndexCastOp::create(atFormula, loc, b.getI64Type(), total);
  func::ReturnOp::create(atFormula, loc, bytes);
  return success();
}

struct PlanArena : quern::kernels::impl::PlanArenaBase<PlanArena> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<func::FuncOp> programs;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (function->hasAttr("quern.program"))
        programs.push_back(function);
    // The runtime learns what the memory is for.
    llvm::Expected<kernel::Description> model = kernel::Description::read(getOperation());
    if (!model) {
      getOperation().emitError("the attribute quern.model is not JSON: ")
          << llvm::toString(model.takeError());
      return signalPassFailure();
    }
    for (func::FuncOp program : programs) {
      ArenaPlanner planner(program);
      if (failed(planner.run(symbols)))
        return signalPassFailure();
      numBuffers += planner.buffers();
      staticBytes += planner.staticBytes;
      unsharedBytes += planner.unsharedBytes;
      if (llvm::json::Object *described = model->find(program))
        (*described)[program->hasAttr("quern.target") ? "device_arena" : "arena"] =
            std::move(planner.description);
    }
    model->write(getOperation());
  }
};

} // namespace
