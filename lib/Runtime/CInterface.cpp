//===- CInterface.cpp - A compiled model as a library: the C interface ------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/quern.h"

#include "quern/Runtime/Checkpoint.h"
#include "quern/Runtime/CommandLine.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Generator.h"
#include "quern/Runtime/Session.h"
#include "quern/Runtime/Threads.h"

#include <cmath>
#include <cstring>
#include <new>

using namespace quern::runtime;

struct quern_model {
  explicit quern_model(const std::string &name)
      : module(Module::parse(quern_module_json, quern_programs, quern_device_codes)),
        device(openDevice(module, name)), session(module, *device), arena(*device),
        parameters(session.weights.fileTensors()) {}
  Module module;
  std::unique_ptr<Device> device;
  Session session;
  Arena arena;
  std::vector<Tensor> parameters;
  std::unique_ptr<Call> call;          // the last run
  std::vector<Tensor> results;         // what it wrote
  std::map<std::string, Block> copies; // row by row on the host, of what is not so (expose)
  int64_t step = 0;                    // updates so far
  bool shared = false;                 // somebody has pointers into the weights

  /// Before a run: what was written through pointers shows nowhere.
  void noticeWrites() const {
    if (shared)
      session.weights.changed();
  }
};

static thread_local std::string lastError;

/// Calls `body`; turns an exception into its message and `failure`.
template <typename Result, typename Body>
static Result guarded(Result failure, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    lastError = "out of memory";
  } catch (const std::exception &error) {
    lastError = error.what();
  }
  return failure;
}

static void need(const void *pointer, const char *what) {
  if (!pointer)
    throw UsageError(concat(what, " is a null pointer"));
}

/// `tensor` as C sees it; of one that a GPU holds, or that lies in panels, a copy.
static void expose(quern_model &model, const Tensor &tensor, quern_tensor *to) {
  *to = {};
  to->name = tensor.name.c_str();
  to->type = quern_type(int(tensor.type));
  to->rank = int32_t(tensor.shape.size());
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    to->shape[i] = tensor.shape[i];
  readTensor(tensor, [&](const Tensor &numbers) {
    to->data = numbers.data;
    if (numbers.data == tensor.data)
      return;
    Block &copy = model.copies[tensor.name];
    if (copy.size() < numbers.bytes())
      copy = Block(numbers.bytes(), concat("a copy of '", tensor.name, "'"));
    std::memcpy(copy.data(), numbers.data, size_t(numbers.bytes()));
    to->data = copy.data();
  });
}

/// Checks an input and makes it a source of numbers.
static NamedInput inputOf(const quern_tensor &input) {
  if (input.rank < 0 || input.rank > 8 || int(input.type) < 0 || int(input.type) > QUERN_BF16)
    throw UsageError(concat("input '", input.name, "' has an impossible type or rank"));
  Tensor tensor{input.name, Type(int(input.type)), Shape(input.shape, input.shape + input.rank),
                input.data, nullptr};
  if (tensor.elements() > 0)
    need(input.data, "the data of an input");
  return {tensor.shape, [tensor](const Tensor &to) {
            if (tensor.type != to.type)
              throw UsageError(concat("input '", to.name, "' has type ", nameOf(tensor.type),
                                      ", the program expects ", nameOf(to.type)));
            // Perhaps the cache that this call wrote before.
            std::memmove(to.data, tensor.data, size_t(tensor.bytes()));
          }};
}

extern "C" {

const char *quern_error(void) { return lastError.c_str(); }

quern_model *quern_open(void) {
  return guarded<quern_model *>(nullptr, [] { return new quern_model(""); });
}

quern_model *quern_open_on(const char *device) {
  return guarded<quern_model *>(nullptr, [&] {
    need(device, "device");
    return new quern_model(device);
  });
}

void quern_close(quern_model *model) { delete model; }

const char *quern_description(const quern_model *model) {
  return model ? model->module.text.c_str() : nullptr;
}

int quern_set_threads(int threads) {
  return guarded(-1, [&] {
    if (threads < 1 || threads > 4096)
      throw UsageError(concat("threads ", threads, " is out of range: 1 to 4096"));
    setThreads(threads);
    return 0;
  });
}

int quern_initialize(quern_model *model, uint64_t seed) {
  return guarded(-1, [&] {
    need(model, "model");
    model->session.weights.initialize(seed);
    return 0;
  });
}

int quern_load_weights(quern_model *model, const char *path) {
  return guarded(-1, [&] {
    need(model, "model");
    need(path, "path");
    model->session.weights.load(SafetensorsFile(path));
    return 0;
  });
}

int quern_save_weights(quern_model *model, const char *path) {
  return guarded(-1, [&] {
    need(model, "model");
    need(path, "path");
    saveWeights(path, model->module, model->session.weights);
    return 0;
  });
}

int64_t quern_parameter_count(const quern_model *model) {
  return model ? int64_t(model->parameters.size()) : 0;
}

/// Parameter `index`, or an error.
static const Tensor &parameterAt(const quern_model *model, int64_t index) {
  need(model, "model");
  if (index < 0 || index >= quern_parameter_count(model))
    throw UsageError(concat("parameter ", index, " is out of range: the model has ",
                            quern_parameter_count(model)));
  return model->parameters[size_t(index)];
}

int quern_parameter(quern_model *model, int64_t index, quern_tensor *parameter) {
  return guarded(-1, [&] {
    const Tensor &tensor = parameterAt(model, index);
    need(parameter, "parameter");
    expose(*model, tensor, parameter);
    model->shared |= parameter->data == tensor.data;
    return 0;
  });
}

int quern_set_parameter(quern_model *model, int64_t index, const void *data) {
  return guarded(-1, [&] {
    const Tensor &tensor = parameterAt(model, index);
    need(data, "data");
    writeTensor(tensor, [&](const Tensor &to) {
      std::memmove(to.data, data, size_t(to.bytes())); // perhaps what quern_parameter gave
    });
    model->session.weights.changed();
    return 0;
  });
}

int64_t quern_program_count(const quern_model *model) {
  return model ? int64_t(model->module.programs.size()) : 0;
}

const char *quern_program_name(const quern_model *model, int64_t index) {
  return index >= 0 && index < quern_program_count(model)
             ? model->module.programs[size_t(index)].name.c_str()
             : nullptr;
}

int quern_run(quern_model *model, const char *name, const quern_tensor *inputs, size_t count) {
  return guarded(-1, [&] {
    need(model, "model");
    need(name, "program");
    if (count)
      need(inputs, "inputs");
    const Program &program = model->module.get(name);
    NamedInputs named;
    std::vector<std::pair<std::string, double>> options;
    for (size_t i = 0; i < count; ++i) {
      need(inputs[i].name, "the name of an input");
      std::string input = inputs[i].name;
      if (program.find(input, Role::Option) && input != "position") {
        if (inputs[i].type != QUERN_F64 || inputs[i].rank != 0 || !inputs[i].data)
          throw UsageError(
              concat("option '", input, "' must be one number of type f64 and rank 0"));
        options.push_back({input, *static_cast<const double *>(inputs[i].data)});
      } else if (program.find(input, Role::Input) || program.find(input, Role::Cache) ||
                 program.find(input, Role::State) || input == "position") {
        named[input] = inputOf(inputs[i]);
      } else if (input == "clip" && program.neverClips()) {
        throw UsageError(concat("program '", program.name,
                                "' never clips gradients, for it was compiled with --clip=never; "
                                "leave the option 'clip' out, or compile without that"));
      } else {
        throw UsageError(concat("program '", program.name, "' has no input '", input, "'"));
      }
    }
    // Again the same: its memory is there, and a GPU has recorded what to do.
    Call *call = model->call.get();
    std::unique_ptr<Call> fresh;
    if (!call || &call->description() != &program || !model->session.prepareAgain(*call, named)) {
      fresh = std::make_unique<Call>(model->session.prepare(program, named, model->arena));
      call = fresh.get();
    }
    setOptimizerOptions(*call, OptimizerSettings(), OptimizerSettings().learningRate,
                        model->step + 1);
    for (const auto &[option, value] : options)
      call->setOption(option, value);
    model->noticeWrites();
    call->run();
    model->step += program.updatesParameters();
    model->results = Session::results(*call, model->module);
    if (fresh)
      model->call = std::move(fresh);
    return 0;
  });
}

int quern_result(quern_model *model, const char *name, quern_tensor *result) {
  return guarded(-1, [&] {
    need(model, "model");
    need(name, "name");
    need(result, "result");
    std::vector<std::string> names;
    for (const Tensor &tensor : model->results) {
      if (tensor.name == name) {
        expose(*model, tensor, result);
        return 0;
      }
      names.push_back(tensor.name);
    }
    throw UsageError(names.empty()
                         ? "no program has run yet"
                         : concat("the last run has no result '", name, "'", suggest(name, names)));
  });
}

int64_t quern_generate(quern_model *model, const int32_t *prompt, size_t length, int64_t count,
                       const quern_sampling *sampling, int (*token)(int32_t, void *), void *user) {
  return guarded(int64_t(-1), [&] {
    need(model, "model");
    need(prompt, "prompt");
    need(reinterpret_cast<const void *>(token), "token");
    const Module &module = model->module;
    if (length == 0 || count < 0 || count > INT32_MAX)
      throw UsageError("the prompt needs at least one token, and count must be from 0 to 2^31 - 1");
    for (size_t i = 0; i < length; ++i)
      if (prompt[i] < 0 || prompt[i] >= module.vocabulary)
        throw UsageError(concat("token ", prompt[i], " at index ", int64_t(i),
                                " of the prompt is not in the vocabulary of 0 to ",
                                module.vocabulary - 1));
    SamplingSettings settings{0, 0, 1, 1};
    if (sampling)
      settings = {sampling->temperature, sampling->top_k, sampling->top_p, sampling->seed};
    if (!(settings.temperature >= 0) || !std::isfinite(settings.temperature) || settings.topK < 0 ||
        !(settings.topP > 0 && settings.topP <= 1))
      throw UsageError(
          "sampling is out of range: temperature at least 0, top_k at least 0, top_p above 0 "
          "and at most 1");
    model->noticeWrites();
    Generator generator(module, model->session.weights, int64_t(length) + count);
    int64_t given = 0;
    generator.generate({prompt, prompt + length}, settings, count, [&](int32_t drawn) {
      ++given;
      return token(drawn, user) == 0;
    });
    return given;
  });
}

} // extern "C"
