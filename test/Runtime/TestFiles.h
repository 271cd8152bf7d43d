//===- TestFiles.h - Temporary files for tests ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_TEST_RUNTIME_TESTFILES_H
#define QUERN_TEST_RUNTIME_TESTFILES_H

#include "quern/Runtime/Device.h"
#include "quern/Runtime/Error.h"
#include "quern/Runtime/Module.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

namespace quern::runtime {

/// A folder that is deleted with its owner.
class TestFolder {
public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quern-test-XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      std::abort();
    folder = pattern;
  }
  ~TestFolder() { std::filesystem::remove_all(folder); }
  TestFolder(const TestFolder &) = delete;
  TestFolder &operator=(const TestFolder &) = delete;

  std::string path(const std::string &name) const { return folder + "/" + name; }
  std::string write(const std::string &name, const std::string &bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  static std::string read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

private:
  std::string folder;
};

/// The bytes of a safetensors file with this header and this many bytes of data.
inline std::string safetensors(const std::string &header, size_t dataBytes) {
  uint64_t length = header.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + header +
         std::string(dataBytes, '\0');
}

/// Expects that `body` throws `Exception` with a message that has `part`.
template <typename Exception = Error, typename Body>
void expectError(const std::string &part, Body body) {
  try {
    body();
    ADD_FAILURE() << "no error; expected one with: " << part;
  } catch (const Exception &error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
        << "message: " << error.what() << "\nexpected part: " << part;
  }
}

/// The hand-written model that these tests are linked with.
inline const Module &tinyModule() {
  static const Module module = Module::parse(quern_module_json, quern_programs, quern_device_codes);
  return module;
}

/// The processor that these tests run on.
inline Device &hostDevice() {
  static const std::unique_ptr<Device> device = makeHostDevice();
  return *device;
}

} // namespace quern::runtime

#endif // QUERN_TEST_RUNTIME_TESTFILES_H
