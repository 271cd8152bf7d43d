//===- PeerLlmc.cpp - llm.c -------------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// A training step of GPT-2 124M in plain C. The user has a checkout; its train_gpt2.c is compiled
// in a folder of ours, with a main that needs neither weights nor data, and runs in a process of
// its own, which prints the seconds.

#include "Peers.h"
#include "Process.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

namespace quern::bench {

namespace {

/// The main. With TESTING, train_gpt2.c has none of its own. The sizes are those of its
/// gpt2_124M.bin, with the vocabulary padded as there, and the weights are drawn as GPT-2's were.
constexpr char mainText[] = R"(
#include "train_gpt2.c"

static double seconds_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static GPT2 model; // zero: nothing is allocated yet

static void fill(float *values, size_t count, float value) {
  for (size_t i = 0; i < count; ++i)
    values[i] = value;
}

static void build(void) {
  GPT2Config config = {.max_seq_len = 1024, .vocab_size = 50257, .padded_vocab_size = 50304,
                       .num_layers = 12, .num_heads = 12, .channels = 768};
  model.config = config;
  fill_in_parameter_sizes(model.param_sizes, config);
  for (int i = 0; i < NUM_PARAMETER_TENSORS; ++i)
    model.num_parameters += model.param_sizes[i];
  model.params_memory = malloc_and_point_parameters(&model.params, model.param_sizes);
  unsigned state = 1;
  for (size_t i = 0; i < model.num_parameters; ++i) {
    state = state * 1664525u + 1013904223u;
    model.params_memory[i] = ((float)(state >> 8) / (1 << 24) - 0.5f) * 0.07f;
  }
  size_t norms = (size_t)config.num_layers * config.channels;
  fill(model.params.ln1w, norms, 1);
  fill(model.params.ln2w, norms, 1);
  fill(model.params.lnfw, config.channels, 1);
  model.mean_loss = -1;
}

int main(int argc, char **argv) {
  if (argc != 4)
    return 2;
  int batch = atoi(argv[1]), length = atoi(argv[2]);
  double seconds = atof(argv[3]), least = 1e30, end = 0;
  build();
  int *tokens = malloc((batch * length + 1) * sizeof(int));
  for (int i = 0; i <= batch * length; ++i)
    tokens[i] = (int)(i * 7919LL % model.config.vocab_size);
  const int warm_ups = 2, fewest = 3;
  for (int step = 0; step < warm_ups + fewest || seconds_now() < end; ++step) {
    if (step == warm_ups)
      end = seconds_now() + seconds;
    double start = seconds_now();
    gpt2_forward(&model, tokens, tokens + 1, batch, length);
    gpt2_zero_grad(&model);
    gpt2_backward(&model);
    gpt2_update(&model, 1e-4f, 0.9f, 0.999f, 1e-8f, 0.0f, step + 1);
    double time = seconds_now() - start;
    if (step >= warm_ups && time < least)
      least = time;
  }
  printf("\n%.9f\n", least);
  return 0;
}
)";

class Llmc : public Peer {
public:
  explicit Llmc(std::string checkout) : checkout(std::move(checkout)) {}
  ~Llmc() override {
    if (!build.empty())
      llvm::consumeError(llvm::errorCodeToError(llvm::sys::fs::remove_directories(build)));
  }

  std::string name() const override { return "llmc"; }
  std::string description() const override { return compiler + ", " + llvm::join(flags(), " "); }

  llvm::Error start() {
    llvm::SmallString<128> source(checkout);
    if (llvm::sys::fs::make_absolute(source) || !llvm::sys::fs::is_directory(source))
      return error("no such folder");
    std::string folder = source.str().str();
    llvm::sys::path::append(source, "train_gpt2.c");
    if (!llvm::sys::fs::exists(source))
      return error("no train_gpt2.c in it; give a checkout of https://github.com/karpathy/llm.c");
    if (std::error_code code = llvm::sys::fs::createUniqueDirectory("quern-bench", build))
      return error("no temporary folder to compile in: " + code.message());
    std::string mainFile = inBuild("main.c");
    std::error_code code;
    llvm::raw_fd_ostream file(mainFile, code);
    file << mainText;
    file.close();
    if (code || file.has_error()) {
      file.clear_error();
      return error("cannot write " + mainFile);
    }
    return compile(folder, mainFile);
  }

  std::optional<double> measure(const Kernel &, int, double) override { return std::nullopt; }

  std::optional<double> measureModel(llvm::StringRef work, llvm::StringRef shape, int threads,
                                     double seconds) override {
    constexpr int64_t context = 1024;
    auto [model, numbers] = shape.split(':');
    std::vector<int64_t> sizes = parseSizes(numbers);
    if (work != "train" || model != "gpt2" || sizes.size() != 2 || sizes[1] > context)
      return std::nullopt;
    llvm::Expected<Finished> finished =
        runProcess(inBuild("train"),
                   {std::to_string(sizes[0]), std::to_string(sizes[1]), std::to_string(seconds)},
                   {"OMP_NUM_THREADS=" + std::to_string(threads)});
    auto note = [&](const std::string &what) {
      llvm::errs() << "quern: note: " << work << " " << shape << ": llm.c fails: " << what << "\n";
      return std::nullopt;
    };
    if (!finished)
      return note(llvm::toString(finished.takeError()));
    if (!finished->succeeded)
      return note(finished->lastError());
    // Functions of llm.c print too; ours is the last line.
    llvm::StringRef lines = llvm::StringRef(finished->out).trim();
    double least;
    if (lines.substr(lines.rfind('\n') + 1).getAsDouble(least) || !(least > 0))
      return note("it prints no time");
    return least;
  }

private:
  /// Those that llm.c is meant for, on this processor: its own -Ofast, by the names of today.
  static std::vector<std::string> flags() {
    return {"-O3", "-ffast-math", "-march=native", "-fopenmp", "-DOMP", "-Wno-unused-result"};
  }

  /// With the first compiler that can: not every clang has OpenMP. The one of the LLVM that made
  /// our programs comes first.
  llvm::Error compile(const std::string &folder, const std::string &mainFile) {
    std::vector<std::string> names{"clang-" + std::to_string(LLVM_VERSION_MAJOR), "clang", "gcc",
                                   "cc"};
    if (const char *chosen = std::getenv("CC"); chosen && *chosen)
      names = {chosen};
    std::vector<std::string> arguments = flags();
    for (const std::string &word : {std::string("-DTESTING"), "-I" + folder, mainFile,
                                    std::string("-o"), inBuild("train"), std::string("-lm")})
      arguments.push_back(word);
    std::string failures;
    for (const std::string &name : names) {
      llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(name);
      if (!path || !llvm::sys::fs::can_execute(*path))
        continue;
      llvm::Expected<Finished> compiled = runProcess(*path, arguments);
      if (!compiled)
        return compiled.takeError();
      if (!compiled->succeeded) {
        failures += (failures.empty() ? "" : "; ") + name + " says: " + firstError(compiled->err);
        continue;
      }
      llvm::Expected<Finished> version = runProcess(*path, {"--version"});
      if (!version)
        return version.takeError();
      compiler = llvm::StringRef(version->out).split('\n').first.trim().str();
      return llvm::Error::success();
    }
    if (failures.empty())
      return error("no C compiler, which would be " + llvm::join(names, " or ") +
                   "; install one, or name one with CC");
    return error("train_gpt2.c in it does not compile; name another compiler with CC, or give an "
                 "unchanged checkout; " +
                 failures);
  }

  /// Compilers begin with where a file was included from, and end with how many errors there were;
  /// linkers begin with what they cannot find.
  static std::string firstError(llvm::StringRef text) {
    for (llvm::StringRef line : llvm::split(text.trim(), '\n'))
      if (line.contains("error:") || line.contains("cannot find"))
        return line.trim().str();
    return text.trim().split('\n').first.str();
  }

  llvm::Error error(const std::string &what) const {
    return llvm::createStringError("--llmc=" + checkout + ": " + what);
  }
  std::string inBuild(llvm::StringRef file) const {
    llvm::SmallString<128> path(build);
    llvm::sys::path::append(path, file);
    return path.str().str();
  }

  std::string checkout, compiler;
  llvm::SmallString<128> build;
};

} // namespace

llvm::Expected<std::unique_ptr<Peer>> findLlmc(const std::string &checkout) {
  auto llmc = std::make_unique<Llmc>(checkout);
  if (llvm::Error error = llmc->start())
    return error;
  return llmc;
}

} // namespace quern::bench
