//===- Collectives.cpp - Instructions that lanes of a warp execute together -------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// shfl, vote, match, redux, activemask (PTX ISA 8.3, sections 9.7.8.6 and 9.7.12.9 to 13).
/// The engine calls a handler when all lanes named in the member mask are there.
///
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Decoder.h"
#include "lib/Emulator/Machine/Families.h"
#include "lib/Emulator/Machine/LaneValues.h"

#include <algorithm>

namespace quern::emulator::machine {

namespace {

/// Calls `body(group, members)` for the lanes of each member mask: in one execution, halves of a
/// warp may act with masks of their own.
template <typename F>
void forGroups(Warp &warp, const Instruction &instruction, LaneMask lanes, F body) {
  const uint32_t *members = warp.lanesOf<uint32_t>(instruction.members);
  while (lanes) {
    uint32_t mask = members[__builtin_ctz(lanes)];
    LaneMask group = 0;
    for (LaneMask rest = lanes; rest; rest &= rest - 1)
      if (members[__builtin_ctz(rest)] == mask)
        group |= rest & -rest;
    body(group);
    lanes &= ~group;
  }
}

//===- shfl.sync ------------------------------------------------------------------------------===//

enum class Shuffle { Up, Down, Butterfly, Index };

/// d|p, a, b, c; data[0] is the mode.
Step shuffle(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[3], operands[4]);
  const uint32_t *a = warp.lanesOf<uint32_t>(operands[2]);
  const uint32_t *b = warp.lanesOf<uint32_t>(operands[3]);
  const uint32_t *c = warp.lanesOf<uint32_t>(operands[4]);
  uint32_t results[warpSize];
  LaneMask inRange = 0, valid = 0;
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    unsigned offset = b[lane] & 31, clamp = c[lane] & 31, segments = c[lane] >> 8 & 31;
    unsigned most = (lane & segments) | (clamp & ~segments);
    unsigned least = lane & segments;
    int from = int(lane);
    bool inside = false;
    switch (Shuffle(instruction.data[0])) {
    case Shuffle::Up:
      from -= int(offset);
      inside = from >= int(most);
      break;
    case Shuffle::Down:
      from += int(offset);
      inside = from <= int(most);
      break;
    case Shuffle::Butterfly:
      from ^= int(offset);
      inside = from <= int(most);
      break;
    case Shuffle::Index:
      from = int(least | (offset & ~segments));
      inside = from <= int(most);
      break;
    }
    if (!inside)
      from = int(lane);
    unsigned source = unsigned(from) & 31;
    if (!(lanes >> source & 1))
      warp.report(FindingKind::InactiveLane, instruction, lane, 0,
                  "lane " + std::to_string(lane) + " reads a value of lane " +
                      std::to_string(source) + ", which does not take part");
    results[lane] = a[source];
    inRange |= LaneMask(inside) << lane;
    valid |= (warp.valid(operands[2]) >> source & 1) << lane;
  }
  uint32_t *d = warp.lanesOf<uint32_t>(operands[0]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    d[__builtin_ctz(rest)] = results[__builtin_ctz(rest)];
  warp.setValid(operands[0], lanes);
  // Like a move it passes on that a value is undefined.
  warp.setInvalid(operands[0], lanes & ~valid);
  warp.setPredicate(operands[1], inRange, lanes);
  return Step::Next;
}

/// Destinations of "d|p" or "d" into the first two operands.
void takePair(Decoder &decoder, Type type) {
  const assembly::Operand &target = decoder.operand(0);
  bool isPair = target.kind == assembly::OperandKind::Pair;
  if (isPair && target.elements.size() != 2)
    decoder.fail(target.position, "expected one or two results, like d|p");
  decoder.result.operands = {decoder.write(isPair ? target.elements[0] : target, type),
                             isPair ? decoder.write(target.elements[1], Type::Pred)
                                    : decoder.function.sink(1)};
}

void requireSync(Decoder &decoder) {
  if (!decoder.modifiers.accept(".sync"))
    decoder.fail("'" + decoder.source.opcode + "' without .sync is gone since sm_70: write '" +
                 decoder.source.opcode + ".sync' with a member mask");
}

void decodeShuffle(Decoder &decoder) {
  requireSync(decoder);
  decoder.result.data[0] =
      uint64_t(decoder.modifiers.oneOf("a mode", {".up", ".down", ".bfly", ".idx"}));
  decoder.modifiers.type({Type::B32});
  decoder.operandCount(5);
  takePair(decoder, Type::B32);
  for (size_t i = 1; i <= 3; ++i)
    decoder.result.operands.push_back(decoder.read(i, Type::B32));
  decoder.requireMembers(4);
  decoder.result.handler = shuffle;
}

//===- vote.sync ------------------------------------------------------------------------------===//

enum class Vote { All, Any, Uniform, Ballot };

Step vote(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  LaneMask holds = warp.predicate(operands[1]);
  forGroups(warp, instruction, lanes, [&](LaneMask group) {
    LaneMask voters = holds & group;
    bool result = false;
    switch (Vote(instruction.data[0])) {
    case Vote::All:
      result = voters == group;
      break;
    case Vote::Any:
      result = voters != 0;
      break;
    case Vote::Uniform:
      result = voters == group || !voters;
      break;
    case Vote::Ballot: {
      uint32_t *d = warp.lanesOf<uint32_t>(operands[0]);
      for (LaneMask rest = group; rest; rest &= rest - 1)
        d[__builtin_ctz(rest)] = voters;
      warp.setValid(operands[0], group);
      return;
    }
    }
    warp.setPredicate(operands[0], result ? allLanes : 0, group);
  });
  return Step::Next;
}

void decodeVote(Decoder &decoder) {
  requireSync(decoder);
  int mode = decoder.modifiers.oneOf("a mode", {".all", ".any", ".uni", ".ballot"});
  bool isBallot = Vote(mode) == Vote::Ballot;
  decoder.modifiers.type({isBallot ? Type::B32 : Type::Pred});
  decoder.operandCount(3);
  decoder.result.operands = {decoder.write(0, isBallot ? Type::B32 : Type::Pred),
                             decoder.read(1, Type::Pred)};
  decoder.requireMembers(2);
  decoder.result.data[0] = uint64_t(mode);
  decoder.result.handler = vote;
}

//===- match.sync -----------------------------------------------------------------------------===//

/// d|p, a; data[0]: 1 for .all.
Step match(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[2]);
  uint32_t *d = warp.lanesOf<uint32_t>(operands[0]);
  forGroups(warp, instruction, lanes, [&](LaneMask group) {
    LaneMask equal[warpSize] = {};
    bool all = true;
    for (LaneMask rest = group; rest; rest &= rest - 1) {
      unsigned lane = unsigned(__builtin_ctz(rest));
      for (LaneMask others = group; others; others &= others - 1) {
        unsigned other = unsigned(__builtin_ctz(others));
        if (laneValue(warp, operands[2], lane) == laneValue(warp, operands[2], other))
          equal[lane] |= LaneMask(1) << other;
      }
      all &= equal[lane] == group;
    }
    for (LaneMask rest = group; rest; rest &= rest - 1) {
      unsigned lane = unsigned(__builtin_ctz(rest));
      d[lane] = instruction.data[0] ? (all ? group : 0) : equal[lane];
    }
    warp.setPredicate(operands[1], all ? allLanes : 0, group);
  });
  warp.setValid(operands[0], lanes);
  return Step::Next;
}

void decodeMatch(Decoder &decoder) {
  bool all = decoder.modifiers.oneOf("a mode", {".any", ".all"}) == 1;
  requireSync(decoder);
  Type type = decoder.modifiers.type({Type::B32, Type::B64});
  decoder.operandCount(3);
  takePair(decoder, Type::B32);
  if (!all && decoder.operand(0).kind == assembly::OperandKind::Pair)
    decoder.fail(decoder.operand(0).position, "match.any has one result");
  decoder.result.operands.push_back(decoder.read(1, type));
  decoder.requireMembers(2);
  decoder.result.data[0] = all;
  decoder.result.handler = match;
}

//===- redux.sync -----------------------------------------------------------------------------===//

enum class Reduction { Add, Min, Max, And, Or, Xor };

/// data[0]: the operation, data[1]: 1 for signed numbers.
Step reduce(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const Operand *operands = instruction.operands.data();
  warp.require(instruction, lanes, operands[1]);
  const uint32_t *a = warp.lanesOf<uint32_t>(operands[1]);
  uint32_t *d = warp.lanesOf<uint32_t>(operands[0]);
  forGroups(warp, instruction, lanes, [&](LaneMask group) {
    uint32_t result = a[__builtin_ctz(group)];
    for (LaneMask rest = group & (group - 1); rest; rest &= rest - 1) {
      uint32_t value = a[__builtin_ctz(rest)];
      bool isLess = instruction.data[1] ? int32_t(value) < int32_t(result) : value < result;
      switch (Reduction(instruction.data[0])) {
      case Reduction::Add:
        result += value;
        break;
      case Reduction::Min:
        result = isLess ? value : result;
        break;
      case Reduction::Max:
        result = isLess ? result : value;
        break;
      case Reduction::And:
        result &= value;
        break;
      case Reduction::Or:
        result |= value;
        break;
      case Reduction::Xor:
        result ^= value;
        break;
      }
    }
    for (LaneMask rest = group; rest; rest &= rest - 1)
      d[__builtin_ctz(rest)] = result;
  });
  warp.setValid(operands[0], lanes);
  return Step::Next;
}

void decodeReduce(Decoder &decoder) {
  requireSync(decoder);
  int operation =
      decoder.modifiers.oneOf("an operation", {".add", ".min", ".max", ".and", ".or", ".xor"});
  Type type = Reduction(operation) < Reduction::And ? decoder.modifiers.type({Type::U32, Type::S32})
                                                    : decoder.modifiers.type({Type::B32});
  decoder.operandCount(3);
  decoder.result.operands = {decoder.write(0, type), decoder.read(1, type)};
  decoder.requireMembers(2);
  decoder.result.data[0] = uint64_t(operation);
  decoder.result.data[1] = type == Type::S32;
  decoder.result.handler = reduce;
}

//===- activemask -----------------------------------------------------------------------------===//

Step activeMask(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  uint32_t *d = warp.lanesOf<uint32_t>(instruction.operands[0]);
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    d[__builtin_ctz(rest)] = lanes;
  warp.setValid(instruction.operands[0], lanes);
  return Step::Next;
}

void decodeActiveMask(Decoder &decoder) {
  decoder.modifiers.type({Type::B32});
  decoder.takeOperands(Type::B32, {});
  decoder.result.handler = activeMask;
}

} // namespace

void registerCollectives(InstructionTable &table) {
  table.add("shfl", decodeShuffle);
  table.add("vote", decodeVote);
  table.add("match", decodeMatch);
  table.add("redux", decodeReduce);
  table.add("activemask", decodeActiveMask);
}

} // namespace quern::emulator::machine
