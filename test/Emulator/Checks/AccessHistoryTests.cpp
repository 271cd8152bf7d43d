//===- AccessHistoryTests.cpp - Races, waits and fences from accesses -------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Checks/AccessHistory.h"

#include <gtest/gtest.h>

using namespace quern::emulator::checks;

namespace {
struct Races : testing::Test {
  Races() : history(64) {}

  static Accessor by(const Actor &actor, uint8_t lane = 0) {
    return {actor.knowledge, actor.agent, actor.now(), lane};
  }
  /// Asynchronous work that `actor` issues, on a channel.
  static Accessor asynchronous(const Actor &actor, Agent channel, Time time) {
    Accessor accessor = {actor.knowledge, channel, time, 0};
    accessor.proxy = Proxy::Async;
    accessor.issuer = actor.agent;
    return accessor;
  }
  bool reads(const Accessor &accessor, uint64_t offset = 0, uint64_t bytes = 4) {
    return history.read(accessor, offset, bytes, conflict);
  }
  bool writes(const Accessor &accessor, uint64_t offset = 0, uint64_t bytes = 4) {
    return history.write(accessor, offset, bytes, conflict);
  }

  Actor a{0}, b{1}, c{2};
  AccessHistory history;
  Conflict conflict;
};
} // namespace

TEST_F(Races, WriteAndReadNeedABarrier) {
  EXPECT_TRUE(writes(by(a)));
  EXPECT_FALSE(reads(by(b)));
  EXPECT_EQ(conflict.previous.agent, 0);
  EXPECT_TRUE(conflict.previousWrites);
  EXPECT_FALSE(conflict.isUnfenced);

  Knowledge barrier;
  a.release(barrier);
  b.acquire(barrier);
  EXPECT_TRUE(reads(by(b)));
  // What a writes after its arrival is not covered by it.
  EXPECT_TRUE(writes(by(a), 8));
  EXPECT_FALSE(reads(by(b), 8));
}

TEST_F(Races, WriteAfterReadNeedsABarrier) {
  EXPECT_TRUE(reads(by(a)));
  EXPECT_TRUE(reads(by(b)));
  Knowledge barrier;
  b.release(barrier);
  c.acquire(barrier);
  // c knows that b has read, not that a has.
  EXPECT_FALSE(writes(by(c)));
  EXPECT_EQ(conflict.previous.agent, 0);
  EXPECT_FALSE(conflict.previousWrites);
}

TEST_F(Races, KnowledgeIsPassedOn) {
  EXPECT_TRUE(writes(by(a)));
  Knowledge first, second;
  a.release(first);
  b.acquire(first);
  b.release(second);
  c.acquire(second);
  EXPECT_TRUE(writes(by(c)));
}

TEST_F(Races, AReadThatKnowsOfAnotherStandsForIt) {
  EXPECT_TRUE(reads(by(a)));
  Knowledge barrier;
  a.release(barrier);
  b.acquire(barrier);
  EXPECT_TRUE(reads(by(b)));
  EXPECT_FALSE(writes(by(c)));
  EXPECT_EQ(conflict.previous.agent, 1);
}

TEST_F(Races, DifferentBytesOfAWord) {
  EXPECT_TRUE(writes(by(a), 0, 2));
  EXPECT_TRUE(writes(by(b), 2, 2));
  EXPECT_FALSE(reads(by(c), 2, 1));
  EXPECT_EQ(conflict.previous.agent, 1);
  EXPECT_TRUE(reads(by(c), 4, 8));
}

TEST_F(Races, RangesAcrossWords) {
  EXPECT_TRUE(writes(by(a), 6, 1));
  EXPECT_FALSE(reads(by(b), 0, 16));
  EXPECT_TRUE(reads(by(b), 7, 9));
}

TEST_F(Races, LanesOfAWarp) {
  EXPECT_TRUE(writes(by(a, 3)));
  EXPECT_TRUE(reads(by(a, 3)));
  EXPECT_FALSE(reads(by(a, 4)));
  a.advance(); // bar.warp.sync
  EXPECT_TRUE(reads(by(a, 4)));
}

TEST_F(Races, LanesThatReadTogetherAreOneRead) {
  for (uint8_t lane = 0; lane < 32; ++lane)
    EXPECT_TRUE(reads(by(a, lane)));
  EXPECT_FALSE(writes(by(b)));
  EXPECT_EQ(conflict.previous.lane, Access::severalLanes);
}

TEST_F(Races, AtomicOperationsDoNotRaceWithEachOther) {
  Accessor first = by(a), second = by(b);
  first.isAtomic = second.isAtomic = true;
  EXPECT_TRUE(writes(first));
  EXPECT_TRUE(writes(second));
  EXPECT_FALSE(reads(by(c)));
}

TEST_F(Races, CopiesMustBeWaitedFor) {
  constexpr Agent barrierChannel = 9;
  EXPECT_TRUE(writes(asynchronous(a, barrierChannel, 1), 0, 32));
  // Not even the issuer may read.
  EXPECT_FALSE(reads(by(a), 4));
  EXPECT_EQ(conflict.previous.agent, barrierChannel);
  EXPECT_FALSE(conflict.isUnfenced);

  Knowledge phase;
  phase.learn(barrierChannel, 1);
  b.acquire(phase);
  EXPECT_TRUE(reads(by(b), 16, 16));
  EXPECT_FALSE(reads(by(c), 0));
  // The next copy to the place has to come after b's read.
  a.acquire(phase);
  EXPECT_FALSE(writes(asynchronous(a, barrierChannel, 2), 16, 4));
  EXPECT_EQ(conflict.previous.agent, 1);
  Knowledge empty;
  b.release(empty);
  a.acquire(empty);
  EXPECT_TRUE(writes(asynchronous(a, barrierChannel, 2), 20, 12));
  EXPECT_FALSE(reads(by(b), 20));
}

TEST_F(Races, SourceOfACopyMustNotChange) {
  constexpr Agent bulkReads = 7;
  EXPECT_TRUE(writes(by(a)));
  a.fence();
  EXPECT_TRUE(reads(asynchronous(a, bulkReads, 1)));
  EXPECT_FALSE(writes(by(a)));
  EXPECT_EQ(conflict.previous.agent, bulkReads);
  EXPECT_FALSE(conflict.previousWrites);
  history.forget(0, 4);
  EXPECT_TRUE(reads(asynchronous(a, bulkReads, 2)));
  a.knowledge.learn(bulkReads, 2); // cp.async.bulk.wait_group.read
  EXPECT_TRUE(writes(by(a)));
}

TEST_F(Races, TheAsyncProxyNeedsAFence) {
  constexpr Agent bulkReads = 7;
  EXPECT_TRUE(writes(by(a)));
  a.advance();
  EXPECT_FALSE(reads(asynchronous(a, bulkReads, 1)));
  EXPECT_TRUE(conflict.isUnfenced);

  // A fence by the writer before the barrier, or by the issuer after it.
  EXPECT_TRUE(writes(by(b), 8));
  b.fence();
  Knowledge barrier;
  b.release(barrier);
  a.acquire(barrier);
  EXPECT_TRUE(reads(asynchronous(a, bulkReads, 1), 8));

  EXPECT_TRUE(writes(by(c), 12));
  c.release(barrier);
  a.acquire(barrier);
  EXPECT_FALSE(reads(asynchronous(a, bulkReads, 2), 12));
  EXPECT_TRUE(conflict.isUnfenced);
  a.fence();
  EXPECT_TRUE(reads(asynchronous(a, bulkReads, 3), 12));

  // The fence covers what came before it, not what follows.
  EXPECT_TRUE(writes(by(a), 16));
  EXPECT_FALSE(reads(asynchronous(a, bulkReads, 4), 16));
}

TEST_F(Races, CompletedCopiesNeedNoFence) {
  constexpr Agent barrierChannel = 9, wgmma = 10;
  EXPECT_TRUE(writes(asynchronous(a, barrierChannel, 1), 0, 16));
  b.knowledge.learn(barrierChannel, 1);
  EXPECT_TRUE(reads(asynchronous(b, wgmma, 1), 0, 16));
  // Nor does overwriting what was read: an arrival is enough.
  EXPECT_TRUE(reads(by(b), 32));
  Knowledge empty;
  b.release(empty);
  a.acquire(empty);
  EXPECT_TRUE(writes(asynchronous(a, barrierChannel, 2), 32));
}
