//===- Work.cpp - What is measured ------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Work.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

namespace quern::bench {

std::string Argument::memref() const {
  std::string text = "memref<";
  for (int64_t size : shape)
    text += std::to_string(size) + "x";
  return text + type + ">";
}

/// MLIR's strings escape quotes as hexadecimal digits.
static std::string quoted(llvm::StringRef text) {
  std::string out;
  llvm::raw_string_ostream stream(out);
  llvm::printEscapedString(text, stream);
  return "\"" + out + "\"";
}

std::string Kernel::text() const {
  llvm::json::Array described;
  std::vector<std::string> signature;
  for (const Argument &argument : arguments) {
    std::vector<std::string> names(argument.shape.size());
    described.push_back(llvm::json::Object{{"name", argument.name},
                                           {"role", "output"},
                                           {"type", argument.type},
                                           {"shape", argument.shape},
                                           {"dimensions", llvm::json::Array(names)}});
    signature.push_back("%" + argument.name + ": " + argument.memref());
  }
  std::string description;
  llvm::raw_string_ostream(description) << llvm::json::Value(llvm::json::Object{
      {"model", work},
      {"kind", "kernels"},
      {"context", 0},
      {"vocabulary", 0},
      {"parameters", llvm::json::Array()},
      {"programs", llvm::json::Array{llvm::json::Object{{"name", "work"},
                                                        {"arguments", std::move(described)}}}}});
  return "module attributes {quern.model = " + quoted(description) + "} {\n  func.func @work(" +
         llvm::join(signature, ", ") + ") attributes {quern.program} {\n    " + body +
         "\n    return\n  }\n}\n";
}

std::vector<int64_t> parseSizes(llvm::StringRef text) {
  std::vector<int64_t> sizes;
  for (llvm::StringRef part : llvm::split(text, 'x')) {
    int64_t size;
    if (part.getAsInteger(10, size) || size < 1 || size > 1 << 24)
      return {};
    sizes.push_back(size);
  }
  return sizes;
}

llvm::Expected<std::vector<Kernel>> kernelsAt(const KernelFamily &family, llvm::StringRef shape,
                                              llvm::StringRef type) {
  auto [numbers, suffix] = shape.split(':');
  std::vector<int64_t> sizes = parseSizes(numbers);
  auto make = type == "bf16" ? family.makeBf16 : family.make;
  if (llvm::Expected<std::vector<Kernel>> kernels = make(sizes, suffix))
    return kernels;
  else
    llvm::consumeError(kernels.takeError());
  return llvm::createStringError("'" + shape + "' is no shape for " + family.name +
                                 ", which takes " + family.form + ", such as " +
                                 family.shapes.front());
}

} // namespace quern::bench
