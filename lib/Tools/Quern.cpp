//===- Quern.cpp - The command line of quern -------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Tools/Quern.h"

#include "BenchCommand.h"
#include "NativeGpus.h"
#include "quern/CPU/Machine.h"
#include "quern/GPU/Architecture.h"
#include "quern/Pipeline/Phases.h"
#include "quern/Tools/Compile.h"
#include "quern/Tools/New.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace quern::tools {

static std::string toolPath(char *argument) {
  return llvm::sys::fs::getMainExecutable(
      argument, reinterpret_cast<void *>(reinterpret_cast<intptr_t>(&toolPath)));
}

namespace {

/// The options of `compile` as they stand on the command line.
struct CompileCommand {
  CompileOptions options;
  std::string emit = "exe", layout = "auto", clip = "run-time";
  std::vector<std::string> targets{"cpu"}, gpus{"native"};
  CLI::Option *gpuOption = nullptr;

  void add(CLI::App &app);
  int run();
  bool findGpus();
};

const std::pair<const char *, Emit> emits[] = {{"exe", Emit::Executable}, {"lib", Emit::Library},
                                               {"obj", Emit::Object},     {"asm", Emit::Assembly},
                                               {"llvm-ir", Emit::LLVMIR}, {"ptx", Emit::PTX},
                                               {"mlir", Emit::MLIR}};

std::string isOneOf(const std::string &value, llvm::StringRef list, llvm::StringRef what) {
  llvm::SmallVector<llvm::StringRef> names;
  list.split(names, ", ");
  if (llvm::is_contained(names, value))
    return "";
  return ("unknown " + what + " '" + value + "'; use one of " + list).str();
}

void CompileCommand::add(CLI::App &app) {
  app.add_option("model", options.input, "text of a model (MLIR); - reads standard input")
      ->required()
      ->type_name("MODEL.mlir");
  app.add_option("-o,--output", options.output,
                 "file to write; by default the model's name without its ending")
      ->type_name("FILE");
  app.add_option("--emit", emit, "exe, lib (.so with a C header), obj, asm, llvm-ir, ptx or mlir")
      ->check([](const std::string &value) {
        return isOneOf(value, "exe, lib, obj, asm, llvm-ir, ptx, mlir", "output");
      })
      ->capture_default_str();
  app.add_option("--shape", options.pipeline.shape,
                 "fixes sizes that the text leaves open: batch=4,sequence=64")
      ->delimiter(',')
      ->type_name("NAME=SIZE,...");
  app.add_option("--programs", options.pipeline.programs,
                 "programs to derive, such as train_step,prefill,generate; all by default")
      ->delimiter(',')
      ->type_name("NAME,...");
  app.add_option("--target", targets, "cpu, nvidia, or both in one program: cpu,nvidia")
      ->delimiter(',')
      ->check([](const std::string &value) { return isOneOf(value, "cpu, nvidia", "target"); })
      ->capture_default_str();
  gpuOption = app.add_option("--gpu", gpus,
                             "architectures of --target=nvidia: sm_80, sm_90a, ..., or native: "
                             "those of the GPUs here (by default sm_80 where there are none)")
                  ->delimiter(',')
                  ->check([](const std::string &value) {
                    if (value == "native")
                      return std::string();
                    llvm::Expected<nvidia::Architecture> known = nvidia::Architecture::get(value);
                    return known ? std::string() : llvm::toString(known.takeError());
                  })
                  ->type_name("NAME,...")
                  ->capture_default_str();
  app.add_option("--cpu", options.pipeline.cpu,
                 "processor: native, x86-64-v3, x86-64-v4, or a name of LLVM's")
      ->capture_default_str();
  app.add_option("--machine", options.pipeline.machine,
                 std::string("changes to the model of that processor ('quern bench machine' prints "
                             "it), NAME=VALUE,...: ") +
                     cpu::Machine::describeChanges())
      ->type_name("NAME=VALUE,...");
  app.add_option(
         "--precision", options.pipeline.precision,
         "what is kept in 16 bits: f32 (nothing), bf16 (caches and weights of programs that "
         "do not train, activations of those that do, on GPUs of all, and, where the target "
         "multiplies bf16, copies of weights that these multiply; master weights, moments and "
         "sums stay f32), or "
         "auto, which is bf16 on GPUs and f32 on the CPU; tf32 is f32 whose matrix products "
         "round their factors to TF32 (--target=nvidia)")
      ->check([](const std::string &value) {
        return isOneOf(value, "auto, f32, tf32, bf16", "precision");
      })
      ->capture_default_str();
  app.add_option("--layout", layout,
                 "how parameters lie in memory: rows; panels, where the processor's products read "
                 "them so; or auto: panels in programs of the CPU alone, rows in a library, which "
                 "hands out pointers to them")
      ->check(
          [](const std::string &value) { return isOneOf(value, "auto, panels, rows", "layout"); })
      ->capture_default_str();
  app.add_option(
         "--clip", clip,
         "whether train_step limits the norm of gradients: run-time (as its option --clip says), "
         "or never, which updates weights within the backward pass and so needs no memory "
         "for most gradients")
      ->check(
          [](const std::string &value) { return isOneOf(value, "run-time, never", "clipping"); })
      ->capture_default_str();
  app.add_option("--stop-after", options.stopAfter,
                 "stop after this phase ('quern phases' lists them) and write the module's text")
      ->check(
          [](const std::string &value) { return isOneOf(value, pipeline::phaseNames(), "phase"); })
      ->type_name("PHASE");
  app.add_option("--dump-phases", options.dumpFolder, "write the module after each phase there")
      ->type_name("FOLDER");
  app.add_flag("--timing", options.timing,
               "print the time of each phase and the size of the output");
  app.add_flag("--strip", options.strip, "leave out symbols and the lines of the model");
}

std::string defaultOutput(const CompileOptions &options) {
  bool stops = !options.stopAfter.empty() && options.stopAfter != "link";
  if (stops || options.input == "-")
    return "-";
  std::string stem = llvm::sys::path::stem(options.input).str();
  switch (options.emit) {
  case Emit::Executable:
    return stem == options.input ? stem + ".out" : stem;
  case Emit::Library:
    return stem + ".so";
  case Emit::Object:
    return stem + ".o";
  case Emit::Assembly:
    return stem + ".s";
  case Emit::LLVMIR:
    return stem + ".ll";
  case Emit::PTX:
    return stem + ".ptx";
  case Emit::MLIR:
    break;
  }
  return "-";
}

/// Puts the GPUs that are here in the place of `native`.
bool CompileCommand::findGpus() {
  if (!llvm::is_contained(gpus, "native"))
    return true;
  llvm::Expected<std::vector<std::string>> found = nativeGpus();
  if (found) {
    llvm::erase(gpus, "native");
    for (const std::string &name : *found)
      if (!llvm::is_contained(gpus, name))
        gpus.push_back(name);
    return true;
  }
  std::string reason = llvm::toString(found.takeError());
  if (gpuOption->count()) {
    llvm::errs() << "quern: error: --gpu=native: " << reason
                 << "; name the architectures to write code for, such as --gpu=sm_80,sm_90a\n";
    return false;
  }
  llvm::errs()
      << "note: code for sm_80, which newer GPUs run too, because none is here to look at ("
      << reason << "); name others with --gpu=sm_80,sm_90a,...\n";
  gpus = {"sm_80"};
  return true;
}

int CompileCommand::run() {
  for (auto [name, value] : emits)
    if (emit == name)
      options.emit = value;
  for (const std::string &size : options.pipeline.shape) {
    auto [name, number] = llvm::StringRef(size).split('=');
    int64_t value;
    if (name.empty() || number.getAsInteger(10, value) || value <= 0 || value > 1 << 24) {
      llvm::errs() << "quern: error: --shape takes NAME=SIZE with a size from 1 to 16777216, such "
                      "as batch=4; got '"
                   << size << "'\n";
      return 1;
    }
  }
  if (llvm::is_contained(targets, "nvidia") && !findGpus())
    return 1;
  for (const std::string &target : targets)
    if (target == "cpu")
      options.pipeline.targets.push_back(target);
    else
      llvm::append_range(options.pipeline.targets, gpus);
  if (gpuOption->count() && !options.pipeline.hasGPU()) {
    llvm::errs() << "quern: error: --gpu names GPUs to write code for, but --target leaves them "
                    "out; give --target=nvidia, or --target=cpu,nvidia for both\n";
    return 1;
  }
  if (options.emit == Emit::PTX && (!options.pipeline.hasGPU() || gpus.size() != 1)) {
    llvm::errs() << "quern: error: --emit=ptx writes the code of one GPU architecture; give "
                    "--target=nvidia and one --gpu, such as --gpu=sm_80\n";
    return 1;
  }
  if (options.pipeline.precision == "tf32" && options.pipeline.hasCPU()) {
    llvm::errs()
        << "quern: error: --precision=tf32 is for --target=nvidia alone: processors have no "
           "TF32, and programs for both would not agree; use --precision=f32 for both "
           "targets\n";
    return 1;
  }
  if (layout == "panels" && options.pipeline.hasGPU()) {
    llvm::errs() << "quern: error: --layout=panels is for --target=cpu alone: GPUs take parameters "
                    "in rows; leave --layout or --target=nvidia out\n";
    return 1;
  }
  bool isLibrary = options.emit == Emit::Library || options.emit == Emit::Object;
  options.pipeline.layout = layout != "auto" ? layout : isLibrary ? "rows" : "panels";
  options.pipeline.clip = clip != "never";
  if (options.output.empty())
    options.output = defaultOutput(options);
  bool isText = options.emit == Emit::Assembly || options.emit == Emit::LLVMIR ||
                options.emit == Emit::PTX || options.emit == Emit::MLIR ||
                (!options.stopAfter.empty() && options.stopAfter != "link");
  if (options.output == "-" && !isText) {
    llvm::errs() << "quern: error: --emit=" << emit << " needs a file to write: -o FILE\n";
    return 1;
  }
  return compile(options);
}

/// `new gpt` and `new llama`.
struct NewCommand {
  ModelShape shape;
  std::string prefix;

  void add(CLI::App &app);
  int run(const std::string &family, bool hasPrefix);
};

void NewCommand::add(CLI::App &app) {
  auto count = [&](const char *name, int64_t &value, const char *description) {
    app.add_option(name, value, description)->type_name("N")->check([](const std::string &text) {
      int64_t number;
      bool good =
          !llvm::StringRef(text).getAsInteger(10, number) && number > 0 && number <= 1 << 24;
      return good ? "" : "needs a whole number from 1 to 16777216, got '" + text + "'";
    });
  };
  auto choice = [&](const char *name, std::string &value, const char *choices,
                    const char *description) {
    app.add_option(name, value, description)
        ->type_name(choices)
        ->check([=](const std::string &text) { return isOneOf(text, choices, "value"); });
  };
  auto positive = [](const std::string &text) {
    double number;
    bool good = !llvm::StringRef(text).getAsDouble(number) && number > 0 && number < 1e30;
    return good ? "" : "needs a positive number, got '" + text + "'";
  };
  count("--layers", shape.layers, "layers");
  count("--heads", shape.heads, "heads of queries");
  count("--kv-heads", shape.kvHeads, "heads of keys and values (default: as many as --heads)");
  count("--width", shape.width, "size of what flows from layer to layer");
  count("--hidden", shape.hidden, "inner size of the feed-forward network");
  count("--context", shape.context, "longest sequence");
  count("--vocabulary", shape.vocabulary, "number of tokens; 256 for bytes");
  app.add_flag("--tied", shape.tied, "the output matrix is the token table (default)");
  app.add_flag("--untied", shape.untied, "the output matrix is a parameter of its own");
  app.add_flag("--bias", shape.bias, "biases in linear maps and layer norms (default of gpt)");
  app.add_flag("--no-bias", shape.noBias, "no biases (default of llama)");
  choice("--rotary", shape.rotary, "half, interleaved", "which pairs rotate (llama)");
  app.add_option("--rotary-base", shape.rotaryBase, "base of the angles (llama; default 10000)")
      ->type_name("X")
      ->check(positive);
  choice("--gelu", shape.gelu, "tanh, exact", "which GELU (gpt)");
  app.add_option("--epsilon", shape.epsilon, "of the norms (default 1e-5)")
      ->type_name("X")
      ->check(positive);
  choice("--linear-storage", shape.storage, "in-out, out-in",
         "order of matrices in weight files (default: gpt in-out, llama out-in)");
  choice("--names", shape.names, "huggingface, llama2c", "names in weight files");
  app.add_option("--prefix", prefix,
                 "before all names but lm_head.weight (default: gpt none, llama 'model.')")
      ->type_name("TEXT");
}

int NewCommand::run(const std::string &family, bool hasPrefix) {
  shape.family = family;
  if (hasPrefix)
    shape.prefix = prefix;
  std::string error = completeShape(shape);
  if (prefix.find_first_of("\"\\\n") != std::string::npos)
    error = "--prefix cannot hold quotes, backslashes or line breaks";
  if (!error.empty()) {
    llvm::errs() << "quern: error: " << error << "\n";
    return 1;
  }
  family == "gpt" ? writeGPT(shape, llvm::outs()) : writeLlama(shape, llvm::outs());
  return 0;
}

/// Standard output is a file like any other: it can be full.
int finish(int status) {
  llvm::outs().flush();
  if (!llvm::outs().has_error())
    return status;
  llvm::errs() << "quern: error: cannot write standard output: " << llvm::outs().error().message()
               << "\n";
  llvm::outs().clear_error();
  return 1;
}

} // namespace

int runQuern(int argc, char **argv) {
  CLI::App app("Quern compiles a Transformer, written once as a text, to a native program that\n"
               "trains and runs it.",
               "quern");
  app.set_version_flag("--version", "quern " QUERN_VERSION " (LLVM " QUERN_LLVM_VERSION ")");
  app.require_subcommand(1);
  app.failure_message([](const CLI::App *, const CLI::Error &error) {
    return std::string("quern: error: ") + error.what() + "\n";
  });

  CompileCommand compileCommand;
  compileCommand.options.tool = toolPath(argv[0]);
  CLI::App *compile =
      app.add_subcommand("compile", "a model's text to a program, library or object file");
  compileCommand.add(*compile);
  BenchCommand benchCommand;
  benchCommand.tool = toolPath(argv[0]);
  CLI::App *bench = app.add_subcommand(
      "bench", "how fast compiled programs are, beside the machine's ceilings and other libraries");
  benchCommand.add(*bench);
  CLI::App *phases = app.add_subcommand("phases", "the way of a model through the compiler");
  bool markdown = false;
  phases->add_flag("--markdown", markdown, "as a table for a page");

  CLI::App *newModel = app.add_subcommand("new", "the text of a model, ready to edit");
  newModel->require_subcommand(1);
  NewCommand newCommand;
  CLI::App *newGPT = newModel->add_subcommand("gpt", "GPT-2; its 124M parameters by default");
  CLI::App *newLlama = newModel->add_subcommand("llama", "Llama; a small one by default");
  newCommand.add(*newGPT);
  newCommand.add(*newLlama);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error);
  }
  if (*bench)
    return finish(benchCommand.run());
  if (*compile)
    return finish(compileCommand.run());
  if (*newModel) {
    CLI::App *family = *newGPT ? newGPT : newLlama;
    return finish(newCommand.run(family->get_name(), family->count("--prefix") > 0));
  }
  markdown ? pipeline::printPhasesAsMarkdown(llvm::outs()) : pipeline::printPhases(llvm::outs());
  return finish(0);
}

} // namespace quern::tools
