//===- RunCommand.cpp - `run`: any program on tensors from files ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Ceiling.h"
#include "quern/Runtime/CommandLine.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Philox.h"
#include "quern/Runtime/Session.h"
#include "quern/Runtime/Threads.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

namespace quern::runtime {

namespace {

struct RunSettings {
  std::string program, weights, inputs, outputs;
  uint64_t seed = 1;
  int64_t steps = 1, repeat = 1, batch = 0, sequence = 0;
  bool randomInputs = false, ceiling = false;
  OptimizerSettings optimizer;
};

/// The inputs of a file, converted where that is exact.
NamedInputs inputsOf(const SafetensorsFile &file) {
  NamedInputs inputs;
  for (const FileTensor &tensor : file.tensors())
    inputs[tensor.name] = {tensor.shape, [&tensor, &file](const Tensor &to) {
                             convertTensor(tensor, to, file.path());
                           }};
  return inputs;
}

/// Numbers drawn from the seed, in range, for measuring without a file.
NamedInputs randomInputs(const Program &program, const RunSettings &settings) {
  Dimensions dimensions;
  if (settings.batch)
    dimensions["batch"] = settings.batch;
  if (settings.sequence)
    dimensions["sequence"] = settings.sequence;
  NamedInputs inputs;
  for (const Argument &argument : program.arguments) {
    if (argument.role != Role::Input)
      continue;
    Shape shape = argument.shape;
    for (size_t i = 0; i < shape.size(); ++i) {
      auto given = dimensions.find(argument.dimensions[i]);
      if (given != dimensions.end())
        shape[i] = given->second;
      else if (shape[i] < 0)
        throw UsageError(concat("--random-inputs needs the size of '", argument.dimensions[i],
                                "' of input '", argument.name, "'; give --batch and --sequence"));
    }
    auto draw = [&argument, seed = settings.seed](const Tensor &to) {
      auto [low, high] = argument.range.value_or(std::pair<int64_t, int64_t>(0, 0));
      for (int64_t i = 0, count = to.elements(); i < count; ++i) {
        PhiloxCounter words = runtime::draw(seed, Stream::Batches, 1, uint64_t(i));
        int64_t integer =
            std::max<int64_t>(low, 0) +
            int64_t(below(words[0], words[1], uint64_t(high - std::max<int64_t>(low, 0) + 1)));
        if (to.type == Type::I32)
          static_cast<int32_t *>(to.data)[i] = int32_t(integer);
        else if (to.type == Type::I64)
          static_cast<int64_t *>(to.data)[i] = integer;
        else if (to.type == Type::F32)
          static_cast<float *>(to.data)[i] = float(normal(words)[0]);
        else
          static_cast<double *>(to.data)[i] = normal(words)[0];
      }
    };
    inputs[argument.name] = {shape, draw};
  }
  return inputs;
}

/// Results kept beyond the call: one value a step for scalars.
struct Series {
  Type type = Type::F64;
  std::vector<char> bytes;
  void add(const Tensor &scalar) {
    type = scalar.type;
    readTensor(scalar, [&](const Tensor &tensor) {
      auto *data = static_cast<const char *>(tensor.data);
      bytes.insert(bytes.end(), data, data + sizeOf(type));
    });
  }
  double value(size_t i) const {
    const char *at = bytes.data() + int64_t(i) * sizeOf(type);
    float narrow = 0;
    double wide = 0;
    if (type == Type::F32) {
      std::memcpy(&narrow, at, 4);
      return double(narrow);
    }
    std::memcpy(&wide, at, 8);
    return wide;
  }
};

class Runner {
public:
  Runner(const Module &module, const RunSettings &settings, Device &device)
      : module(module), settings(settings), arena(device), program(module.get(settings.program)),
        session(module, device, {&program}) {}

  void run() {
    if (settings.ceiling && !arena.device().isHost())
      throw UsageError("--ceiling measures the processor, which this run does not use; leave it "
                       "out, or use --device=cpu");
    bool updates = program.updatesParameters();
    if (!updates && settings.steps != 1)
      throw UsageError(concat("--steps is for programs that update weights; '", program.name,
                              "' does not. Use --repeat to measure it"));
    if (updates && settings.repeat != 1)
      throw UsageError("--repeat is for programs that do not update weights; use --steps");
    readInputs();
    if (settings.weights.empty()) {
      session.weights.initialize(settings.seed);
      note(concat("no --weights: drew them from seed ", settings.seed));
    } else {
      session.weights.load(SafetensorsFile(settings.weights));
    }
    Call call = session.prepare(program, inputs, arena);
    if (updates)
      train(call);
    else
      measure(call, settings.repeat, [&](int64_t) { call.run(); });
    std::vector<Tensor> tensors = Session::results(call, module);
    if (updates)
      addSeries(tensors);
    for (const Tensor &tensor : tensors)
      print(tensor);
    if (!settings.outputs.empty())
      writeSafetensors(settings.outputs, tensors, {{"quern_model", module.name}});
  }

private:
  void readInputs() {
    if (settings.randomInputs) {
      if (!settings.inputs.empty())
        throw UsageError("--inputs and --random-inputs contradict each other; give one");
      inputs = randomInputs(program, settings);
      return;
    }
    if (settings.batch || settings.sequence)
      throw UsageError(
          "--batch and --sequence belong to --random-inputs; with --inputs, sizes come "
          "from the file");
    if (settings.inputs.empty())
      return; // an error follows if the program needs any
    file = std::make_unique<SafetensorsFile>(settings.inputs);
    inputs = inputsOf(*file);
    std::vector<std::string> unused;
    for (const auto &[name, input] : inputs) {
      bool known = false;
      for (const Argument &argument : program.arguments)
        known |= argument.name == name;
      if (!known)
        unused.push_back(name);
    }
    if (!unused.empty())
      note(concat("program '", program.name, "' does not use: ", join(unused, ", ")));
  }

  /// Runs `body` that often and prints the time of the fastest.
  template <typename Body>
  void measure(Call &call, int64_t times, Body body) {
    // Programs that do not train have their activations in f32.
    bool ofBf16 = module.precision == "bf16" &&
                  (program.has(Role::Gradient) || program.has(Role::FirstMoment));
    Ceiling before = settings.ceiling ? measureCeiling(ofBf16) : Ceiling();
    double best = 0, total = 0;
    for (int64_t i = 0; i < times; ++i) {
      auto start = std::chrono::steady_clock::now();
      body(i);
      std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
      best = i ? std::min(best, time.count()) : time.count();
      total += time.count();
    }
    Dimensions sizes;
    for (size_t i = 0; i < program.arguments.size(); ++i)
      for (size_t d = 0; d < call[i].shape.size(); ++d)
        sizes[program.arguments[i].dimensions[d]] = call[i].shape[d];
    std::printf("%s: %.3f ms at best, %.3f ms on average of %lld", program.name.c_str(), best * 1e3,
                total / double(times) * 1e3, static_cast<long long>(times));
    auto flops = program.flops.evaluate(sizes);
    if (flops && *flops > 0)
      std::printf(", %.1f GFLOP/s at best", *flops / best * 1e-9);
    std::printf("\n");
    if (!settings.ceiling)
      return;
    Ceiling after = measureCeiling(ofBf16);
    double gflops = std::max(before.gflops, after.gflops);
    std::printf("ceiling: %.1f GFLOP/s of %s (before %.1f, after %.1f), reading %.1f "
                "GB/s, on %d threads\n",
                gflops, after.bf16Dots ? "dot products of bf16" : "multiply-adds", before.gflops,
                after.gflops, std::max(before.gigabytes, after.gigabytes), threads());
    if (flops && *flops > 0)
      std::printf("ratio: %.3f of the ceiling\n", *flops / best * 1e-9 / gflops);
  }

  void train(Call &call) {
    measure(call, settings.steps, [&](int64_t step) {
      setOptimizerOptions(call, settings.optimizer, settings.optimizer.learningRate, step + 1);
      call.run();
      collect(call, true);
    });
    // The loss after the last step: by the loss program, or by a step whose update is not kept.
    const Program *loss = module.find("loss");
    if (loss && !loss->has(Role::Cache)) {
      std::vector<Tensor> results;
      try {
        Call last = session.prepare(*loss, inputs, arena);
        last.run();
        collect(last, false);
        return;
      } catch (const UsageError &) { // NOLINT(bugprone-empty-catch)
        // Compiled for other shapes than train_step.
      }
    }
    ParameterBlock kept(module, "a copy of the weights", arena.device());
    kept.copyFrom(session.weights);
    setOptimizerOptions(call, settings.optimizer, settings.optimizer.learningRate,
                        settings.steps + 1);
    call.run();
    collect(call, false);
    session.weights.copyFrom(kept);
  }

  /// Appends scalar outputs to their series; after the last step only the loss.
  void collect(const Call &call, bool all) {
    for (const Tensor &tensor : Session::results(call, module))
      if (tensor.shape.empty() && (all || tensor.name == "loss"))
        series[tensor.name].add(tensor);
  }

  void addSeries(std::vector<Tensor> &tensors) {
    for (Tensor &tensor : tensors)
      if (auto found = series.find(tensor.name); found != series.end()) {
        int64_t count = int64_t(found->second.bytes.size()) / sizeOf(tensor.type);
        tensor.shape = {count};
        tensor.data = found->second.bytes.data();
        tensor.device = nullptr;
      }
    for (Tensor &tensor : session.weights.fileTensors())
      tensors.push_back(std::move(tensor));
  }

  void print(const Tensor &tensor) {
    auto found = series.find(tensor.name);
    if (found != series.end() && tensor.shape.size() == 1) {
      std::printf("%s", tensor.name.c_str());
      for (int64_t i = 0; i < tensor.shape[0]; ++i)
        std::printf(" %.9g", found->second.value(size_t(i)));
      std::printf("\n");
    } else if (tensor.shape.empty() && (tensor.type == Type::F32 || tensor.type == Type::F64)) {
      Series one;
      one.add(tensor);
      std::printf("%s %.9g\n", tensor.name.c_str(), one.value(0));
    }
  }

  const Module &module;
  const RunSettings &settings;
  Arena arena;
  const Program &program;
  Session session;
  std::unique_ptr<SafetensorsFile> file;
  NamedInputs inputs;
  std::map<std::string, Series> series;
};

} // namespace

void addRunCommand(CommandLine &commands) {
  auto settings = std::make_shared<RunSettings>();
  std::vector<std::string> names;
  names.reserve(commands.module.programs.size());
  for (const Program &program : commands.module.programs)
    names.push_back(program.name);
  CLI::App *command = commands.add(
      "run", "Run one program on tensors from files (" + join(names, ", ") + ")",
      [settings, &commands] {
        checkClip(commands.module.get(settings->program), commands.command(), settings->optimizer);
        Runner(commands.module, *settings, commands.device()).run();
      });
  command->add_option("program", settings->program, "The program to run")->required();
  command->add_option("--weights", settings->weights,
                      "Weights, safetensors (default: drawn from --seed)");
  command->add_option(
      "--inputs", settings->inputs,
      "Inputs by name, safetensors: tokens, targets (-1: ignored), position, caches");
  command->add_option(
      "--outputs", settings->outputs,
      "Where to write the results, safetensors: logits, loss, gradient.<weight name>, "
      "caches; after train_step loss (steps + 1 values) and the weights");
  addInteger(*command, "--steps", settings->steps, 1, INT64_MAX,
             "Steps of a program that updates weights (default 1)");
  addInteger(*command, "--repeat", settings->repeat, 1, INT64_MAX,
             "Runs of another program, to measure it (default 1)");
  command->add_flag("--random-inputs", settings->randomInputs,
                    "Draw inputs from --seed instead of reading them, to measure");
  command->add_flag("--ceiling", settings->ceiling,
                    "Measure the machine's own limits before and after, and print the ratio");
  addInteger(*command, "--batch", settings->batch, 1, INT32_MAX, "Batch size of random inputs");
  addInteger(*command, "--sequence", settings->sequence, 1, INT32_MAX, "Length of random inputs");
  addSeed(*command, settings->seed);
  addOptimizerOptions(*command, settings->optimizer);
}

} // namespace quern::runtime
