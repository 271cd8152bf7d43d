//===- Launch.cpp - Runs a kernel on the emulator and reports it ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "LaunchReport.h"
#include "Records.h"

#include <cstdio>
#include <fstream>

namespace quern::cuda {

static void appendReport(const std::string &path, const std::string &line) {
  std::ofstream file(path, std::ios::app);
  file << line << "\n";
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
