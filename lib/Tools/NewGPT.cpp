//===- NewGPT.cpp - The text of a GPT-2 ------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "NewText.h"
#include "quern/Tools/New.h"

#include "llvm/ADT/Twine.h"

using namespace llvm;

namespace quern::tools {

namespace {

/// One GPT-2 (Radford et al. 2019): learned positions, pre-norm layers, GELU.
class GPT {
public:
  GPT(const ModelShape &shape, raw_ostream &out)
      : s(shape), text(out), x(ModelText::activation({shape.width})) {}
  void write();

private:
  void parameters();
  void normParameters(StringRef name, const Twine &file);
  void norm(StringRef result, StringRef input, StringRef weight);
  void layer();
  void attention();
  void forward();

  const ModelShape &s;
  ModelText text;
  std::string x; ///< type of what flows from layer to layer
};

void GPT::normParameters(StringRef name, const Twine &file) {
  text.parameter(name, {s.width}, "ones", file + ".weight");
  if (s.bias)
    text.parameter((name + "_bias").str(), {s.width}, "zeros", file + ".bias");
}

void GPT::norm(StringRef result, StringRef input, StringRef weight) {
  std::string vector = ModelText::tensor({s.width}), bias = (weight + "_bias").str();
  text.read(weight, {s.width});
  if (s.bias)
    text.read(bias, {s.width});
  text.line("%" + result + " = quern.layer_norm %" + input + " weight %" + weight +
            (s.bias ? " bias %" + bias : "") + " epsilon " + ModelText::number(s.epsilon) + " : " +
            x + ", " + vector + (s.bias ? ", " + vector : ""));
}

void GPT::parameters() {
  text.comment(
      "Embeddings of tokens and of positions. The file's names follow Hugging Face's GPT-2.");
  text.parameter("token", {s.vocabulary, s.width}, "normal, 0.02", *s.prefix + "wte.weight");
  text.parameter("position", {s.context, s.width}, "normal, 0.02", *s.prefix + "wpe.weight");
  normParameters("ln_f", *s.prefix + "ln_f");
  if (s.untied)
    text.parameter("head", {s.vocabulary, s.width}, "normal, 0.02", "lm_head.weight");
}

void GPT::attention() {
  int64_t d = s.headDimension(), columns = s.width + 2 * s.kvWidth();
  std::string q = ModelText::activation({s.heads, d}), kv = ModelText::activation({s.kvHeads, d});
  text.comment("Attention(Q, K, V) = softmax(Q K^T / sqrt(" + Twine(d) +
               ")) V, a position sees those before it.");
  norm("n1", "x", "ln_1");
  text.linear("qkv", "n1", "attn", s.width, columns, s.transposed(), s.bias);
  text.line("%q, %k, %v = quern.split %qkv dimension 2 sizes [" + Twine(s.width) + ", " +
            Twine(s.kvWidth()) + ", " + Twine(s.kvWidth()) +
            "] : " + ModelText::activation({columns}));
  text.line("%q_heads = quern.split_heads %q heads " + Twine(s.heads) + " : " + x);
  for (const char *name : {"k", "v"})
    text.line("%" + Twine(name) + "_heads = quern.split_heads %" + name + " heads " +
              Twine(s.kvHeads) + " : " + ModelText::activation({s.kvWidth()}));
  text.line("%a = quern.attention %q_heads, %k_heads, %v_heads causal : " + q + ", " + kv + ", " +
            kv);
  text.line("%a_merged = quern.merge_heads %a : " + q);
  text.linear("a_out", "a_merged", "attn_proj", s.width, s.width, s.transposed(), s.bias);
  text.line("%x1 = arith.addf %x, %a_out : " + x);
}

void GPT::layer() {
  text.comment(
      Twine(s.layers) +
      " equal layers; {layer} in names of the file is the layer's number. Matrices are stored");
  text.comment(s.transposed() ? "output x input (PyTorch's nn.Linear), hence `transposed`."
                              : "input x output, as GPT-2's Conv1D does.");
  text.line("quern.layers @block count(" + Twine(s.layers) + ") file(\"" + *s.prefix +
            "h.{layer}.\") (%x: " + x + ") -> " + x + " {");
  text.indent(2);
  bool t = s.transposed();
  normParameters("ln_1", "ln_1");
  text.linearParameters("attn", s.width, s.width + 2 * s.kvWidth(), t, s.bias, "normal, 0.02",
                        "attn.c_attn");
  text.linearParameters("attn_proj", s.width, s.width, t, s.bias, "residual, 0.02", "attn.c_proj");
  normParameters("ln_2", "ln_2");
  text.linearParameters("fc", s.width, s.hidden, t, s.bias, "normal, 0.02", "mlp.c_fc");
  text.linearParameters("fc_proj", s.hidden, s.width, t, s.bias, "residual, 0.02", "mlp.c_proj");
  text.blank();
  attention();
  text.blank();
  text.comment("The feed-forward network, at each position for itself.");
  norm("n2", "x1", "ln_2");
  text.linear("f", "n2", "fc", s.width, s.hidden, t, s.bias);
  text.line("%g = quern.gelu %f " + Twine(s.gelu == "tanh" ? "tanh " : "") + ": " +
            ModelText::activation({s.hidden}));
  text.linear("f_out", "g", "fc_proj", s.hidden, s.width, t, s.bias);
  text.line("%x2 = arith.addf %x1, %f_out : " + x);
  text.line("quern.yield %x2 : " + x);
  text.indent(-2);
  text.line("}");
}

void GPT::forward() {
  std::string table = ModelText::tensor({s.vocabulary, s.width}),
              logits = ModelText::activation({s.vocabulary});
  text.comment(
      "Token ids to logits: one score for each token that may come next, at each position.");
  text.line(
      "quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = [\"batch\", \"sequence\"]})");
  text.line("    -> (" + logits +
            " {quern.name = \"logits\", quern.dims = [\"batch\", \"sequence\", \"\"]}) {");
  text.indent(2);
  text.read("token", {s.vocabulary, s.width});
  text.line("%t = quern.embedding %tokens, %token : tensor<?x?xi32>, " + table);
  text.read("position", {s.context, s.width});
  text.line("%p = quern.position_embedding %tokens, %position : tensor<?x?xi32>, " +
            ModelText::tensor({s.context, s.width}));
  text.line("%x = arith.addf %t, %p : " + x);
  text.line("%y = quern.apply @block(%x) : (" + x + ") -> " + x);
  norm("n", "y", "ln_f");
  if (s.untied) {
    text.read("head", {s.vocabulary, s.width});
  } else {
    text.comment("The output matrix is the token table again (tied weights).");
  }
  text.line("%logits = quern.linear %n, %" + Twine(s.untied ? "head" : "token") +
            " transposed : " + x + ", " + table);
  text.line("quern.return %logits : " + logits);
  text.indent(-2);
  text.line("}");
}

void GPT::write() {
  text.comment("A GPT-2 (Radford et al. 2019): " + Twine(s.layers) + " layers of width " +
               Twine(s.width) + " with " + Twine(s.heads) + " heads, context " + Twine(s.context) +
               ", vocabulary " + Twine(s.vocabulary) + ".");
  text.comment("Compile it with: quern compile FILE -o gpt");
  text.line("quern.model @gpt kind(\"causal_lm\") context(" + Twine(s.context) + ") {");
  text.indent(2);
  parameters();
  text.blank();
  layer();
  text.blank();
  forward();
  text.blank();
  text.loss(s.vocabulary);
  text.indent(-2);
  text.line("}");
}

} // namespace

void writeGPT(const ModelShape &shape, raw_ostream &out) { GPT(shape, out).write(); }

} // namespace quern::tools
