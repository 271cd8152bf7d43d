//===- SafetensorsWriter.cpp - Writes tensors to files, atomically ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Device.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/OutputFile.h"
#include "quern/Runtime/Safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace quern::runtime {

void writeSafetensors(const std::string &path, std::vector<Tensor> tensors,
                      const std::map<std::string, std::string> &metadata) {
  static const char *const types[] = {"F32", "F64", "I32", "I64", "BF16"};
  // Wide elements first keeps every tensor aligned, as the format's own writer does.
  std::vector<Tensor> ordered;
  for (int64_t bytes : {8, 4, 2})
    std::copy_if(tensors.begin(), tensors.end(), std::back_inserter(ordered),
                 [&](const Tensor &tensor) { return sizeOf(tensor.type) == bytes; });
  tensors = std::move(ordered);
  nlohmann::ordered_json header;
  if (!metadata.empty())
    header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const Tensor &tensor : tensors) {
    int64_t end = offset + tensor.bytes();
    if (header.contains(tensor.name))
      throw Error(concat("cannot write ", path, ": two tensors are called '", tensor.name, "'"));
    header[tensor.name] = {{"dtype", types[int(tensor.type)]},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = tensors.empty() && metadata.empty() ? "{}" : header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' '); // the data begin aligned
  OutputFile file(path);
  uint64_t length = text.size();
  file.write(&length, 8);
  file.write(text.data(), text.size());
  for (const Tensor &tensor : tensors)
    readTensor(tensor,
               [&](const Tensor &numbers) { file.write(numbers.data, size_t(numbers.bytes())); });
  file.commit();
}

} // namespace quern::runtime
