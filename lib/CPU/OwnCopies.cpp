//===- OwnCopies.cpp - Buffers of which each thread has a copy -------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "OwnCopies.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

#include <limits>

using namespace mlir;

namespace quern::cpu {

constexpr llvm::StringLiteral mark = "quern.per_thread";

OwnCopies::OwnCopies(func::FuncOp body) : body(body) {
  body.walk([&](memref::ViewOp view) {
    auto rows = view->getAttrOfType<IntegerAttr>(mark);
    if (!rows)
      return;
    views.push_back(view);
    if (!view.getDynamicSizes().empty()) {
      size = view.getDynamicSizes()[0];
      mostRows = rows.getInt();
    }
  });
}

memref::ViewOp OwnCopies::copyOf(Value memref) const {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>()) {
    if (view->hasAttr(mark))
      return cast<memref::ViewOp>(*view);
    memref = view.getViewSource();
  }
  return {};
}

bool OwnCopies::isOwn(Value memref, bool few) const {
  memref::ViewOp view = copyOf(memref);
  return view && (few || view.getType().hasStaticShape());
}

int64_t OwnCopies::rowsOf(Value memref, bool few) const {
  auto type = cast<MemRefType>(memref.getType());
  int64_t rows = 1;
  for (int64_t dim : type.getShape().drop_back())
    rows *= ShapedType::isDynamic(dim) ? 1 : dim;
  if (type.hasStaticShape())
    return rows;
  // Of one dynamic size, that of the copies.
  auto view = memref.getDefiningOp<memref::ViewOp>();
  bool isBounded = few && size && view && view.getDynamicSizes().size() == 1 &&
                   view.getDynamicSizes()[0] == size && !type.isDynamicDim(type.getRank() - 1);
  return isBounded ? rows * mostRows : std::numeric_limits<int64_t>::max();
}

OwnCopies::Share OwnCopies::shareOf(Operation *kernel) const {
  memref::ViewOp view =
      copyOf(cast<DestinationStyleOpInterface>(kernel).getDpsInitOperand(0)->get());
  if (!view)
    return Share::Units;
  return view.getType().hasStaticShape() ? Share::Whole : Share::WholeIfFew;
}

Value OwnCopies::few(OpBuilder &builder) {
  if (condition || !size)
    return condition;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfterValue(size);
  Value most = arith::ConstantIndexOp::create(builder, body.getLoc(), mostRows);
  condition = arith::CmpIOp::create(builder, body.getLoc(), arith::CmpIPredicate::ule, size, most);
  return condition;
}

void OwnCopies::makeCopies(RewriterBase &rewriter) {
  for (memref::ViewOp view : views) {
    MemRefType type = view.getType();
    SmallVector<int64_t> shape(type.getShape());
    if (!type.hasStaticShape())
      shape[0] = mostRows;
    // At the entry, so that a loop does not grow the stack.
    rewriter.setInsertionPointToStart(&body.getBody().front());
    Value copy = memref::AllocaOp::create(rewriter, view.getLoc(),
                                          MemRefType::get(shape, type.getElementType()),
                                          rewriter.getI64IntegerAttr(64));
    if (type.hasStaticShape()) {
      rewriter.replaceOp(view, copy);
      continue;
    }
    Value condition = few(rewriter);
    rewriter.setInsertionPointAfter(view);
    SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(rewriter.getContext(), shape);
    sizes[0] = size;
    SmallVector<int64_t> steps;
    int64_t offset;
    if (failed(type.getStridesAndOffset(steps, offset)))
      continue; // a buffer of the arena is dense
    Value own = memref::ReinterpretCastOp::create(
        rewriter, view.getLoc(), type, copy, rewriter.getIndexAttr(0), sizes,
        getAsIndexOpFoldResult(rewriter.getContext(), steps));
    auto chosen = arith::SelectOp::create(rewriter, view.getLoc(), condition, own, view);
    rewriter.replaceAllUsesExcept(view, chosen, chosen);
  }
}

} // namespace quern::cpu
