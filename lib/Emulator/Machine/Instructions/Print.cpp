//===- Print.cpp - Functions of the system: printf and assert ---------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "lib/Emulator/Machine/Instructions/Print.h"

#include "lib/Emulator/Machine/Block.h"

#include <cstdio>
#include <cstring>

namespace quern::emulator::machine {

namespace {

/// Reads what a thread of a call has in memory.
class ThreadReader {
public:
  ThreadReader(Warp &warp, const Instruction &instruction, unsigned lane)
      : warp(warp), instruction(instruction), lane(lane) {}

  template <typename T>
  T read(uint64_t address) {
    T value{};
    if (const std::byte *bytes =
            warp.access(instruction, lane, Space::Generic, address, sizeof(T), AccessKind::Read))
      std::memcpy(&value, bytes, sizeof(T));
    return value;
  }

  std::string readString(uint64_t address) {
    constexpr size_t longest = 4096;
    std::string text;
    while (text.size() < longest)
      if (char c = read<char>(address + text.size()))
        text += c;
      else
        break;
    return text;
  }

private:
  Warp &warp;
  const Instruction &instruction;
  unsigned lane;
};

template <typename T>
std::string formatted(const std::string &conversion, T value) {
  char text[512];
  std::snprintf(text, sizeof text, conversion.c_str(), value);
  return text;
}

/// Arguments lie one after the other, each at a multiple of its size: int, long long, double,
/// pointers.
std::string format(ThreadReader &reader, const std::string &format, uint64_t arguments) {
  std::string out;
  uint64_t at = arguments;
  auto next = [&](auto zero) {
    at = (at + sizeof zero - 1) / sizeof zero * sizeof zero;
    auto value = reader.read<decltype(zero)>(at);
    at += sizeof zero;
    return value;
  };
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    std::string conversion = "%";
    bool isLong = false;
    while (++i < format.size() && std::strchr("-+ #0123456789.*hlLzjt", format[i])) {
      if (format[i] == '*')
        conversion += std::to_string(next(int32_t()));
      else if (std::strchr("lLzjt", format[i]))
        isLong = true;
      else if (format[i] != 'h')
        conversion += format[i];
    }
    char kind = i < format.size() ? format[i] : '%';
    if (kind == '%')
      out += '%';
    else if (kind == 'c')
      out += char(next(int32_t()));
    else if (kind == 's')
      out += formatted(conversion + kind, reader.readString(next(uint64_t())).c_str());
    else if (kind == 'p')
      out += formatted("0x%llx", static_cast<unsigned long long>(next(uint64_t())));
    else if (std::strchr("diuxXo", kind) && isLong)
      out += formatted(conversion + "ll" + kind, static_cast<long long>(next(int64_t())));
    else if (std::strchr("diuxXo", kind))
      out += formatted(conversion + kind, next(int32_t()));
    else if (std::strchr("eEfFgGaA", kind))
      out += formatted(conversion + kind, next(double()));
  }
  return out;
}

uint64_t argumentAt(Warp &warp, uint32_t offset) {
  return localWindow + warp.path().frame->localBase + offset;
}

Step print(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<SystemCall>();
  for (LaneMask rest = lanes; rest; rest &= rest - 1) {
    ThreadReader reader(warp, instruction, unsigned(__builtin_ctz(rest)));
    auto text = reader.read<uint64_t>(argumentAt(warp, plan.first));
    auto arguments = reader.read<uint64_t>(argumentAt(warp, plan.second));
    warp.block.grid.output += format(reader, reader.readString(text), arguments);
    if (plan.result != never)
      if (std::byte *result =
              warp.access(instruction, unsigned(__builtin_ctz(rest)), Space::Generic,
                          argumentAt(warp, plan.result), 4, AccessKind::Write))
        std::memset(result, 0, 4);
  }
  return Step::Next;
}

Step failAssertion(Warp &warp, const Instruction &instruction, LaneMask lanes) {
  const auto &plan = instruction.planAs<SystemCall>();
  unsigned lane = unsigned(__builtin_ctz(lanes));
  ThreadReader reader(warp, instruction, lane);
  warp.report(FindingKind::Trap, instruction, lane, 0,
              "an assertion of the kernel fails: " +
                  reader.readString(reader.read<uint64_t>(argumentAt(warp, plan.first))));
  throw Abandoned();
}

} // namespace

void decodeSystemCall(Decoder &decoder, const assembly::Function &callee, const SystemCall &call) {
  bool isPrint = callee.name == "vprintf" && callee.parameters.size() == 2;
  bool isAssert = callee.name == "__assertfail" && !callee.parameters.empty();
  if (!isPrint && !isAssert)
    decoder.fail("the function '" + callee.name + "' has no body in this text");
  decoder.result.plan = std::make_shared<SystemCall>(call);
  decoder.result.handler = isPrint ? print : failAssertion;
}

} // namespace quern::emulator::machine
