//===- ExportPrograms.cpp - The symbols that the runtime reads -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===-----------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Description.h"
#include "dialects/Kernel/Kernel.h"
#include "quern/CPU/Machine.h"
#include "quern/Target/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Compression.h"
#include "llvm/Support/JSON.h"
#include "llvm/TargetParser/Host.h"

namespace quern::target {
#define GEN_PASS_DEF_EXPORTPROGRAMS
#include "quern/Target/Passes.h.inc"
} // namespace quern::target

using namespace mlir;

namespace {

/// One row of a table: addresses of symbols, and a number after them.
struct Row {
  SmallVector<std::string> symbols;
  std::optional<int64_t> number = std::nullopt;
};

/// What one line of a table of programs points to.
struct Entry {
  std::string name; ///< without the prefix of its target
  std::string symbol;
  LLVM::LLVMFuncOp run, arenaBytes;
};

/// Of PTX: a fourteenth of its size after a tenth of a second. More levels take seconds to save a
/// sixth of that.
constexpr int compressionLevel = 9;

/// One row of `quern_device_codes`.
struct DeviceCode {
  StringRef architecture, text;
  SmallVector<Entry> programs;
};

class Exporter {
public:
  explicit Exporter(ModuleOp module)
      : module(module), symbols(module), context(module.getContext()), builder(context),
        ptr(LLVM::LLVMPointerType::get(context)), i64(builder.getI64Type()) {}

  FailureOr<Entry> exportProgram(func::FuncOp program);
  void writePrograms(StringRef name, ArrayRef<Entry> entries, LLVM::Linkage linkage);
  void writeCodes(ArrayRef<DeviceCode> codes);
  void writeText(StringRef name, StringRef text);
  void writeBytes(StringRef name, StringRef bytes, LLVM::Linkage linkage);

private:
  Type descriptorType(MemRefType type);
  Value loadMemRef(Value arguments, int64_t index, MemRefType type);
  Value viewArena(Value arena, Value bytes, MemRefType type);
  Value constant(int64_t value) {
    return LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(value));
  }
  LLVM::LLVMFuncOp function(const Twine &name, Type result, ArrayRef<Type> arguments);
  void writeTable(StringRef name, Type row, ArrayRef<Row> rows, LLVM::Linkage linkage);

  ModuleOp module;
  SymbolTable symbols;
  MLIRContext *context;
  OpBuilder builder;
  Type ptr, i64;
  Location loc = UnknownLoc::get(module.getContext());
};

/// The struct that a memref becomes in the LLVM dialect. quern_descriptor begins with the same
/// bytes.
Type Exporter::descriptorType(MemRefType type) {
  SmallVector<Type> fields{ptr, ptr, i64};
  if (int64_t rank = type.getRank())
    fields.append(2, LLVM::LLVMArrayType::get(i64, rank));
  return LLVM::LLVMStructType::getLiteral(context, fields);
}

/// `*arguments[index]` as a memref.
Value Exporter::loadMemRef(Value arguments, int64_t index, MemRefType type) {
  Value slot = LLVM::GEPOp::create(builder, loc, ptr, ptr, arguments,
                                   ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
  Value descriptor = LLVM::LoadOp::create(builder, loc, ptr, slot);
  Value fields = LLVM::LoadOp::create(builder, loc, descriptorType(type), descriptor);
  return UnrealizedConversionCastOp::create(builder, loc, type, fields).getResult(0);
}

Value Exporter::viewArena(Value arena, Value bytes, MemRefType type) {
  Value fields = LLVM::UndefOp::create(builder, loc, descriptorType(type));
  auto set = [&](Value value, ArrayRef<int64_t> position) {
    fields = LLVM::InsertValueOp::create(builder, loc, fields, value, position);
  };
  set(arena, {0});
  set(arena, {1});
  set(constant(0), {2});
  set(bytes, {3, 0});
  set(constant(1), {4, 0});
  return UnrealizedConversionCastOp::create(builder, loc, type, fields).getResult(0);
}

/// A function with a body, and the builder at its start.
LLVM::LLVMFuncOp Exporter::function(const Twine &name, Type result, ArrayRef<Type> arguments) {
  builder.setInsertionPointToEnd(module.getBody());
  auto function = LLVM::LLVMFuncOp::create(builder, loc, name.str(),
                                           LLVM::LLVMFunctionType::get(result, arguments));
  // The table is the only way in.
  function.setLinkage(LLVM::Linkage::Internal);
  symbols.insert(function);
  builder.setInsertionPointToStart(function.addEntryBlock(builder));
  return function;
}

FailureOr<Entry> Exporter::exportProgram(func::FuncOp program) {
  std::string name = program.getSymName().str();
  loc = program.getLoc();
  unsigned count = program.getNumArguments();
  if (!count || !program.getArgAttr(count - 1, "quern.arena"))
    return program.emitError("program '") << name << "' does not take the arena as last argument";
  SmallVector<MemRefType> types;
  for (Type type : program.getArgumentTypes()) {
    auto memref = dyn_cast<MemRefType>(type);
    if (!memref || !memref.getLayout().isIdentity() || memref.getRank() > 8)
      return program.emitError("program '")
             << name << "' takes " << type << "; only dense tensors of at most 8 dimensions can be "
             << "passed from outside";
    types.push_back(memref);
  }
  auto formula = symbols.lookup<func::FuncOp>(name + ".arena_bytes");
  if (!formula || formula.getNumArguments() != count - 1 || formula.getNumResults() != 1 ||
      !formula.getResultTypes().front().isInteger(64))
    return program.emitError("program '")
           << name << "' has no formula '" << name << ".arena_bytes' for the size of its arena";

  Entry entry;
  entry.symbol = name;
  entry.name = quern::kernel::programName(program).str();
  entry.arenaBytes = function(name + ".arena", i64, {ptr});
  auto unpack = [&](Value arguments) {
    SmallVector<Value> memrefs;
    for (unsigned i = 0; i + 1 < count; ++i)
      memrefs.push_back(loadMemRef(arguments, i, types[i]));
    return memrefs;
  };
  SmallVector<Value> memrefs = unpack(entry.arenaBytes.getArgument(0));
  Value bytes = func::CallOp::create(builder, loc, formula, memrefs).getResult(0);
  LLVM::ReturnOp::create(builder, loc, bytes);

  entry.run = function(name + ".run", LLVM::LLVMVoidType::get(context), {ptr, ptr});
  memrefs = unpack(entry.run.getArgument(0));
  bytes = func::CallOp::create(builder, loc, formula, memrefs).getResult(0);
  memrefs.push_back(viewArena(entry.run.getArgument(1), bytes, types.back()));
  func::CallOp::create(builder, loc, program, memrefs);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
  return entry;
}

void Exporter::writeText(StringRef name, StringRef text) {
  auto linkage = name == "quern_module_json" ? LLVM::Linkage::External : LLVM::Linkage::Internal;
  writeBytes(name, (text + Twine('\0')).str(), linkage);
}

void Exporter::writeBytes(StringRef name, StringRef bytes, LLVM::Linkage linkage) {
  builder.setInsertionPointToEnd(module.getBody());
  auto type = LLVM::LLVMArrayType::get(builder.getI8Type(), bytes.size());
  auto global = LLVM::GlobalOp::create(builder, module.getLoc(), type, /*isConstant=*/true, linkage,
                                       name, builder.getStringAttr(bytes));
  symbols.insert(global);
}

/// A constant array of rows of type `row`, and a row of zeros that ends it.
void Exporter::writeTable(StringRef name, Type row, ArrayRef<Row> rows, LLVM::Linkage linkage) {
  loc = module.getLoc();
  builder.setInsertionPointToEnd(module.getBody());
  auto table = LLVM::LLVMArrayType::get(row, rows.size() + 1);
  auto global =
      LLVM::GlobalOp::create(builder, loc, table, /*isConstant=*/true, linkage, name, Attribute());
  symbols.insert(global);
  builder.setInsertionPointToStart(&global.getInitializer().emplaceBlock());
  Value value = LLVM::ZeroOp::create(builder, loc, table);
  for (auto [index, fields] : llvm::enumerate(rows)) {
    SmallVector<Value> values;
    for (const std::string &symbol : fields.symbols)
      values.push_back(LLVM::AddressOfOp::create(builder, loc, ptr, symbol));
    if (fields.number)
      values.push_back(constant(*fields.number));
    for (auto [field, entry] : llvm::enumerate(values))
      value = LLVM::InsertValueOp::create(
          builder, loc, value, entry,
          ArrayRef<int64_t>{static_cast<int64_t>(index), static_cast<int64_t>(field)});
  }
  LLVM::ReturnOp::create(builder, loc, value);
}

void Exporter::writePrograms(StringRef name, ArrayRef<Entry> entries, LLVM::Linkage linkage) {
  SmallVector<Row> rows;
  for (const Entry &known : entries) {
    Entry entry = known;
    writeText(entry.symbol + ".name", entry.name);
    rows.push_back({{entry.symbol + ".name", entry.run.getSymName().str(),
                     entry.arenaBytes.getSymName().str()}});
  }
  writeTable(name, LLVM::LLVMStructType::getLiteral(context, {ptr, ptr, ptr}), rows, linkage);
}

void Exporter::writeCodes(ArrayRef<DeviceCode> codes) {
  SmallVector<Row> rows;
  for (const DeviceCode &code : codes) {
    std::string symbol = ("device_code." + code.architecture).str();
    writeText(symbol + ".name", code.architecture);
    SmallVector<uint8_t> packed;
    llvm::compression::zstd::compress(llvm::arrayRefFromStringRef(code.text), packed,
                                      compressionLevel);
    writeBytes(symbol, llvm::toStringRef(packed), LLVM::Linkage::Internal);
    writePrograms(symbol + ".programs", code.programs, LLVM::Linkage::Internal);
    rows.push_back(
        {{symbol + ".name", symbol, symbol + ".programs"}, static_cast<int64_t>(packed.size())});
  }
  writeTable("quern_device_codes", LLVM::LLVMStructType::getLiteral(context, {ptr, ptr, ptr, i64}),
             rows, LLVM::Linkage::External);
}

/// How the programs of the host, or those of a device, store activations.
static StringRef precisionOf(ModuleOp module, bool onDevice) {
  StringRef precision = "f32";
  for (auto program : module.getOps<func::FuncOp>())
    if (program->hasAttr("quern.target") == onDevice)
      if (auto stored = program->getAttrOfType<StringAttr>("quern.precision"))
        precision = stored;
  return precision;
}

/// Programs of one target take some arguments in another type than the model has them in: the
/// description of `program` says in which, for the host or for a device.
static void describeTypes(llvm::json::Object &description, func::FuncOp program) {
  llvm::json::Array *arguments = description.getArray("arguments");
  for (size_t i = 0; arguments && i < arguments->size() && i < program.getNumArguments(); ++i) {
    llvm::json::Object *argument = (*arguments)[i].getAsObject();
    auto type = dyn_cast<MemRefType>(program.getArgumentTypes()[i]);
    if (!argument || !type || !type.getElementType().isBF16())
      continue;
    (*argument)[program->hasAttr("quern.target") ? "device_type" : "type"] = "bf16";
  }
}

/// The description of a parameter says how programs keep it in memory.
static void describePanels(llvm::json::Object &description, func::FuncOp program) {
  llvm::json::Array *parameters = description.getArray("parameters");
  for (unsigned i = 0; parameters && i < program.getNumArguments(); ++i) {
    auto panels = program.getArgAttrOfType<quern::kernel::PanelsAttr>(i, "quern.panels");
    auto name = program.getArgAttrOfType<StringAttr>(i, "quern.name");
    if (!panels || !name)
      continue;
    for (llvm::json::Value &value : *parameters)
      if (llvm::json::Object *parameter = value.getAsObject();
          parameter && parameter->getString("name") == name.getValue())
        (*parameter)["panels"] =
            llvm::json::Object{{"width", panels.getWidth()},
                               {"side", quern::kernel::stringifyPanelSide(panels.getSide())}};
  }
}

struct ExportPrograms : quern::target::impl::ExportProgramsBase<ExportPrograms> {
  using ExportProgramsBase::ExportProgramsBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!module->hasAttr("quern.model"))
      return;
    llvm::Expected<quern::kernel::Description> described = quern::kernel::Description::read(module);
    llvm::json::Object *description = described ? described->model() : nullptr;
    if (!description) {
      if (!described)
        llvm::consumeError(described.takeError());
      module.emitError("attribute 'quern.model' is not the text of a JSON object");
      return signalPassFailure();
    }
    llvm::Expected<quern::cpu::Machine> machine = quern::cpu::Machine::get(cpu);
    if (!machine) {
      module.emitError(llvm::toString(machine.takeError()));
      return signalPassFailure();
    }
    llvm::json::Array features;
    for (const std::string &feature : machine->requires_)
      features.push_back(feature);
    (*description)["quern"] = 1;
    (*description)["target"] = llvm::json::Object{{"triple", llvm::sys::getDefaultTargetTriple()},
                                                  {"cpu", machine->cpu},
                                                  {"requires", std::move(features)},
                                                  {"precision", precisionOf(module, false)}};

    Exporter exporter(module);
    SmallVector<Entry> entries;
    SmallVector<DeviceCode> codes;
    if (auto texts = module->getAttrOfType<DictionaryAttr>("quern.device_code"))
      for (NamedAttribute code : texts)
        codes.push_back({code.getName(), cast<StringAttr>(code.getValue()).getValue(), {}});
    for (auto program : llvm::to_vector(module.getOps<func::FuncOp>())) {
      if (!program->hasAttr("quern.program"))
        continue;
      SmallVector<Entry> *table = &entries;
      if (auto target = program->getAttrOfType<StringAttr>("quern.target")) {
        auto code = llvm::find_if(
            codes, [&](const DeviceCode &code) { return code.architecture == target; });
        if (code == codes.end()) {
          program.emitError("program '")
              << program.getSymName() << "' is for " << target << ", but there is no code for it";
          return signalPassFailure();
        }
        table = &code->programs;
      }
      FailureOr<Entry> entry = exporter.exportProgram(program);
      if (failed(entry))
        return signalPassFailure();
      if (llvm::json::Object *known = described->find(program))
        describeTypes(*known, program);
      describePanels(*description, program);
      table->push_back(*entry);
    }
    exporter.writePrograms("quern_programs", entries, LLVM::Linkage::External);
    exporter.writeCodes(codes);
    if (!codes.empty()) {
      llvm::json::Array architectures;
      for (const DeviceCode &code : codes)
        architectures.push_back(code.architecture);
      (*description)["device"] =
          llvm::json::Object{{"kind", "nvidia"},
                             {"architectures", std::move(architectures)},
                             {"precision", precisionOf(module, /*onDevice=*/true)}};
    }
    exporter.writeText("quern_module_json", described->text());
  }
};

} // namespace
