//===- Description.cpp - The description that a module carries --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "dialects/Kernel/Description.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;

namespace quern::kernel {

static StringAttr textOf(ModuleOp module) {
  return module->getAttrOfType<StringAttr>("quern.model");
}

StringRef programName(func::FuncOp program) {
  StringRef name = program.getSymName();
  if (auto target = program->getAttrOfType<StringAttr>("quern.target"))
    name = name.drop_front(target.size() + 1);
  return name;
}

llvm::Expected<Description> Description::read(ModuleOp module) {
  StringAttr text = textOf(module);
  if (!text)
    return Description(nullptr);
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(text.getValue());
  if (!value)
    return value.takeError();
  return Description(std::move(*value));
}

llvm::json::Object *Description::find(func::FuncOp program) {
  llvm::json::Array *programs = model() ? model()->getArray("programs") : nullptr;
  if (programs)
    for (llvm::json::Value &known : *programs)
      if (llvm::json::Object *object = known.getAsObject();
          object && object->getString("name") == programName(program))
        return object;
  return nullptr;
}

std::string Description::text() const {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

void Description::write(ModuleOp module) const {
  if (textOf(module))
    module->setAttr("quern.model", StringAttr::get(module.getContext(), text()));
}

} // namespace quern::kernel
