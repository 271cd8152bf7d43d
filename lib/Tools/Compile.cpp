//===- Compile.cpp - quern compile -----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "quern/Tools/Compile.h"

#include "LibraryHeader.h"
#include "OutputFile.h"
#include "Timing.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Quern/Quern.h"
#include "quern/CPU/Machine.h"
#include "quern/Target/CodeGeneration.h"
#include "quern/Target/Link.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

namespace quern::tools {

namespace {

/// One run of the compiler: each step reports its own errors.
class Compilation {
public:
  explicit Compilation(const CompileOptions &options) : options(options) {}
  LogicalResult run();

private:
  LogicalResult fail(const llvm::Twine &message) {
    llvm::errs() << "quern: error: " << message << "\n";
    return failure();
  }
  LogicalResult fail(llvm::Error error) { return fail(llvm::toString(std::move(error))); }

  LogicalResult read();
  LogicalResult runPhases();
  LogicalResult runPhase(const pipeline::Phase &phase);
  LogicalResult dump(llvm::StringRef name, llvm::StringRef text);
  LogicalResult generate(OutputFile *output);
  LogicalResult link(llvm::ArrayRef<llvm::SmallString<0>> codes, OutputFile &output);
  LogicalResult writeText(OutputFile *output, llvm::StringRef text);
  bool needsProgram() const {
    return options.emit == Emit::Executable || options.emit == Emit::Library;
  }
  LogicalResult writePTX(OutputFile *output);
  std::string moduleText();
  void announce();

  const CompileOptions &options;
  Timing timing;
  cpu::Machine machine;
  target::LinkInputs linkInputs;
  DialectRegistry registry;
  std::unique_ptr<MLIRContext> context;
  llvm::SourceMgr sources;
  std::unique_ptr<SourceMgrDiagnosticHandler> diagnostics;
  OwningOpRef<ModuleOp> module;
  int dumped = 0;
};

LogicalResult Compilation::read() {
  llvm::ErrorOr<std::unique_ptr<llvm::MemoryBuffer>> buffer =
      llvm::MemoryBuffer::getFileOrSTDIN(options.input, /*IsText=*/true);
  if (!buffer)
    return fail("cannot read '" + options.input + "': " + buffer.getError().message());
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<QuernDialect, kernel::KernelDialect>();
  kernel::registerBufferization(registry);
  target::registerTranslations(registry);
  context = std::make_unique<MLIRContext>(registry);
  // The model's line says more to a person than the text of a derived operation.
  context->printOpOnDiagnostic(false);
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  diagnostics = std::make_unique<SourceMgrDiagnosticHandler>(sources, context.get(), llvm::errs());
  module = parseSourceFile<ModuleOp>(sources, context.get());
  if (!module)
    return failure();
  bool isModel = (*module)->hasAttr("quern.model") || !module->getOps<ModelOp>().empty();
  if (needsProgram() && options.stopAfter.empty() && !isModel)
    return fail("'" + options.input +
                "' holds no quern.model, which a program or a library is made of; use " +
                "--emit=obj, asm, llvm-ir or mlir for kernels alone");
  return success();
}

std::string Compilation::moduleText() {
  std::string text;
  llvm::raw_string_ostream out(text);
  OpPrintingFlags flags;
  flags.elideLargeElementsAttrs();
  module->print(out, flags);
  out << "\n";
  return text;
}

LogicalResult Compilation::dump(llvm::StringRef name, llvm::StringRef text) {
  if (options.dumpFolder.empty())
    return success();
  llvm::SmallString<256> path(options.dumpFolder);
  llvm::sys::path::append(path, llvm::formatv("{0:d2}-{1}", dumped++, name).str());
  llvm::Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return fail(file.takeError());
  if (llvm::Error error = file->write(text))
    return fail(std::move(error));
  if (llvm::Error error = file->keep())
    return fail(std::move(error));
  return success();
}

LogicalResult Compilation::runPhase(const pipeline::Phase &phase) {
  PassManager manager(context.get(), ModuleOp::getOperationName());
  phase.build(manager, options.pipeline);
  if (failed(manager.run(*module)))
    return failure();
  timing.stage(phase.name);
  if (options.dumpFolder.empty())
    return success();
  return dump(std::string(phase.name) + ".mlir", moduleText());
}

LogicalResult Compilation::runPhases() {
  if (!options.dumpFolder.empty()) {
    if (std::error_code code = llvm::sys::fs::create_directories(options.dumpFolder))
      return fail("cannot make the folder '" + options.dumpFolder + "': " + code.message());
    if (failed(dump("input.mlir", moduleText())))
      return failure();
  }
  for (const pipeline::Phase &phase : pipeline::phases()) {
    if (!phase.build)
      break;
    if (failed(runPhase(phase)))
      return failure();
    if (options.stopAfter == phase.name)
      break;
  }
  return success();
}

LogicalResult Compilation::writeText(OutputFile *output, llvm::StringRef text) {
  if (!output) {
    llvm::outs() << text;
    return success();
  }
  if (llvm::Error error = output->write(text))
    return fail(std::move(error));
  return success();
}

/// From the LLVM dialect to what was asked for, but for linking.
LogicalResult Compilation::writePTX(OutputFile *output) {
  auto codes = (*module)->getAttrOfType<DictionaryAttr>("quern.device_code");
  if (!codes)
    return fail("'" + options.input + "' has no kernel, and so there is no PTX to write");
  return writeText(output, cast<StringAttr>(codes.begin()->getValue()).getValue());
}

LogicalResult Compilation::generate(OutputFile *output) {
  if (options.emit == Emit::MLIR)
    return writeText(output, moduleText());
  if (options.emit == Emit::PTX)
    return writePTX(output);
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> target =
      target::createTargetMachine(machine);
  if (!target)
    return fail(target.takeError());
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> llvmModule =
      target::translateToLLVMIR(*module, machine, **target, llvmContext);
  if (!llvmModule)
    return fail("the module does not translate to LLVM IR");
  timing.stage("translate");
  // Parts go side by side; the text of one module is for reading.
  if (needsProgram() && options.dumpFolder.empty()) {
    llvm::Expected<std::vector<llvm::SmallString<0>>> objects =
        target::generateObjects(*llvmModule, machine);
    if (!objects)
      return fail(objects.takeError());
    timing.stage("code");
    return link(*objects, *output);
  }
  target::optimize(*llvmModule, **target);
  timing.stage("optimize");
  std::string text;
  if (options.emit == Emit::LLVMIR || !options.dumpFolder.empty()) {
    llvm::raw_string_ostream(text) << *llvmModule;
    if (failed(dump("optimized.ll", text)))
      return failure();
  }
  if (options.emit == Emit::LLVMIR)
    return writeText(output, text);
  std::vector<llvm::SmallString<0>> code(1);
  llvm::raw_svector_ostream stream(code.front());
  auto type = options.emit == Emit::Assembly ? llvm::CodeGenFileType::AssemblyFile
                                             : llvm::CodeGenFileType::ObjectFile;
  if (llvm::Error error = target::generateCode(*llvmModule, **target, type, stream))
    return fail(std::move(error));
  timing.stage("code");
  return needsProgram() ? link(code, *output) : writeText(output, code.front());
}

LogicalResult Compilation::link(llvm::ArrayRef<llvm::SmallString<0>> codes, OutputFile &output) {
  std::vector<std::string> objects;
  llvm::scope_exit remove([&] {
    for (const std::string &object : objects) {
      llvm::sys::fs::remove(object);
      llvm::sys::DontRemoveFileOnSignal(object);
    }
  });
  for (const llvm::SmallString<0> &code : codes) {
    llvm::SmallString<128> path;
    int descriptor;
    if (std::error_code error = llvm::sys::fs::createTemporaryFile("quern", "o", descriptor, path))
      return fail("no temporary file for the object code: " + error.message());
    objects.push_back(path.str().str());
    llvm::sys::RemoveFileOnSignal(path);
    llvm::raw_fd_ostream file(descriptor, /*shouldClose=*/true);
    file << code;
    file.close();
    if (std::error_code error = file.error()) {
      file.clear_error();
      return fail("cannot write '" + path.str() + "': " + error.message());
    }
  }
  auto linker = options.emit == Emit::Executable ? target::linkExecutable : target::linkLibrary;
  if (llvm::Error error = linker(objects, output.temporary(), linkInputs, options.strip))
    return fail(std::move(error));
  timing.stage("link");
  return success();
}

void Compilation::announce() {
  llvm::scope_exit precision([&] {
    const pipeline::Options &given = options.pipeline;
    bool isAsked = given.precision == "bf16";
    if (given.hasGPU() && (isAsked || given.precision == "auto"))
      llvm::errs() << "precision: on the GPU, activations, caches, and weights of programs that do "
                      "not train in bf16; master weights, moments and sums in f32 "
                      "(--precision=f32 for all in f32)\n";
    if (given.hasCPU() && isAsked)
      llvm::errs() << "precision: on the CPU, caches and weights of programs that do not train, "
                   << (machine.usesBf16Dot ? "activations of those that do and copies of the "
                                             "weights that these multiply, in bf16; "
                                           : "and activations of those that do, in bf16; ")
                   << "master weights, moments and sums in f32\n";
    if (given.precision == "tf32")
      llvm::errs() << "precision: all in f32; matrix products round their factors to TF32, 10 bits "
                      "of mantissa (--precision=f32 for all of them)\n";
  });
  if (options.pipeline.hasGPU()) {
    auto gpus = llvm::make_filter_range(options.pipeline.targets,
                                        [](llvm::StringRef target) { return target != "cpu"; });
    llvm::errs() << "target: NVIDIA GPU, " << llvm::join(gpus, ", ") << "\n";
  }
  if (!options.pipeline.hasCPU())
    return;
  llvm::errs() << "target: " << machine.describe() << "\n";
}

LogicalResult Compilation::run() {
  llvm::Expected<cpu::Machine> found =
      cpu::Machine::get(options.pipeline.cpu, options.pipeline.machine);
  if (!found)
    return fail(found.takeError());
  machine = *found;
  bool stops = !options.stopAfter.empty() && options.stopAfter != "link";
  // Everything that can go wrong without the model goes wrong before the work.
  if (needsProgram() && !stops) {
    llvm::Expected<target::LinkInputs> inputs = target::findLinkInputs(options.tool);
    if (!inputs)
      return fail(inputs.takeError());
    linkInputs = *inputs;
    if (llvm::Expected<std::string> linker = target::findLinker(); !linker)
      return fail(linker.takeError());
  }
  std::optional<OutputFile> output, header;
  if (options.output != "-") {
    llvm::Expected<OutputFile> file = OutputFile::create(options.output);
    if (!file)
      return fail(file.takeError());
    output.emplace(std::move(*file));
  }
  if (options.emit == Emit::Library && !stops) {
    llvm::SmallString<256> path(options.output);
    llvm::sys::path::replace_extension(path, "h");
    if (path == options.output)
      return fail("--emit=lib writes its header to '" + path.str() +
                  "'; give the library another name, such as lib.so");
    llvm::Expected<OutputFile> file = OutputFile::create(path);
    if (!file)
      return fail(file.takeError());
    header.emplace(std::move(*file));
  }
  if (failed(read()))
    return failure();
  if (!options.quiet)
    announce();
  timing.stage("read");
  if (failed(runPhases()))
    return failure();
  LogicalResult result = stops ? writeText(output ? &*output : nullptr, moduleText())
                               : generate(output ? &*output : nullptr);
  if (failed(result))
    return failure();
  if (!output)
    return success();
  if (header) {
    auto description = (*module)->getAttrOfType<StringAttr>("quern.model");
    if (llvm::Error error = header->write(libraryHeader(description ? description.getValue() : "")))
      return fail(std::move(error));
    if (llvm::Error error = header->keep())
      return fail(std::move(error));
  }
  if (llvm::Error error = output->keep())
    return fail(std::move(error));
  if (options.timing) {
    timing.print(llvm::errs());
    uint64_t bytes = 0;
    llvm::sys::fs::file_size(options.output, bytes);
    llvm::errs() << llvm::formatv("  {0}: {1} bytes\n", options.output, bytes);
  }
  return success();
}

} // namespace

int compile(const CompileOptions &options) { return failed(Compilation(options).run()) ? 1 : 0; }

} // namespace quern::tools
