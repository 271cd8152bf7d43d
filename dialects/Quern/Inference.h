//===- Inference.h - Helpers of type inference and its messages ------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIALECTS_QUERN_INFERENCE_H
#define QUERN_DIALECTS_QUERN_INFERENCE_H

#include "dialects/Quern/Quern.h"

#include "mlir/IR/Diagnostics.h"

namespace quern {

using Types = llvm::SmallVectorImpl<mlir::Type>;
using Where = std::optional<mlir::Location>;

inline mlir::RankedTensorType typeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType());
}
inline llvm::ArrayRef<int64_t> shape(mlir::Value value) { return typeOf(value).getShape(); }
inline int64_t lastDim(mlir::Value value) { return shape(value).back(); }
inline bool isFloat(mlir::Value value) {
  return mlir::isa<mlir::FloatType>(typeOf(value).getElementType());
}
inline mlir::RankedTensorType withShape(mlir::Value value, llvm::ArrayRef<int64_t> shape) {
  return mlir::RankedTensorType::get(shape, typeOf(value).getElementType());
}

/// Whether two sizes are known to differ.
inline bool differ(int64_t a, int64_t b) {
  return !mlir::ShapedType::isDynamic(a) && !mlir::ShapedType::isDynamic(b) && a != b;
}
inline bool differ(llvm::ArrayRef<int64_t> a, llvm::ArrayRef<int64_t> b) {
  if (a.size() != b.size())
    return true;
  for (auto [x, y] : llvm::zip(a, b))
    if (differ(x, y))
      return true;
  return false;
}
/// The size that is known of two that are equal.
inline int64_t known(int64_t a, int64_t b) { return mlir::ShapedType::isDynamic(a) ? b : a; }

/// A size as messages print it.
inline std::string text(int64_t size) {
  return mlir::ShapedType::isDynamic(size) ? std::string("?") : std::to_string(size);
}

/// Reports a violated constraint: "quern.linear (C2): x has 64 columns ...".
template <typename... Args>
llvm::LogicalResult fail(Where where, llvm::StringRef op, int constraint, Args &&...args) {
  return mlir::emitOptionalError(where, "quern.", op, " (C", constraint,
                                 "): ", std::forward<Args>(args)...);
}

/// Whether `value` is a float vector of `size` elements.
inline bool isVector(mlir::Value value, int64_t size) {
  return typeOf(value).getRank() == 1 && isFloat(value) && !differ(shape(value)[0], size);
}
/// Whether both have one element type.
inline bool sameElements(mlir::Value a, mlir::Value b) {
  return typeOf(a).getElementType() == typeOf(b).getElementType();
}
/// Whether `value` is absent, or has `other`'s element type and no dimension that is known to
/// differ.
inline bool fits(mlir::Value value, mlir::Value other) {
  return !value || (sameElements(value, other) && !differ(shape(value), shape(other)));
}
inline bool fits(mlir::Value value, mlir::Value other, llvm::ArrayRef<int64_t> dims) {
  return !value || (sameElements(value, other) && !differ(shape(value), dims));
}
inline bool isScalar(mlir::Value value) { return typeOf(value).getRank() == 0; }
inline bool isI32(mlir::Value value) { return typeOf(value).getElementType().isInteger(32); }

/// The parser infers result types before it verifies those of operands.
llvm::LogicalResult checkTensors(Where where, llvm::StringRef op, mlir::ValueRange operands);

} // namespace quern

/// Defines the type inference of an op, whose operands are ranked tensors once its body runs:
/// `INFER(ReluOp) { types.push_back(op.getX().getType()); return success(); }`
#define INFER(Op)                                                                                  \
  static llvm::LogicalResult infer##Op(Where where, Op::Adaptor op, Types &types);                 \
  llvm::LogicalResult Op::inferReturnTypes(mlir::MLIRContext *, Where where, Op::Adaptor op,       \
                                           Types &types) {                                         \
    if (failed(checkTensors(where, Op::getOperationName(), op.getOperands())))                     \
      return llvm::failure();                                                                      \
    return infer##Op(where, op, types);                                                            \
  }                                                                                                \
  static llvm::LogicalResult infer##Op([[maybe_unused]] Where where, Op::Adaptor op, Types &types)

#endif // QUERN_DIALECTS_QUERN_INFERENCE_H
