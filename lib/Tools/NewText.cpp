//===- NewText.cpp - Writing the text of a model ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "NewText.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Format.h"

using namespace llvm;

namespace quern::tools {

static std::string sizesText(ArrayRef<int64_t> sizes) {
  std::string text;
  for (int64_t size : sizes)
    text += std::to_string(size) + "x";
  return text;
}

std::string ModelText::tensor(ArrayRef<int64_t> sizes) {
  return "tensor<" + sizesText(sizes) + "f32>";
}

std::string ModelText::activation(ArrayRef<int64_t> sizes) {
  return "tensor<?x?x" + sizesText(sizes) + "f32>";
}

std::string ModelText::number(double value) {
  std::string text;
  raw_string_ostream(text) << llvm::format("%g", value);
  size_t exponent = text.find('e');
  if (text.find('.') == std::string::npos)
    text.insert(exponent == std::string::npos ? text.size() : exponent, ".0");
  return text;
}

void ModelText::line(const Twine &text) {
  out.indent(indentation);
  out << text << "\n";
}

void ModelText::parameter(StringRef name, ArrayRef<int64_t> sizes, StringRef init,
                          const Twine &file) {
  line("quern.parameter @" + name + " : " + tensor(sizes) + " init(" + init + ")" +
       (sizes.size() > 1 ? " decay" : "") + " file(\"" + file + "\")");
}

void ModelText::read(StringRef name, ArrayRef<int64_t> sizes) {
  line("%" + name + " = quern.read @" + name + " : " + tensor(sizes));
}

void ModelText::linear(StringRef result, StringRef x, StringRef weight, int64_t in, int64_t out,
                       bool transposed, bool bias) {
  int64_t rows = transposed ? out : in, columns = transposed ? in : out;
  read(weight, {rows, columns});
  std::string biasName = (weight + "_bias").str();
  if (bias)
    read(biasName, {out});
  line("%" + result + " = quern.linear %" + x + ", %" + weight +
       (bias ? " bias %" + biasName : "") + (transposed ? " transposed" : "") + " : " +
       activation({in}) + ", " + tensor({rows, columns}) + (bias ? ", " + tensor({out}) : ""));
}

void ModelText::linearParameters(StringRef weight, int64_t in, int64_t out, bool transposed,
                                 bool bias, StringRef init, const Twine &file) {
  int64_t rows = transposed ? out : in, columns = transposed ? in : out;
  parameter(weight, {rows, columns}, init, file + ".weight");
  if (bias)
    parameter((weight + "_bias").str(), {out}, "zeros", file + ".bias");
}

void ModelText::loss(int64_t vocabulary) {
  std::string logits = activation({vocabulary});
  comment("The mean of -log p(target) over all positions whose target is not -1.");
  line("quern.function @loss(%tokens: tensor<?x?xi32> {quern.dims = [\"batch\", \"sequence\"]},");
  line("                     %targets: tensor<?x?xi32> {quern.dims = [\"batch\", \"sequence\"]})");
  line("    -> (tensor<f32> {quern.name = \"loss\"}) {");
  indent(2);
  line("%logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> " + logits);
  line("%loss = quern.cross_entropy %logits, %targets : " + logits + ", tensor<?x?xi32>");
  line("quern.return %loss : tensor<f32>");
  indent(-2);
  line("}");
}

} // namespace quern::tools
