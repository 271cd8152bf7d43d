//===- Knowledge.h - What an agent knows to have happened -------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Vector clocks. An agent is a warp, or a channel of asynchronous work: the copies that complete
/// on one mbarrier, the bulk reads of a warp. Each agent counts its own time; knowing time t of an
/// agent is knowing that all that it did up to t is done and visible.
///
/// A release (an arrival at a barrier, a store with .release) joins the releasing agent's knowledge
/// into the barrier's; an acquire (a completed wait, a load with .acquire) joins the barrier's into
/// the agent's. Two accesses race when neither side knew of the other: the causality order of PTX
/// ISA 9.1, section 8.10.
///
/// The second vector is for the async proxy (section 8.9.1.1): which of the known writes by the
/// generic proxy a fence.proxy.async on the way here has made visible to TMA and wgmma.
///
#ifndef QUERN_EMULATOR_CHECKS_KNOWLEDGE_H
#define QUERN_EMULATOR_CHECKS_KNOWLEDGE_H

#include <algorithm>
#include <cstdint>
#include <vector>

namespace quern::emulator::checks {

using Agent = uint16_t;
/// Times of an agent start at 1; 0 is before all that it does.
using Time = uint32_t;

class Knowledge {
public:
  bool knows(Agent agent, Time time) const { return time <= at(seen, agent); }
  /// Whether the async proxy would see what `agent` did with the generic proxy at `time`.
  bool isFenced(Agent agent, Time time) const { return time <= at(fenced, agent); }

  /// The last known time of `agent`.
  Time timeOf(Agent agent) const { return at(seen, agent); }

  /// Everything of `agent` up to `time` is done. Asynchronous work is visible to both proxies when
  /// it is known to be done.
  void learn(Agent agent, Time time) { raise(seen, agent, time); }

  void join(const Knowledge &other) {
    join(seen, other.seen);
    join(fenced, other.fenced);
  }

  /// fence.proxy.async.
  void fence() { join(fenced, seen); }

private:
  std::vector<Time> seen, fenced;

  static Time at(const std::vector<Time> &times, Agent agent) {
    return agent < times.size() ? times[agent] : 0;
  }
  static void raise(std::vector<Time> &times, Agent agent, Time time) {
    if (agent >= times.size())
      times.resize(size_t(agent) + 1);
    times[agent] = std::max(times[agent], time);
  }
  static void join(std::vector<Time> &to, const std::vector<Time> &from) {
    if (from.size() > to.size())
      to.resize(from.size());
    for (size_t i = 0; i < from.size(); ++i)
      to[i] = std::max(to[i], from[i]);
  }
};

/// An agent with its own time.
struct Actor {
  explicit Actor(Agent agent) : agent(agent) { knowledge.learn(agent, 1); }

  Agent agent;
  Knowledge knowledge;

  /// When what the agent does now happens.
  Time now() const { return knowledge.timeOf(agent); }

  /// Gives all that it knows to `object`; what it does from now on is not part of that.
  void release(Knowledge &object) {
    object.join(knowledge);
    advance();
  }
  void acquire(const Knowledge &object) { knowledge.join(object); }
  /// fence.proxy.async: what it does from now on is not fenced.
  void fence() {
    knowledge.fence();
    advance();
  }
  void advance() { knowledge.learn(agent, now() + 1); }
};

} // namespace quern::emulator::checks

#endif // QUERN_EMULATOR_CHECKS_KNOWLEDGE_H
