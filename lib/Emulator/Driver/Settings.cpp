//===- Settings.cpp - Which GPUs the emulated driver has --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Settings.h"

#include <cerrno>
#include <cstdlib>
#include <stdexcept>

namespace quern::cuda {

int Settings::sharedBytes() const {
  if (major >= 9)
    return 227 * 1024;
  if (major == 8)
    return (minor == 0 || minor == 7 ? 163 : 99) * 1024;
  return major == 7 && minor == 0 ? 96 * 1024 : 64 * 1024;
}

[[noreturn]] static void refuse(const char *variable, const char *text, const char *what) {
  throw std::runtime_error(std::string(variable) + "=" + text + ": " + what);
}

/// The number in `variable`, if it is set.
static void readNumber(const char *variable, uint64_t &value) {
  const char *text = std::getenv(variable);
  if (!text)
    return;
  char *end = nullptr;
  errno = 0;
  value = std::strtoull(text, &end, 10);
  if (!*text || *text == '-' || *end || errno)
    refuse(variable, text, "not a whole number");
}

/// A text of the form MAJOR.MINOR.
static void readVersion(const char *variable, int &major, int &minor) {
  const char *text = std::getenv(variable);
  if (!text)
    return;
  char *end = nullptr;
  long first = std::strtol(text, &end, 10);
  long second = *end == '.' ? std::strtol(end + 1, &end, 10) : -1;
  if (*end || first < 0 || first > 99 || second < 0 || second > 99)
    refuse(variable, text, "not of the form 9.0");
  major = int(first);
  minor = int(second);
}

Settings Settings::read() {
  Settings settings;
  uint64_t count = 1, races = 1;
  readNumber("QUERN_EMULATE_COUNT", count);
  settings.count = int(count);
  readVersion("QUERN_EMULATE_CAPABILITY", settings.major, settings.minor);
  int major = settings.cuda / 1000, minor = settings.cuda % 1000 / 10;
  readVersion("QUERN_EMULATE_CUDA", major, minor);
  settings.cuda = major * 1000 + minor * 10;
  readNumber("QUERN_EMULATE_MEMORY", settings.memory);
  readNumber("QUERN_EMULATE_SCHEDULE", settings.schedule);
  readNumber("QUERN_EMULATE_SAMPLE", settings.sample);
  readNumber("QUERN_EMULATE_FAULTY_LAUNCH", settings.faultyLaunch);
  readNumber("QUERN_EMULATE_RACES", races);
  settings.checkRaces = races != 0;
  if (const char *file = std::getenv("QUERN_EMULATE_REPORT"))
    settings.report = file;
  return settings;
}

} // namespace quern::cuda
