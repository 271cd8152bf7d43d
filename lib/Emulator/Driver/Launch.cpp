//===- Launch.cpp - Runs a kernel on the emulator and reports it ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Records.h"

#include <cstdio>
#include <fstream>
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

/// One line of QUERN_EMULATE_REPORT.
static Json describe(const emulator::Launch &launch, const emulator::Report &report) {
  const emulator::Counters &counters = report.counters;
  Json findings = Json::array();
  for (const emulator::Finding &finding : report.findings)
    findings.push_back(describe(finding));
  return {{"kernel", launch.kernel},
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
          {"by_opcode", counters.byOpcode},
          {"findings", findings}};
}

static void appendReport(const std::string &path, const Json &line) {
  std::ofstream file(path, std::ios::app);
  file << line.dump() << "\n";
  file.flush();
  if (!file)
    throw Failure{InvalidValue, "cannot write QUERN_EMULATE_REPORT=" + path};
}

/// What a real GPU would say of a finding.
static Result resultOf(const emulator::Finding &finding) {
  switch (finding.kind) {
  case emulator::FindingKind::OutOfBounds:
  case emulator::FindingKind::ReadOnlyWrite:
    return IllegalAddress;
  case emulator::FindingKind::Misaligned:
    return MisalignedAddress;
  default:
    return LaunchFailed;
  }
}

Operation launchOperation(DriverState &state, ContextRecord &context, const emulator::Module &code,
                          emulator::Launch launch) {
  return [&state, &context, code, launch = std::move(launch)] {
    if (++state.launches == state.settings.faultyLaunch)
      throw Failure{context.fault = EccUncorrectable, ""};
    emulator::Report report = emulator::run(context.memory, code, launch);
    if (!state.settings.report.empty())
      appendReport(state.settings.report, describe(launch, report));
    if (report.clean())
      return;
    for (const emulator::Finding &finding : report.findings)
      std::fprintf(stderr, "%s\n", emulator::format(finding, "ptx").c_str());
    context.fault = resultOf(report.findings.front());
    throw Failure{context.fault, ""};
  };
}

} // namespace quern::cuda
