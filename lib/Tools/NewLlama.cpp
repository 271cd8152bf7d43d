//===- NewLlama.cpp - The text of a Llama ----------------------------------------------------===//
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

/// Where a weight file keeps the tensors of a Llama. Names of layers go behind the layers' prefix.
struct Names {
  const char *token, *norm, *head, *layers, *attentionNorm, *q, *k, *v, *o, *feedForwardNorm, *gate,
      *up, *down;
  const char *weight; ///< what follows the name of a matrix
};

const Names huggingFace = {"embed_tokens.weight", "norm.weight",
                           "lm_head.weight",      "layers.{layer}.",
                           "input_layernorm",     "self_attn.q_proj",
                           "self_attn.k_proj",    "self_attn.v_proj",
                           "self_attn.o_proj",    "post_attention_layernorm",
                           "mlp.gate_proj",       "mlp.up_proj",
                           "mlp.down_proj",       ".weight"};

/// The tensors of llama2.c's .bin files, each of which holds all layers.
const Names llama2c = {"tok_embeddings",
                       "norm",
                       "output",
                       "",
                       "attention_norm",
                       "wq",
                       "wk",
                       "wv",
                       "wo",
                       "ffn_norm",
                       "w1",
                       "w3",
                       "w2",
                       ""};

/// One Llama (Touvron et al. 2023): RMS norm, rotary positions, grouped-query attention, SwiGLU.
class Llama {
public:
  Llama(const ModelShape &shape, raw_ostream &out)
      : s(shape), names(shape.names == "llama2c" ? llama2c : huggingFace), text(out),
        x(ModelText::activation({shape.width})) {}
  void write();

private:
  void matrix(StringRef name, int64_t in, int64_t out, const Twine &init, StringRef file);
  void norm(StringRef result, StringRef input, StringRef weight);
  void project(StringRef name, int64_t heads);
  void parameters();
  void layer();
  void forward();

  const ModelShape &s;
  const Names &names;
  ModelText text;
  std::string x; ///< type of what flows from layer to layer
};

void Llama::matrix(StringRef name, int64_t in, int64_t out, const Twine &init, StringRef file) {
  bool t = s.transposed();
  text.parameter(name, {t ? out : in, t ? in : out}, init.str(), file + names.weight);
  if (s.bias)
    text.parameter((name + "_bias").str(), {out}, "zeros", file + ".bias");
}

void Llama::norm(StringRef result, StringRef input, StringRef weight) {
  text.read(weight, {s.width});
  text.line("%" + result + " = quern.rms_norm %" + input + " weight %" + weight + " epsilon " +
            ModelText::number(s.epsilon) + " : " + x + ", " + ModelText::tensor({s.width}));
}

void Llama::parameters() {
  text.comment(
      "The embeddings of tokens. Positions need none: queries and keys are rotated by them.");
  text.parameter("token", {s.vocabulary, s.width}, "normal, 0.02", *s.prefix + names.token);
  text.parameter("norm", {s.width}, "ones", *s.prefix + names.norm);
  if (s.untied)
    text.parameter("head", {s.vocabulary, s.width}, "normal, 0.02", names.head);
}

/// Heads of queries or keys, rotated, or of values.
void Llama::project(StringRef name, int64_t heads) {
  int64_t d = s.headDimension();
  text.linear(name, "n1", ("w" + name).str(), s.width, heads * d, s.transposed(), s.bias);
  text.line("%" + name + "_heads = quern.split_heads %" + name + " heads " + Twine(heads) + " : " +
            ModelText::activation({heads * d}));
  if (name != "v")
    text.line("%" + name + "_rotated = quern.rotary_embedding %" + name + "_heads " +
              (s.rotary == "interleaved" ? "interleaved " : "") + "base " +
              ModelText::number(s.rotaryBase) + " : " + ModelText::activation({heads, d}));
}

void Llama::layer() {
  int64_t d = s.headDimension();
  std::string q = ModelText::activation({s.heads, d}), kv = ModelText::activation({s.kvHeads, d}),
              hidden = ModelText::activation({s.hidden});
  text.comment(Twine(s.layers) + " equal layers. Matrices are stored " +
               (s.transposed() ? "output x input (PyTorch's nn.Linear), hence `transposed`."
                               : "input x output."));
  if (s.names == "llama2c")
    text.comment("The file holds each parameter for all layers in one tensor.");
  else
    text.comment("{layer} in names of the file is the layer's number.");
  std::string prefix = *s.prefix + names.layers;
  text.line("quern.layers @block count(" + Twine(s.layers) + ")" +
            (prefix.empty() ? "" : " file(\"" + prefix + "\")") + " (%x: " + x + ") -> " + x +
            " {");
  text.indent(2);
  text.parameter("attention_norm", {s.width}, "ones", names.attentionNorm + Twine(names.weight));
  matrix("wq", s.width, s.width, "normal, 0.02", names.q);
  matrix("wk", s.width, s.kvWidth(), "normal, 0.02", names.k);
  matrix("wv", s.width, s.kvWidth(), "normal, 0.02", names.v);
  matrix("wo", s.width, s.width, "residual, 0.02", names.o);
  text.parameter("feed_forward_norm", {s.width}, "ones",
                 names.feedForwardNorm + Twine(names.weight));
  matrix("gate", s.width, s.hidden, "normal, 0.02", names.gate);
  matrix("up", s.width, s.hidden, "normal, 0.02", names.up);
  matrix("down", s.hidden, s.width, "residual, 0.02", names.down);
  text.blank();
  text.comment("Grouped-query attention: " + Twine(s.heads) + " heads of queries share " +
               Twine(s.kvHeads) + " of keys and values.");
  norm("n1", "x", "attention_norm");
  project("q", s.heads);
  project("k", s.kvHeads);
  project("v", s.kvHeads);
  text.line("%a = quern.attention %q_rotated, %k_rotated, %v_heads causal : " + q + ", " + kv +
            ", " + kv);
  text.line("%a_merged = quern.merge_heads %a : " + q);
  text.linear("a_out", "a_merged", "wo", s.width, s.width, s.transposed(), s.bias);
  text.line("%x1 = arith.addf %x, %a_out : " + x);
  text.blank();
  text.comment("The feed-forward network: silu(x W_gate) * (x W_up), then back (Shazeer 2020).");
  norm("n2", "x1", "feed_forward_norm");
  text.linear("g", "n2", "gate", s.width, s.hidden, s.transposed(), s.bias);
  text.linear("u", "n2", "up", s.width, s.hidden, s.transposed(), s.bias);
  text.line("%h = quern.swiglu %g, %u : " + hidden + ", " + hidden);
  text.linear("f_out", "h", "down", s.hidden, s.width, s.transposed(), s.bias);
  text.line("%x2 = arith.addf %x1, %f_out : " + x);
  text.line("quern.yield %x2 : " + x);
  text.indent(-2);
  text.line("}");
}

void Llama::forward() {
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
  text.line("%x = quern.embedding %tokens, %token : tensor<?x?xi32>, " + table);
  text.line("%y = quern.apply @block(%x) : (" + x + ") -> " + x);
  norm("n", "y", "norm");
  if (s.untied)
    text.read("head", {s.vocabulary, s.width});
  else
    text.comment("The output matrix is the token table again (tied weights).");
  text.line("%logits = quern.linear %n, %" + Twine(s.untied ? "head" : "token") +
            " transposed : " + x + ", " + table);
  text.line("quern.return %logits : " + logits);
  text.indent(-2);
  text.line("}");
}

void Llama::write() {
  text.comment("A Llama (Touvron et al. 2023): " + Twine(s.layers) + " layers of width " +
               Twine(s.width) + " with " + Twine(s.heads) + " heads, context " + Twine(s.context) +
               ", vocabulary " + Twine(s.vocabulary) + ".");
  text.comment("Compile it with: quern compile FILE -o llama");
  text.line("quern.model @llama kind(\"causal_lm\") context(" + Twine(s.context) + ") {");
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

void writeLlama(const ModelShape &shape, raw_ostream &out) { Llama(shape, out).write(); }

} // namespace quern::tools
