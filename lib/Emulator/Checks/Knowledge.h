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
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace quern::emulator::checks {

using Agent = uint32_t;
/// Times of an agent start at 1; 0 is before all that it does.
using Time = uint32_t;

/// A time for each agent. A grid has many agents, and most know nothing of most others: times are
/// kept in pages of neighbouring agents, those that are all 0 are not there.
class Times {
public:
  Time of(Agent agent) const {
    const Page *page = find(agent / pageSize);
    return page ? page->times[agent % pageSize] : 0;
  }
  void raise(Agent agent, Time time) {
    Time &own = make(agent / pageSize).times[agent % pageSize];
    own = std::max(own, time);
  }
  void join(const Times &other) {
    for (const Page &from : other.pages) {
      Page &to = make(from.number);
      for (size_t i = 0; i < pageSize; ++i)
        to.times[i] = std::max(to.times[i], from.times[i]);
    }
  }

private:
  static constexpr uint32_t pageSize = 32;
  struct Page {
    uint32_t number;
    std::array<Time, pageSize> times;
  };
  /// In ascending order of their numbers.
  std::vector<Page> pages;

  std::vector<Page>::const_iterator lowerBound(uint32_t number) const {
    return std::lower_bound(pages.begin(), pages.end(), number,
                            [](const Page &page, uint32_t n) { return page.number < n; });
  }
  const Page *find(uint32_t number) const {
    auto found = lowerBound(number);
    return found != pages.end() && found->number == number ? &*found : nullptr;
  }
  Page &make(uint32_t number) {
    auto found = lowerBound(number);
    if (found == pages.end() || found->number != number)
      found = pages.insert(found, Page{number, {}});
    return pages[size_t(found - pages.begin())];
  }
};

class Knowledge {
public:
  bool knows(Agent agent, Time time) const { return time <= seen.of(agent); }
  /// Whether the async proxy would see what `agent` did with the generic proxy at `time`.
  bool isFenced(Agent agent, Time time) const { return time <= fenced.of(agent); }

  /// The last known time of `agent`.
  Time timeOf(Agent agent) const { return seen.of(agent); }

  /// Everything of `agent` up to `time` is done. Asynchronous work is visible to both proxies when
  /// it is known to be done.
  void learn(Agent agent, Time time) { seen.raise(agent, time); }

  void join(const Knowledge &other) {
    seen.join(other.seen);
    fenced.join(other.fenced);
  }

  /// fence.proxy.async.
  void fence() { fenced.join(seen); }

private:
  Times seen, fenced;
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
