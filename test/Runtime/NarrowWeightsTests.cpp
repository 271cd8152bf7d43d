//===- NarrowWeightsTests.cpp - Weights that programs take in bf16 ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/Bfloat.h"
#include "quern/Runtime/Call.h"
#include "quern/Runtime/Session.h"

#include "TestFiles.h"

#include <cmath>
#include <limits>

using namespace quern::runtime;

namespace {

/// Of the program's one weight and one output, or cache.
template <typename T>
T *data(const quern_descriptor *argument) {
  return static_cast<T *>(argument->aligned);
}

void readNarrow(quern_descriptor *const *a, void *) {
  for (int64_t i = 0; i < a[0]->shape[0]; ++i)
    data<float>(a[1])[i] = fromBfloat(data<uint16_t>(a[0])[i]);
}
void readWide(quern_descriptor *const *a, void *) {
  std::copy_n(data<float>(a[0]), a[0]->shape[0], data<float>(a[1]));
}
/// Moves every weight by more than half a unit in the last place of bf16.
void train(quern_descriptor *const *a, void *) {
  for (int64_t i = 0; i < a[0]->shape[0]; ++i)
    data<float>(a[0])[i] += 0.25F;
}
void append(quern_descriptor *const *a, void *) {
  data<uint16_t>(a[0])[0] = toBfloat(data<float>(a[1])[0]);
}
int64_t noArena(quern_descriptor *const *) { return 0; }

const quern_program programs[] = {{"narrow", readNarrow, noArena},
                                  {"wide", readWide, noArena},
                                  {"train_step", train, noArena},
                                  {"append", append, noArena},
                                  {nullptr, nullptr, nullptr}};
const quern_device_code codes[] = {{nullptr, nullptr, nullptr, 0}};

#define ARGUMENT(NAME, ROLE, TYPE)                                                                 \
  R"({"name": ")" NAME R"(", "role": ")" ROLE R"(", "type": ")" TYPE R"(", "shape": [6]})"
const char *const description = R"({"quern": 1, "model": "m", "kind": "none", "parameters": [
  {"name": "w", "file": "w", "type": "f32", "shape": [6], "initializer": {"kind": "normal", "scale": 1}}],
  "programs": [
  {"name": "narrow", "arguments": [)" ARGUMENT("w", "parameter", "bf16") "," ARGUMENT("y", "output",
                                                                                      "f32") R"(]},
  {"name": "wide", "arguments": [)" ARGUMENT("w", "parameter", "f32") "," ARGUMENT("y", "output",
                                                                                   "f32") R"(]},
  {"name": "train_step", "arguments": [)" ARGUMENT("w", "parameter",
                                                   "f32") "," ARGUMENT("w", "first_moment",
                                                                       "f32") "," ARGUMENT("w",
                                                                                           "second_"
                                                                                           "moment",
                                                                                           "f32") R"(]},
  {"name": "append", "arguments": [)" ARGUMENT("keys", "cache",
                                               "bf16") "," ARGUMENT("x", "input", "f32") R"(]}]})";

Module parse(std::string text, const std::string &from = "", const std::string &to = "") {
  if (!from.empty())
    text.replace(text.find(from), from.size(), to);
  return Module::parse(text.c_str(), programs, codes);
}

struct NarrowWeights : testing::Test {
  NarrowWeights() : module(parse(description)) {}

  Call callOf(const char *program, const ParameterBlock &weights) {
    Call call(module.get(program), {}, arena);
    call.bind(Role::Parameter, weights);
    return call;
  }
  static std::vector<float> run(Call &call) {
    call.run();
    auto *values = static_cast<float *>(call.find("y", Role::Output)->data);
    return {values, values + 6};
  }
  static std::vector<float> rounded(const std::vector<float> &values) {
    std::vector<float> result;
    for (float value : values)
      result.push_back(fromBfloat(toBfloat(value)));
    return result;
  }
  std::string write(const std::vector<float> &values) const {
    writeSafetensors(folder.path("w"),
                     {{"w", Type::F32, {6}, const_cast<float *>(values.data()), nullptr}}, {});
    return folder.path("w");
  }

  Module module;
  Arena arena{hostDevice()};
  TestFolder folder;
};

const std::vector<float> numbers = {1.00390625F, 1.01171875F, -3.14159265F, 65504, 1e-40F, 0};

} // namespace

TEST(Bfloat, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(toBfloat(1.0F), 0x3F80);
  EXPECT_EQ(toBfloat(0x1.01p0F), 0x3F80);       // a tie: down to even
  EXPECT_EQ(toBfloat(0x1.03p0F), 0x3F82);       // a tie: up to even
  EXPECT_EQ(toBfloat(0x1.010002p0F), 0x3F81);   // just above
  EXPECT_EQ(toBfloat(0x1.fffffep127F), 0x7F80); // to infinity
  EXPECT_EQ(toBfloat(-0x1.fep127F), 0xFF7F);    // the largest
  EXPECT_EQ(toBfloat(0x1p-133F), 0x0001);       // the smallest
  EXPECT_EQ(toBfloat(-0.0F), 0x8000);
  EXPECT_EQ(toBfloat(INFINITY), 0x7F80);
  EXPECT_TRUE(std::isnan(fromBfloat(toBfloat(NAN))));
  uint32_t bits = 0x7F800001; // a NaN whose upper half is infinity
  float signalling;
  std::memcpy(&signalling, &bits, 4);
  EXPECT_TRUE(std::isnan(fromBfloat(toBfloat(signalling))));
}

TEST(Bfloat, RoundsDoublesOnce) {
  // Between a tie and its f32 neighbour: rounded to f32 first, it would be the tie.
  EXPECT_EQ(toBfloat(0x1.01p0 + 0x1p-40), 0x3F81);
  EXPECT_EQ(toBfloat(0x1.03p0 - 0x1p-40), 0x3F81);
  EXPECT_EQ(toBfloat(-0x1.01p0 - 0x1p-40), 0xBF81);
  EXPECT_EQ(toBfloat(0x1.01p0), 0x3F80);
  EXPECT_EQ(toBfloat(1e300), 0x7F80);
  EXPECT_EQ(toBfloat(1e-300), 0x0000);
  EXPECT_TRUE(std::isnan(fromBfloat(toBfloat(std::numeric_limits<double>::quiet_NaN()))));
}

TEST_F(NarrowWeights, AreKeptAloneWhereNobodyNeedsMore) {
  ParameterBlock narrow(module, "weights", hostDevice(), {module.find("narrow")});
  ParameterBlock both(module, "weights", hostDevice(),
                      {module.find("narrow"), module.find("wide")});
  ParameterBlock any(module, "weights", hostDevice());
  EXPECT_EQ(narrow[0].type, Type::BF16);
  EXPECT_EQ(narrow[0].bytes(), 12);
  EXPECT_EQ(both[0].type, Type::F32);
  EXPECT_EQ(any[0].type, Type::F32);
  EXPECT_EQ(narrow.fileTensors()[0].type, Type::BF16);
  expectError("parameter 'w' is kept in bf16, which does not make a copy in f32",
              [&] { callOf("wide", narrow); });
}

TEST_F(NarrowWeights, AreTheRoundedOnes) {
  SafetensorsFile file(write(numbers));
  ParameterBlock narrow(module, "weights", hostDevice(), {module.find("narrow")});
  ParameterBlock wide(module, "weights", hostDevice());
  testing::internal::CaptureStderr();
  narrow.load(file);
  EXPECT_NE(
      testing::internal::GetCapturedStderr().find("rounded F32 weights of " + folder.path("w") +
                                                  " to bf16, in which this program keeps them"),
      std::string::npos);
  wide.load(file);
  Call alone = callOf("narrow", narrow), copy = callOf("narrow", wide),
       exact = callOf("wide", wide);
  EXPECT_EQ(run(alone), rounded(numbers));
  EXPECT_EQ(run(copy), rounded(numbers));
  EXPECT_EQ(run(exact), numbers);
  // Drawn weights are the same as well.
  narrow.initialize(7);
  wide.initialize(7);
  EXPECT_EQ(run(alone), rounded(run(exact)));
  EXPECT_EQ(run(alone), run(copy));
}

TEST_F(NarrowWeights, OfBf16FilesLoseNothing) {
  std::vector<uint16_t> halves = {0x3F80, 0xC049, 0x0001, 0x7F7F, 0x8000, 0x4001};
  writeSafetensors(folder.path("w"), {{"w", Type::BF16, {6}, halves.data(), nullptr}}, {});
  ParameterBlock narrow(module, "weights", hostDevice(), {module.find("narrow")});
  testing::internal::CaptureStderr();
  narrow.load(SafetensorsFile(folder.path("w")));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(0, std::memcmp(narrow[0].data, halves.data(), 12));
  // And they come out of a file as they went in.
  writeSafetensors(folder.path("again"), narrow.fileTensors(), {});
  SafetensorsFile again(folder.path("again"));
  EXPECT_EQ(again.find("w")->type, "BF16");
  EXPECT_EQ(0, std::memcmp(again.find("w")->data, halves.data(), 12));
}

TEST_F(NarrowWeights, CopiesFollowTheWeights) {
  ParameterBlock weights(module, "weights", hostDevice()), other(module, "weights", hostDevice());
  Call narrow = callOf("narrow", weights), wide = callOf("wide", weights);
  EXPECT_EQ(run(narrow), std::vector<float>(6, 0)); // before anything was written
  auto agree = [&](const char *after) {
    EXPECT_EQ(run(narrow), rounded(run(wide))) << "after " << after;
    EXPECT_NE(run(narrow)[0], 0) << "after " << after;
  };
  weights.initialize(3);
  agree("initialize");
  weights.load(SafetensorsFile(write(numbers)));
  agree("load");
  other.initialize(4);
  weights.copyFrom(other);
  agree("copyFrom");
  Call step = callOf("train_step", weights);
  step.bind(Role::FirstMoment, other);
  step.bind(Role::SecondMoment, other);
  float before = run(narrow)[0];
  step.run();
  agree("a step of training");
  EXPECT_EQ(run(narrow)[0], fromBfloat(toBfloat(run(wide)[0])));
  EXPECT_NE(run(narrow)[0], before);
  // A call that was made before another one asked for a copy.
  Call late = callOf("narrow", weights);
  step.run();
  EXPECT_EQ(run(late), run(narrow));
  static_cast<float *>(weights[0].data)[0] = 5;
  weights.changed();
  EXPECT_EQ(run(narrow)[0], 5);
}

TEST_F(NarrowWeights, CachesOfBf16AreInputsAndResults) {
  Session session(module, hostDevice());
  std::vector<float> given = {2, 3, 4, 5, 6, 7}, x = {1.5F, 0, 0, 0, 0, 0};
  NamedInputs inputs;
  auto from = [&](std::vector<float> &values, const char *name) {
    FileTensor tensor{name, "F32", {6}, reinterpret_cast<unsigned char *>(values.data()), 6};
    inputs[name] = {{6}, [tensor](const Tensor &to) { convertTensor(tensor, to, "file"); }};
  };
  from(given, "keys");
  from(x, "x");
  Call call = session.prepare(module.get("append"), inputs, arena);
  call.run();
  std::vector<Tensor> results = Session::results(call, module);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].type, Type::BF16);
  auto *halves = static_cast<uint16_t *>(results[0].data);
  EXPECT_EQ(fromBfloat(halves[0]), 1.5F);
  EXPECT_EQ(fromBfloat(halves[1]), 3);
}

TEST(NarrowArguments, MustBeOnesThatMayBe) {
  auto damaged = [](const char *part, const std::string &from, const std::string &to) {
    expectError(part, [&] { parse(description, from, to); });
  };
  damaged("argument 'y' is bf16, which parameters and caches alone may be",
          ARGUMENT("y", "output", "f32"), ARGUMENT("y", "output", "bf16"));
  damaged("argument 'w' does not agree with a parameter", ARGUMENT("w", "first_moment", "f32"),
          ARGUMENT("w", "first_moment", "bf16"));
  damaged("program 'train_step' updates 'w' in bf16",
          ARGUMENT("w", "parameter", "f32") "," ARGUMENT("w", "first_moment", "f32"),
          ARGUMENT("w", "parameter", "bf16") "," ARGUMENT("w", "first_moment", "f32"));
  damaged("parameter 'w' is not of type f32 or f64", R"("file": "w", "type": "f32")",
          R"("file": "w", "type": "bf16")");
}
