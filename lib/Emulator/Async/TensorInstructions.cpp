//===- TensorInstructions.cpp - cp.async.bulk.tensor ------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Copies and reductions of boxes through tensor maps in tiled mode (PTX ISA 9.1,
/// section 9.7.9.25.5). Operands of the decoded instruction: the address of the map, the address in
/// shared memory, the mbarrier (loads), the mask of blocks (multicast), the coordinates.
///
#include "lib/Emulator/Async/CopyDecoders.h"
#include "lib/Emulator/Async/Loads.h"
#include "lib/Emulator/Async/Reductions.h"
#include "lib/Emulator/Machine/Decoder.h"

#include <cstring>

namespace quern::emulator::machine {

namespace {

using matrix::BoxChunk;
using matrix::TensorMap;

struct Plan {
  int rank = 0;
  bool isMulticast = false;
  bool isReduction = false;
  matrix::Reduction operation = matrix::Reduction::Add;
};

constexpr size_t fixedOperands = 4;
/// Of boxes in shared memory.
constexpr uint32_t boxAlignment = 128;

/// The map of a lane; false after a report.
bool readMap(Warp &warp, const Instruction &instruction, unsigned lane, TensorMap &map) {
  const auto &plan = instruction.planAs<Plan>();
  uint64_t address = warp.address(instruction.operands[0], lane);
  GlobalRange range = locateGlobal(warp, instruction, lane, address, TensorMap::encodedBytes, 64,
                                   /*writes=*/false, "a tensor map");
  if (!range)
    return false;
  TensorMap::Encoded bytes;
  std::memcpy(bytes.data(), range.region->bytes.data() + range.offset, bytes.size());
  std::string problem;
  if (!TensorMap::decode(bytes, map))
    problem = "the 128 bytes there are no tensor map (those of this emulator come from its own "
              "encoder alone)";
  else if (map.rank != plan.rank)
    problem = "the tensor map has " + std::to_string(map.rank) + " dimensions, the instruction " +
              std::to_string(plan.rank);
  if (!problem.empty())
    warp.report(FindingKind::InvalidOperand, instruction, lane, address, problem);
  return problem.empty();
}

void readCoordinates(Warp &warp, const Instruction &instruction, unsigned lane,
                     int32_t (&coordinates)[TensorMap::maximalRank]) {
  const auto &plan = instruction.planAs<Plan>();
  for (int i = 0; i < plan.rank; ++i)
    coordinates[i] = warp.lanesOf<int32_t>(instruction.operands[fixedOperands + size_t(i)])[lane];
}

/// Bytes of shared memory from the first to the last of a box.
uint64_t extentOf(const TensorMap &map) {
  uint64_t rows = 1;
  for (int i = 1; i < map.rank; ++i)
    rows *= map.boxElements(i);
  return map.swizzle == matrix::Swizzle::None ? map.boxBytes()
                                              : rows * matrix::swizzleSpan(map.swizzle);
}

void requireOperands(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  for (const Operand &operand : instruction.operands)
    warp.require(instruction, lanes, operand);
}

Step load(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<Plan>();
  requireOperands(warp, instruction, lanes);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    TensorMap map;
    if (!readMap(warp, instruction, lane, map))
      continue;
    Load load;
    load.to = locateShared(warp, instruction, lane, Space::Shared,
                           warp.address(instruction.operands[1], lane), extentOf(map), boxAlignment,
                           "the target of a tensor copy");
    if (!load.to)
      continue;
    load.bytes = uint32_t(map.boxBytes());
    load.fill = matrix::fillPattern(map);
    int32_t coordinates[TensorMap::maximalRank];
    readCoordinates(warp, instruction, lane, coordinates);
    bool allInside = true;
    for (const BoxChunk &chunk : matrix::chunksOfBox(map, coordinates, load.to.offset)) {
      uint32_t inside = chunk.last - chunk.first;
      if (chunk.first)
        load.pieces.push_back({chunk.shared, chunk.first, {}, {}});
      if (inside) {
        GlobalRange from = locateGlobal(warp, instruction, lane, chunk.global, inside, 1,
                                        /*writes=*/false, "the source of a tensor copy");
        allInside &= bool(from);
        load.pieces.push_back({chunk.shared + chunk.first, inside, from, {}});
      }
      if (chunk.last < 16)
        load.pieces.push_back({chunk.shared + chunk.last, 16 - chunk.last, {}, {}});
    }
    if (!allInside)
      continue;
    std::optional<uint16_t> mask;
    if (plan.isMulticast)
      mask = warp.lanesOf<uint16_t>(instruction.operands[3])[lane];
    issueLoad(warp, instruction, lane, std::move(load), Space::Shared,
              warp.address(instruction.operands[2], lane), mask);
  }
  return Step::Next;
}

/// The reduction of a lane's map; false after a report.
bool reductionOf(Warp &warp, const Instruction &instruction, unsigned lane, const TensorMap &map,
                 std::optional<ReductionPlan> &result) {
  const auto &plan = instruction.planAs<Plan>();
  if (!plan.isReduction)
    return true;
  ReductionPlan reduction = {plan.operation, matrix::ReductionType::U32};
  std::string problem = "tensors of this type cannot be reduced";
  if (matrix::reductionTypeOf(map.type, reduction.type))
    problem = matrix::checkReduction(reduction.operation, reduction.type);
  if (!problem.empty())
    warp.report(FindingKind::InvalidOperand, instruction, lane, 0, problem);
  result = reduction;
  return problem.empty();
}

Step store(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireOperands(warp, instruction, lanes);
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    unsigned lane = unsigned(__builtin_ctz(rest));
    TensorMap map;
    std::optional<ReductionPlan> reduction;
    if (!readMap(warp, instruction, lane, map) ||
        !reductionOf(warp, instruction, lane, map, reduction))
      continue;
    SharedRange from = locateShared(warp, instruction, lane, Space::Shared,
                                    warp.address(instruction.operands[1], lane), extentOf(map),
                                    boxAlignment, "the source of a tensor copy");
    int32_t coordinates[TensorMap::maximalRank];
    readCoordinates(warp, instruction, lane, coordinates);
    bool isValid = bool(from);
    for (int i = 0; i < map.rank; ++i)
      if (coordinates[i] < 0) {
        warp.report(FindingKind::InvalidOperand, instruction, lane, 0,
                    "coordinate " + std::to_string(i) + " is " + std::to_string(coordinates[i]) +
                        "; those of stores are not negative");
        isValid = false;
      }
    if (!isValid)
      continue;
    std::vector<StorePiece> pieces;
    for (const BoxChunk &chunk : matrix::chunksOfBox(map, coordinates, from.offset)) {
      if (chunk.first == chunk.last)
        continue;
      uint32_t bytes = chunk.last - chunk.first;
      GlobalRange to = locateGlobal(warp, instruction, lane, chunk.global, bytes, 1,
                                    /*writes=*/true, "the target of a tensor copy");
      isValid &= bool(to);
      pieces.push_back({{from.block, chunk.shared + chunk.first}, to, bytes});
    }
    if (isValid)
      issueStore(warp, instruction, lane, std::move(pieces), reduction);
  }
  return Step::Next;
}

Step prefetch(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  requireOperands(warp, instruction, lanes);
  TensorMap map;
  for (LaneMask rest = lanes; rest; rest &= rest - 1)
    readMap(warp, instruction, unsigned(__builtin_ctz(rest)), map);
  return Step::Next;
}

//===- Decoding -----------------------------------------------------------------------------===//

int takeRank(Decoder &decoder) {
  return 1 + decoder.modifiers.oneOf("a number of dimensions", {".1d", ".2d", ".3d", ".4d", ".5d"});
}

void takeMode(Decoder &decoder) {
  if (decoder.modifiers.acceptOneOf({".im2col", ".im2col_no_offs", ".im2col::w", ".im2col::w::128",
                                     ".tile::gather4", ".tile::scatter4"}) >= 0)
    decoder.fail("'cp" + decoder.modifiers.text() +
                 "': of the modes of tensor copies .tile alone is emulated");
  decoder.modifiers.accept(".tile");
}

/// "[map, {c0, c1}]": the address of the map as first operand, the coordinates after the fixed
/// ones.
void readTensorOperand(Decoder &decoder, size_t index, int rank) {
  const assembly::Operand &operand = decoder.operand(index);
  if (operand.kind != assembly::OperandKind::Address || operand.elements.size() != 2)
    decoder.fail(operand.position, "expected a tensor operand like [map, {c0, c1}]");
  assembly::Operand map = operand;
  map.elements.resize(1);
  decoder.result.operands[0] = decoder.address(map, Space::Generic);
  for (const assembly::Operand *element : decoder.elements(operand.elements[1], size_t(rank)))
    decoder.result.operands.push_back(decoder.read(*element, Type::S32));
}

} // namespace

void decodeTensorPrefetch(Decoder &decoder) {
  Plan plan;
  plan.rank = takeRank(decoder);
  decoder.modifiers.oneOf("the cache", {".L2"});
  decoder.modifiers.oneOf("the space", {".global"});
  takeMode(decoder);
  bool hasPolicy = decoder.modifiers.accept(".L2::cache_hint");
  decoder.operandCount(hasPolicy ? 2 : 1);
  decoder.result.operands.assign(fixedOperands, decoder.constant(Type::B32, 0));
  readTensorOperand(decoder, 0, plan.rank);
  if (hasPolicy)
    decoder.read(1, Type::B64);
  decoder.result.plan = std::make_shared<Plan>(plan);
  decoder.result.handler = prefetch;
}

void decodeTensor(Decoder &decoder, bool isReduction) {
  Plan plan;
  plan.rank = takeRank(decoder);
  plan.isReduction = isReduction;
  takeMode(decoder);
  bool isLoad = decoder.modifiers.oneOf("a completion mechanism",
                                        {".mbarrier::complete_tx::bytes", ".bulk_group"}) == 0;
  decoder.modifiers.oneOf("global memory on one side", {".global"});
  if (isLoad)
    decoder.modifiers.oneOf("the target's space", {".shared::cluster", ".shared::cta"});
  else
    decoder.modifiers.oneOf("the source's space", {".shared::cta"});
  if (isReduction && isLoad)
    decoder.fail("'cp" + decoder.modifiers.text() + "': tensors are reduced in global memory");
  if (isReduction)
    plan.operation = takeReduction(decoder);
  plan.isMulticast = isLoad && decoder.modifiers.accept(".multicast::cluster");
  bool hasPolicy = decoder.modifiers.accept(".L2::cache_hint");
  size_t count = isLoad ? 3 : 2;
  decoder.operandCount(count + plan.isMulticast + hasPolicy);
  Operand none = decoder.constant(Type::B32, 0);
  decoder.result.operands = {none, decoder.address(isLoad ? 0 : 1, Space::Shared),
                             isLoad ? decoder.address(2, Space::Shared) : none,
                             plan.isMulticast ? decoder.read(3, Type::B16) : none};
  readTensorOperand(decoder, isLoad ? 1 : 0, plan.rank);
  if (hasPolicy)
    decoder.read(decoder.operandCount() - 1, Type::B64);
  decoder.result.plan = std::make_shared<Plan>(plan);
  decoder.result.handler = isLoad ? load : store;
}

} // namespace quern::emulator::machine
