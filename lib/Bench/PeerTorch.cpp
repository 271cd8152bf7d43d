//===- PeerTorch.cpp - PyTorch ----------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// A Python runs the same work in a process of its own, and prints the seconds. Whole training steps
// are measured twice, as PyTorch executes them (torch) and as it compiles them (torch.compile).

#include "Peers.h"
#include "Process.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

namespace quern::bench {

namespace {

constexpr char script[] = R"(
import sys, time
import torch
work, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
words = sys.argv[4:]
torch.set_num_threads(threads)

def best(once):
    once(); once()
    least, end, runs = float("inf"), time.perf_counter() + seconds, 0
    while runs < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        once()
        least, runs = min(least, time.perf_counter() - start), runs + 1
    return least

if work == "gemm":
    m, n, k, ta, tb = map(int, words)
    a = torch.randn(k, m).t() if ta else torch.randn(m, k)
    b = torch.randn(n, k).t() if tb else torch.randn(k, n)
    c = torch.empty(m, n)
    print(best(lambda: torch.mm(a, b, out=c)))
elif work == "attention":
    batch, length, heads, groups, size, backward = map(int, words)
    make = lambda h: torch.randn(batch, h, length, size, requires_grad=bool(backward))
    q, k, v = make(heads), make(groups), make(groups)
    attend = lambda: torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, enable_gqa=heads != groups)
    if backward:
        g = torch.randn(batch, heads, length, size)
        o = attend()
        print(best(lambda: torch.autograd.grad(o, (q, k, v), g, retain_graph=True)))
    else:
        with torch.no_grad():
            print(best(attend))
elif work == "train":
    train()
else:
    print(torch.__version__)
)";

/// Put before `script`. GPT-2 as users write it, with what makes PyTorch fast: its own attention,
/// one pass for AdamW, clipping tensor lists. The models are those of `bench`.
constexpr char trainingScript[] = R"(
def train():
    import torch
    from torch import nn
    from torch.nn import functional as F
    layers, heads, width, vocabulary, context, bias = {
        "gpt2": (12, 12, 768, 50257, 1024, True), "gpt2-48": (48, 12, 768, 50257, 1024, True),
        "nano": (4, 4, 128, 256, 64, False)}[words[0]]
    batch, length = map(int, words[1:3])
    clip, narrow, compiled = (word == "1" for word in words[3:])

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            norm = lambda: nn.LayerNorm(width, bias=bias)
            linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=bias)
            self.norm1, self.qkv, self.out = norm(), linear(width, 3 * width), linear(width, width)
            self.norm2, self.up, self.down = norm(), linear(width, 4 * width), linear(4 * width, width)
        def forward(self, x):
            split = lambda y: y.view(*x.shape[:2], heads, -1).transpose(1, 2)
            q, k, v = map(split, self.qkv(self.norm1(x)).split(width, 2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(x.shape))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm, self.head = nn.LayerNorm(width, bias=bias), nn.Linear(width, vocabulary, bias=False)
            for weight in self.parameters():
                nn.init.normal_(weight, std=0.02) if weight.dim() > 1 else None
            self.head.weight = self.tokens.weight
        def forward(self, tokens, targets):
            x = self.tokens(tokens) + self.positions(torch.arange(length))
            for block in self.blocks:
                x = block(x)
            return F.cross_entropy(self.head(self.norm(x)).view(-1, vocabulary).float(), targets.view(-1))

    model = GPT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    loss_of = torch.compile(model) if compiled else model
    tokens, targets = torch.randint(0, vocabulary, (2, batch, length))
    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            loss = loss_of(tokens, targets)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(best(step))
)";

/// PyTorch's training rises by a fifth when its memory comes in huge pages and is not handed back.
constexpr char tunables[] = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:"
                            "glibc.malloc.trim_threshold=274877906944";

class Torch : public Peer {
public:
  Torch(const Settings &settings, bool compiles) : settings(settings), compiles(compiles) {}

  std::string name() const override { return compiles ? "torch.compile" : "torch"; }
  std::string description() const override { return version; }

  llvm::Error start() {
    llvm::Expected<std::string> answer = ask({"version", "1", "0"});
    if (!answer)
      return answer.takeError();
    version = llvm::StringRef(*answer).trim().str();
    return llvm::Error::success();
  }

  /// The same PyTorch, as it compiles.
  std::unique_ptr<Peer> compiling() const {
    auto other = std::make_unique<Torch>(settings, /*compiles=*/true);
    other->version = version;
    return other;
  }

  std::optional<double> measure(const Kernel &kernel, int threads, double seconds) override {
    if (compiles)
      return std::nullopt;
    std::vector<std::string> words{kernel.work, std::to_string(threads), std::to_string(seconds)};
    auto add = [&](std::initializer_list<int64_t> sizes) {
      for (int64_t size : sizes)
        words.push_back(std::to_string(size));
    };
    if (const auto &g = kernel.gemm)
      add({g->rows, g->columns, g->depth, g->transposeA, g->transposeB});
    else if (const auto &a = kernel.attention)
      add({a->batch, a->length, a->heads, a->groups, a->size, a->backward});
    else
      return std::nullopt;
    return secondsOf(kernel.work, kernel.shape, words);
  }

  std::optional<double> measureModel(llvm::StringRef work, llvm::StringRef shape, int threads,
                                     double seconds) override {
    auto [model, numbers] = shape.split(':');
    std::vector<int64_t> sizes = parseSizes(numbers);
    if (work != "train" || !llvm::is_contained({"gpt2", "gpt2-48", "nano"}, model))
      return std::nullopt;
    auto flag = [](bool value) { return std::string(value ? "1" : "0"); };
    return secondsOf(work, shape,
                     {work.str(), std::to_string(threads), std::to_string(seconds), model.str(),
                      std::to_string(sizes[0]), std::to_string(sizes[1]),
                      flag(settings.clip != "never"), flag(settings.precision == "bf16"),
                      flag(compiles)});
  }

private:
  std::optional<double> secondsOf(llvm::StringRef work, llvm::StringRef shape,
                                  const std::vector<std::string> &words) const {
    llvm::Expected<std::string> answer = ask(words);
    double least;
    if (!answer) {
      llvm::errs() << "quern: note: " << work << " " << shape << ": " << name() << ": "
                   << llvm::toString(answer.takeError()) << "\n";
      return std::nullopt;
    }
    if (llvm::StringRef(*answer).trim().getAsDouble(least))
      return std::nullopt;
    return least;
  }

  /// What the script prints; the error is the last line of what Python says.
  llvm::Expected<std::string> ask(const std::vector<std::string> &words) const {
    const std::string &python = settings.python;
    llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(python);
    if (!path || !llvm::sys::fs::can_execute(*path))
      return llvm::createStringError("--python=" + python + ": no such program");
    std::vector<std::string> arguments{"-c", std::string(trainingScript) + script};
    arguments.insert(arguments.end(), words.begin(), words.end());
    std::vector<std::string> variables;
    if (!std::getenv("GLIBC_TUNABLES"))
      variables.push_back(std::string("GLIBC_TUNABLES=") + tunables);
    llvm::Expected<Finished> finished = runProcess(*path, arguments, variables);
    if (!finished)
      return finished.takeError();
    if (!finished->succeeded)
      return llvm::createStringError("--python=" + python +
                                     " cannot run PyTorch: " + finished->lastError());
    return finished->out;
  }

  const Settings &settings;
  bool compiles;
  std::string version;
};

} // namespace

llvm::Expected<std::vector<std::unique_ptr<Peer>>> findTorch(const Settings &settings,
                                                             bool compiles) {
  auto torch = std::make_unique<Torch>(settings, /*compiles=*/false);
  if (llvm::Error error = torch->start())
    return error;
  std::vector<std::unique_ptr<Peer>> peers;
  std::unique_ptr<Peer> compiling = compiles ? torch->compiling() : nullptr;
  peers.push_back(std::move(torch));
  if (compiling)
    peers.push_back(std::move(compiling));
  return peers;
}

} // namespace quern::bench
