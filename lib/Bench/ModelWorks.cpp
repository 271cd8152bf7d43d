//===- ModelWorks.cpp - Whole programs of models ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
// Models run through the C interface of their library (quern/Runtime/quern.h), as in a user's
// program. Their weights are random: how long a step takes does not depend on them.

#include "ModelWorks.h"

#include "Library.h"
#include "Memory.h"
#include "quern/Runtime/quern.h"

#include "llvm/ADT/StringExtras.h"

namespace quern::bench {

namespace {

/// A model of a library.
class Model {
public:
  static llvm::Expected<Model> open(const Compiler &compiler, llvm::StringRef name,
                                    const std::vector<std::string> &shape,
                                    const std::vector<std::string> &programs) {
    llvm::Expected<Library> library =
        Library::compile(compiler, compiler.model(name.str()), shape, programs);
    if (!library)
      return library.takeError();
    Model model(std::move(*library));
    model.watch = MemoryWatch(); // the compiler's memory is not the model's
    model.handle = model.call<decltype(quern_open)>("quern_open")();
    if (!model.handle ||
        model.call<decltype(quern_initialize)>("quern_initialize")(model.handle, 1))
      return model.error();
    model.count();
    return model;
  }
  Model(Model &&other) noexcept
      : parameters(other.parameters), table(other.table), weightBytes(other.weightBytes),
        vocabulary(other.vocabulary), type(std::move(other.type)), watch(other.watch),
        description(std::move(other.description)), library(std::move(other.library)),
        handle(std::exchange(other.handle, nullptr)) {}
  Model &operator=(Model &&) = delete;
  ~Model() {
    if (handle)
      call<decltype(quern_close)>("quern_close")(handle);
  }

  template <typename Function>
  Function *call(const char *name) const {
    return library.function<Function>(name);
  }
  quern_model *get() const { return handle; }
  void setThreads(int threads) const {
    call<decltype(quern_set_threads)>("quern_set_threads")(threads);
  }
  llvm::Error error() const {
    return llvm::createStringError(std::string("a program of the bench failed: ") +
                                   call<decltype(quern_error)>("quern_error")());
  }

  double parameters = 0;  ///< all of them
  double table = 0;       ///< of these the token table
  double weightBytes = 0; ///< of the weights that program 'generate' takes
  int64_t vocabulary = 0;
  std::string type = "f32"; ///< in which weights are stored
  MemoryWatch watch;        ///< since before the weights were there
  llvm::json::Object description;

private:
  explicit Model(Library library) : library(std::move(library)) {}

  /// The token table is a matrix whose rows are the vocabulary.
  void count() {
    llvm::Expected<llvm::json::Value> parsed =
        llvm::json::parse(call<decltype(quern_description)>("quern_description")(handle));
    if (!parsed)
      return llvm::consumeError(parsed.takeError());
    description = std::move(*parsed->getAsObject());
    vocabulary = description.getInteger("vocabulary").value_or(0);
    if (const llvm::json::Object *target = description.getObject("target"))
      type = target->getString("precision").value_or("f32").str();
    for (const llvm::json::Value &value : *description.getArray("parameters")) {
      const llvm::json::Array &shape = *value.getAsObject()->getArray("shape");
      double elements = elementsOf(shape);
      parameters += elements;
      if (shape.size() == 2 && shape[0].getAsInteger() == vocabulary)
        table = elements;
    }
    for (const llvm::json::Value &value : *description.getArray("programs")) {
      const llvm::json::Object &program = *value.getAsObject();
      if (program.getString("name") != "generate")
        continue;
      for (const llvm::json::Value &argument : *program.getArray("arguments")) {
        const llvm::json::Object &one = *argument.getAsObject();
        if (one.getString("role") == "parameter")
          weightBytes +=
              elementsOf(*one.getArray("shape")) * (one.getString("type") == "bf16" ? 2 : 4);
      }
    }
  }

  static double elementsOf(const llvm::json::Array &shape) {
    double elements = 1;
    for (const llvm::json::Value &size : shape)
      elements *= double(size.getAsInteger().value_or(0));
    return elements;
  }

  Library library;
  quern_model *handle = nullptr;
};

std::vector<int32_t> someTokens(int64_t count, int64_t vocabulary) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(int32_t(i * 7919 % vocabulary));
  return tokens;
}

using Rows = llvm::Expected<std::vector<Row>>;

/// Fills in what a rate of `perRun` things a run makes of the times. The ceiling was measured
/// before; once more after, and the higher counts.
void rate(Row &row, double perRun, Limit limit, double limitPerRun, double ceilingBefore) {
  row.rate = perRun / row.times.least;
  row.ceiling = std::max(ceilingBefore, ceilingOf(limit, row.threads));
  row.ratio = limitPerRun * 1e-9 / row.times.least / row.ceiling;
}

Rows measureTraining(llvm::StringRef name, llvm::ArrayRef<int64_t> sizes,
                     const std::vector<int> &threads, double seconds, const Compiler &compiler) {
  int64_t batch = sizes[0], length = sizes[1];
  llvm::Expected<Model> model = Model::open(
      compiler, name, {"batch=" + std::to_string(batch), "sequence=" + std::to_string(length)},
      {"train_step"});
  if (!model)
    return model.takeError();
  std::vector<int32_t> tokens = someTokens(batch * length, model->vocabulary);
  std::vector<int32_t> targets = someTokens(batch * length + 1, model->vocabulary);
  targets.erase(targets.begin());
  quern_tensor inputs[] = {{"tokens", QUERN_I32, 2, {batch, length}, tokens.data()},
                           {"targets", QUERN_I32, 2, {batch, length}, targets.data()}};
  auto *run = model->call<decltype(quern_run)>("quern_run");
  std::vector<Row> rows;
  for (int count : threads) {
    Row row("train", (name + ":" + llvm::Twine(batch) + "x" + llvm::Twine(length)).str());
    row.threads = count;
    row.unit = "tokens/s";
    row.type = model->type;
    Limit limit = model->type == "bf16" ? Limit::Bf16Products : Limit::MultiplyAdds;
    double ceiling = ceilingOf(limit, count);
    model->setThreads(count);
    bool failed = false;
    row.times =
        measure(seconds, [&] { failed |= run(model->get(), "train_step", inputs, 2) != 0; });
    if (failed)
      return model->error();
    double processed = double(batch * length);
    // Before the ceiling takes memory of its own to measure with.
    row.memory = model->watch.peak().value_or(0);
    row.predictedMemory =
        predictedBytes(model->description, "train_step", {{"batch", batch}, {"sequence", length}})
            .value_or(0);
    rate(row, processed, limit, 6 * model->parameters * processed, ceiling);
    rows.push_back(std::move(row));
  }
  return rows;
}

/// When each token of a generation came.
struct Clock {
  std::vector<double> times;
  static int tick(int32_t, void *clock) {
    static_cast<Clock *>(clock)->times.push_back(now());
    return 0;
  }
};

/// Reads `length` tokens and writes `count`; the seconds until the first, then between them.
llvm::Expected<std::vector<double>> generate(const Model &model, int64_t length, int64_t count) {
  std::vector<int32_t> prompt = someTokens(length, model.vocabulary);
  quern_sampling greedy = {0, 0, 1, 1};
  Clock clock;
  double start = now();
  if (model.call<decltype(quern_generate)>("quern_generate")(
          model.get(), prompt.data(), prompt.size(), count, &greedy, Clock::tick, &clock) != count)
    return model.error();
  std::vector<double> seconds;
  for (double time : clock.times)
    seconds.push_back(time - std::exchange(start, time));
  return seconds;
}

Rows measurePrefill(llvm::StringRef name, llvm::ArrayRef<int64_t> sizes,
                    const std::vector<int> &threads, double seconds, const Compiler &compiler) {
  llvm::Expected<Model> model = Model::open(compiler, name, {}, {"prefill", "decode"});
  if (!model)
    return model.takeError();
  std::vector<Row> rows;
  for (int count : threads) {
    Row row("prefill", (name + ":" + llvm::Twine(sizes[0])).str());
    row.threads = count;
    row.unit = "tokens/s";
    row.type = model->type;
    double ceiling = ceilingOf(Limit::MultiplyAdds, count);
    model->setThreads(count);
    llvm::Error error = llvm::Error::success();
    std::vector<double> firsts;
    double end = now() + seconds;
    for (int runs = 0; !error && (runs < 5 || now() < end); ++runs) {
      llvm::Expected<std::vector<double>> times = generate(*model, sizes[0], 1);
      if (!times)
        error = llvm::joinErrors(std::move(error), times.takeError());
      else if (runs > 1) // caches and pages are warm
        firsts.push_back(times->front());
    }
    if (error)
      return error;
    row.times = summarize(firsts);
    // Every token passes the layers; the output matrix is for the last one alone. Activations are
    // f32 in any case.
    double body = model->parameters - model->table, processed = double(sizes[0]);
    rate(row, processed, Limit::MultiplyAdds, 2 * (body * processed + model->table), ceiling);
    rows.push_back(std::move(row));
  }
  return rows;
}

Rows measureDecoding(llvm::StringRef name, llvm::ArrayRef<int64_t> sizes,
                     const std::vector<int> &threads, double seconds, const Compiler &compiler) {
  llvm::Expected<Model> model = Model::open(compiler, name, {}, {"prefill", "generate"});
  if (!model)
    return model.takeError();
  std::vector<Row> rows;
  for (int count : threads) {
    Row row("decode", (name + ":" + llvm::Twine(sizes[0])).str());
    row.threads = count;
    row.unit = "tokens/s";
    row.type = model->type;
    double ceiling = ceilingOf(Limit::Reading, count);
    model->setThreads(count);
    std::vector<double> steps;
    double end = now() + seconds;
    do {
      llvm::Expected<std::vector<double>> times = generate(*model, /*length=*/8, sizes[0] + 1);
      if (!times)
        return times.takeError();
      steps.insert(steps.end(), times->begin() + 1, times->end());
    } while (now() < end);
    row.times = summarize(steps);
    // Every weight is read once a token, as it is stored.
    rate(row, 1, Limit::Reading, model->weightBytes, ceiling);
    rows.push_back(std::move(row));
  }
  return rows;
}

Rows measureCompilation(llvm::StringRef name, llvm::ArrayRef<int64_t>, const std::vector<int> &,
                        double, const Compiler &compiler) {
  Row row("compile", name.str());
  std::vector<double> seconds;
  for (int i = 0; i < 2; ++i) {
    llvm::Expected<Library> library = Library::compile(compiler, compiler.model(name.str()));
    if (!library)
      return library.takeError();
    seconds.push_back(library->compileSeconds);
  }
  row.times = summarize(seconds);
  row.rate = row.times.least;
  row.unit = "seconds";
  return std::vector<Row>{row};
}

} // namespace

llvm::ArrayRef<ModelFamily> modelFamilies() {
  static const ModelFamily families[] = {
      {"train",
       "a training step: gradients, clipping (unless --clip=never), AdamW; 6 operations a "
       "parameter and token",
       "MODEL:BATCHxLENGTH",
       {"gpt2:4x64", "gpt2:4x256", "nano:12x64"},
       measureTraining},
      {"prefill",
       "reading a prompt, to its next token; 2 operations a parameter and token",
       "MODEL:TOKENS",
       {"llama-135m:256"},
       measurePrefill},
      {"decode",
       "writing tokens one by one; 4 bytes a parameter and token, or 2 in bf16",
       "MODEL:TOKENS",
       {"llama-135m:32"},
       measureDecoding},
      {"compile", "all programs of a model", "MODEL", {"gpt2", "gpt2-48"}, measureCompilation}};
  return families;
}

llvm::Expected<std::vector<Row>> measureModel(const ModelFamily &family, llvm::StringRef shape,
                                              const std::vector<int> &threads, double seconds,
                                              const Compiler &compiler) {
  auto [model, numbers] = shape.split(':');
  std::vector<int64_t> sizes;
  if (!numbers.empty())
    sizes = parseSizes(numbers);
  size_t wanted = llvm::StringRef(family.form).count('x') + llvm::StringRef(family.form).count(':');
  if (sizes.size() != wanted || compiler.model(model.str()).empty())
    return llvm::createStringError(
        "'" + shape + "' is no shape for " + family.name + ", which takes " + family.form +
        ", such as " + family.shapes.front() + "; models are gpt2, gpt2-48, nano and llama-135m");
  return family.measure(model, sizes, threads, seconds, compiler);
}

} // namespace quern::bench
