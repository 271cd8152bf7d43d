//===- TinyModel.h - The sizes of the tiny model ----------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Macros make variants: other vocabularies, fixed shapes, another processor, another kind, code
/// for GPUs beside the host's (TINY_DEVICE, or TINY_HOPPER for sm_90a alone) or instead of it
/// (TINY_HOST=0).
///
#ifndef QUERN_TEST_RUNTIME_TINYMODEL_H
#define QUERN_TEST_RUNTIME_TINYMODEL_H

#ifndef TINY_VOCABULARY
#define TINY_VOCABULARY 256
#endif
#ifndef TINY_CONTEXT
#define TINY_CONTEXT 32
#endif
#ifndef TINY_BATCH
#define TINY_BATCH -1
#endif
#ifndef TINY_SEQUENCE
#define TINY_SEQUENCE -1
#endif
#ifndef TINY_KIND
#define TINY_KIND "causal_lm"
#endif
#ifndef TINY_REQUIRES
#define TINY_REQUIRES "sse3"
#endif
#ifndef TINY_WIDTH
#define TINY_WIDTH 16
#endif
#ifndef TINY_HOST
#define TINY_HOST 1
#endif
#if defined(TINY_HOPPER)
#define TINY_ARCHITECTURES R"("sm_90a")"
#elif defined(TINY_DEVICE)
#define TINY_ARCHITECTURES R"("sm_80", "sm_90a")"
#endif

#include "quern/Runtime/Program.h"

#include <zstd.h>

#include <cstring>
#include <string>

namespace tiny {

constexpr int64_t vocabulary = TINY_VOCABULARY, width = TINY_WIDTH, layers = 2;
constexpr int64_t tokenCount = vocabulary * width, mixCount = layers * width;
constexpr int64_t parameterCount = 2 * tokenCount + mixCount;

using Arguments = quern_descriptor *const *;

/// The elements of an argument; in the device's memory for a device's programs.
template <typename T>
T *data(const quern_descriptor *descriptor) {
  return static_cast<T *>(descriptor->aligned) + descriptor->offset;
}

/// PTX as programs keep it.
inline std::string packed(const char *text) {
  size_t size = std::strlen(text);
  std::string frame(ZSTD_compressBound(size), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text, size, /*compressionLevel=*/1));
  return frame;
}

} // namespace tiny

#endif // QUERN_TEST_RUNTIME_TINYMODEL_H
