//===- PeerTorch.cpp - PyTorch ----------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// A Python runs the same work in a process of its own, and prints the seconds.

#include "Peers.h"
#include "Process.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

namespace quern::bench {

namespace {

constexpr char script[] = R"(
import sys, time
import torch
work, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
sizes = [int(x) for x in sys.argv[4:]]
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
    m, n, k, ta, tb = sizes
    a = torch.randn(k, m).t() if ta else torch.randn(m, k)
    b = torch.randn(n, k).t() if tb else torch.randn(k, n)
    c = torch.empty(m, n)
    print(best(lambda: torch.mm(a, b, out=c)))
elif work == "attention":
    batch, length, heads, groups, size, backward = sizes
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
else:
    print(torch.__version__)
)";

class Torch : public Peer {
public:
  explicit Torch(std::string python) : python(std::move(python)) {}

  std::string name() const override { return "torch"; }
  std::string description() const override { return version; }

  llvm::Error start() {
    llvm::Expected<std::string> answer = ask({"version", "1", "0"});
    if (!answer)
      return answer.takeError();
    version = llvm::StringRef(*answer).trim().str();
    return llvm::Error::success();
  }

  std::optional<double> measure(const Kernel &kernel, int threads, double seconds) override {
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
    llvm::Expected<std::string> answer = ask(words);
    double least;
    if (!answer) {
      llvm::errs() << "quern: note: " << kernel.work << " " << kernel.shape << ": "
                   << llvm::toString(answer.takeError()) << "\n";
      return std::nullopt;
    }
    if (llvm::StringRef(*answer).trim().getAsDouble(least))
      return std::nullopt;
    return least;
  }

private:
  /// What the script prints; the error is the last line of what Python says.
  llvm::Expected<std::string> ask(const std::vector<std::string> &words) const {
    llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(python);
    if (!path || !llvm::sys::fs::can_execute(*path))
      return llvm::createStringError("--python=" + python + ": no such program");
    std::vector<std::string> arguments{"-c", script};
    arguments.insert(arguments.end(), words.begin(), words.end());
    llvm::Expected<Finished> finished = runProcess(*path, arguments);
    if (!finished)
      return finished.takeError();
    if (!finished->succeeded)
      return llvm::createStringError("--python=" + python +
                                     " cannot run PyTorch: " + finished->lastError());
    return finished->out;
  }

  std::string python, version;
};

} // namespace

llvm::Expected<std::unique_ptr<Peer>> findTorch(const std::string &python) {
  auto torch = std::make_unique<Torch>(python);
  if (llvm::Error error = torch->start())
    return error;
  return torch;
}

} // namespace quern::bench
