//===- GradientReport.cpp - What the backward pass saves and recomputes -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "DeriveDimensions.h"
#include "DerivePrograms.h"
#include "Gradient.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using namespace mlir;
using namespace quern;
using namespace quern::model;

namespace {

/// A sum of products of named dimensions, such as "27648 x batch x sequence".
class Polynomial {
public:
  Polynomial(Dimensions &dimensions, const DenseMap<unsigned, StringRef> &names)
      : dimensions(dimensions), names(names) {}

  /// Adds `factor` for each element of `value`.
  void add(Value value, double factor) {
    std::vector<std::string> product;
    auto type = cast<RankedTensorType>(value.getType());
    for (auto [dim, size] : llvm::enumerate(type.getShape())) {
      if (!ShapedType::isDynamic(size)) {
        factor *= size;
        continue;
      }
      StringRef name = names.lookup(dimensions.classOf(value, dim));
      product.push_back(name.empty() ? "?" : name.str());
    }
    llvm::sort(product);
    terms[product] += factor;
  }
  std::string text() const {
    std::string result;
    llvm::raw_string_ostream out(result);
    llvm::interleave(
        terms, out,
        [&](auto &term) {
          out << llvm::format("%.0f", term.second);
          for (const std::string &name : term.first)
            out << " x " << name;
        },
        " + ");
    return result.empty() ? "0" : result;
  }

private:
  Dimensions &dimensions;
  const DenseMap<unsigned, StringRef> &names;
  std::map<std::vector<std::string>, double> terms;
};

} // namespace

GradientSummary model::summarizeGradients(FunctionOp program, bool remarks) {
  GradientSummary summary;
  Dimensions dimensions(program.getBody());
  DenseMap<unsigned, StringRef> names;
  for (unsigned i = 0; i < program.getNumArguments(); ++i)
    for (auto [dim, name] : llvm::enumerate(getDimensionNames(program, i)))
      names.try_emplace(dimensions.classOf(program.getArgument(i), dim), name);

  program.walk([&](ScanOp scan) {
    if (auto saved = scan->getAttrOfType<IntegerAttr>(savedTag)) {
      summary.numSaved += saved.getInt();
      Polynomial bytes(dimensions, names);
      for (Value result : scan.getResults().take_back(saved.getInt()))
        bytes.add(result, cast<RankedTensorType>(result.getType()).getElementTypeBitWidth() / 8.0);
      if (remarks)
        emitRemark(scan.getLoc()) << "the forward pass saves " << saved.getInt()
                                  << " values of each of " << scan.getCount()
                                  << " layers: " << bytes.text() << " bytes";
      scan->removeAttr(savedTag);
    }
    Polynomial flops(dimensions, names);
    unsigned numRecomputed = 0;
    for (Operation &op : scan.getBody().front()) {
      if (!op.removeAttr(recomputedTag))
        continue;
      ++numRecomputed;
      if (auto differentiable = dyn_cast<DifferentiableOpInterface>(op))
        flops.add(op.getResult(0), differentiable.getRecomputeCost().flopsPerElement *
                                       static_cast<double>(scan.getCount()));
    }
    summary.numRecomputed += numRecomputed;
    if (numRecomputed && remarks)
      emitRemark(scan.getLoc()) << "the backward pass runs " << numRecomputed
                                << " operations of each layer again: " << flops.text() << " flops";
  });
  return summary;
}
