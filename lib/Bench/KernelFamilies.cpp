//===- KernelFamilies.cpp - Programs of one kernel --------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// Operations are counted as two for a multiply-add; of causal attention those that no mask hides.
// Bytes are what a single pass must move: each operand read or written once.

#include "Work.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

namespace quern::bench {

using Fill = Argument::Fill;
using Kernels = llvm::Expected<std::vector<Kernel>>;

static llvm::Error noSuchShape() { return llvm::createStringError("no such shape"); }

/// `op %a, %b` needs the types of its operands again, in the order of `names`.
static std::string typesOf(const Kernel &kernel, llvm::ArrayRef<llvm::StringRef> names) {
  std::vector<std::string> types;
  for (llvm::StringRef name : names) {
    auto argument =
        llvm::find_if(kernel.arguments, [&](const Argument &a) { return a.name == name; });
    types.push_back(argument->memref());
  }
  return " : (" + llvm::join(types, ", ") + ") -> ()";
}

static Kernels makeGemms(llvm::ArrayRef<int64_t> sizes, llvm::StringRef layout,
                         const std::string &type) {
  bool known = llvm::is_contained({"", "nn", "nt", "tn"}, layout);
  if (sizes.size() != 3 || !known)
    return noSuchShape();
  int64_t m = sizes[0], k = sizes[1], n = sizes[2];
  std::vector<Kernel> kernels;
  for (llvm::StringRef one : {"nn", "nt", "tn"}) {
    if (!layout.empty() && one != layout)
      continue;
    Gemm gemm{m, n, k, one[0] == 't', one[1] == 't'};
    Kernel kernel;
    kernel.work = "gemm";
    kernel.shape = llvm::join(llvm::ArrayRef<std::string>{std::to_string(m), std::to_string(k),
                                                          std::to_string(n)},
                              "x") +
                   ":" + one.str();
    kernel.amount = 2.0 * double(m) * double(n) * double(k);
    kernel.unit = "GFLOP/s";
    kernel.limit = type == "bf16" ? Limit::Bf16Products : Limit::MultiplyAdds;
    kernel.type = type;
    using Shape = std::vector<int64_t>;
    // With A transposed it is a gradient of weights, which is f32 in any case.
    kernel.arguments = {{"a", type, gemm.transposeA ? Shape{k, m} : Shape{m, k}},
                        {"b", type, gemm.transposeB ? Shape{n, k} : Shape{k, n}},
                        {"c", gemm.transposeA ? "f32" : type, {m, n}}};
    kernel.body = "kernel.gemm %a, %b into %c" +
                  std::string(gemm.transposeA   ? " {transpose_a}"
                              : gemm.transposeB ? " {transpose_b}"
                                                : "") +
                  typesOf(kernel, {"a", "b", "c"});
    kernel.gemm = gemm;
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

static Kernels makeGemm(llvm::ArrayRef<int64_t> sizes, llvm::StringRef layout) {
  return makeGemms(sizes, layout, "f32");
}
static Kernels makeBf16Gemm(llvm::ArrayRef<int64_t> sizes, llvm::StringRef layout) {
  return makeGemms(sizes, layout, "bf16");
}

static Kernels makeAttention(llvm::ArrayRef<int64_t> sizes, llvm::StringRef suffix) {
  bool valid = (sizes.size() == 4 || sizes.size() == 5) && suffix.empty();
  if (!valid || (sizes.size() == 5 && sizes[2] % sizes[4]))
    return noSuchShape();
  int64_t b = sizes[0], t = sizes[1], h = sizes[2], d = sizes[3],
          g = sizes.size() == 5 ? sizes[4] : h;
  std::string attributes =
      "{causal, scale = " + llvm::formatv("{0:e6}", 1 / std::sqrt(double(d))).str() + "}";
  double seen = double(b) * double(h) * double(t) * double(t + 1) / 2;
  std::string shape = std::to_string(b) + "x" + std::to_string(t) + "x" + std::to_string(h) + "x" +
                      std::to_string(d) + (g == h ? "" : "x" + std::to_string(g));
  Kernel forward;
  forward.work = "attention";
  forward.shape = shape + " forward";
  forward.amount = 4 * seen * double(d);
  forward.unit = "GFLOP/s";
  forward.limit = Limit::MultiplyAdds;
  forward.arguments = {{"q", "f32", {b, t, h, d}},
                       {"k", "f32", {b, t, g, d}},
                       {"v", "f32", {b, t, g, d}},
                       {"o", "f32", {b, t, h, d}},
                       {"lse", "f32", {b, h, t}}};
  forward.attention = Attention{b, t, h, g, d, false};
  Kernel backward = forward;
  forward.body = "kernel.attention %q, %k, %v into %o, %lse " + attributes +
                 typesOf(forward, {"q", "k", "v", "o", "lse"});
  backward.shape = shape + " backward";
  backward.amount = 10 * seen * double(d);
  backward.attention->backward = true;
  // Scores that are no larger than the log-sum-exp, as in a softmax.
  backward.arguments[4].fill = Fill::Value;
  backward.arguments[4].value = 8;
  for (const char *name : {"g", "dq"})
    backward.arguments.push_back({name, "f32", {b, t, h, d}});
  for (const char *name : {"dk", "dv"})
    backward.arguments.push_back({name, "f32", {b, t, g, d}});
  backward.arguments.push_back({"rows", "f32", {b, h, t}});
  backward.body = "kernel.attention_backward %q, %k, %v, %o, %lse, %g into %dq, %dk, %dv, %rows " +
                  attributes +
                  typesOf(backward, {"q", "k", "v", "o", "lse", "g", "dq", "dk", "dv", "rows"});
  return std::vector<Kernel>{forward, backward};
}

static Kernels makeNorm(llvm::ArrayRef<int64_t> sizes, llvm::StringRef suffix) {
  if (sizes.size() != 2 || !suffix.empty())
    return noSuchShape();
  double elements = double(sizes[0]) * double(sizes[1]);
  std::string shape = std::to_string(sizes[0]) + "x" + std::to_string(sizes[1]);
  Kernel forward;
  forward.work = "norm";
  forward.shape = shape + " forward";
  forward.amount = 8 * elements;
  forward.unit = "GB/s";
  forward.limit = Limit::Updating;
  forward.arguments = {{"x", "f32", sizes.vec()},
                       {"w", "f32", {sizes[1]}},
                       {"b", "f32", {sizes[1]}},
                       {"y", "f32", sizes.vec()}};
  forward.body = "kernel.norm layer %x weight %w bias %b into %y {epsilon = 1.0e-5}" +
                 typesOf(forward, {"x", "w", "b", "y"});
  Kernel backward = forward;
  backward.shape = shape + " backward";
  backward.amount = 12 * elements;
  backward.arguments[3].name = "g";
  backward.arguments.push_back({"dx", "f32", sizes.vec()});
  backward.arguments.push_back({"dw", "f32", {sizes[1]}});
  backward.arguments.push_back({"db", "f32", {sizes[1]}});
  backward.body = "kernel.norm_backward layer %x, %g weight %w into %dx, %dw, %db "
                  "{epsilon = 1.0e-5}" +
                  typesOf(backward, {"x", "g", "w", "dx", "dw", "db"});
  return std::vector<Kernel>{forward, backward};
}

static Kernels makeCrossEntropy(llvm::ArrayRef<int64_t> sizes, llvm::StringRef suffix) {
  if (sizes.size() != 2 || !suffix.empty())
    return noSuchShape();
  Kernel kernel;
  kernel.work = "cross-entropy";
  kernel.shape = std::to_string(sizes[0]) + "x" + std::to_string(sizes[1]);
  kernel.amount = 8 * double(sizes[0]) * double(sizes[1]);
  kernel.unit = "GB/s";
  kernel.limit = Limit::Updating;
  kernel.arguments = {{"t", "i32", {sizes[0]}, Fill::Below, double(sizes[1])},
                      {"n", "f32", {}, Fill::Value, double(sizes[0])},
                      {"s", "f32", {}, Fill::Value, 1},
                      {"l", "f32", {}},
                      {"x", "f32", sizes.vec()}};
  kernel.body = "kernel.cross_entropy_gradient %t, %n, %s into %l, %x {ignore_index = -1}" +
                typesOf(kernel, {"t", "n", "s", "l", "x"});
  return std::vector<Kernel>{kernel};
}

static Kernels makeOptimizer(llvm::ArrayRef<int64_t> sizes, llvm::StringRef suffix) {
  if (sizes.size() != 1 || !suffix.empty())
    return noSuchShape();
  Kernel kernel;
  kernel.work = "optimizer";
  kernel.shape = std::to_string(sizes[0]);
  kernel.amount = 28 * double(sizes[0]); // reads four, writes three
  kernel.unit = "GB/s";
  kernel.limit = Limit::Updating;
  kernel.arguments = {{"g", "f32", sizes.vec()},
                      {"scale", "f32", {}, Fill::Value, 1},
                      {"rate", "f64", {}, Fill::Value, 1e-3},
                      {"beta1", "f64", {}, Fill::Value, 0.9},
                      {"beta2", "f64", {}, Fill::Value, 0.999},
                      {"epsilon", "f64", {}, Fill::Value, 1e-8},
                      {"decay", "f64", {}, Fill::Value, 0.1},
                      {"step", "f64", {}, Fill::Value, 10},
                      {"p", "f32", sizes.vec()},
                      {"m", "f32", sizes.vec(), Fill::Value, 1e-2},
                      {"v", "f32", sizes.vec(), Fill::Value, 1e-2}};
  kernel.body = "kernel.adamw %g scale %scale options %rate, %beta1, %beta2, %epsilon, %step decay "
                "%decay into "
                "%p, %m, %v" +
                typesOf(kernel, {"g", "scale", "rate", "beta1", "beta2", "epsilon", "step", "decay",
                                 "p", "m", "v"});
  return std::vector<Kernel>{kernel};
}

static Kernels makeMath(llvm::ArrayRef<int64_t> sizes, llvm::StringRef function) {
  const char *const functions[] = {"exp", "tanh", "erf", "log", "rsqrt"};
  if (sizes.size() != 1 || (!function.empty() && !llvm::is_contained(functions, function)))
    return noSuchShape();
  std::vector<Kernel> kernels;
  for (llvm::StringRef one : functions) {
    if (!function.empty() && one != function)
      continue;
    Kernel kernel;
    kernel.work = "math";
    kernel.shape = std::to_string(sizes[0]) + ":" + one.str();
    kernel.amount = double(sizes[0]);
    kernel.unit = "G/s";
    kernel.limit = Limit::None;
    // Logarithms and roots want positive numbers.
    bool positive = one == "log" || one == "rsqrt";
    kernel.arguments = {{"x", "f32", sizes.vec(), positive ? Fill::Value : Fill::Normal, 2.5},
                        {"y", "f32", sizes.vec()}};
    std::string type = "memref<" + std::to_string(sizes[0]) + "xf32>";
    kernel.body = "linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> "
                  "(i)>], iterator_types = [\"parallel\"]} ins(%x : " +
                  type + ") outs(%y : " + type + ") { ^bb0(%in: f32, %out: f32): %r = math." +
                  one.str() + " %in : f32 linalg.yield %r : f32 }";
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

llvm::ArrayRef<KernelFamily> kernelFamilies() {
  static const KernelFamily families[] = {
      {"gemm",
       "matrix products",
       "MxKxN, and :nn, :nt or :tn for one layout",
       {"768x768x768", "1024x1024x1024", "2048x2048x2048", "3072x3072x3072", "256x768x2304",
        "256x768x768", "256x768x3072", "256x3072x768", "256x768x50257", "1024x768x2304",
        "1024x768x768", "1024x768x3072", "1024x3072x768", "1024x768x50257"},
       makeGemm,
       makeBf16Gemm},
      {"attention",
       "causal attention, forward and backward",
       "BATCHxLENGTHxHEADSxSIZE, and xGROUPS of keys and values",
       {"1x1024x12x64", "1x4096x12x64", "1x1024x8x128", "1x4096x8x128"},
       makeAttention},
      {"norm", "layer norm, forward and backward", "ROWSxSIZE", {"65536x768"}, makeNorm},
      {"cross-entropy",
       "loss and gradient from logits, in place",
       "ROWSxVOCABULARY",
       {"1024x50257"},
       makeCrossEntropy},
      {"optimizer", "AdamW", "PARAMETERS", {"16777216"}, makeOptimizer},
      {"math",
       "elementary functions, in cache",
       "ELEMENTS, and :exp, :tanh, :erf, :log or :rsqrt for one",
       {"131072"},
       makeMath}};
  return families;
}

} // namespace quern::bench
