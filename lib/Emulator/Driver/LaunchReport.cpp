//===- LaunchReport.cpp - One launch as a line of JSON ----------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "LaunchReport.h"

#include <nlohmann/json.hpp>

namespace quern::cuda {

using Json = nlohmann::ordered_json;

static Json listOf(const emulator::Dim3 &sizes) { return {sizes.x, sizes.y, sizes.z}; }

static Json describe(const emulator::Finding &finding) {
  return {{"kind", emulator::name(finding.kind)},
          {"message", finding.message},
          {"instruction", finding.instruction},
          {"ptx_line", finding.location.ptxLine},
          {"file", finding.location.file},
          {"line", finding.location.line},
          {"block", listOf(finding.block)},
          {"thread", listOf(finding.thread)},
          {"count", finding.count}};
}

std::string describe(const emulator::Launch &launch, const emulator::Report &report) {
  const emulator::Counters &counters = report.counters;
  Json findings = Json::array();
  for (const emulator::Finding &finding : report.findings)
    findings.push_back(describe(finding));
  Json line = {{"kernel", launch.kernel},
               {"grid", listOf(launch.grid)},
               {"block", listOf(launch.block)},
               {"cluster", listOf(launch.cluster)},
               {"shared_bytes", launch.sharedBytes},
               {"blocks_run", counters.blocks},
               {"thread_instructions", counters.threadInstructions},
               {"warp_instructions", counters.warpInstructions},
               {"global_bytes_read", counters.globalBytesRead},
               {"global_bytes_written", counters.globalBytesWritten},
               {"global_sectors", counters.globalSectors},
               {"shared_bytes_read", counters.sharedBytesRead},
               {"shared_bytes_written", counters.sharedBytesWritten},
               {"shared_accesses", counters.sharedAccesses},
               {"bank_conflicts", counters.bankConflicts},
               {"local_bytes_read", counters.localBytesRead},
               {"local_bytes_written", counters.localBytesWritten},
               {"product_warps", counters.productWarps},
               {"product_instructions", counters.productInstructions},
               {"covered_instructions", counters.coveredInstructions},
               {"product_stretches", counters.productStretches},
               {"by_opcode", counters.byOpcode},
               {"findings", findings}};
  return line.dump();
}

} // namespace quern::cuda
