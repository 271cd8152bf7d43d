//===- Extensions.h - State that families of instructions keep with warps and blocks ----------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_EXTENSIONS_H
#define QUERN_EMULATOR_MACHINE_EXTENSIONS_H

#include <memory>
#include <vector>

namespace quern::emulator::machine {

/// One object of each type that is asked for, made with its default constructor at the first time:
///
///     CopyGroups &groups = warp.extensions.get<CopyGroups>();
///
class Extensions {
public:
  template <typename T>
  T &get() {
    for (Entry &entry : entries)
      if (entry.key == &keyOf<T>)
        return *static_cast<T *>(entry.object.get());
    entries.push_back({&keyOf<T>, std::make_shared<T>()});
    return *static_cast<T *>(entries.back().object.get());
  }
  /// The same if somebody has asked for it before, or null.
  template <typename T>
  const T *find() const {
    for (const Entry &entry : entries)
      if (entry.key == &keyOf<T>)
        return static_cast<const T *>(entry.object.get());
    return nullptr;
  }

private:
  template <typename T>
  static inline char keyOf = 0;
  struct Entry {
    const void *key;
    std::shared_ptr<void> object;
  };
  std::vector<Entry> entries;
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_EXTENSIONS_H
