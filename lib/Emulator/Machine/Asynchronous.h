//===- Asynchronous.h - Work that goes on beside the threads ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMULATOR_MACHINE_ASYNCHRONOUS_H
#define QUERN_EMULATOR_MACHINE_ASYNCHRONOUS_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>

namespace quern::emulator::machine {

/// Copies by engines of their own. Work is completed as late as possible: when no thread can go on
/// without it. A kernel that does not wait for its data therefore sees old data. With a schedule's
/// seed, work is completed at random times and in random order instead, which is as legal.
class Asynchronous {
public:
  void issue(std::function<void()> complete) { pending.push_back(std::move(complete)); }
  bool isEmpty() const { return pending.empty(); }

  /// Completes the oldest work.
  void completeOldest() { completeAt(0); }
  void completeRandom(std::mt19937_64 &random) { completeAt(size_t(random() % pending.size())); }

private:
  std::deque<std::function<void()>> pending;

  void completeAt(size_t index) {
    // Completing may issue new work.
    std::function<void()> complete = std::move(pending[index]);
    pending.erase(pending.begin() + std::ptrdiff_t(index));
    complete();
  }
};

} // namespace quern::emulator::machine

#endif // QUERN_EMULATOR_MACHINE_ASYNCHRONOUS_H
