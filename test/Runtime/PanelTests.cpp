//===- PanelTests.cpp - Parameters that lie in panels -----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/PanelOrder.h"
#include "quern/Runtime/ParameterBlock.h"

#include "TestFiles.h"

#include <cstring>

using namespace quern::runtime;

/// The tiny model, with `panels` for its token table and head, 256 x 16 each.
static Module withPanels(const std::string &panels) {
  std::string text = quern_module_json, from = "\"layers\": 0,";
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;) {
    std::string to = from + " \"panels\": " + panels + ",";
    text.replace(at, from.size(), to);
    at += to.size();
  }
  return Module::parse(text.c_str(), quern_programs, quern_device_codes);
}

TEST(PanelOrder, IsThatOfTheCompiler) {
  // Two matrices [2, 5] in panels of two columns, the last one of one.
  std::vector<float> rows(20), panels(20), back(20);
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = float(i);
  Tensor tensor{"w", Type::F32, {2, 2, 5}, panels.data(), nullptr, {2, false}};
  toPanels(rows.data(), tensor);
  EXPECT_EQ(panels, (std::vector<float>{0,  1,  5,  6,  2,  3,  7,  8,  4,  9,
                                        10, 11, 15, 16, 12, 13, 17, 18, 14, 19}));
  fromPanels(tensor, back.data());
  EXPECT_EQ(back, rows);
  // A matrix [5, 2] in panels of two rows is the first one, transposed.
  Tensor transposed{"w", Type::F32, {5, 2}, panels.data(), nullptr, {2, true}};
  toPanels(rows.data(), transposed);
  EXPECT_EQ(panels[0], 0);
  EXPECT_EQ(panels[1], 2);
  EXPECT_EQ(panels[2], 1);
  EXPECT_EQ(panels[3], 3);
  EXPECT_EQ(panels[8], 8);
  EXPECT_EQ(panels[9], 9);
}

TEST(PanelOrder, KeepsEveryBit) {
  for (Type type : {Type::BF16, Type::F32, Type::F64})
    for (int64_t width : {1, 3, 8, 24, 100})
      for (bool ofRows : {false, true}) {
        Tensor tensor{"w", type, {3, 25, 17}, nullptr, nullptr, {width, ofRows}};
        std::vector<char> rows(size_t(tensor.bytes())), panels(rows.size()), back(rows.size());
        for (size_t i = 0; i < rows.size(); ++i)
          rows[i] = char(i * 7919 >> 3);
        tensor.data = panels.data();
        toPanels(rows.data(), tensor);
        fromPanels(tensor, back.data());
        EXPECT_EQ(rows, back) << width << ofRows;
        // One panel of all columns, and panels of one row, are the rows themselves.
        EXPECT_EQ(rows == panels, ofRows ? width == 1 : width >= 17) << width << ofRows;
      }
}

TEST(PanelOrder, FilesDoNotShowIt) {
  TestFolder folder;
  const Module &plain = tinyModule();
  ParameterBlock rows(plain, "weights", hostDevice());
  rows.initialize(5);
  for (const char *panels :
       {R"({"width": 5, "side": "columns"})", R"({"width": 24, "side": "rows"})"}) {
    Module module = withPanels(panels);
    EXPECT_EQ(module.fingerprint(), plain.fingerprint());
    ParameterBlock block(module, "weights", hostDevice()), loaded(module, "weights", hostDevice());
    block.initialize(5);
    EXPECT_NE(0, std::memcmp(block[0].data, rows[0].data, size_t(rows[0].bytes())));
    std::vector<Tensor> wanted = rows.fileTensors(), got = block.fileTensors();
    ASSERT_EQ(wanted.size(), got.size());
    for (size_t i = 0; i < got.size(); ++i)
      readTensor(got[i], [&](const Tensor &tensor) {
        EXPECT_EQ(0, std::memcmp(tensor.data, wanted[i].data, size_t(tensor.bytes())))
            << tensor.name;
      });
    writeSafetensors(folder.path("w"), rows.fileTensors(), {});
    loaded.load(SafetensorsFile(folder.path("w")));
    for (size_t i = 0; i < module.parameters.size(); ++i)
      EXPECT_EQ(0, std::memcmp(block[i].data, loaded[i].data, size_t(block[i].bytes())));
    // A copy in bf16 lies as what it is a copy of.
    const Tensor &narrow = block.in(Type::BF16, 0);
    block.refresh();
    EXPECT_EQ(narrow.panels.width, block[0].panels.width);
    auto first = static_cast<uint16_t *>(narrow.data)[300];
    uint32_t whole;
    std::memcpy(&whole, static_cast<float *>(block[0].data) + 300, 4);
    EXPECT_NEAR(first, whole >> 16, 1);
  }
}

TEST(PanelOrder, DamageIsNamed) {
  for (const char *panels :
       {R"({"width": 0, "side": "rows"})", R"({"width": -3, "side": "columns"})"})
    expectError("parameter 'token' is no matrix in panels", [&] { withPanels(panels); });
  expectError("the compiled model is damaged", [] { withPanels(R"({"width": 3})"); });
  expectError("panels of 'tiles'", [] { withPanels(R"({"width": 3, "side": "tiles"})"); });
}
