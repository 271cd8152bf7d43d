//===- WgmmaTests.cpp - Products of a warp group, executed by the emulator --------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
// Matrices of small integers come to shared memory by the tensor memory accelerator and are
// multiplied; every sum is exact. The emulator finds missing fences and waits, and uses of
// registers in flight.

#include "lib/Emulator/Matrix/TensorMap.h"
#include "lib/GPU/TensorCopy.h"
#include "lib/GPU/WarpMatrix.h"
#include "lib/GPU/Wgmma.h"
#include "quern/Emulator/Emulator.h"
#include "quern/GPU/Emission.h"
#include "quern/Target/CodeGeneration.h"
#include "quern/Target/Lowering.h"
#include "quern/Target/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace quern::nvidia;
using quern::emission::addIndex;
using quern::emission::mulIndex;
namespace emulator = quern::emulator;

namespace {

/// An operand as it lies in global memory, [across, depth] if it is depth-major, and in boxes.
struct Operand {
  int64_t across, depth;
  bool isDepthMajor;

  int64_t rows() const { return isDepthMajor ? across : depth; }
  int64_t columns() const { return isDepthMajor ? depth : across; }
  int64_t boxes() const { return (columns() + 63) / 64; }
  int64_t bytes() const { return boxes() * rows() * swizzleBytes; }
  /// -1, 0 or 1, differently for each `seed`.
  double at(int64_t row, int64_t step, int64_t seed) const {
    return static_cast<double>((row * 7 + step * (step + 3) + row * step * (seed + 1)) % 3 - 1);
  }
};

/// 16 bits of -1, 0 or 1.
uint16_t encode(double value, bool isBF16) {
  uint16_t one = isBF16 ? 0x3F80 : 0x3C00;
  return value == 0 ? 0 : value < 0 ? one | 0x8000 : one;
}

class Wgmma : public testing::Test {
protected:
  using Body = llvm::function_ref<SmallVector<Value>(Thread &, ArrayRef<SharedOperand>)>;

  /// What a kernel of one warp group makes of operands in shared memory: `body` returns the sums of
  /// 64 x `columns`.
  std::vector<float> execute(bool isBF16, ArrayRef<Operand> operands, int64_t columns, Body body);

  std::string emit(bool isBF16, ArrayRef<Operand> operands, int64_t columns, Body body,
                   int64_t &sharedBytes);
};

/// Brings all operands to shared memory.
SmallVector<SharedOperand> bring(Thread &t, ArrayRef<Operand> operands, ValueRange maps,
                                 Type element) {
  Mbarrier barrier(Pointer(t, t.shared({1}, t.builder.getI64Type())));
  SmallVector<Pointer> places;
  SmallVector<SharedOperand> result;
  int64_t bytes = 0;
  for (const Operand &operand : operands) {
    Value memory = t.shared({operand.bytes() / 2}, element, sharedAlignment);
    places.emplace_back(t, memory);
    result.push_back({places.back().sharedAddress(t), operand.isDepthMajor, operand.rows()});
    bytes += operand.bytes();
  }
  Value isFirst = t.equal(t.thread(), t.index(0));
  t.when(isFirst, [&] {
    barrier.initialize(t, 1);
    publishMbarriers(t);
  });
  t.barrier();
  t.when(isFirst, [&] {
    barrier.arriveExpecting(t, bytes);
    for (auto [operand, place, map] : llvm::zip(operands, places, maps))
      for (int64_t box = 0; box < operand.boxes(); ++box)
        copyBox(t, place.at(t, box * operand.rows() * 64), map, {t.int32(64 * box), t.int32(0)},
                barrier);
  });
  barrier.await(t, t.int32(0));
  return result;
}

/// Writes sums to C where Wgmma.h says that they belong.
void write(Thread &t, ValueRange sums, Value c) {
  SmallVector<Value> place = t.digits(t.int32(t.thread()), {warpsOfGroup, 8, 4});
  Value row = addIndex(t, mulIndex(t, place[0], t.int32(16)), place[1]);
  Value column = mulIndex(t, place[2], t.int32(2));
  for (auto [i, sum] : llvm::enumerate(sums)) {
    auto number = static_cast<int64_t>(i);
    Value down = addIndex(t, row, t.int32(8 * (number / 2 % 2)));
    Value right = addIndex(t, column, t.int32(8 * (number / 4) + number % 2));
    t.store(sum, c, {t.toIndex(down), t.toIndex(right)});
  }
}

std::string Wgmma::emit(bool isBF16, ArrayRef<Operand> operands, int64_t columns, Body body,
                        int64_t &sharedBytes) {
  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  quern::target::registerTranslations(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  OpBuilder b(&context);
  Location loc = b.getUnknownLoc();
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  b.setInsertionPointToEnd(module->getBody());
  auto c = MemRefType::get({64, columns}, b.getF32Type());
  auto host = func::FuncOp::create(b, loc, "host", b.getFunctionType({c}, {}));
  llvm::Expected<Architecture> architecture = Architecture::get("sm_90a");
  auto device = mlir::gpu::GPUModuleOp::create(b, loc, architecture->name);
  b.setInsertionPointToStart(host.addEntryBlock());
  Type element = isBF16 ? Type(b.getBF16Type()) : Type(b.getF16Type());
  Emission e(b, loc, *architecture, device, "product", Value());
  // Maps are written below: here they only number parameters.
  SmallVector<TensorMap> maps(operands.size());
  for (TensorMap &map : maps)
    map = {e.index(0), element, {e.index(1)}, {}, {1}, 128};
  e.launch({}, warpGroupSize, {host.getArgument(0)}, maps,
           [&](Thread &t, ValueRange onDevice, ValueRange mapsOnDevice) {
             write(t, body(t, bring(t, operands, mapsOnDevice, element)), onDevice[0]);
             sharedBytes = t.sharedBytes;
           });
  func::ReturnOp::create(b, loc);
  PassManager manager(&context);
  quern::target::addDeviceLowering(manager);
  manager.addPass(quern::target::createDeviceCode());
  EXPECT_TRUE(succeeded(manager.run(*module)));
  auto codes = (*module)->getAttrOfType<DictionaryAttr>("quern.device_code");
  return codes.getAs<StringAttr>("sm_90a").str();
}

std::vector<float> Wgmma::execute(bool isBF16, ArrayRef<Operand> operands, int64_t columns,
                                  Body body) {
  emulator::Launch launch;
  int64_t sharedBytes = 0;
  std::string text = emit(isBF16, operands, columns, body, sharedBytes);
  emulator::Module module = emulator::Module::load(text, "kernels.ptx");
  emulator::Device device;
  std::vector<float> result(static_cast<size_t>(64 * columns));
  uint64_t c = device.allocate(result.size() * sizeof(float), "C");
  launch.kernel = "product_0";
  launch.block = {warpGroupSize, 1, 1};
  launch.sharedBytes = static_cast<uint32_t>(sharedBytes);
  launch.arguments = {emulator::argument(c)};
  for (auto [seed, operand] : llvm::enumerate(operands)) {
    std::vector<uint16_t> elements;
    for (int64_t row = 0; row < operand.rows(); ++row)
      for (int64_t column = 0; column < operand.columns(); ++column)
        elements.push_back(encode(operand.isDepthMajor
                                      ? operand.at(row, column, static_cast<int64_t>(seed))
                                      : operand.at(column, row, static_cast<int64_t>(seed)),
                                  isBF16));
    emulator::matrix::TensorMap map;
    map.type = isBF16 ? emulator::matrix::TensorType::BF16 : emulator::matrix::TensorType::F16;
    map.rank = 2;
    map.address = device.allocate(elements.size() * 2, "an operand");
    map.dimensions = {static_cast<uint64_t>(operand.columns()),
                      static_cast<uint64_t>(operand.rows())};
    map.strides = {static_cast<uint64_t>(operand.columns()) * 2};
    map.box = {64, static_cast<uint32_t>(operand.rows())};
    map.swizzle = emulator::matrix::Swizzle::Bytes128;
    EXPECT_EQ(map.check(), "");
    device.write(map.address, elements.data(), elements.size() * 2);
    launch.arguments.push_back(emulator::argument(map.encode()));
  }
  emulator::Report report = emulator::run(device, module, launch);
  for (const emulator::Finding &finding : report.findings)
    ADD_FAILURE() << format(finding, "kernels.ptx");
  device.read(c, result.data(), result.size() * sizeof(float));
  return result;
}

/// `before` + A B.
std::vector<float> product(const std::vector<float> &before, const Operand &a, const Operand &b,
                           int64_t seed = 0) {
  std::vector<float> result(static_cast<size_t>(64 * b.across));
  for (int64_t i = 0; i < 64; ++i)
    for (int64_t j = 0; j < b.across; ++j) {
      auto place = static_cast<size_t>(i * b.across + j);
      double sum = before.empty() ? 0 : before[place];
      for (int64_t k = 0; k < a.depth; ++k)
        sum += a.at(i, k, seed) * b.at(j, k, seed + 1);
      result[place] = static_cast<float>(sum);
    }
  return result;
}

Type elementOf(Thread &t, bool isBF16) {
  return isBF16 ? Type(t.builder.getBF16Type()) : Type(t.builder.getF16Type());
}

/// Every order of the operands in memory, with depths of less and more than a box of a depth-major
/// operand, and columns in several boxes.
TEST_F(Wgmma, FromSharedMemory) {
  for (bool aIsDepthMajor : {true, false})
    for (bool bIsDepthMajor : {true, false})
      for (int64_t depth : {48, 64, 128}) {
        bool isBF16 = depth != 64;
        Operand a{64, depth, aIsDepthMajor}, b{136, depth, bIsDepthMajor};
        auto got = execute(isBF16, {a, b}, b.across, [&](Thread &t, ArrayRef<SharedOperand> in) {
          GroupProduct product{elementOf(t, isBF16), b.across, depth};
          return awaitProducts(t, product.start(t, in[0], in[1]));
        });
        EXPECT_EQ(got, product({}, a, b)) << aIsDepthMajor << bIsDepthMajor << depth;
      }
}

/// A is part of the rows of its boxes.
TEST_F(Wgmma, PartOfBoxes) {
  Operand whole{128, 128, true}, b{64, 128, true};
  auto got = execute(true, {whole, b}, b.across, [&](Thread &t, ArrayRef<SharedOperand> in) {
    SharedOperand below = in[0];
    below.address = addIndex(t, below.address, t.int32(64 * swizzleBytes));
    GroupProduct product{elementOf(t, true), b.across, 128};
    return awaitProducts(t, product.start(t, below, in[1]));
  });
  for (int64_t i = 0; i < 64; ++i)
    for (int64_t j = 0; j < b.across; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < 128; ++k)
        sum += whole.at(64 + i, k, 0) * b.at(j, k, 1);
      ASSERT_EQ(got[static_cast<size_t>(i * b.across + j)], sum) << i << " " << j;
    }
}

/// Two products in flight, of which the second adds to sums; the first, awaited alone, becomes the
/// left factor of a third.
TEST_F(Wgmma, FactorsInRegisters) {
  for (bool isBF16 : {true, false}) {
    Operand q{64, 64, true}, k{80, 64, true}, v{72, 80, false};
    auto got = execute(isBF16, {q, k, v}, v.across, [&](Thread &t, ArrayRef<SharedOperand> in) {
      Type element = elementOf(t, isBF16);
      GroupProduct scores{element, k.across, q.depth}, weighted{element, v.across, k.across};
      auto factors = [&](ValueRange sums) {
        WarpSums warp;
        warp.rowTiles = 1;
        warp.columnTiles = k.across / 8;
        warp.values.assign(sums.begin(), sums.end());
        SmallVector<Value> result;
        for (const SmallVector<Value> &fragment : asFactor(t, warp, element))
          llvm::append_range(result, fragment);
        EXPECT_EQ(static_cast<int64_t>(result.size()), factorsOfThread(k.across));
        return result;
      };
      SmallVector<Value> p = factors(awaitProducts(t, scores.start(t, in[0], in[1])));
      SmallVector<Value> again = scores.start(t, in[0], in[1]);
      SmallVector<Value> ones(sumsOfThread(v.across), t.number(t.builder.getF32Type(), 1));
      SmallVector<Value> output = weighted.start(t, p, in[2], ones);
      SmallVector<Value> next = factors(awaitProducts(t, again, /*pending=*/1));
      output = awaitProducts(t, output);
      return awaitProducts(t, weighted.start(t, next, in[2], output));
    });
    std::vector<float> scores = product({}, q, k);
    for (int64_t i = 0; i < 64; ++i)
      for (int64_t j = 0; j < v.across; ++j) {
        double sum = 0;
        for (int64_t s = 0; s < k.across; ++s)
          sum += scores[static_cast<size_t>(i * k.across + s)] * v.at(j, s, 2);
        ASSERT_EQ(got[static_cast<size_t>(i * v.across + j)], 1 + 2 * sum) << i << " " << j;
      }
  }
}

} // namespace
