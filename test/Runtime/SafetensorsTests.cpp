//===- SafetensorsTests.cpp - Tensor files, good and bad --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/OutputFile.h"
#include "quern/Runtime/Safetensors.h"

#include "TestFiles.h"

#include <cmath>
#include <csignal>
#include <cstring>
#include <sys/resource.h>

using namespace quern::runtime;

TEST(Safetensors, RoundTrip) {
  TestFolder folder;
  float floats[] = {1, 2, 3, 4, 5, 6};
  int64_t wide[] = {7, 8};
  double scalar = 0.5;
  std::string path = folder.path("a.safetensors");
  writeSafetensors(path,
                   {{"a", Type::F32, {2, 3}, floats},
                    {"b", Type::I64, {2}, wide},
                    {"c", Type::F64, {}, &scalar},
                    {"empty", Type::F32, {0, 4}, nullptr}},
                   {{"key", "a \"value\""}});
  SafetensorsFile file(path);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.metadata().at("key"), "a \"value\"");
  EXPECT_EQ(file.find("a")->shape, (Shape{2, 3}));
  EXPECT_EQ(0, std::memcmp(file.find("a")->data, floats, sizeof floats));
  EXPECT_EQ(0, std::memcmp(file.find("b")->data, wide, sizeof wide));
  EXPECT_EQ(file.find("c")->elements, 1);
  EXPECT_EQ(file.find("empty")->elements, 0);
  EXPECT_EQ(file.find("d"), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.find("c")->data) % 8, 0u);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

struct BadFile {
  const char *name;
  std::string bytes;
  const char *message;
};

class BadFiles : public testing::TestWithParam<BadFile> {};

TEST_P(BadFiles, AreRefused) {
  TestFolder folder;
  std::string path = folder.write("bad.safetensors", GetParam().bytes);
  expectError("bad.safetensors is not a valid safetensors file",
              [&] { SafetensorsFile file(path); });
  expectError(GetParam().message, [&] { SafetensorsFile file(path); });
}

#define F32_AT(SHAPE, BEGIN, END)                                                                  \
  R"({"dtype":"F32","shape":)" SHAPE R"(,"data_offsets":[)" BEGIN "," END "]}"

INSTANTIATE_TEST_SUITE_P(
    Safetensors, BadFiles,
    testing::Values(
        BadFile{"Empty", "", "it has 0 bytes"}, BadFile{"TooShort", "1234567", "it has 7 bytes"},
        BadFile{"HeaderBeyondFile", std::string("\xff\0\0\0\0\0\0\0{}", 10),
                "should have 255 bytes"},
        BadFile{"HugeHeader", std::string(16, '\xff'), "but the file has only 16"},
        BadFile{"NotJson", safetensors("{\"a\":", 0), "not JSON"},
        BadFile{"NotObject", safetensors("[1, 2]", 0), "not a JSON object"},
        BadFile{
            "Twice",
            safetensors("{\"a\":" F32_AT("[1]", "0", "4") ",\"a\":" F32_AT("[1]", "4", "8") "}", 8),
            "names tensor 'a' twice"},
        BadFile{"NoShape", safetensors(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4),
                "lacks a"},
        BadFile{"OneOffset",
                safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4),
                "lacks a"},
        BadFile{"UnknownType",
                safetensors(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4),
                "unknown dtype 'F33'"},
        BadFile{"NegativeSize", safetensors("{\"a\":" F32_AT("[-1]", "0", "4") "}", 4),
                "not counts"},
        BadFile{"FractionalSize", safetensors("{\"a\":" F32_AT("[1.5]", "0", "4") "}", 4),
                "not counts"},
        BadFile{"Overflow",
                safetensors("{\"a\":" F32_AT("[4294967296,4294967296]", "0", "4") "}", 4),
                "too large"},
        BadFile{"ZeroHidesOverflow",
                safetensors("{\"a\":" F32_AT("[4294967296,4294967296,0]", "0", "0") "}", 0),
                "too large"},
        BadFile{"WrongBytes", safetensors("{\"a\":" F32_AT("[2]", "0", "4") "}", 4),
                "needs 8 bytes, but its data_offsets span 4"},
        BadFile{"Backwards", safetensors("{\"a\":" F32_AT("[1]", "4", "0") "}", 4), "not a range"},
        BadFile{"NegativeOffset", safetensors("{\"a\":" F32_AT("[1]", "-4", "0") "}", 4),
                "not a range"},
        BadFile{"Truncated", safetensors("{\"a\":" F32_AT("[2]", "0", "8") "}", 7),
                "the file has only 7 bytes of data"},
        BadFile{"Overlap",
                safetensors(
                    "{\"a\":" F32_AT("[2]", "0", "8") ",\"b\":" F32_AT("[2]", "4", "12") "}", 12),
                "'a' and 'b' overlap"},
        BadFile{"Hole",
                safetensors(
                    "{\"a\":" F32_AT("[1]", "0", "4") ",\"b\":" F32_AT("[1]", "8", "12") "}", 12),
                "a hole of 4 bytes before tensor 'b'"},
        BadFile{"Trailing", safetensors("{\"a\":" F32_AT("[1]", "0", "4") "}", 5), "1 bytes after"},
        BadFile{"BadMetadata", safetensors(R"({"__metadata__":{"a":1}})", 0), "is not a string"}),
    [](const auto &info) { return std::string(info.param.name); });

TEST(Safetensors, MissingFileAndFolder) {
  TestFolder folder;
  expectError("cannot open", [&] { SafetensorsFile file(folder.path("none")); });
  expectError("not a regular file", [&] { SafetensorsFile file(folder.path("")); });
}

static double convertOne(const char *type, const void *bytes) {
  double result = 0;
  FileTensor from{"x", type, {}, static_cast<const unsigned char *>(bytes), 1};
  convertTensor(from, {"x", Type::F64, {}, &result}, "file");
  return result;
}

TEST(Convert, HalvesExactly) {
  auto check = [](uint16_t bits, double expected) {
    EXPECT_EQ(convertOne("F16", &bits), expected);
  };
  check(0x3C00, 1);
  check(0xC000, -2);
  check(0x7BFF, 65504);
  check(0x0001, 0x1p-24);
  check(0x03FF, 1023 * 0x1p-24);
  check(0x0400, 0x1p-14);
  check(0x3555, 0.333251953125);
  check(0x7C00, INFINITY);
  uint16_t minusZero = 0x8000, nan = 0x7E01, bfloat = 0xC049;
  EXPECT_TRUE(std::signbit(convertOne("F16", &minusZero)));
  EXPECT_TRUE(std::isnan(convertOne("F16", &nan)));
  EXPECT_EQ(convertOne("BF16", &bfloat), -3.140625);
}

TEST(Convert, IntegersOnlyIfTheyFit) {
  int64_t wide[] = {1, -1, 1LL << 31};
  int32_t narrow[3];
  FileTensor from{"tokens", "I64", {3}, reinterpret_cast<unsigned char *>(wide), 3};
  expectError("tensor 'tokens' in f has the value 2147483648 at index 2",
              [&] { convertTensor(from, {"tokens", Type::I32, {3}, narrow}, "f"); });
  from.elements = 2;
  EXPECT_TRUE(convertTensor(from, {"tokens", Type::I32, {2}, narrow}, "f"));
  EXPECT_EQ(narrow[1], -1);
}

TEST(Convert, KindsDoNotMix) {
  float x = 1;
  FileTensor from{"w", "I8", {1}, reinterpret_cast<unsigned char *>(&x), 1};
  expectError("has dtype I8, which cannot be converted to the program's f32; store it as F32",
              [&] { convertTensor(from, {"w", Type::F32, {1}, &x}, "f"); });
}

TEST(OutputFile, FullDiskLeavesTheEarlierFile) {
  TestFolder folder;
  std::string path = folder.write("kept", "before");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old;
  getrlimit(RLIMIT_FSIZE, &old);
  rlimit small{1000, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string many(5000, 'x');
  expectError("kept: File too large; the earlier file is unchanged; free some space", [&] {
    OutputFile file(path);
    file.write(many.data(), many.size());
    file.commit();
  });
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(TestFolder::read(path), "before");
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(OutputFile, UnwritablePlaces) {
  TestFolder folder;
  expectError("create its folder first", [&] { OutputFile file(folder.path("no/such")); });
  expectError("it is a folder", [&] { OutputFile file(folder.path("")); });
  folder.write("file", "");
  expectError("a file of that name", [&] { createFolder(folder.path("file")); });
  expectError("cannot create folder", [&] { createFolder(folder.path("file/below")); });
  expectError("No space left on device", [&] {
    OutputFile full("/dev/full"); // a device is written in place, never replaced
    full.write("x", 1);
    full.commit();
  });
}
