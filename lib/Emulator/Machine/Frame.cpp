//===- Frame.cpp - Frames of registers and local memory ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Block.h"
#include "lib/Emulator/Machine/Special.h"

#include <algorithm>
#include <cstring>

namespace quern::emulator::machine {

/// The value of a special register that does not change while a warp runs.
static uint64_t specialValue(const Warp &warp, Special special, unsigned lane) {
  const Block &block = warp.block;
  const Launch &launch = block.grid.launch;
  Dim3 thread = warp.thread(lane);
  const Dim3 &size = launch.block, &grid = launch.grid, &cluster = launch.cluster;
  Dim3 inCluster{block.index.x % cluster.x, block.index.y % cluster.y, block.index.z % cluster.z};
  LaneMask bit = LaneMask(1) << lane;
  switch (special) {
  case Special::TidX:
    return thread.x;
  case Special::TidY:
    return thread.y;
  case Special::TidZ:
    return thread.z;
  case Special::NtidX:
    return size.x;
  case Special::NtidY:
    return size.y;
  case Special::NtidZ:
    return size.z;
  case Special::CtaidX:
    return block.index.x;
  case Special::CtaidY:
    return block.index.y;
  case Special::CtaidZ:
    return block.index.z;
  case Special::NctaidX:
    return grid.x;
  case Special::NctaidY:
    return grid.y;
  case Special::NctaidZ:
    return grid.z;
  case Special::LaneId:
    return lane;
  case Special::WarpId:
    return warp.index;
  case Special::NWarpId:
    return (size.count() + warpSize - 1) / warpSize;
  // One multiprocessor executes all blocks.
  case Special::SmId:
    return 0;
  case Special::NSmId:
    return 1;
  case Special::GridId:
    return 1;
  case Special::LanemaskEq:
    return bit;
  case Special::LanemaskLt:
    return bit - 1;
  case Special::LanemaskLe:
    return bit | (bit - 1);
  case Special::LanemaskGt:
    return ~(bit | (bit - 1));
  case Special::LanemaskGe:
    return ~(bit - 1);
  case Special::ClusterIdX:
    return block.cluster.index.x;
  case Special::ClusterIdY:
    return block.cluster.index.y;
  case Special::ClusterIdZ:
    return block.cluster.index.z;
  case Special::NClusterIdX:
    return grid.x / cluster.x;
  case Special::NClusterIdY:
    return grid.y / cluster.y;
  case Special::NClusterIdZ:
    return grid.z / cluster.z;
  case Special::ClusterCtaidX:
    return inCluster.x;
  case Special::ClusterCtaidY:
    return inCluster.y;
  case Special::ClusterCtaidZ:
    return inCluster.z;
  case Special::ClusterNctaidX:
    return cluster.x;
  case Special::ClusterNctaidY:
    return cluster.y;
  case Special::ClusterNctaidZ:
    return cluster.z;
  case Special::ClusterCtaRank:
    return block.rank;
  case Special::ClusterNctaRank:
    return cluster.count();
  case Special::IsExplicitCluster:
    return cluster.count() > 1;
  case Special::DynamicSmemSize:
    return launch.sharedBytes;
  case Special::TotalSmemSize:
    return block.grid.sharedBytes - sharedReserved;
  case Special::AggrSmemSize:
    return block.grid.sharedBytes;
  case Special::ReservedSmemOffsetBegin:
    return 0;
  case Special::ReservedSmemOffsetEnd:
    return sharedReserved;
  default:
    return 0;
  }
}

/// What a constant is in a frame; equal in all lanes but for special registers.
static uint64_t constantValue(const Warp &warp, const Constant &constant, uint32_t localBase) {
  const Grid &grid = warp.block.grid;
  switch (constant.kind) {
  case ConstantKind::Value:
  case ConstantKind::Special:
    return constant.value;
  case ConstantKind::ModuleVariable:
    return grid.installed->addresses[constant.symbol] + constant.value;
  case ConstantKind::SharedVariable:
    return (uint64_t(warp.block.rank) << sharedRankShift) + grid.layout->offsets[constant.symbol] +
           constant.value;
  case ConstantKind::Local:
    return localBase + constant.value;
  case ConstantKind::LocalGeneric:
    return localWindow + localBase + constant.value;
  case ConstantKind::Parameter:
    return grid.parameters + constant.value;
  }
  return 0;
}

static void store(std::byte *lanes, unsigned bits, unsigned lane, uint64_t value) {
  switch (bits) {
  case 16:
    reinterpret_cast<uint16_t *>(lanes)[lane] = uint16_t(value);
    break;
  case 32:
    reinterpret_cast<uint32_t *>(lanes)[lane] = uint32_t(value);
    break;
  case 64:
    reinterpret_cast<uint64_t *>(lanes)[lane] = value;
    break;
  default:
    reinterpret_cast<uint64_t *>(lanes)[2 * lane] = value;
    reinterpret_cast<uint64_t *>(lanes)[2 * lane + 1] = 0;
    break;
  }
}

std::shared_ptr<Frame> Warp::makeFrame(const Function &function, uint32_t localBase) {
  auto frame = std::make_shared<Frame>();
  frame->function = &function;
  frame->localBase = localBase;
  size_t bytes = (function.frameBytes + 63) / 64 * 64 + 64;
  frame->registers.reset(static_cast<std::byte *>(std::aligned_alloc(64, bytes)));
  if (!frame->registers)
    throw Error("no memory on this machine for the registers of '" + function.name + "'");
  // Registers that were never written have a value too; equal ones in every run.
  std::memset(frame->registers.get(), 0, bytes);
  frame->valid.assign(function.masks, 0);
  frame->valid[0] = allLanes;
  std::vector<ExecutionCount> &counts = block.grid.executions[&function];
  counts.resize(function.code.size());
  frame->counts = counts.data();
  for (const Constant &constant : function.constants) {
    std::byte *lanes = frame->registers.get() + constant.place.offset;
    uint64_t value = constantValue(*this, constant, localBase);
    bool isSpecial = constant.kind == ConstantKind::Special;
    LaneMask bits = 0;
    for (unsigned lane = 0; lane < warpSize; ++lane) {
      if (isSpecial)
        value = specialValue(*this, Special(constant.symbol), lane);
      if (constant.place.bits == 1)
        bits |= LaneMask(value & 1) << lane;
      else
        store(lanes, constant.place.bits, lane, value);
    }
    if (constant.place.bits == 1)
      std::memcpy(lanes, &bits, sizeof bits);
  }
  growLocal(localBase + function.localBytes);
  return frame;
}

void Warp::growLocal(uint32_t bytes) {
  if (bytes <= localStride)
    return;
  if (bytes > 512 * 1024)
    throw Error("the local memory of a thread, 512 KiB, is used up: too deep a recursion in '" +
                block.grid.entry.name + "'?");
  uint32_t stride = std::max(localStride ? localStride * 2 : 0, (bytes + 63) / 64 * 64);
  Bytes larger(uint64_t(stride) * warpSize);
  for (unsigned lane = 0; lane < warpSize; ++lane)
    for (uint32_t i = 0; i < localStride; ++i) {
      larger.data()[uint64_t(lane) * stride + i] = local.data()[uint64_t(lane) * localStride + i];
      larger.setBit(uint64_t(lane) * stride + i, local.bit(uint64_t(lane) * localStride + i));
    }
  local = std::move(larger);
  localStride = stride;
}

void Warp::copyLocal(LaneMask lanes, uint32_t to, uint32_t from, uint32_t bytes) {
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    uint64_t base = uint64_t(__builtin_ctz(rest)) * localStride;
    for (uint32_t i = 0; i < bytes; ++i) {
      local.data()[base + to + i] = local.data()[base + from + i];
      local.setBit(base + to + i, local.bit(base + from + i));
    }
  }
}

} // namespace quern::emulator::machine
