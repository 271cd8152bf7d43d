//===- AttentionChecks.cpp - Shapes of attention and what belongs to it ---------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "Checks.h"
#include "dialects/Kernel/Kernel.h"

using namespace mlir;
using namespace quern::kernel;

/// Q [B, T, H, D], K [B, S, G, D], V [B, S, G, E], O [B, T, H, E], and what is optional.
static LogicalResult attentionFits(Operation *op, Value q, Value k, Value v, Value o, Value lse,
                                   Value mask, Value lengths) {
  for (auto [name, value] :
       {std::pair("Q", q), std::pair("K", k), std::pair("V", v), std::pair("O", o)})
    if (failed(rankIs(op, value, 4, name)))
      return failure();
  ArrayRef<int64_t> qs = shaped(q).getShape(), ks = shaped(k).getShape();
  ArrayRef<int64_t> vs = shaped(v).getShape();
  if (ShapedType::isDynamic(qs[2]) || ShapedType::isDynamic(ks[2]) || ks[2] <= 0 || qs[2] % ks[2])
    return op->emitOpError("needs a static number of heads that is a multiple of the groups, not ")
           << qs[2] << " and " << ks[2];
  if (ShapedType::isDynamic(qs[3]) || differ(qs[3], ks[3]))
    return op->emitOpError("needs equal static head dimensions of Q and K");
  if (ShapedType::isDynamic(vs[3]))
    return op->emitOpError("needs a static head dimension of V");
  int64_t result[] = {qs[0], qs[1], qs[2], vs[3]}, rows[] = {qs[0], qs[2], qs[1]};
  if (differ(qs[0], ks[0]) || failed(verifyCompatibleShape(ks.drop_back(), vs.drop_back())) ||
      failed(verifyCompatibleShape(shaped(o).getShape(), result)))
    return op->emitOpError("Q, K, V and O do not fit: ")
           << q.getType() << ", " << k.getType() << ", " << v.getType() << ", " << o.getType();
  if (lse && failed(verifyCompatibleShape(shaped(lse).getShape(), rows)))
    return op->emitOpError("the log-sum-exp is [batch, heads, queries], not ") << lse.getType();
  if (mask && shaped(mask).getRank() > 4)
    return op->emitOpError("the mask has rank ") << shaped(mask).getRank() << ", not 4 or less";
  return lengths ? rankIs(op, lengths, 1, "lengths") : success();
}

LogicalResult AttentionOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 2)) ||
      failed(scalarFits(*this, getOffset(), "offset")))
    return failure();
  return attentionFits(*this, getQ(), getK(), getV(), getOutputs()[0],
                       getOutputs().size() > 1 ? getOutputs()[1] : Value(), getMask(),
                       getLengths());
}

LogicalResult CachedAttentionOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 3, 3)) ||
      failed(scalarFits(*this, getOffset(), "offset")))
    return failure();
  Value keys = getOutputs()[1], values = getOutputs()[2];
  if (failed(attentionFits(*this, getQ(), keys, values, getOutputs()[0], Value(), getMask(),
                           getLengths())))
    return failure();
  for (auto [name, row, cache] :
       {std::tuple("the key", getKey(), keys), std::tuple("the value", getValue(), values)}) {
    if (failed(rankIs(*this, row, 4, name)))
      return failure();
    SmallVector<int64_t> expected(shaped(cache).getShape());
    expected[1] = 1;
    if (failed(verifyCompatibleShape(shaped(row).getShape(), expected)))
      return emitOpError(name) << " " << row.getType() << " does not fit a cache of type "
                               << cache.getType();
  }
  if (shaped(getQ()).getDimSize(1) != 1)
    return emitOpError("takes one query a sequence, not ") << getQ().getType();
  return success();
}

LogicalResult AttentionBackwardOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 4, 4)) ||
      failed(sameShape(*this, getQ(), getOutputs()[0], "Q and dQ")) ||
      failed(sameShape(*this, getK(), getOutputs()[1], "K and dK")) ||
      failed(sameShape(*this, getV(), getOutputs()[2], "V and dV")) ||
      failed(sameShape(*this, getLse(), getOutputs()[3], "the log-sum-exp and D")) ||
      failed(sameShape(*this, getO(), getGradient(), "O and dO")))
    return failure();
  return attentionFits(*this, getQ(), getK(), getV(), getO(), getLse(), getMask(), getLengths());
}

LogicalResult RotaryOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) || failed(rankIs(*this, getX(), 4, "x")) ||
      failed(scalarFits(*this, getOffset(), "offset")))
    return failure();
  if (ShapedType::isDynamic(lastDim(getX())) || lastDim(getX()) % 2)
    return emitOpError("needs an even static head dimension");
  return sameShape(*this, getX(), getOutputs()[0], "x and y");
}

LogicalResult CacheAppendOp::verify() {
  if (failed(outputsBetween(*this, getOutputs(), 1, 1)) ||
      failed(rankAtLeast(*this, getX(), 2, "x")) ||
      failed(scalarFits(*this, getOffset(), "offset")) ||
      failed(rankIs(*this, getOutputs()[0], shaped(getX()).getRank(), "the cache")))
    return failure();
  for (int64_t i = 0, rank = shaped(getX()).getRank(); i < rank; ++i)
    if (i != 1 && differ(shaped(getX()).getDimSize(i), shaped(getOutputs()[0]).getDimSize(i)))
      return emitOpError("x ") << getX().getType() << " does not fit a cache of type "
                               << getOutputs()[0].getType();
  return success();
}
