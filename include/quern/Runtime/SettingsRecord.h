//===- SettingsRecord.h - Settings that a checkpoint remembers --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_RUNTIME_SETTINGSRECORD_H
#define QUERN_RUNTIME_SETTINGSRECORD_H

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class Option;
} // namespace CLI

namespace quern::runtime {

/// Ties the options of a command to the variables that they fill, to write them to a checkpoint and
/// to take them from one.
class SettingsRecord {
public:
  using Variable = std::variant<int64_t *, uint64_t *, double *, bool *, std::string *>;

  /// `option` may be null for a value that is no option. A setting that `mayChange` can be given
  /// anew when a run is resumed; others would change its result.
  void add(const std::string &key, CLI::Option *option, Variable variable, bool mayChange = false);
  /// Lets or forbids a setting to change.
  void setMayChange(const std::string &key, bool mayChange);

  /// All settings as JSON.
  std::string dump() const;
  /// Whether the option of that key was given on the command line.
  bool given(const std::string &key) const;
  /// Takes every setting that was not given on the command line from `json`. Throws UsageError
  /// naming both values where a given one contradicts, Error if `json` is not of this form; `path`
  /// is where it came from.
  void merge(const std::string &json, const std::string &path);

private:
  struct Entry {
    std::string key;
    CLI::Option *option;
    Variable variable;
    bool mayChange;
  };
  std::vector<Entry> entries;
};

} // namespace quern::runtime

#endif // QUERN_RUNTIME_SETTINGSRECORD_H
