//===- Flops.cpp - Floating-point operations of a program -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Metadata.h"

#include "llvm/ADT/TypeSwitch.h"

#include <map>

using namespace mlir;

namespace quern::kernels {

namespace {

/// Exponents of dimension names; empty for a constant.
using Monomial = std::map<std::string, int64_t>;

class FlopCounter {
public:
  FlopCounter(FunctionOp program, Dimensions &dims) : dims(dims) {
    for (BlockArgument argument : program.getArguments()) {
      auto names = program.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "quern.dims");
      for (auto [i, size] : llvm::enumerate(dims.of(argument)))
        if (auto value = dyn_cast<Value>(size)) {
          std::string name = names ? cast<StringAttr>(names[i]).str() : "";
          if (name.empty())
            name = "argument" + std::to_string(argument.getArgNumber()) + "." + std::to_string(i);
          this->names.try_emplace(value, name);
        }
    }
  }

  void count(Block &block, int64_t times) {
    for (Operation &op : block) {
      if (auto scan = dyn_cast<ScanOp>(op)) {
        count(scan.getBody().front(), times * static_cast<int64_t>(scan.getCount()));
        continue;
      }
      count(&op, static_cast<double>(times));
    }
  }

  std::map<Monomial, double> terms;

private:
  /// Adds `factor` times the sizes.
  void add(double factor, ArrayRef<OpFoldResult> sizes) {
    Monomial monomial;
    for (OpFoldResult size : sizes) {
      if (auto constant = getConstantIntValue(size))
        factor *= static_cast<double>(*constant);
      else if (auto name = names.find(cast<Value>(size)); name != names.end())
        ++monomial[name->second];
      else
        return; // a size that is computed, as by a reshape, has no name
    }
    terms[monomial] += factor;
  }

  void addLinear(double factor, Value x, Value weight) {
    Dims sizes(llvm::drop_end(dims.of(x)));
    llvm::append_range(sizes, dims.of(weight));
    add(2 * factor, sizes);
  }

  /// Beside a cache, whose filling is not known, a prompt counts as if it stood at the start of the
  /// text, and a single query as if it stood in the middle.
  void addAttention(double factor, Value q, Value k, Value v, bool causal, bool hasOffset = false) {
    OpFoldResult queries = dims.of(q)[1];
    bool isPrompt = hasOffset && getConstantIntValue(queries) != 1;
    Dims sizes{dims.of(q)[0], dims.of(q)[2], queries, isPrompt ? queries : dims.of(k)[1]};
    double inner = static_cast<double>(cast<RankedTensorType>(q.getType()).getShape().back() +
                                       cast<RankedTensorType>(v.getType()).getShape().back());
    add(2 * factor * inner * (causal ? 0.5 : 1.0), sizes);
  }

  void count(Operation *op, double times) {
    TypeSwitch<Operation *>(op)
        .Case([&](LinearOp op) { addLinear(times, op.getX(), op.getWeight()); })
        .Case([&](FusedLinearOp op) {
          for (Value weight : op.getWeights())
            addLinear(times, op.getX(), weight);
        })
        .Case([&](LinearWeightGradientOp op) { addLinear(times, op.getX(), op.getResult()); })
        .Case([&](LinearCrossEntropyOp op) { addLinear(times, op.getX(), op.getWeight()); })
        .Case([&](LinearCrossEntropyGradientOp op) {
          addLinear(3 * times, op.getX(), op.getWeight());
        })
        .Case([&](MatmulOp op) {
          Dims sizes = dims.of(op.getResult());
          sizes.push_back(dims.of(op.getA())[sizes.size() - (op.getTransposeA() ? 2 : 1)]);
          add(2 * times, sizes);
        })
        .Case([&](AttentionOp op) {
          addAttention(times, op.getQ(), op.getK(), op.getV(), op.getCausal(),
                       static_cast<bool>(op.getOffset()));
        })
        .Case([&](AttentionForwardOp op) {
          addAttention(times, op.getQ(), op.getK(), op.getV(), op.getCausal());
        })
        .Case([&](AttentionBackwardOp op) {
          addAttention(2.5 * times, op.getQ(), op.getK(), op.getV(), op.getCausal());
        });
  }

  Dimensions &dims;
  llvm::DenseMap<Value, std::string> names;
};

} // namespace

llvm::json::Array countFlops(FunctionOp program, Dimensions &dims) {
  FlopCounter counter(program, dims);
  counter.count(program.getBody().front(), 1);
  llvm::json::Array terms;
  for (const auto &[monomial, coefficient] : counter.terms) {
    llvm::json::Object exponents;
    for (const auto &[name, exponent] : monomial)
      exponents[name] = exponent;
    terms.push_back(llvm::json::Array{coefficient, std::move(exponents)});
  }
  return terms;
}

} // namespace quern::kernels
