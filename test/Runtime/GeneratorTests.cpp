//===- GeneratorTests.cpp - Choosing tokens, and caches against the forward pass --------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Generator.h"
#include "quern/Runtime/Tokenizer.h"
#include "quern/Runtime/Trainer.h"
#include "quern/Runtime/TrainingLog.h"

#include "TestFiles.h"

#include <cmath>
#include <cstring>

using namespace quern::runtime;

TEST(Sampling, GreedyTakesTheLowestOfEquals) {
  EXPECT_EQ(sampleToken({0, 3, 1, 3}, {0, 0, 1, 1}, 0), 1);
}

TEST(Sampling, NoNumbersAreAnError) {
  expectError("are not numbers", [] { sampleToken({0, NAN}, {0, 0, 1, 1}, 0); });
}

/// How often each of four tokens comes out of 20000 draws.
static std::vector<double> frequencies(const SamplingSettings &settings) {
  std::vector<double> counts(4);
  std::vector<double> logits = {std::log(0.1), std::log(0.4), std::log(0.2), std::log(0.3)};
  for (uint64_t i = 0; i < 20000; ++i)
    counts[size_t(sampleToken(logits, settings, i))] += 1.0 / 20000;
  return counts;
}

static void expectNear(const std::vector<double> &got, const std::vector<double> &expected) {
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(got[i], expected[i], 5 * std::sqrt(0.25 / 20000)) << "token " << i;
}

TEST(Sampling, FollowsTheDistribution) {
  expectNear(frequencies({1, 0, 1, 1}), {0.1, 0.4, 0.2, 0.3});
  double total = 0.01 + 0.16 + 0.04 + 0.09; // temperature 1/2 squares the probabilities
  expectNear(frequencies({0.5, 0, 1, 1}), {0.01 / total, 0.16 / total, 0.04 / total, 0.09 / total});
  expectNear(frequencies({1, 2, 1, 1}), {0, 4.0 / 7, 0, 3.0 / 7}); // top-k 2
  expectNear(frequencies({1, 0, 0.65, 1}),
             {0, 4.0 / 7, 0, 3.0 / 7}); // top-p: 0.4 + 0.3 reaches 0.65
  expectNear(frequencies({1, 0, 0.1, 1}), {0, 1, 0, 0});
}

namespace {
struct Decoding : testing::Test {
  Decoding() : weights(tinyModule(), "weights", hostDevice()) { weights.initialize(4); }
  /// The forward pass's logits at the last of `tokens`.
  std::vector<double> forward(const std::vector<int32_t> &tokens) {
    Call call(tinyModule().get("forward"), {{"batch", 1}, {"sequence", int64_t(tokens.size())}},
              arena);
    call.bind(Role::Parameter, weights);
    std::memcpy(call.find("tokens", Role::Input)->data, tokens.data(), tokens.size() * 4);
    call.run();
    auto *logits = static_cast<float *>(call.find("logits", Role::Output)->data);
    return {logits + (tokens.size() - 1) * 256, logits + tokens.size() * 256};
  }
  ParameterBlock weights;
  Arena arena{hostDevice()};
};
} // namespace

TEST_F(Decoding, AgreesWithTheForwardPassForAnySplit) {
  std::vector<int32_t> text = {72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100};
  for (size_t split = 1; split < text.size(); ++split) {
    Generator generator(tinyModule(), weights, 20);
    std::vector<int32_t> now(text.begin(), text.begin() + int64_t(split));
    EXPECT_EQ(generator.feed(now), forward(now));
    for (size_t i = split; i < text.size(); ++i) {
      now.push_back(text[i]);
      EXPECT_EQ(generator.feed({text[i]}), forward(now));
    }
  }
}

TEST_F(Decoding, PastTheContextTheLastHalfIsReadAgain) {
  Generator generator(tinyModule(), weights, 1000);
  EXPECT_EQ(generator.capacity(), 32);
  std::vector<int32_t> text;
  for (int32_t i = 0; i < 32; ++i)
    text.push_back(i * 7 % 256);
  EXPECT_EQ(generator.feed(text), forward(text));
  EXPECT_EQ(generator.position(), 32);
  text.push_back(99);
  std::vector<int32_t> half(text.end() - 16, text.end());
  EXPECT_EQ(generator.feed({99}), forward(half));
  EXPECT_EQ(generator.position(), 16);
  // A prompt longer than the context is cut in the same way.
  Generator other(tinyModule(), weights, 1000);
  EXPECT_EQ(other.feed(text), forward(half));
}

TEST(Tokenizer, EncodesAndDecodes) {
  TestFolder folder;
  std::string bytes(4, '\0');
  auto add = [&](float score, const std::string &piece) {
    auto length = int32_t(piece.size());
    bytes.append(reinterpret_cast<char *>(&score), 4);
    bytes.append(reinterpret_cast<char *>(&length), 4);
    bytes += piece;
  };
  for (const char *special : {"<unk>", "\n<s>\n", "\n</s>\n"})
    add(0, special);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    add(0, name);
  }
  for (const char *piece : {" ", "a", "b"}) // 259, 260, 261
    add(-10, piece);
  add(-2, "ab"); // 262
  add(-1, " a"); // 263: the better score wins
  std::string path = folder.write("t", bytes);
  Tokenizer tokenizer(path, 264);
  EXPECT_EQ(tokenizer.encode("ab"), (std::vector<int32_t>{263, 261}));
  EXPECT_EQ(tokenizer.encode("bab"), (std::vector<int32_t>{259, 261, 262}));
  EXPECT_EQ(tokenizer.encode("a\xC3\xA9"), (std::vector<int32_t>{263, 0xC3 + 3, 0xA9 + 3}));
  EXPECT_TRUE(tokenizer.encode("").empty());
  EXPECT_EQ(tokenizer.decode(1, 263), "a");
  EXPECT_EQ(tokenizer.decode(260, 263), " a");
  EXPECT_EQ(tokenizer.decode(260, 10 + 3), "\n");
  expectError("it holds 264 tokens, the model's vocabulary has 300", [&] { Tokenizer(path, 300); });
  expectError("goes on after token 262", [&] { Tokenizer(path, 263); });
  expectError("no room for all bytes", [&] { Tokenizer(path, 100); });
}

TEST(Schedule, WarmsUpAndFalls) {
  TrainingSettings settings;
  settings.steps = 110;
  settings.warmup = 10;
  settings.optimizer.learningRate = 1;
  settings.minLearningRate = 0.1;
  EXPECT_DOUBLE_EQ(settings.learningRate(0), 0.1);
  EXPECT_DOUBLE_EQ(settings.learningRate(9), 1);
  EXPECT_DOUBLE_EQ(settings.learningRate(10), 1);
  EXPECT_NEAR(settings.learningRate(60), 0.55, 1e-12);
  EXPECT_NEAR(settings.learningRate(109), 0.1, 1e-3);
  settings.schedule = "constant";
  EXPECT_DOUBLE_EQ(settings.learningRate(109), 1);
}

TEST(TrainingLog, ResumingDropsLaterAndBrokenLines) {
  TestFolder folder;
  std::string path = folder.write("log.jsonl", "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n"
                                               "{\"step\":3,\"loss\":1}\n{\"step\":4,\"lo");
  {
    TrainingLog log(folder.path(""), 2);
    StepReport report;
    report.step = 3;
    report.loss = 1.5;
    log.write(report, 10, 0.25);
    expectError("another training run is writing", [&] { TrainingLog second(folder.path(""), 2); });
  }
  EXPECT_EQ(
      TestFolder::read(path),
      "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n"
      "{\"step\":3,\"loss\":1.5,\"learning_rate\":0,\"tokens_per_second\":10,\"seconds\":0.25}\n");
  TrainingLog anew(folder.path(""), -1);
  EXPECT_EQ(TestFolder::read(path), "");
}
