//===- Layout.cpp - Which parameters lie in memory as panels ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// Values that share their memory, or are combined element by element, form a class: a parameter,
/// its moments and its gradient in all programs, their layers, what loops carry. A class lies in
/// panels when a product has one of its members as B and every op that touches one of them can do
/// with panels.
///
//===---------------------------------------------------------------------------------------------===//

#include "MicroKernel.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/CPU/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/TypeSwitch.h"

namespace quern::cpu {
#define GEN_PASS_DEF_LAYOUT
#include "quern/CPU/Passes.h.inc"
} // namespace quern::cpu

using namespace mlir;
using namespace quern;
using namespace quern::cpu;

namespace {

/// The name of the parameter that an argument of a program is, or whose moment or gradient it is.
StringAttr parameterOf(func::FuncOp program, BlockArgument argument) {
  unsigned i = argument.getArgNumber();
  auto role = program.getArgAttrOfType<StringAttr>(i, "quern.role");
  if (!role || !llvm::is_contained({"parameter", "first_moment", "second_moment", "gradient"},
                                   role.getValue()))
    return {};
  return program.getArgAttrOfType<StringAttr>(i, "quern.name");
}

/// A slice that takes matrices whole: some of the leading dimensions, all of the last two.
template <typename Slice>
bool takesWholeMatrices(Slice slice, RankedTensorType whole, RankedTensorType part) {
  int64_t rank = whole.getRank();
  if (part.getRank() < 2 || rank < 2)
    return false;
  for (int64_t d = 0; d < rank; ++d)
    if (slice.getStaticStrides()[d] != 1 ||
        (d >= rank - 2 && (slice.getStaticOffsets()[d] != 0 || whole.isDynamicDim(d) ||
                           slice.getStaticSizes()[d] != whole.getDimSize(d))))
      return false;
  return part.getShape().take_back(2) == whole.getShape().take_back(2);
}

/// A weight's gradient, as it comes out of the sums.
bool isPlainGradient(kernel::GemmOp op) {
  return op.getTransposeA() && op.getOutputs().size() == 1 && !op.getBias() && !op.getResidual() &&
         op.getActivation() == kernel::Activation::None && !op.hasRegion();
}

/// A copy in another type, element by element: it lies in memory as its source does.
bool isConversion(linalg::GenericOp op) {
  return op.getNumDpsInputs() == 1 && op.getNumDpsInits() == 1 && op.getNumReductionLoops() == 0 &&
         llvm::all_of(op.getIndexingMapsArray(), [](AffineMap map) { return map.isIdentity(); }) &&
         op.getBlock()->getOperations().size() == 2 && isa<arith::TruncFOp>(op.getBlock()->front());
}

class Classes {
public:
  void add(func::FuncOp program);
  /// The panels of each class that has some, by its leader.
  void choose(const Machine &machine);
  /// Writes them down in the ops and arguments; returns how many parameters have them.
  int64_t apply();

private:
  using Key = const void *;
  static Key key(Value value) { return value.getAsOpaquePointer(); }
  /// Memory that nobody has written yet may be any, and one op stands for many.
  static bool counts(Value value) {
    auto type = dyn_cast<ShapedType>(value.getType());
    return type && type.hasRank() && type.getRank() >= 2 && !value.getDefiningOp<tensor::EmptyOp>();
  }
  void unite(Value a, Value b) {
    if (counts(a) && counts(b))
      classes.unionSets(key(a), key(b));
    else
      for (Value value : {a, b})
        if (counts(value))
          classes.insert(key(value));
  }
  void unite(ValueRange values) {
    for (Value value : values.drop_front())
      unite(values.front(), value);
  }
  void exclude(Value value) {
    if (counts(value)) {
      classes.insert(key(value));
      excluded.push_back(key(value));
    }
  }
  void visit(Operation *op);
  void visit(kernel::GemmOp op);
  void visit(kernel::GemmAdamWOp op);
  kernel::PanelsAttr panelsOf(Key key) const {
    auto found = classes.findLeader(key);
    return found == classes.member_end() ? kernel::PanelsAttr() : panels.lookup(*found);
  }

  llvm::EquivalenceClasses<Key> classes;
  SmallVector<Key> excluded;
  llvm::DenseMap<Key, kernel::PanelsAttr> panels;
  SmallVector<kernel::GemmOp> products;
  SmallVector<kernel::GemmAdamWOp> updates;
  SmallVector<BlockArgument> arguments; ///< of programs: parameters, their moments and gradients
};

void Classes::add(func::FuncOp program) {
  for (BlockArgument argument : program.getArguments()) {
    StringAttr name = parameterOf(program, argument);
    if (!name || !counts(argument))
      continue;
    classes.unionSets(key(argument), name.getAsOpaquePointer());
    arguments.push_back(argument);
    for (Operation *user : argument.getUsers())
      if (!isa<bufferization::ToTensorOp, bufferization::MaterializeInDestinationOp>(user))
        exclude(argument);
  }
  program.walk([&](Operation *op) { visit(op); });
}

void Classes::visit(kernel::GemmOp op) {
  bool isGradient = isPlainGradient(op);
  for (OpOperand &operand : op->getOpOperands()) {
    bool isB = operand.get() == op.getB() && operand.getOperandNumber() == 1;
    bool isInit = op.isDpsInit(&operand);
    if (isB && !op.getTransposeA())
      classes.insert(key(operand.get()));
    else if (isInit && isGradient && op.getAccumulate())
      unite(operand.get(), op.getResult(0));
    else if (!isInit || !isGradient)
      exclude(operand.get());
  }
  for (Value result : op->getResults())
    if (isGradient)
      classes.insert(key(result));
    else
      exclude(result);
  products.push_back(op);
}

/// An update: of the parameter and its moments, which lie alike, by a gradient that is nowhere.
void Classes::visit(kernel::GemmAdamWOp op) {
  exclude(op.getA());
  exclude(op.getB());
  unite(op.getOutputs());
  unite(op->getResults());
  unite(op.getOutputs()[0], op->getResult(0));
  updates.push_back(op);
}

void Classes::visit(Operation *op) {
  llvm::TypeSwitch<Operation *>(op)
      .Case<kernel::GemmOp, kernel::GemmAdamWOp>([&](auto op) { visit(op); })
      .Case([&](tensor::ExtractSliceOp op) {
        unite(op.getSource(), op.getResult());
        if (!takesWholeMatrices(op, op.getSourceType(), op.getResultType()))
          exclude(op.getSource()), exclude(op.getResult());
      })
      .Case([&](tensor::InsertSliceOp op) {
        unite({op.getDest(), op.getSource(), op.getResult()});
        if (!takesWholeMatrices(op, op.getDestType(), op.getSourceType()))
          exclude(op.getDest()), exclude(op.getSource());
      })
      .Case([&](scf::ForOp op) {
        for (auto [init, argument, result, next] : llvm::zip_equal(
                 op.getInitArgs(), op.getRegionIterArgs(), op.getResults(), op.getYieldedValues()))
          unite({argument, init, result, next});
      })
      .Case([&](kernel::AdamWOp op) {
        for (auto [i, gradient] : llvm::enumerate(op.getGradients()))
          for (size_t k = 3 * i; k < 3 * i + 3; ++k) {
            unite(gradient, op.getOutputs()[k]);
            if (op->getNumResults())
              unite(gradient, op->getResult(k));
          }
      })
      .Case<linalg::FillOp, linalg::CopyOp>([&](auto op) {
        for (Value value : op->getOperands())
          unite(value, op->getResult(0));
      })
      .Case([&](bufferization::ToTensorOp op) { unite(op.getBuffer(), op.getResult()); })
      .Case([&](bufferization::MaterializeInDestinationOp op) {
        unite(op.getSource(), op.getDest());
      })
      .Case([&](linalg::GenericOp op) {
        if (isConversion(op))
          return unite(op.getDpsInputs()[0], op->getResult(0));
        for (Value value : llvm::concat<Value>(SmallVector<Value>(op->getOperands()),
                                               SmallVector<Value>(op->getResults())))
          exclude(value);
      })
      // A sum over all elements, sizes, and what the loops above end with.
      .Case<kernel::SquaredNormOp, tensor::DimOp, tensor::EmptyOp, scf::YieldOp, func::ReturnOp>(
          [](auto) {})
      .Default([&](Operation *op) {
        for (Value value : op->getOperands())
          exclude(value);
        for (Value value : op->getResults())
          exclude(value);
      });
}

void Classes::choose(const Machine &machine) {
  llvm::DenseSet<Key> parameters; // what is none stays as it is
  for (BlockArgument argument : arguments)
    parameters.insert(*classes.findLeader(key(argument)));
  // The first product decides: it is the forward pass, which every program has.
  for (kernel::GemmOp op : products) {
    if (op.getTransposeA())
      continue;
    Key leader = *classes.findLeader(key(op.getB()));
    if (!parameters.contains(leader))
      continue;
    auto type = cast<ShapedType>(op.getB().getType());
    Type compute = type.getElementType().isF64() ? type.getElementType()
                                                 : Type(Float32Type::get(op.getContext()));
    int64_t width = registerTile(machine, compute).columns();
    if (!type.hasStaticShape() || llvm::any_of(type.getShape(), [&](int64_t size) {
          return size < width; // smaller than a tile: nothing to gain
        })) {
      excluded.push_back(leader);
      continue;
    }
    auto side = op.getTransposeB() ? kernel::PanelSide::Rows : kernel::PanelSide::Columns;
    panels.try_emplace(leader, kernel::PanelsAttr::get(op.getContext(), width, side));
  }
  for (Key key : excluded)
    panels.erase(*classes.findLeader(key));
}

int64_t Classes::apply() {
  for (kernel::GemmOp op : products) {
    if (!op.getTransposeA())
      if (kernel::PanelsAttr attribute = panelsOf(key(op.getB())))
        op.setPanelsBAttr(attribute);
    if (isPlainGradient(op) && op->getNumResults())
      if (kernel::PanelsAttr attribute = panelsOf(key(op->getResult(0))))
        op.setPanelsCAttr(attribute);
  }
  for (kernel::GemmAdamWOp op : updates)
    if (kernel::PanelsAttr attribute = panelsOf(key(op.getOutputs()[0])))
      op.setPanelsAttr(attribute);
  llvm::DenseSet<Attribute> names;
  for (BlockArgument argument : arguments) {
    auto program = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    if (kernel::PanelsAttr attribute = panelsOf(key(argument))) {
      program.setArgAttr(argument.getArgNumber(), "quern.panels", attribute);
      names.insert(parameterOf(program, argument));
    }
  }
  return names.size();
}

struct Layout : quern::cpu::impl::LayoutBase<Layout> {
  using LayoutBase::LayoutBase;

  void runOnOperation() override {
    llvm::Expected<Machine> machine = Machine::get(cpu, this->machine);
    if (!machine) {
      getOperation().emitError(llvm::toString(machine.takeError()));
      return signalPassFailure();
    }
    Classes classes;
    for (auto program : getOperation().getOps<func::FuncOp>())
      if (program->hasAttr("quern.program"))
        classes.add(program);
    classes.choose(*machine);
    numParameters += classes.apply();
  }
};

} // namespace
