//===- Reference.cpp - quern-reference: functions of models in float64 -----------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Tools/Reference.h"

#include "ReferenceFiles.h"
#include "quern/Reference/Checks.h"
#include "quern/Reference/Interpreter.h"
#include "quern/Runtime/Error.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/SourceMgr.h"

#include <CLI/CLI.hpp>

using namespace mlir;
using namespace quern;
using namespace quern::reference;
using namespace quern::tools;

namespace {
struct Options {
  std::string first, second, function = "forward", model, compare;
  std::string inputs, weights, outputs;
  std::vector<std::string> dims, ranges;
  bool checkGradient = false, print = false, asF32 = false, listOps = false;
  uint64_t seed = 0;
  double tolerance = 0;
};

/// A parsed file, with errors shown at the lines of its text.
struct Text {
  Text(MLIRContext &context, const std::string &path) : handler(sources, &context) {
    module = parseSourceFile<ModuleOp>(path, sources, &context);
  }
  llvm::SourceMgr sources;
  SourceMgrDiagnosticHandler handler;
  OwningOpRef<ModuleOp> module;

  /// All functions of that name: of models (of the one called `model`, if not empty), or outside.
  SmallVector<FunctionOp> functions(StringRef name, StringRef model) {
    SmallVector<FunctionOp> found;
    module->walk([&](FunctionOp function) {
      auto parent = function->getParentOfType<ModelOp>();
      if (function.getSymName() == name &&
          (model.empty() || (parent && parent.getSymName() == model)))
        found.push_back(function);
    });
    return found;
  }
  /// The function that takes the place of `other` in this text: of the same model.
  FunctionOp counterpart(FunctionOp other, StringRef name) {
    auto model = other->getParentOfType<ModelOp>();
    for (FunctionOp function : functions(name, model ? model.getSymName() : ""))
      if (static_cast<bool>(function->getParentOfType<ModelOp>()) == static_cast<bool>(model))
        return function;
    return {};
  }
};
} // namespace

/// "name=value" pairs.
static std::pair<std::string, std::string> splitPair(const std::string &text) {
  size_t at = text.find('=');
  if (at == std::string::npos)
    throw runtime::UsageError("expected NAME=VALUE, not " + text);
  return {text.substr(0, at), text.substr(at + 1)};
}

static int64_t parseInteger(StringRef text) {
  int64_t value;
  if (text.getAsInteger(10, value))
    throw runtime::UsageError("expected an integer, not " + text.str());
  return value;
}

static ValueSource makeSource(const Options &options, bool random) {
  ValueSource source;
  source.random = random;
  source.seed = options.seed;
  for (const std::string &text : options.dims) {
    auto [name, size] = splitPair(text);
    if ((source.sizes[name] = parseInteger(size)) <= 0)
      throw runtime::UsageError("the size of " + name + " must be positive, not " + size);
  }
  for (const std::string &text : options.ranges) {
    auto [name, range] = splitPair(text);
    auto [low, high] = StringRef(range).split(':');
    source.ranges[name] = {parseInteger(low), parseInteger(high)};
    if (source.ranges[name].first >= source.ranges[name].second)
      throw runtime::UsageError("the range of " + name + " is empty: " + range);
  }
  if (!options.inputs.empty())
    source.given = readArrays(options.inputs);
  return source;
}

/// `source` with the weights of the function's model.
static ValueSource withWeights(ValueSource source, const Options &options, FunctionOp function) {
  auto model = function->getParentOfType<ModelOp>();
  if (!options.weights.empty() && model)
    addWeights(model, readArrays(options.weights), source.given);
  return source;
}

static void printArray(StringRef name, const Array &array) {
  llvm::outs() << name << " " << formatShape(array.shape()) << ":";
  for (int64_t i = 0; i < array.size(); ++i)
    if (array.isFloat())
      llvm::outs() << llvm::format(" %.10g", array.flat(i));
    else
      llvm::outs() << " " << array.flatInteger(i);
  llvm::outs() << "\n";
}

static LogicalResult evaluate(Text &text, const Options &options, const ValueSource &source) {
  SmallVector<FunctionOp> functions = text.functions(options.function, options.model);
  if (functions.size() != 1)
    throw runtime::Error(functions.empty() ? "there is no function @" + options.function
                                           : "several models have a function @" + options.function +
                                                 "; choose one with --model");
  ValueSource values = withWeights(source, options, functions[0]);
  FailureOr<NamedArrays> parameters =
      parameterValues(functions[0]->getParentOfType<ModelOp>(), values);
  FailureOr<Arrays> arguments = argumentValues(functions[0], values);
  if (failed(parameters) || failed(arguments))
    return failure();
  FailureOr<Arrays> results = Interpreter(*parameters).call(functions[0], *arguments);
  if (failed(results))
    return failure();
  if (options.print || options.outputs.empty())
    for (auto [i, result] : llvm::enumerate(*results))
      printArray(resultName(functions[0], i), result);
  if (!options.outputs.empty()) {
    ArrayWriter writer;
    writer.addResults(functions[0], *results);
    writer.write(options.outputs, options.asF32);
  }
  return success();
}

/// Compares functions, or gradients, of each model of the first text with the second.
static LogicalResult check(Text &first, Text &second, const Options &options,
                           const ValueSource &source) {
  std::string name = options.checkGradient ? "loss" : options.compare;
  SmallVector<FunctionOp> functions = first.functions(name, options.model);
  if (functions.empty())
    throw runtime::Error("there is no function @" + name + " in " + options.first);
  bool good = true;
  for (FunctionOp function : functions) {
    StringRef wanted = options.checkGradient ? StringRef("gradients") : StringRef(name);
    FunctionOp other = second.counterpart(function, wanted);
    if (!other)
      return function.emitError("@") << function.getSymName() << " has no counterpart @" << wanted
                                     << " in " << options.second;
    ValueSource values = withWeights(source, options, function);
    auto model = function->getParentOfType<ModelOp>();
    if (!options.checkGradient)
      good &= succeeded(
          compareFunctions(function, other, values, options.tolerance ? options.tolerance : 1e-9));
    else if (!model)
      return function.emitError("gradients are those of a model's parameters");
    else
      good &= succeeded(checkGradients(model, function, other, values,
                                       options.tolerance ? options.tolerance : 1e-7));
  }
  return success(good);
}

static LogicalResult runTool(const Options &options, bool random) {
  if (options.listOps) {
    std::vector<StringRef> names;
    for (StringRef name : evaluators().keys())
      names.push_back(name);
    llvm::sort(names);
    for (StringRef name : names)
      llvm::outs() << name << "\n";
    return success();
  }
  if (options.first.empty())
    throw runtime::UsageError("which MODEL.mlir? see quern-reference --help");
  bool checks = options.checkGradient || !options.compare.empty();
  if (checks == options.second.empty())
    throw runtime::UsageError(checks ? "--compare and --check-gradient take two files"
                                     : "a second file needs --compare or --check-gradient");
  DialectRegistry registry;
  registerAllDialects(registry);
  registry.insert<QuernDialect>();
  MLIRContext context(registry);
  context.printOpOnDiagnostic(false);
  ValueSource source = makeSource(options, random || (checks && options.inputs.empty()));
  Text first(context, options.first);
  if (!first.module)
    return failure();
  if (!checks)
    return evaluate(first, options, source);
  Text second(context, options.second);
  if (!second.module)
    return failure();
  return check(first, second, options, source);
}

int quern::tools::runReference(int argc, char **argv) {
  Options options;
  CLI::App app(
      "Evaluates functions of quern models, and derived programs, in float64 by definition");
  app.add_option("model", options.first, "a text with models or functions");
  app.add_option("other", options.second, "the text to compare with: fused, or with gradients");
  app.add_option("--function", options.function, "the function to evaluate (forward)");
  app.add_option("--model", options.model, "the model to take it from, where there are several");
  app.add_option("--inputs", options.inputs, "arguments by name, as safetensors");
  app.add_option("--weights", options.weights,
                 "parameters by their names in files, as safetensors");
  CLI::Option *random =
      app.add_option("--random", options.seed,
                     "draw what is not given: floats from [-1, 1), integers from 0 to 3");
  app.add_option("--range", options.ranges, "draw integers of an argument from NAME=LOW:HIGH");
  app.add_option("--dims", options.dims, "sizes of dynamic dimensions, such as batch=2,sequence=5")
      ->delimiter(',');
  app.add_option("--outputs", options.outputs, "write results as safetensors");
  app.add_flag("--f32", options.asF32, "write floats as F32, not F64");
  app.add_flag("--print", options.print, "print results (default without --outputs)");
  app.add_option("--compare", options.compare, "compare this function in both texts");
  app.add_flag(
      "--check-gradient", options.checkGradient,
      "compare @gradients of the second text with finite differences of @loss of the first");
  app.add_option("--tolerance", options.tolerance,
                 "relative (1e-9 to compare, 1e-7 for gradients)");
  app.add_flag("--list-ops", options.listOps, "print the operations that have a definition here");
  try {
    app.parse(argc, argv);
    return succeeded(runTool(options, random->count() > 0)) ? 0 : 1;
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const runtime::UsageError &error) {
    llvm::errs() << "quern-reference: " << error.what() << "\n";
    return 2;
  } catch (const runtime::Error &error) {
    llvm::errs() << "quern-reference: " << error.what() << "\n";
    return 1;
  }
}
