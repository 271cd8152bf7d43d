//===- Bench.cpp - quern bench ----------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Bench/Bench.h"

#include "Library.h"
#include "Machine.h"
#include "ModelWorks.h"
#include "Peers.h"
#include "Row.h"
#include "quern/Runtime/Threads.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

namespace quern::bench {

namespace {

class Bench {
public:
  Bench(const Settings &settings, const Compiler &compiler)
      : settings(settings), compiler(compiler) {
    threads = settings.threads;
    if (threads.empty())
      threads.push_back(runtime::threads());
  }

  llvm::Error run();

private:
  llvm::Error runWork(llvm::StringRef work);
  llvm::Error measureKernel(const Kernel &kernel);
  /// Each shape that was asked for, or of the work's own.
  llvm::Error forShapes(llvm::ArrayRef<const char *> own,
                        llvm::function_ref<llvm::Error(llvm::StringRef)> body) {
    for (const std::string &shape : settings.shapes)
      if (llvm::Error error = body(shape))
        return error;
    if (settings.shapes.empty())
      for (const char *shape : own)
        if (llvm::Error error = body(shape))
          return error;
    return llvm::Error::success();
  }
  void add(Row row) {
    if (!settings.json) {
      llvm::outs() << row.toText();
      llvm::outs().flush();
    }
    rows.push_back(row.toJSON());
  }

  const Settings &settings;
  const Compiler &compiler;
  std::vector<int> threads;
  std::vector<std::unique_ptr<Peer>> peers;
  llvm::json::Array rows;
};

llvm::Error Bench::measureKernel(const Kernel &kernel) {
  llvm::Expected<Library> library = Library::compile(compiler, kernel.text());
  if (!library)
    return library.takeError();
  KernelCall call(*library, kernel);
  for (int count : threads) {
    Row row(kernel.work, kernel.shape);
    row.threads = count;
    row.unit = kernel.unit;
    row.type = kernel.type;
    double before = ceilingOf(kernel.limit, count);
    library->function<int(int)>("quern_set_threads")(count);
    row.times = measure(settings.seconds, [&] { call(); });
    double after = ceilingOf(kernel.limit, count);
    row.rate = kernel.amount * 1e-9 / row.times.least;
    row.ceiling = std::max(before, after);
    row.ratio = row.ceiling ? row.rate / row.ceiling : 0;
    if (kernel.type == "f32") // as peers compute
      for (const auto &peer : peers)
        if (std::optional<double> seconds = peer->measure(kernel, count, settings.seconds))
          row.peers[peer->name()] = kernel.amount * 1e-9 / *seconds;
    add(std::move(row));
  }
  return llvm::Error::success();
}

llvm::Error Bench::runWork(llvm::StringRef work) {
  for (const KernelFamily &family : kernelFamilies())
    if (work == family.name)
      return forShapes(family.shapes, [&](llvm::StringRef shape) -> llvm::Error {
        llvm::Expected<std::vector<Kernel>> kernels = kernelsAt(family, shape, settings.precision);
        if (!kernels)
          return kernels.takeError();
        for (const Kernel &kernel : *kernels)
          if (llvm::Error error = measureKernel(kernel))
            return error;
        return llvm::Error::success();
      });
  for (const ModelFamily &family : modelFamilies())
    if (work == family.name)
      return forShapes(family.shapes, [&](llvm::StringRef shape) -> llvm::Error {
        llvm::Expected<std::vector<Row>> measured =
            measureModel(family, shape, threads, settings.seconds, compiler);
        if (!measured)
          return measured.takeError();
        compareThreads(*measured);
        for (Row &row : *measured) {
          for (const auto &peer : peers)
            if (std::optional<double> time =
                    peer->measureModel(row.work, row.shape, row.threads, settings.seconds))
              row.peers[peer->name()] = row.rate * row.times.least / *time;
          add(std::move(row));
        }
        return llvm::Error::success();
      });
  return llvm::createStringError("there is no work '" + work + "'; use " + describeWorks());
}

llvm::Error Bench::run() {
  if (llvm::is_contained(settings.works, openBLASTrial))
    return tryOpenBLAS(threads.front(), settings.seconds);
  std::vector<std::string> works;
  for (const std::string &work : settings.works) {
    if (work != "all") {
      works.push_back(work);
      continue;
    }
    for (const KernelFamily &family : kernelFamilies())
      works.push_back(family.name);
    for (const ModelFamily &family : modelFamilies())
      works.push_back(family.name);
  }
  if (!settings.shapes.empty() && works.size() != 1)
    return llvm::createStringError("--shape is for one work; name one instead of " +
                                   llvm::join(settings.works, ", "));
  if (settings.precision != "f32")
    for (const std::string &work : works)
      for (const KernelFamily &family : kernelFamilies())
        if (work == family.name && !family.makeBf16)
          return llvm::createStringError("--precision=" + settings.precision +
                                         " is for gemm, train, prefill, decode and compile; '" +
                                         work + "' computes in f32");
  if (settings.clip == "never")
    for (const std::string &work : works)
      if (work != "machine" && work != "train" && work != "compile")
        return llvm::createStringError("--clip=never is for train and compile; '" + work +
                                       "' has no gradients to clip");
  llvm::Expected<std::vector<std::unique_ptr<Peer>>> found =
      findPeers(settings, works, *llvm::max_element(threads), compiler.tool);
  if (!found)
    return found.takeError();
  peers = std::move(*found);
  MachineReport machine = describeMachine(threads, compiler.machine);
  for (const auto &peer : peers)
    machine.peers.emplace_back(peer->name(), peer->description());
  llvm::erase(works, "machine");
  if (!settings.json) {
    llvm::outs() << machine.toText();
    if (!works.empty())
      llvm::outs() << tableHead();
  }
  for (const std::string &work : works)
    if (llvm::Error error = runWork(work))
      return error;
  if (settings.json)
    llvm::outs() << llvm::formatv(
        "{0:2}\n", llvm::json::Value(llvm::json::Object{{"machine", machine.toJSON()},
                                                        {"results", std::move(rows)}}));
  return llvm::Error::success();
}

} // namespace

std::string describeWorks() {
  std::string text = "machine (the ceilings), all, or of these:\n";
  auto line = [&](llvm::StringRef name, llvm::StringRef description, llvm::StringRef form) {
    text += ("  " + name + ": " + description + "; shape " + form + "\n").str();
  };
  for (const KernelFamily &family : kernelFamilies())
    line(family.name, family.description, family.form);
  for (const ModelFamily &family : modelFamilies())
    line(family.name, family.description, family.form);
  return text;
}

llvm::Error run(const Settings &settings, const Compiler &compiler) {
  return Bench(settings, compiler).run();
}

} // namespace quern::bench
