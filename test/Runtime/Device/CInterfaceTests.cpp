//===- CInterfaceTests.cpp - The C interface on an emulated GPU -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/quern.h"

#include "../TestFiles.h"

#include <cmath>
#include <cstring>

using namespace quern::runtime;

namespace {

/// The tiny model on the host and its twin on a GPU, with the same weights.
struct CInterfaceOnGpu : testing::Test {
  CInterfaceOnGpu() {
    setenv("QUERN_CUDA_DRIVER", QUERN_CUDA_EMULATOR, 1);
    for (size_t i = 0; i < 2; ++i) {
      models[i] = quern_open_on(i ? "gpu:0" : "cpu");
      if (models[i])
        quern_initialize(models[i], 9);
    }
  }
  ~CInterfaceOnGpu() override {
    for (quern_model *model : models)
      quern_close(model);
    unsetenv("QUERN_CUDA_DRIVER");
  }
  void SetUp() override { ASSERT_NE(models[1], nullptr) << quern_error(); }

  std::vector<float> run(quern_model *model, const char *program, const char *result,
                         size_t inputCount = 2) {
    quern_tensor tensor;
    if (quern_run(model, program, inputs, inputCount) || quern_result(model, result, &tensor)) {
      ADD_FAILURE() << quern_error();
      return {};
    }
    size_t count = 1;
    for (int i = 0; i < tensor.rank; ++i)
      count *= size_t(tensor.shape[i]);
    auto *values = static_cast<float *>(tensor.data);
    return {values, values + count};
  }
  /// Expects that the result of a program is the same on both, but for `tolerance`.
  void expectNear(const char *program, const char *result, double tolerance,
                  size_t inputCount = 2) {
    std::vector<float> host = run(models[0], program, result, inputCount);
    std::vector<float> gpu = run(models[1], program, result, inputCount);
    ASSERT_EQ(host.size(), gpu.size());
    for (size_t i = 0; i < host.size(); ++i)
      ASSERT_NEAR(double(host[i]), double(gpu[i]), tolerance) << result << " " << i;
  }

  quern_model *models[2] = {};
  int32_t tokens[6] = {1, 2, 3, 4, 5, 6}, targets[6] = {2, 3, -1, 5, 6, 7};
  quern_tensor inputs[2] = {{"tokens", QUERN_I32, 2, {2, 3}, tokens},
                            {"targets", QUERN_I32, 2, {2, 3}, targets}};
};

} // namespace

TEST_F(CInterfaceOnGpu, ComputesWhatTheHostDoes) {
  expectNear("forward", "logits", 0, 1);
  expectNear("gradients", "gradient.lm_head.weight", 1e-7);
  expectNear("gradients", "gradient.h.1.mix.weight", 1e-7);
  for (int step = 0; step < 4; ++step) // the second is recorded, the third replayed
    expectNear("train_step", "loss", 1e-6);
  TestFolder folder;
  for (quern_model *model : models)
    ASSERT_EQ(quern_save_weights(model, folder.path("w").c_str()), 0) << quern_error();
  expectNear("loss", "loss", 1e-6);
}

TEST_F(CInterfaceOnGpu, ParametersAreCopies) {
  quern_tensor head;
  ASSERT_EQ(quern_parameter(models[1], 3, &head), 0) << quern_error();
  EXPECT_STREQ(head.name, "lm_head.weight");
  auto *values = static_cast<float *>(head.data);
  std::vector<float> kept(values, values + 256 * 16), zeros(256 * 16);
  EXPECT_NE(kept, zeros);
  std::memset(values, 0, zeros.size() * 4);
  ASSERT_EQ(quern_parameter(models[1], 3, &head), 0);
  EXPECT_EQ(std::memcmp(head.data, kept.data(), kept.size() * 4), 0);
  ASSERT_EQ(quern_set_parameter(models[1], 3, zeros.data()), 0) << quern_error();
  EXPECT_NEAR(double(run(models[1], "loss", "loss")[0]), std::log(256.0), 1e-5);
}

TEST_F(CInterfaceOnGpu, GeneratesTheSameText) {
  auto collect = [](int32_t token, void *user) {
    static_cast<std::vector<int32_t> *>(user)->push_back(token);
    return 0;
  };
  std::vector<int32_t> texts[2];
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(quern_generate(models[i], tokens, 6, 40, nullptr, collect, &texts[i]), 40)
        << quern_error();
  EXPECT_EQ(texts[0], texts[1]);
}

// A cache goes from one call to the next through the host.
TEST_F(CInterfaceOnGpu, DecodesWithACache) {
  std::vector<float> together = run(models[1], "forward", "logits", 1);
  int32_t prompt[2] = {1, 2}, next = 3, position = 2;
  inputs[0] = {"tokens", QUERN_I32, 2, {1, 2}, prompt};
  run(models[1], "prefill", "logits", 1);
  quern_tensor with[3] = {
      {"tokens", QUERN_I32, 2, {1, 1}, &next}, {"position", QUERN_I32, 0, {}, &position}, {}};
  ASSERT_EQ(quern_result(models[1], "states", &with[2]), 0);
  ASSERT_EQ(quern_run(models[1], "decode", with, 3), 0) << quern_error();
  quern_tensor logits;
  ASSERT_EQ(quern_result(models[1], "logits", &logits), 0);
  EXPECT_EQ(std::memcmp(logits.data, together.data() + 2 * 256, 256 * 4), 0);
}
