//===- ElementaryFunctions.h - exp, log, tanh, erf from arithmetic ----------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_EMISSION_ELEMENTARYFUNCTIONS_H
#define QUERN_EMISSION_ELEMENTARYFUNCTIONS_H

#include "mlir/IR/Builders.h"

namespace quern::emission {

/// Writes elementary functions on values of one type (f32, or a 1-D vector of f32) as straight-line
/// arithmetic. Their errors, in units in the last place over all inputs: exp and exp2 1.5; log and
/// log2 2; tanh 3; erf 3; rsqrt 1.5. A target that has better means overrides them.
class ElementaryFunctions {
public:
  /// With `hasAvx512`, vectors of 16 use its rounding and scaling instructions.
  ElementaryFunctions(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type,
                      bool hasAvx512 = false);
  virtual ~ElementaryFunctions() = default;

  virtual mlir::Value exp(mlir::Value x);
  virtual mlir::Value exp2(mlir::Value x);
  /// The same for x that is at most 0 (but for what rounding may add) or NaN; 0 instead of numbers
  /// less than the smallest normal one.
  mlir::Value expNonPositive(mlir::Value x);
  mlir::Value exp2NonPositive(mlir::Value x);
  mlir::Value log(mlir::Value x) { return logarithm(x, /*base2=*/false); }
  mlir::Value log2(mlir::Value x) { return logarithm(x, /*base2=*/true); }
  mlir::Value tanh(mlir::Value x);
  mlir::Value erf(mlir::Value x);
  mlir::Value rsqrt(mlir::Value x);

protected:
  mlir::Value splat(float value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  virtual mlir::Value div(mlir::Value a, mlir::Value b);
  /// One instruction each; a NaN in `x` stays.
  mlir::Value atLeast(mlir::Value x, float bound);
  mlir::Value atMost(mlir::Value x, float bound);

  mlir::OpBuilder &builder;
  mlir::Location loc;

private:
  mlir::Value splatInt(int32_t value);
  mlir::Value constant(mlir::Type of, mlir::TypedAttr value);
  mlir::Value abs(mlir::Value a);
  mlir::Value copySign(mlir::Value a, mlir::Value sign);
  mlir::Value bits(mlir::Value a);
  mlir::Value fromBits(mlir::Value a);
  mlir::Value subInt(mlir::Value a, mlir::Value b);
  mlir::Value shiftLeft(mlir::Value a, int32_t n);
  mlir::Value less(mlir::Value a, mlir::Value b);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);
  mlir::Value exponential(mlir::Value r);
  mlir::Value exponential2(mlir::Value f);
  /// Horner's rule; coefficients from the highest power down.
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<float> coefficients);

  /// An integer n as a float, and what is needed to multiply by 2^n.
  struct Power {
    mlir::Value n;
    mlir::Value biased; ///< without scalef: an i32 whose low 9 bits are n + the bias
  };
  Power roundToPower(mlir::Value x, mlir::Value factor, int32_t bias);
  mlir::Value scale(mlir::Value p, Power power);
  mlir::Value scaleByNormal(mlir::Value p, Power power);
  mlir::Value reduceByLn2(mlir::Value x, mlir::Value n);
  mlir::Value logarithm(mlir::Value x, bool base2);

  mlir::Type type, intType;
  bool hasScalef = false;
};

/// On math.exp and math.exp2: the operand is at most 0 or NaN, and results below the smallest
/// normal number may be 0, as in a softmax.
inline constexpr llvm::StringLiteral nonPositiveAttribute = "quern.non_positive";

/// Replaces an op of the math dialect that is one of these functions; false for any other op.
bool expand(mlir::Operation *op, ElementaryFunctions &functions);

} // namespace quern::emission

#endif // QUERN_EMISSION_ELEMENTARYFUNCTIONS_H
