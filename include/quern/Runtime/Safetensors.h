//===- Safetensors.h - Tensors in files -------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// The safetensors format of Hugging Face: 8 bytes of header length (little endian), a JSON header
/// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, "__metadata__": {..}},
/// data.
///
#ifndef QUERN_RUNTIME_SAFETENSORS_H
#define QUERN_RUNTIME_SAFETENSORS_H

#include "quern/Runtime/MappedFile.h"
#include "quern/Runtime/Tensor.h"

#include <map>
#include <string>
#include <vector>

namespace quern::runtime {

/// One tensor of a file.
struct FileTensor {
  std::string name;
  std::string type; // as the file spells it: F32, BF16, I64, ...
  Shape shape;
  const unsigned char *data = nullptr;
  int64_t elements = 0;
};

/// A memory-mapped file whose header has been checked completely.
class SafetensorsFile {
public:
  /// Throws Error naming the file and what is wrong: too short, a header longer than the file, not
  /// JSON, duplicate names, an unknown type, a size that disagrees with shape and type, offsets out
  /// of range, overlapping or with holes, or a truncated file.
  explicit SafetensorsFile(const std::string &path);

  const std::string &path() const { return name; }
  /// In the order of their data.
  const std::vector<FileTensor> &tensors() const { return list; }
  const std::map<std::string, std::string> &metadata() const { return pairs; }
  /// The tensor of that name, or null.
  const FileTensor *find(const std::string &tensor) const;

private:
  void parse();
  void checkLayout(size_t dataBytes);

  std::string name;
  MappedFile file;
  std::vector<FileTensor> list;
  std::map<std::string, size_t> index;
  std::map<std::string, std::string> pairs;
};

/// Copies the numbers of `from` into `to` (whose shape the caller has compared), converting F16 and
/// BF16 to wider types exactly, F64 to f32 and whatever is wider to bf16 by rounding (once, to
/// nearest, ties to even), and integers if every value fits. Returns true if types differed. Throws
/// Error naming tensor, file and both types for what cannot be converted.
bool convertTensor(const FileTensor &from, const Tensor &to, const std::string &path);

/// Writes the tensors under their names, atomically (see OutputFile).
void writeSafetensors(const std::string &path, std::vector<Tensor> tensors,
                      const std::map<std::string, std::string> &metadata);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_SAFETENSORS_H
