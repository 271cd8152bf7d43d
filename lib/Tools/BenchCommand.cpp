//===- BenchCommand.cpp - The options of quern bench ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "BenchCommand.h"

#include "quern/CPU/Machine.h"
#include "quern/Tools/Compile.h"
#include "quern/Tools/New.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace quern::tools {

/// The models that `bench` knows by name.
static std::string modelText(const std::string &name) {
  ModelShape shape;
  if (name == "gpt2" || name == "gpt2-48") {
    shape.family = "gpt";
    shape.layers = name == "gpt2" ? 12 : 48;
  } else if (name == "nano") {
    // nanoGPT's setting for a CPU.
    shape.family = "gpt";
    shape.layers = shape.heads = 4;
    shape.width = 128;
    shape.context = 64;
    shape.vocabulary = 256;
    shape.noBias = true;
  } else if (name == "llama-135m") {
    // SmolLM-135M's.
    shape.family = "llama";
    shape.layers = 30;
    shape.width = 576;
    shape.heads = 9;
    shape.kvHeads = 3;
    shape.hidden = 1536;
    shape.vocabulary = 49152;
    shape.context = 2048;
  } else {
    return "";
  }
  completeShape(shape);
  std::string text;
  llvm::raw_string_ostream out(text);
  shape.family == "gpt" ? writeGPT(shape, out) : writeLlama(shape, out);
  return text;
}

void BenchCommand::add(CLI::App &app) {
  app.add_option("work", settings.works, "what to measure: " + bench::describeWorks())
      ->required()
      ->type_name("WORK...");
  app.add_option("--shape", settings.shapes, "shapes instead of the work's own")
      ->delimiter(',')
      ->type_name("SHAPE,...");
  app.add_option("--threads", settings.threads,
                 "numbers of threads, each measured; of models, compared with 1")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->type_name("N,...");
  app.add_option("--seconds", settings.seconds, "to spend on each measurement")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option(
         "--peers", settings.peers,
         "openblas (its fastest core type here, or that of OPENBLAS_CORETYPE), onednn, torch, "
         "llmc, or none; by default those that are found")
      ->delimiter(',')
      ->check(CLI::IsMember({"openblas", "onednn", "torch", "llmc", "none"}))
      ->type_name("NAME,...");
  app.add_option("--python", settings.python, "a Python that has PyTorch")->type_name("PATH");
  app.add_option("--llmc", settings.llmc,
                 "a checkout of https://github.com/karpathy/llm.c, whose train_gpt2.c is compiled "
                 "(by CC, clang or gcc) and trains beside 'train' of gpt2")
      ->type_name("FOLDER");
  app.add_option("--precision", settings.precision,
                 "f32, or bf16: what prefill and decode keep weights and caches in, train its "
                 "activations and what they are multiplied with, and gemm its factors")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  app.add_option("--clip", settings.clip,
                 "run-time, or never: what train is compiled with, as for 'quern compile'")
      ->check(CLI::IsMember({"run-time", "never"}))
      ->capture_default_str();
  app.add_option("--cpu", cpu, "processor to compile for")->capture_default_str();
  app.add_option("--machine", machineChanges,
                 std::string("changes to the model of the processor, NAME=VALUE,...: ") +
                     cpu::Machine::describeChanges())
      ->type_name("NAME=VALUE,...");
  app.add_flag("--json", settings.json, "print JSON instead of a table");
}

int BenchCommand::run() {
  auto fail = [](llvm::Error error) {
    llvm::errs() << "quern: error: " << llvm::toString(std::move(error)) << "\n";
    return 1;
  };
  llvm::Expected<cpu::Machine> machine = cpu::Machine::get(cpu, machineChanges);
  if (!machine)
    return fail(machine.takeError());
  bench::Compiler compiler;
  compiler.machine = machine->describe();
  compiler.model = modelText;
  compiler.tool = tool;
  compiler.compile = [&](const std::string &text, const std::string &library,
                         const std::vector<std::string> &shape,
                         const std::vector<std::string> &programs) {
    CompileOptions options;
    options.input = (llvm::sys::path::parent_path(library) + "/work.mlir").str();
    std::error_code code;
    llvm::raw_fd_ostream file(options.input, code);
    file << text;
    file.close();
    if (code || file.has_error()) {
      file.clear_error();
      llvm::errs() << "quern: error: cannot write '" << options.input << "'\n";
      return false;
    }
    options.output = library;
    options.emit = Emit::Library;
    options.quiet = true;
    options.tool = tool;
    options.pipeline.cpu = cpu;
    options.pipeline.precision = settings.precision;
    options.pipeline.clip = settings.clip != "never";
    options.pipeline.machine = machineChanges;
    options.pipeline.targets = {"cpu"};
    options.pipeline.shape = shape;
    options.pipeline.programs = programs;
    return compile(options) == 0;
  };
  if (llvm::Error error = bench::run(settings, compiler))
    return fail(std::move(error));
  return 0;
}

} // namespace quern::tools
