//===- SettingsRecord.cpp - Settings that a checkpoint remembers ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/SettingsRecord.h"

#include "quern/Runtime/Error.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace quern::runtime {

using Json = nlohmann::ordered_json;

void SettingsRecord::add(const std::string &key, CLI::Option *option, Variable variable,
                         bool mayChange) {
  entries.push_back({key, option, variable, mayChange});
}

void SettingsRecord::setMayChange(const std::string &key, bool mayChange) {
  for (Entry &entry : entries)
    if (entry.key == key)
      entry.mayChange = mayChange;
}

std::string SettingsRecord::dump() const {
  Json json = Json::object();
  for (const Entry &entry : entries)
    std::visit([&](auto *variable) { json[entry.key] = *variable; }, entry.variable);
  return json.dump();
}

bool SettingsRecord::given(const std::string &key) const {
  for (const Entry &entry : entries)
    if (entry.key == key && entry.option && entry.option->count())
      return true;
  return false;
}

void SettingsRecord::merge(const std::string &text, const std::string &path) {
  Json json;
  try {
    json = Json::parse(text);
    for (const Entry &entry : entries)
      std::visit(
          [&](auto *variable) {
            auto saved = json.at(entry.key).get<std::decay_t<decltype(*variable)>>();
            bool isGiven = entry.option && entry.option->count();
            if (isGiven && !entry.mayChange && saved != *variable)
              throw UsageError(concat("--resume: ", entry.option->get_name(), " ",
                                      Json(*variable).dump(), " contradicts the checkpoint ", path,
                                      ", which has ", json.at(entry.key).dump(), "; leave ",
                                      entry.option->get_name(),
                                      " out, or start a new run with --weights and another --out"));
            if (!isGiven)
              *variable = saved;
          },
          entry.variable);
  } catch (const nlohmann::json::exception &error) {
    throw Error(concat(path, " is damaged: its settings cannot be read (", error.what(), ")"));
  }
}

} // namespace quern::runtime
