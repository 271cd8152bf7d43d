//===- ArenaUse.cpp - What the memory of an arena is for --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "ArenaUse.h"

#include "dialects/Kernel/Kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace quern::kernels {

/// A kernel that only changes the type of a parameter.
static bool copiesParameter(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumDpsInputs() != 1)
    return false;
  auto source = dyn_cast<BlockArgument>(generic.getDpsInputs()[0]);
  auto function = op->getParentOfType<func::FuncOp>();
  if (!source || !function || source.getOwner() != &function.getBody().front())
    return false;
  auto role = function.getArgAttrOfType<StringAttr>(source.getArgNumber(), "quern.role");
  return role && role.getValue() == "parameter" && generic.getBlock()->getOperations().size() == 2;
}

/// Gradients feed the optimizer; logits feed the loss; what two loops use is saved by one for the
/// other.
static StringRef useOf(memref::AllocOp alloc) {
  llvm::SmallPtrSet<Operation *, 4> loops;
  bool gradient = false, logits = false;
  SmallVector<Value> aliases{alloc.getResult()};
  while (!aliases.empty()) {
    Value alias = aliases.pop_back_val();
    for (Operation *user : alias.getUsers()) {
      Operation *ancestor = alloc->getBlock()->findAncestorOpInBlock(*user);
      if (isa<scf::ForOp>(ancestor))
        loops.insert(ancestor);
      if (copiesParameter(user) && cast<MemRefType>(alloc.getType()).getElementType().isBF16())
        return "copies of weights";
      if (auto adamw = dyn_cast<kernel::AdamWOp>(user))
        gradient |= llvm::is_contained(adamw.getGradients(), alias);
      if (isa<kernel::SquaredNormOp>(user))
        gradient |= user->getOperand(user->getNumOperands() - 1) != alias;
      if (auto loss = dyn_cast<kernel::CrossEntropyGradientOp>(user))
        logits |= loss.getOutputs()[1] == alias;
      if (auto loss = dyn_cast<kernel::CrossEntropyOp>(user))
        logits |= loss.getLogits() == alias;
      if (auto sample = dyn_cast<kernel::SampleOp>(user))
        logits |= sample.getLogits() == alias;
      for (Value result : user->getResults())
        if (isa<MemRefType>(result.getType()))
          aliases.push_back(result);
    }
  }
  if (gradient)
    return "gradients";
  if (logits)
    return "logits";
  return loops.size() > 1 ? "saved activations" : "activations";
}

std::string ArenaUse::dimensionName(Value size) const {
  func::FuncOp function = program;
  auto dim = size.getDefiningOp<memref::DimOp>();
  auto argument = dim ? dyn_cast<BlockArgument>(dim.getSource()) : BlockArgument();
  std::optional<int64_t> index = dim ? dim.getConstantIndex() : std::nullopt;
  if (!argument || !index)
    return "";
  auto names = function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "quern.dims");
  std::string name = names ? cast<StringAttr>(names[*index]).str() : "";
  return name.empty()
             ? "argument" + std::to_string(argument.getArgNumber()) + "." + std::to_string(*index)
             : name;
}

ArenaUse::Monomial ArenaUse::product(ArrayRef<Value> factors) const {
  Monomial monomial;
  for (Value factor : factors)
    ++monomial[dimensionName(factor)];
  return monomial;
}

void ArenaUse::add(memref::AllocOp alloc, int64_t bytes, ArrayRef<Value> factors) {
  uses[useOf(alloc).str()][product(factors)] += bytes;
}

void ArenaUse::share(int64_t bytes, ArrayRef<Value> factors) {
  if (bytes)
    uses["shared by two or more"][product(factors)] -= bytes;
}

llvm::json::Array ArenaUse::describe() const {
  llvm::json::Array list;
  for (const auto &[use, terms] : uses) {
    llvm::json::Array polynomial;
    for (const auto &[monomial, bytes] : terms) {
      llvm::json::Object exponents;
      for (const auto &[name, exponent] : monomial)
        exponents[name] = exponent;
      polynomial.push_back(llvm::json::Array{bytes, std::move(exponents)});
    }
    list.push_back(llvm::json::Object{{"use", use}, {"bytes", std::move(polynomial)}});
  }
  return list;
}

} // namespace quern::kernels
