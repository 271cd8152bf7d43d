//===- Memory.cpp - What a program needs, predicted and seen ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Memory.h"

#include "llvm/ADT/StringRef.h"

#include <cmath>
#include <fstream>

namespace quern::bench {

using llvm::json::Array;
using llvm::json::Object;

static double bytesOf(const Object &tensor) {
  double bytes = 4;
  if (auto type = tensor.getString("type"))
    bytes = *type == "f64" || *type == "i64" ? 8 : *type == "bf16" || *type == "f16" ? 2 : 4;
  if (const Array *shape = tensor.getArray("shape"))
    for (const llvm::json::Value &size : *shape)
      bytes *= double(size.getAsInteger().value_or(1));
  return bytes;
}

/// A list of [coefficient, {dimension: power}].
static std::optional<double> evaluate(const Array &polynomial,
                                      const std::map<std::string, int64_t> &sizes) {
  double sum = 0;
  for (const llvm::json::Value &entry : polynomial) {
    const Array *term = entry.getAsArray();
    if (!term || term->size() != 2 || !(*term)[1].getAsObject())
      return std::nullopt;
    double value = (*term)[0].getAsNumber().value_or(0);
    for (const auto &[name, power] : *(*term)[1].getAsObject()) {
      auto size = sizes.find(llvm::StringRef(name).str());
      if (size == sizes.end())
        return std::nullopt;
      value *= std::pow(double(size->second), double(power.getAsInteger().value_or(0)));
    }
    sum += value;
  }
  return sum;
}

std::optional<double> predictedBytes(const Object &description, const std::string &name,
                                     const std::map<std::string, int64_t> &sizes) {
  const Array *parameters = description.getArray("parameters");
  const Array *programs = description.getArray("programs");
  if (!parameters || !programs)
    return std::nullopt;
  double total = 0;
  for (const llvm::json::Value &parameter : *parameters)
    if (const Object *tensor = parameter.getAsObject())
      total += bytesOf(*tensor);
  for (const llvm::json::Value &entry : *programs) {
    const Object *program = entry.getAsObject();
    if (!program || program->getString("name") != llvm::StringRef(name))
      continue;
    const Array *arguments = program->getArray("arguments"), *arena = program->getArray("arena");
    if (!arguments || !arena)
      return std::nullopt;
    for (const llvm::json::Value &argument : *arguments)
      if (const Object *tensor = argument.getAsObject())
        if (auto role = tensor->getString("role");
            role == llvm::StringRef("first_moment") || role == llvm::StringRef("second_moment"))
          total += bytesOf(*tensor);
    for (const llvm::json::Value &use : *arena) {
      const Object *part = use.getAsObject();
      const Array *bytes = part ? part->getArray("bytes") : nullptr;
      std::optional<double> value = bytes ? evaluate(*bytes, sizes) : std::nullopt;
      if (!value)
        return std::nullopt;
      total += *value;
    }
    return total;
  }
  return std::nullopt;
}

/// A line of /proc/self/status, in bytes.
static std::optional<double> status(llvm::StringRef name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    llvm::StringRef rest = line;
    double kilobytes;
    if (rest.consume_front(name) && rest.consume_front(":") &&
        !rest.split("kB").first.trim().getAsDouble(kilobytes))
      return kilobytes * 1024;
  }
  return std::nullopt;
}

MemoryWatch::MemoryWatch() {
  // 5 sets the peak of the resident memory back to what is resident now (proc(5)).
  std::ofstream reset("/proc/self/clear_refs");
  if (reset << "5" << std::flush)
    before = status("VmRSS");
}

std::optional<double> MemoryWatch::peak() const {
  std::optional<double> most = status("VmHWM");
  if (!before || !most)
    return std::nullopt;
  return *most - *before;
}

} // namespace quern::bench
