//===- PhiloxTests.cpp - Random numbers and initializers --------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "quern/Runtime/ParameterBlock.h"
#include "quern/Runtime/Philox.h"
#include "quern/Runtime/Threads.h"

#include "TestFiles.h"

#include <cmath>
#include <cstring>

using namespace quern::runtime;

// The known answers that come with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformAndRangesStayInside) {
  EXPECT_EQ(uniform(0, 0), 0.0);
  EXPECT_LT(uniform(~0u, ~0u), 1.0);
  EXPECT_EQ(below(~0u, ~0u, 7), 6u);
  EXPECT_EQ(below(0, 0, 7), 0u);
  for (double value : normal({~0u, ~0u, 5, 5}))
    EXPECT_TRUE(std::isfinite(value));
}

TEST(Philox, NormalHasTheRightMoments) {
  constexpr int count = 200000;
  double sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < count; ++i)
    for (double x : normal(draw(7, Stream::Initialize, 0, uint64_t(i)))) {
      sum += x;
      squares += x * x;
      fourth += x * x * x * x;
    }
  // Five standard errors of each mean.
  EXPECT_NEAR(sum / (2 * count), 0, 5 * std::sqrt(1.0 / (2 * count)));
  EXPECT_NEAR(squares / (2 * count), 1, 5 * std::sqrt(2.0 / (2 * count)));
  EXPECT_NEAR(fourth / (2 * count), 3, 5 * std::sqrt(96.0 / (2 * count)));
}

TEST(Philox, StreamsDiffer) {
  EXPECT_NE(draw(1, Stream::Initialize, 0, 0), draw(1, Stream::Batches, 0, 0));
  EXPECT_NE(draw(1, Stream::Initialize, 0, 0), draw(2, Stream::Initialize, 0, 0));
  EXPECT_NE(draw(1, Stream::Initialize, 0, 0), draw(1, Stream::Initialize, 1, 0));
}

TEST(Initialize, DoesNotDependOnThreads) {
  ParameterBlock one(tinyModule(), "weights", hostDevice());
  ParameterBlock four(tinyModule(), "weights", hostDevice());
  setThreads(1);
  one.initialize(3);
  setThreads(4);
  four.initialize(3);
  setThreads(1);
  for (size_t i = 0; i < tinyModule().parameters.size(); ++i)
    EXPECT_EQ(0, std::memcmp(one[i].data, four[i].data, size_t(one[i].bytes())));
}

TEST(Initialize, FollowsTheInitializer) {
  ParameterBlock block(tinyModule(), "weights", hostDevice());
  block.initialize(1);
  auto deviation = [&](size_t i) {
    auto *values = static_cast<float *>(block[i].data);
    double squares = 0;
    for (int64_t k = 0; k < block[i].elements(); ++k)
      squares += double(values[k]) * double(values[k]);
    return std::sqrt(squares / double(block[i].elements()));
  };
  EXPECT_NEAR(deviation(0), 0.3, 0.02);                  // normal
  EXPECT_NEAR(deviation(1), 0.3 / 2, 0.06);              // residual: 0.3 / sqrt(2 x 2 layers)
  EXPECT_NEAR(deviation(2), 0.3 / std::sqrt(3.0), 0.01); // uniform in [-0.3, 0.3)
}
