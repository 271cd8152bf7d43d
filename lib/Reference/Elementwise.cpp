//===- Elementwise.cpp - arith and math, on scalars and on tensors ---------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Evaluators.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/TypeUtilities.h"

#include "llvm/Support/MathExtras.h"

#include <cmath>

using namespace mlir;
using namespace quern;
using namespace quern::reference;

//===- Floats
//------------------------------------------------------------------------------------===//

template <typename OpTy, auto function>
static void unary(OpTy op, Interpreter &in) {
  Array y = in.get(op->getOperand(0));
  for (int64_t i = 0; i < y.size(); ++i)
    y.flat(i) = function(y.flat(i));
  in.set(op->getResult(0), std::move(y));
}

template <typename OpTy, auto function>
static void binary(OpTy op, Interpreter &in) {
  Array y = in.get(op->getOperand(0));
  const Array &b = in.get(op->getOperand(1));
  for (int64_t i = 0; i < y.size(); ++i)
    y.flat(i) = function(y.flat(i), b.flat(i));
  in.set(op->getResult(0), std::move(y));
}

template <typename OpTy, double (*function)(double)>
static void addUnary(Table &table) {
  add<OpTy, unary<OpTy, function>>(table);
}
template <typename OpTy, double (*function)(double, double)>
static void addBinary(Table &table) {
  add<OpTy, binary<OpTy, function>>(table);
}

static double plus(double a, double b) { return a + b; }
static double minus(double a, double b) { return a - b; }
static double times(double a, double b) { return a * b; }
static double over(double a, double b) { return a / b; }
static double negative(double a) { return -a; }
static double same(double a) { return a; }
static double rsqrt(double a) { return 1 / std::sqrt(a); }
// maximumf and minimumf give NaN if either is; maxnumf and minnumf give the other.
static double maximum(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? a + b : std::fmax(a, b);
}
static double minimum(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? a + b : std::fmin(a, b);
}

static bool compare(arith::CmpFPredicate predicate, double a, double b) {
  using P = arith::CmpFPredicate;
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case P::AlwaysFalse:
    return false;
  case P::AlwaysTrue:
    return true;
  case P::ORD:
    return !unordered;
  case P::UNO:
    return unordered;
  case P::OEQ:
    return a == b;
  case P::OGT:
    return a > b;
  case P::OGE:
    return a >= b;
  case P::OLT:
    return a < b;
  case P::OLE:
    return a <= b;
  case P::ONE:
    return !unordered && a != b;
  case P::UEQ:
    return unordered || a == b;
  case P::UGT:
    return unordered || a > b;
  case P::UGE:
    return unordered || a >= b;
  case P::ULT:
    return unordered || a < b;
  case P::ULE:
    return unordered || a <= b;
  case P::UNE:
    return unordered || a != b;
  }
  return false;
}

static void cmpf(arith::CmpFOp op, Interpreter &in) {
  const Array &a = in.get(op.getLhs()), &b = in.get(op.getRhs());
  Array y = Array::integers(a.shape());
  for (int64_t i = 0; i < y.size(); ++i)
    y.flatInteger(i) = compare(op.getPredicate(), a.flat(i), b.flat(i));
  in.set(op.getResult(), std::move(y));
}

static void fusedMultiplyAdd(math::FmaOp op, Interpreter &in) {
  Array y = in.get(op.getA());
  for (int64_t i = 0; i < y.size(); ++i)
    y.flat(i) = std::fma(y.flat(i), in.get(op.getB()).flat(i), in.get(op.getC()).flat(i));
  in.set(op.getResult(), std::move(y));
}

//===- Integers
//----------------------------------------------------------------------------------===//

static unsigned widthOf(Value value) {
  Type type = getElementTypeOrSelf(value.getType());
  return type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
}
/// As the type holds it: i1 is 0 or 1, others carry a sign.
static int64_t wrap(int64_t x, unsigned width) {
  return width == 1 ? x & 1 : llvm::SignExtend64(x, width);
}
static uint64_t unsignedOf(int64_t x, unsigned width) {
  return width >= 64 ? x : x & llvm::maskTrailingOnes<uint64_t>(width);
}

/// Integer arithmetic in two's complement, on operands of `width` bits.
template <typename OpTy, int64_t (*function)(int64_t, int64_t, unsigned)>
static LogicalResult integerBinary(OpTy op, Interpreter &in) {
  Array y = in.get(op->getOperand(0));
  const Array &b = in.get(op->getOperand(1));
  unsigned width = widthOf(op->getResult(0));
  constexpr bool divides = std::is_same_v<OpTy, arith::DivSIOp> ||
                           std::is_same_v<OpTy, arith::RemSIOp> ||
                           std::is_same_v<OpTy, arith::FloorDivSIOp>;
  for (int64_t i = 0; i < y.size(); ++i) {
    if (divides && (b.flatInteger(i) == 0 || b.flatInteger(i) == -1)) {
      if (b.flatInteger(i) == 0)
        return op.emitError("division by zero");
      bool remainder = std::is_same_v<OpTy, arith::RemSIOp>;
      y.flatInteger(i) = remainder ? 0 : wrap(-uint64_t(y.flatInteger(i)), width);
      continue;
    }
    y.flatInteger(i) = wrap(function(y.flatInteger(i), b.flatInteger(i), width), width);
  }
  in.set(op->getResult(0), std::move(y));
  return success();
}

template <typename OpTy, int64_t (*function)(int64_t, int64_t, unsigned)>
static void addIntegers(Table &table) {
  add<OpTy, integerBinary<OpTy, function>>(table);
}

static int64_t addi(int64_t a, int64_t b, unsigned) { return uint64_t(a) + uint64_t(b); }
static int64_t subi(int64_t a, int64_t b, unsigned) { return uint64_t(a) - uint64_t(b); }
static int64_t muli(int64_t a, int64_t b, unsigned) { return uint64_t(a) * uint64_t(b); }
static int64_t divsi(int64_t a, int64_t b, unsigned) { return a / b; }
static int64_t remsi(int64_t a, int64_t b, unsigned) { return a % b; }
static int64_t floordivsi(int64_t a, int64_t b, unsigned) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
static int64_t andi(int64_t a, int64_t b, unsigned) { return a & b; }
static int64_t ori(int64_t a, int64_t b, unsigned) { return a | b; }
static int64_t xori(int64_t a, int64_t b, unsigned) { return a ^ b; }
static int64_t maxsi(int64_t a, int64_t b, unsigned) { return std::max(a, b); }
static int64_t minsi(int64_t a, int64_t b, unsigned) { return std::min(a, b); }

static void cmpi(arith::CmpIOp op, Interpreter &in) {
  const Array &a = in.get(op.getLhs()), &b = in.get(op.getRhs());
  unsigned width = widthOf(op.getLhs());
  Array y = Array::integers(a.shape());
  for (int64_t i = 0; i < y.size(); ++i)
    y.flatInteger(i) = arith::applyCmpPredicate(op.getPredicate(),
                                                APInt(width, unsignedOf(a.flatInteger(i), width)),
                                                APInt(width, unsignedOf(b.flatInteger(i), width)));
  in.set(op.getResult(), std::move(y));
}

/// Conversions between integer types; `isUnsigned` extends with zeros.
template <typename OpTy, bool isUnsigned>
static void convertInteger(OpTy op, Interpreter &in) {
  Array y = in.get(op->getOperand(0));
  unsigned from = widthOf(op->getOperand(0)), to = widthOf(op->getResult(0));
  for (int64_t i = 0; i < y.size(); ++i) {
    int64_t x = y.flatInteger(i);
    y.flatInteger(i) = wrap(isUnsigned ? unsignedOf(x, from) : from == 1 ? -(x & 1) : x, to);
  }
  in.set(op->getResult(0), std::move(y));
}

template <typename OpTy, bool isUnsigned>
static void integerToFloat(OpTy op, Interpreter &in) {
  const Array &x = in.get(op->getOperand(0));
  unsigned from = widthOf(op->getOperand(0));
  Array y = Array::floats(x.shape());
  for (int64_t i = 0; i < y.size(); ++i)
    y.flat(i) = isUnsigned
                    ? static_cast<double>(unsignedOf(x.flatInteger(i), from))
                    : static_cast<double>(from == 1 ? -(x.flatInteger(i) & 1) : x.flatInteger(i));
  in.set(op->getResult(0), std::move(y));
}

static LogicalResult floatToInteger(arith::FPToSIOp op, Interpreter &in) {
  const Array &x = in.get(op.getIn());
  Array y = Array::integers(x.shape());
  for (int64_t i = 0; i < y.size(); ++i) {
    if (!(std::fabs(x.flat(i)) < 0x1p63))
      return op.emitError("the number ") << x.flat(i) << " is no integer";
    y.flatInteger(i) = wrap(static_cast<int64_t>(x.flat(i)), widthOf(op.getOut()));
  }
  in.set(op.getOut(), std::move(y));
  return success();
}

//===- Constants and selection
//-------------------------------------------------------------------===//

static int64_t numberOf(const APInt &value) {
  return value.getBitWidth() == 1 ? value.getZExtValue() : value.getSExtValue();
}
static double numberOf(APFloat value) {
  bool losesInfo = false;
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
  return value.convertToDouble();
}

static LogicalResult constant(arith::ConstantOp op, Interpreter &in) {
  if (auto value = dyn_cast<FloatAttr>(op.getValue())) {
    in.set(op.getResult(), Array::floats({}, numberOf(value.getValue())));
  } else if (auto value = dyn_cast<IntegerAttr>(op.getValue())) {
    in.set(op.getResult(), Array::integers({}, numberOf(value.getValue())));
  } else if (auto value = dyn_cast<DenseElementsAttr>(op.getValue())) {
    Array y = Array::zeros(value.getType().getShape(), isa<FloatType>(value.getElementType()));
    if (y.isFloat())
      for (auto [i, element] : llvm::enumerate(value.getValues<APFloat>()))
        y.flat(i) = numberOf(element);
    else
      for (auto [i, element] : llvm::enumerate(value.getValues<APInt>()))
        y.flatInteger(i) = numberOf(element);
    in.set(op.getResult(), std::move(y));
  } else {
    return op.emitError("the reference interpreter does not know constants such as ")
           << op.getValue();
  }
  return success();
}

static void selectOp(arith::SelectOp op, Interpreter &in) {
  const Array &condition = in.get(op.getCondition()), &no = in.get(op.getFalseValue());
  Array y = in.get(op.getTrueValue());
  for (int64_t i = 0; i < y.size(); ++i)
    if (!condition.flatInteger(condition.rank() ? i : 0))
      y.copy(i, no, i);
  in.set(op.getResult(), std::move(y));
}

void quern::reference::addElementwise(Table &table) {
  addBinary<arith::AddFOp, plus>(table);
  addBinary<arith::SubFOp, minus>(table);
  addBinary<arith::MulFOp, times>(table);
  addBinary<arith::DivFOp, over>(table);
  addBinary<arith::MaximumFOp, maximum>(table);
  addBinary<arith::MinimumFOp, minimum>(table);
  addBinary<arith::MaxNumFOp, std::fmax>(table);
  addBinary<arith::MinNumFOp, std::fmin>(table);
  addBinary<math::PowFOp, std::pow>(table);
  addBinary<math::CopySignOp, std::copysign>(table);
  addUnary<arith::NegFOp, negative>(table);
  addUnary<arith::ExtFOp, same>(table); // all floats are f64 here
  addUnary<arith::TruncFOp, same>(table);
  addUnary<math::AbsFOp, std::fabs>(table);
  addUnary<math::CeilOp, std::ceil>(table);
  addUnary<math::CosOp, std::cos>(table);
  addUnary<math::ErfOp, std::erf>(table);
  addUnary<math::ExpOp, std::exp>(table);
  addUnary<math::Exp2Op, std::exp2>(table);
  addUnary<math::ExpM1Op, std::expm1>(table);
  addUnary<math::FloorOp, std::floor>(table);
  addUnary<math::LogOp, std::log>(table);
  addUnary<math::Log1pOp, std::log1p>(table);
  addUnary<math::Log2Op, std::log2>(table);
  addUnary<math::RsqrtOp, rsqrt>(table);
  addUnary<math::SinOp, std::sin>(table);
  addUnary<math::SqrtOp, std::sqrt>(table);
  addUnary<math::TanhOp, std::tanh>(table);
  add<math::FmaOp, fusedMultiplyAdd>(table);
  add<arith::CmpFOp, cmpf>(table);

  addIntegers<arith::AddIOp, addi>(table);
  addIntegers<arith::SubIOp, subi>(table);
  addIntegers<arith::MulIOp, muli>(table);
  addIntegers<arith::DivSIOp, divsi>(table);
  addIntegers<arith::RemSIOp, remsi>(table);
  addIntegers<arith::FloorDivSIOp, floordivsi>(table);
  addIntegers<arith::AndIOp, andi>(table);
  addIntegers<arith::OrIOp, ori>(table);
  addIntegers<arith::XOrIOp, xori>(table);
  addIntegers<arith::MaxSIOp, maxsi>(table);
  addIntegers<arith::MinSIOp, minsi>(table);
  add<arith::CmpIOp, cmpi>(table);
  add<arith::ExtSIOp, convertInteger<arith::ExtSIOp, false>>(table);
  add<arith::ExtUIOp, convertInteger<arith::ExtUIOp, true>>(table);
  add<arith::TruncIOp, convertInteger<arith::TruncIOp, false>>(table);
  add<arith::IndexCastOp, convertInteger<arith::IndexCastOp, false>>(table);
  add<arith::IndexCastUIOp, convertInteger<arith::IndexCastUIOp, true>>(table);
  add<arith::SIToFPOp, integerToFloat<arith::SIToFPOp, false>>(table);
  add<arith::UIToFPOp, integerToFloat<arith::UIToFPOp, true>>(table);
  add<arith::FPToSIOp, floatToInteger>(table);

  add<arith::ConstantOp, constant>(table);
  add<arith::SelectOp, selectOp>(table);
}
