//===- ModuleTests.cpp - Descriptions of models, and weights for them -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Call.h"
#include "quern/Runtime/Checkpoint.h"
#include "quern/Runtime/ParameterBlock.h"
#include "quern/Runtime/Session.h"
#include "quern/Runtime/Threads.h"

#include "TestFiles.h"

#include <cstring>

using namespace quern::runtime;

/// The tiny model's description with `from` replaced by `to`.
static std::string changed(const std::string &from, const std::string &to) {
  std::string text = quern_module_json;
  auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

static Module parse(const std::string &text) {
  return Module::parse(text.c_str(), quern_programs, quern_device_codes);
}

TEST(Module, IsRead) {
  const Module &module = tinyModule();
  EXPECT_EQ(module.kind, "causal_lm");
  EXPECT_EQ(module.vocabulary, 256);
  EXPECT_EQ(module.parameterCount(), 2 * 256 * 16 + 2 * 16);
  EXPECT_EQ(module.parameters[1].fileName(1), "h.1.mix.weight");
  EXPECT_EQ(*module.get("train_step").flops.evaluate({{"batch", 2}, {"sequence", 3}}), 16 * 2 * 9);
  EXPECT_FALSE(module.get("train_step").flops.evaluate({{"batch", 2}}));
  EXPECT_EQ(module.get("forward").find("tokens", Role::Input)->range->second, 255);
  EXPECT_EQ(module.get("loss").find("targets", Role::Input)->range->first, -1);
}

TEST(Module, DamageIsNamed) {
  expectError("the compiled model is damaged", [] { parse("{"); });
  expectError("version 2", [] { parse(changed("\"quern\": 1", "\"quern\": 2")); });
  expectError("unknown initializer 'bogus'", [] { parse(changed("residual", "bogus")); });
  expectError("unknown role 'inputs'", [] { parse(changed("\"input\"", "\"inputs\"")); });
  expectError("unknown type 'f8'", [] { parse(changed("\"type\": \"f32\"", "\"type\": \"f8\"")); });
  expectError("program 'lose' has no code",
              [] { parse(changed("\"name\": \"loss\"", "\"name\": \"lose\"")); });
  expectError("names {layer} but has no layers",
              [] { parse(changed("\"layers\": 2", "\"layers\": 0")); });
  expectError("not stacked along its layers",
              [] { parse(changed("\"layers\": 2", "\"layers\": 3")); });
}

TEST(Module, UnknownProgramIsSuggested) {
  expectError<UsageError>("no program 'los' (did you mean loss?); it has forward",
                          [] { tinyModule().get("los"); });
}

TEST(Module, FingerprintTellsModelsApart) {
  EXPECT_EQ(parse(quern_module_json).fingerprint(), tinyModule().fingerprint());
  EXPECT_NE(parse(changed("wte.weight", "other.weight")).fingerprint(), tinyModule().fingerprint());
}

namespace {
/// A weight file of the tiny model, which a test may spoil.
struct Weights : testing::Test {
  Weights()
      : block(tinyModule(), "weights", hostDevice()),
        loaded(tinyModule(), "weights", hostDevice()) {
    block.initialize(5);
    tensors = block.fileTensors();
  }
  std::string save() {
    writeSafetensors(folder.path("w"), tensors, {});
    return folder.path("w");
  }
  void load() { loaded.load(SafetensorsFile(save())); }
  void expectEqual() {
    for (size_t i = 0; i < tinyModule().parameters.size(); ++i)
      EXPECT_EQ(0, std::memcmp(block[i].data, loaded[i].data, size_t(block[i].bytes())));
  }
  TestFolder folder;
  ParameterBlock block, loaded;
  std::vector<Tensor> tensors;
};
} // namespace

TEST_F(Weights, LoadUnderTheirNames) {
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[1].name, "h.0.mix.weight");
  EXPECT_EQ(tensors[1].shape, (Shape{16}));
  load();
  expectEqual();
}

TEST_F(Weights, CommonPrefixesAreTaken) {
  for (Tensor &tensor : tensors)
    if (tensor.name != "lm_head.weight") // as Hugging Face saves a model with a head
      tensor.name = "transformer." + tensor.name;
  testing::internal::CaptureStderr();
  load();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("differ by the prefix 'transformer.'"),
            std::string::npos);
  expectEqual();
}

TEST_F(Weights, ExtraTensorsAreNotedOnce) {
  float mask[4] = {};
  tensors.push_back({"h.0.attn.bias", Type::F32, {2, 2}, mask});
  tensors.push_back({"h.1.attn.bias", Type::F32, {2, 2}, mask});
  testing::internal::CaptureStderr();
  load();
  EXPECT_NE(testing::internal::GetCapturedStderr().find(
                "ignored 2 tensors of " + folder.path("w") +
                " that the model does not have: h.0.attn.bias, h.1.attn.bias"),
            std::string::npos);
  expectEqual();
}

TEST_F(Weights, MissingTensor) {
  tensors[2].name = "h.1.mixed.weight";
  expectError("tensor 'h.1.mix.weight' (16 f32) is missing in " + folder.path("w") +
                  ", which has 4 tensors (did you mean h.1.mixed.weight?)",
              [&] { load(); });
}

TEST_F(Weights, WrongShape) {
  tensors[0].shape = {16, 256};
  expectError("tensor 'wte.weight' in " + folder.path("w") +
                  " has shape 16x256, the model needs 256x16",
              [&] { load(); });
}

TEST_F(Weights, WrongType) {
  tensors[0].type = Type::I32;
  expectError("tensor 'wte.weight' in " + folder.path("w") + " has dtype I32", [&] { load(); });
}

TEST_F(Weights, OtherFloatsAreConverted) {
  std::vector<double> wide(256 * 16);
  for (size_t i = 0; i < wide.size(); ++i)
    wide[i] = double(static_cast<float *>(block[0].data)[i]);
  tensors[0].type = Type::F64;
  tensors[0].data = wide.data();
  testing::internal::CaptureStderr();
  load();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("converted F64 weights"),
            std::string::npos);
  expectEqual();
}

TEST(Call, ShapesMustAgree) {
  Arena arena(hostDevice());
  const Program &forward = tinyModule().get("forward");
  expectError("needs to know dimension sequence of 'tokens'",
              [&] { Call(forward, {{"batch", 1}}, arena); });
  const Program &decode = tinyModule().get("decode");
  expectError<UsageError>("compiled for sequence 1, which contradicts sequence 2", [&] {
    Call(decode, {{"batch", 1}, {"sequence", 2}, {"capacity", 4}}, arena);
  });
}

TEST(Call, ImpossibleMemoryIsNamed) {
  Arena arena(hostDevice());
  expectError("too large", [&] {
    Call(tinyModule().get("forward"), {{"batch", INT64_MAX}, {"sequence", 2}}, arena);
  });
  expectError("cannot allocate 4503599627370496 bytes (4.0 PiB) for the weights",
              [&] { Block(int64_t(1) << 52, "the weights"); });
}

static NamedInput given(const Shape &shape, std::vector<int32_t> values) {
  return {shape, [values](const Tensor &to) {
            std::memcpy(to.data, values.data(), values.size() * sizeof(int32_t));
          }};
}

TEST(Session, InputsAreChecked) {
  Session session(tinyModule(), hostDevice());
  Arena arena(hostDevice());
  const Program &loss = tinyModule().get("loss");
  auto prepare = [&](const NamedInputs &inputs) { session.prepare(loss, inputs, arena); };
  expectError<UsageError>("needs the input targets (i32, batch x sequence)",
                          [&] { prepare({{"tokens", given({1, 2}, {1, 2})}}); });
  expectError<UsageError>(
      "input 'targets' of shape 1x2 has sequence 2, but input 'tokens' has sequence 3",
      [&] { prepare({{"tokens", given({1, 3}, {1, 2, 3})}, {"targets", given({1, 2}, {1, 2})}}); });
  expectError<UsageError>("expects tokens (i32, batch x sequence)", [&] {
    prepare({{"tokens", given({2}, {1, 2})}, {"targets", given({1, 2}, {1, 2})}});
  });
  expectError<UsageError>("'tokens' has the value 256 at [0, 1]; values from 0 to 255", [&] {
    prepare({{"tokens", given({1, 2}, {1, 256})}, {"targets", given({1, 2}, {-1, 255})}});
  });
  expectError<UsageError>("'targets' has the value -2 at [0, 0]; values from -1 to 255", [&] {
    prepare({{"tokens", given({1, 2}, {0, 255})}, {"targets", given({1, 2}, {-2, 1})}});
  });
  std::vector<int32_t> many(33);
  expectError<UsageError>("ends at position 33, past the context of 32 tokens", [&] {
    prepare({{"tokens", given({1, 33}, many)}, {"targets", given({1, 33}, many)}});
  });
}

TEST(Processor, MissingFeaturesAreNamed) {
  EXPECT_TRUE(missingFeatures({"sse3", "cx16", "64bit"}).empty());
  expectError(
      "compiled for the processor 'future', but this machine lacks avx9000; compile the model "
      "again here, or with --cpu=x86-64-v3",
      [] { checkProcessor({"sse3", "avx9000"}, "future"); });
}

TEST(Checkpoint, RoundTripAndForeignFiles) {
  TestFolder folder;
  TrainingState state(tinyModule(), hostDevice()), back(tinyModule(), hostDevice());
  state.weights.initialize(1);
  state.first.initialize(2);
  state.second.initialize(3);
  state.step = 17;
  std::string path = folder.path("c");
  saveCheckpoint(path, tinyModule(), state, "{}");
  Checkpoint(path, tinyModule()).restore(back);
  EXPECT_EQ(back.step, 17);
  for (size_t i = 0; i < tinyModule().parameters.size(); ++i) {
    EXPECT_EQ(0,
              std::memcmp(state.first[i].data, back.first[i].data, size_t(back.first[i].bytes())));
    EXPECT_EQ(
        0, std::memcmp(state.second[i].data, back.second[i].data, size_t(back.second[i].bytes())));
  }
  Module other = parse(changed("wte.weight", "other.weight"));
  expectError("is a checkpoint of another model ('tiny'", [&] { Checkpoint(path, other); });
  saveWeights(path, tinyModule(), state.weights);
  expectError("is not a training checkpoint", [&] { Checkpoint(path, tinyModule()); });
  writeSafetensors(path, {}, {{"quern_checkpoint", "9"}});
  expectError("is a checkpoint of format 9", [&] { Checkpoint(path, tinyModule()); });
}
