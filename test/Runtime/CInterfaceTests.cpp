//===- CInterfaceTests.cpp - The C interface over the tiny model ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/quern.h"

#include "TestFiles.h"

#include <cmath>
#include <cstring>

using namespace quern::runtime;

namespace {
struct CInterface : testing::Test {
  CInterface() : model(quern_open()) { quern_initialize(model, 9); }
  ~CInterface() override { quern_close(model); }
  quern_model *model;
  int32_t tokens[6] = {1, 2, 3, 4, 5, 6}, targets[6] = {2, 3, -1, 5, 6, 7};
  quern_tensor inputs[2] = {{"tokens", QUERN_I32, 2, {2, 3}, tokens},
                            {"targets", QUERN_I32, 2, {2, 3}, targets}};
  float loss() {
    quern_tensor result;
    EXPECT_EQ(quern_run(model, "loss", inputs, 2), 0) << quern_error();
    EXPECT_EQ(quern_result(model, "loss", &result), 0);
    return *static_cast<float *>(result.data);
  }
};
} // namespace

// The hand-written gradients hold the runtime's tests up, so they are checked themselves.
TEST_F(CInterface, GradientsAgreeWithDifferences) {
  ASSERT_EQ(quern_run(model, "gradients", inputs, 2), 0) << quern_error();
  std::vector<std::pair<int64_t, float>> expected;
  ASSERT_EQ(quern_parameter_count(model), 4);
  std::vector<std::vector<float>> gradients;
  for (int64_t i = 0; i < 4; ++i) {
    quern_tensor parameter, gradient;
    quern_parameter(model, i, &parameter);
    ASSERT_EQ(quern_result(model, (std::string("gradient.") + parameter.name).c_str(), &gradient),
              0);
    int64_t count = gradient.rank == 2 ? gradient.shape[0] * gradient.shape[1] : gradient.shape[0];
    auto *values = static_cast<float *>(gradient.data);
    gradients.emplace_back(values, values + count);
  }
  for (int64_t i = 0; i < 4; ++i) {
    quern_tensor parameter;
    quern_parameter(model, i, &parameter);
    auto *values = static_cast<float *>(parameter.data);
    for (size_t k = 0; k < std::min<size_t>(gradients[size_t(i)].size(), 128); k += 5) {
      float kept = values[k], width = 0.05F;
      values[k] = kept + width;
      double above = double(loss());
      values[k] = kept - width;
      double below = double(loss());
      values[k] = kept;
      EXPECT_NEAR((above - below) / (2 * double(width)), double(gradients[size_t(i)][k]), 2e-4)
          << parameter.name << " " << k;
    }
  }
}

TEST_F(CInterface, TrainsAndSaves) {
  float before = loss();
  double rate = 0.05;
  quern_tensor with[3] = {inputs[0], inputs[1], {"learning_rate", QUERN_F64, 0, {}, &rate}};
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(quern_run(model, "train_step", with, 3), 0) << quern_error();
  float after = loss();
  EXPECT_LT(after, before * 0.5F);
  TestFolder folder;
  ASSERT_EQ(quern_save_weights(model, folder.path("w").c_str()), 0);
  quern_initialize(model, 1);
  EXPECT_NE(loss(), after);
  ASSERT_EQ(quern_load_weights(model, folder.path("w").c_str()), 0) << quern_error();
  EXPECT_EQ(loss(), after);
}

// Each call begins anew, also where the runtime keeps the memory of the one before.
TEST_F(CInterface, CallsDoNotSeeEarlierOnes) {
  auto decode = [&](int32_t token, const int32_t *position, const quern_tensor *cache) {
    quern_tensor with[3] = {{"tokens", QUERN_I32, 2, {1, 1}, &token}, {}, {}};
    size_t count = 1;
    if (position)
      with[count++] = {"position", QUERN_I32, 0, {}, const_cast<int32_t *>(position)};
    if (cache)
      with[count++] = *cache;
    EXPECT_EQ(quern_run(model, "decode", with, count), 0) << quern_error();
    quern_tensor logits;
    EXPECT_EQ(quern_result(model, "logits", &logits), 0);
    auto *values = static_cast<float *>(logits.data);
    return std::vector<float>(values, values + 256);
  };
  std::vector<float> alone = decode(5, nullptr, nullptr);
  quern_tensor cache;
  ASSERT_EQ(quern_result(model, "states", &cache), 0);
  int32_t one = 1;
  std::vector<float> second = decode(6, &one, &cache); // in the cache of the call itself
  EXPECT_NE(second, decode(6, nullptr, nullptr));
  EXPECT_EQ(alone, decode(5, nullptr, nullptr));
  ASSERT_EQ(quern_result(model, "states", &cache), 0);
  EXPECT_EQ(second, decode(6, &one, &cache));
  // What was refused leaves the results alone.
  EXPECT_EQ(quern_run(model, "decode", nullptr, 0), -1);
  EXPECT_EQ(quern_result(model, "logits", &cache), 0);
  EXPECT_EQ(static_cast<float *>(cache.data)[3], second[3]);
}

TEST_F(CInterface, ParametersAreSet) {
  quern_tensor head;
  ASSERT_EQ(quern_parameter(model, 3, &head), 0);
  std::vector<float> zeros(256 * 16);
  ASSERT_EQ(quern_set_parameter(model, 3, zeros.data()), 0) << quern_error();
  EXPECT_EQ(static_cast<float *>(head.data)[17], 0);
  EXPECT_NEAR(double(loss()), std::log(256.0), 1e-5);
}

TEST_F(CInterface, ADeviceIsNamed) {
  quern_model *other = quern_open_on("cpu");
  ASSERT_NE(other, nullptr) << quern_error();
  quern_close(other);
  EXPECT_EQ(quern_open_on("tpu"), nullptr);
  EXPECT_NE(std::string(quern_error()).find("'tpu' is no device"), std::string::npos);
  EXPECT_EQ(quern_open_on("gpu"), nullptr);
  EXPECT_NE(std::string(quern_error()).find("no code for GPUs"), std::string::npos);
}

TEST_F(CInterface, Generates) {
  std::vector<int32_t> first, again;
  auto collect = [](int32_t token, void *user) {
    auto &list = *static_cast<std::vector<int32_t> *>(user);
    list.push_back(token);
    return int(list.size() == 40);
  };
  EXPECT_EQ(quern_generate(model, tokens, 6, 100, nullptr, collect, &first), 40) << quern_error();
  EXPECT_EQ(quern_generate(model, tokens, 6, 100, nullptr, collect, &again), 40);
  EXPECT_EQ(first, again);
}

TEST_F(CInterface, FailuresAreMessages) {
  auto expect = [](int64_t result, const char *message) {
    EXPECT_EQ(result, -1);
    EXPECT_NE(std::string(quern_error()).find(message), std::string::npos) << quern_error();
  };
  quern_tensor result;
  expect(quern_result(model, "loss", &result), "no program has run yet");
  expect(quern_run(model, "los", inputs, 2), "did you mean loss?");
  expect(quern_run(model, "loss", inputs, 1), "needs the input targets");
  tokens[4] = 256;
  expect(quern_run(model, "loss", inputs, 2), "'tokens' has the value 256 at [1, 1]");
  tokens[4] = 5;
  inputs[0].type = QUERN_F32;
  expect(quern_run(model, "loss", inputs, 2), "has type f32, the program expects i32");
  inputs[0].type = QUERN_I32;
  inputs[0].name = "token";
  expect(quern_run(model, "loss", inputs, 2), "has no input 'token'");
  inputs[0].name = "tokens";
  inputs[0].data = nullptr;
  expect(quern_run(model, "loss", inputs, 2), "null pointer");
  expect(quern_run(nullptr, "loss", inputs, 2), "model is a null pointer");
  expect(quern_load_weights(model, "/nonexistent"), "cannot open /nonexistent");
  expect(quern_parameter(model, 4, &result), "parameter 4 is out of range");
  expect(quern_set_parameter(model, -1, tokens), "parameter -1 is out of range");
  expect(quern_set_parameter(model, 0, nullptr), "data is a null pointer");
  expect(quern_set_threads(0), "out of range");
  auto ignore = [](int32_t, void *) { return 0; };
  expect(quern_generate(model, tokens, 0, 1, nullptr, ignore, nullptr), "at least one token");
  int32_t bad = -1;
  expect(quern_generate(model, &bad, 1, 1, nullptr, ignore, nullptr), "token -1 at index 0");
  quern_sampling cold = {-1, 0, 1, 1};
  expect(quern_generate(model, tokens, 1, 1, &cold, ignore, nullptr), "temperature at least 0");
}
