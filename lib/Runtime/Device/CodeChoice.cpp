//===- CodeChoice.cpp - Which of a program's codes a GPU runs ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "CodeChoice.h"

#include "quern/Runtime/Error.h"

#include <zstd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace quern::runtime {

const quern_device_code *chooseCode(const quern_device_code *codes, int major, int minor) {
  const quern_device_code *best = nullptr;
  int bestCapability = 0, capability = 10 * major + minor;
  for (; codes->architecture; ++codes) {
    if (std::strncmp(codes->architecture, "sm_", 3) != 0)
      continue;
    char *suffix = nullptr;
    int wanted = int(std::strtol(codes->architecture + 3, &suffix, 10));
    if (std::strcmp(suffix, "a") == 0 && wanted == capability)
      return codes;
    if (!*suffix && wanted <= capability && wanted > bestCapability) {
      best = codes;
      bestCapability = wanted;
    }
  }
  return best;
}

std::string unpackCode(const quern_device_code &code) {
  size_t frame = size_t(code.text_bytes);
  unsigned long long bytes = ZSTD_getFrameContentSize(code.text, frame);
  // No PTX is a gigabyte long; the two errors are numbers above that.
  if (bytes < (1ull << 30)) {
    std::string text(size_t(bytes), '\0');
    if (ZSTD_decompress(text.data(), text.size(), code.text, frame) == text.size())
      return text;
  }
  throw Error(concat("the code for ", code.architecture,
                     " in this program is damaged; compile the model again"));
}

int requiredCuda(const char *ptx) {
  const char *line = std::strstr(ptx, ".version");
  int major = 0, minor = 0;
  if (!line || std::sscanf(line, ".version %d.%d", &major, &minor) != 2)
    return 0;
  // PTX ISA 9.0, section 13, "Release Notes": 7.0 came with CUDA 11.0, 8.0 with 12.0 and 9.0 with
  // 13.0, one version a release but for CUDA 12.6, which brought none.
  int skipped = major == 8 && minor >= 6 ? 1 : 0;
  return major < 7 ? 0 : (major + 4) * 1000 + (minor + skipped) * 10;
}

} // namespace quern::runtime
