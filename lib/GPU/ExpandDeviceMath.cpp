//===- ExpandDeviceMath.cpp - Elementary functions without libdevice --------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "quern/Emission/ElementaryFunctions.h"
#include "quern/GPU/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

namespace quern::nvidia {
#define GEN_PASS_DEF_EXPANDDEVICEMATH
#include "quern/GPU/Passes.h.inc"
} // namespace quern::nvidia

using namespace mlir;

namespace {

constexpr float log2E = 0x1.715476p+0f; // 1 / ln 2
constexpr float log2ELow = 0x1.4ae0bep-26f;
constexpr float ln2 = 0x1.62e430p-1f;

class DeviceFunctions : public quern::emission::ElementaryFunctions {
public:
  using ElementaryFunctions::ElementaryFunctions;

  /// ex2.approx has 2 ulp over its whole range, with denormal results (PTX ISA, ex2).
  Value exp2(Value x) override { return call("llvm.nvvm.ex2.approx", x); }

  /// e^x = 2^t (1 + d ln 2) with t = x / ln 2 rounded, and d what rounding it took away.
  Value exp(Value x) override {
    x = atMost(atLeast(x, -104.0f), 89.0f);
    Value t = mul(x, splat(log2E));
    Value rest = fma(x, splat(log2E), arith::NegFOp::create(builder, loc, t));
    rest = fma(x, splat(log2ELow), rest);
    return mul(exp2(t), fma(rest, splat(ln2), splat(1.0f)));
  }

protected:
  /// div.full has 2 ulp (PTX ISA, div). The division that rounds is a subroutine, around which a
  /// kernel would have to put its registers into memory.
  Value div(Value a, Value b) override { return call("llvm.nvvm.div.full", {a, b}); }

private:
  Value call(StringRef intrinsic, ValueRange operands) {
    auto name = StringAttr::get(builder.getContext(), intrinsic);
    return LLVM::CallIntrinsicOp::create(builder, loc, operands[0].getType(), name, operands)
        .getResult(0);
  }
};

/// The intrinsic of an op that LLVM's NVPTX backend has instructions for, or an empty name. As an
/// op of the LLVM dialect it would become a call of libdevice.
StringRef intrinsicOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, StringRef>(op)
      .Case([](math::SqrtOp) { return "llvm.sqrt"; })
      .Case([](math::FmaOp) { return "llvm.fma"; })
      .Case([](math::AbsFOp) { return "llvm.fabs"; })
      .Case([](math::CopySignOp) { return "llvm.copysign"; })
      .Case([](math::FloorOp) { return "llvm.floor"; })
      .Case([](math::CeilOp) { return "llvm.ceil"; })
      .Case([](math::TruncOp) { return "llvm.trunc"; })
      .Case([](math::RoundEvenOp) { return "llvm.roundeven"; })
      .Default([](Operation *) { return ""; });
}

struct ExpandDeviceMath : quern::nvidia::impl::ExpandDeviceMathBase<ExpandDeviceMath> {
  using ExpandDeviceMathBase::ExpandDeviceMathBase;

  void runOnOperation() override {
    SmallVector<Operation *> functions, natives;
    getOperation().walk([&](Operation *op) {
      if (isa<math::MathDialect>(op->getDialect()) && intrinsicOf(op).empty())
        functions.push_back(op);
    });
    for (Operation *op : functions)
      if (failed(expandFunction(op)))
        return signalPassFailure();
    // Those of the program, and those that functions were made of.
    getOperation().walk([&](Operation *op) {
      if (isa<math::MathDialect>(op->getDialect()))
        natives.push_back(op);
    });
    for (Operation *op : natives) {
      OpBuilder builder(op);
      auto name = builder.getStringAttr(intrinsicOf(op));
      auto call = LLVM::CallIntrinsicOp::create(builder, op->getLoc(), op->getResult(0).getType(),
                                                name, op->getOperands());
      op->replaceAllUsesWith(call);
      op->erase();
    }
  }

  LogicalResult expandFunction(Operation *op) {
    OpBuilder builder(op);
    Type type = op->getResult(0).getType();
    DeviceFunctions functions(builder, op->getLoc(), builder.getF32Type());
    if (!type.isF32() || op->getNumOperands() != 1 || !quern::emission::expand(op, functions))
      return op->emitError()
             << "'" << op->getName() << "' on " << type
             << " has no form for NVIDIA GPUs; compile with --target=cpu, or use exp, "
                "exp2, log, log2, tanh, erf, sqrt or rsqrt on f32";
    ++numExpanded;
    return success();
  }
};

} // namespace
