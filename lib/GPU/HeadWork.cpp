//===- HeadWork.cpp - Tiles of heads shared out among blocks ----------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//

#include "HeadWork.h"

using namespace mlir;

namespace quern::nvidia {

using namespace emission;

HeadWork workOfBlock(Thread &t, Value batch, int64_t heads, Value tiles, Value rows,
                     int64_t rowBytes) {
  // An H100 has 50 MB, and keeps some lines twice, once for each half of its multiprocessors.
  constexpr int64_t cacheBytes = 32 << 20;
  OpBuilder &b = t.builder;
  auto quotient = [&](Value x, Value by) { return b.createOrFold<arith::DivUIOp>(t.loc, x, by); };
  auto rest = [&](Value x, Value by) { return b.createOrFold<arith::RemUIOp>(t.loc, x, by); };
  auto atLeast1 = [&](Value x) { return b.createOrFold<arith::MaxUIOp>(t.loc, x, t.int32(1)); };
  Value all = mulIndex(t, t.int32(batch), t.int32(heads));
  Value together = quotient(t.int32(cacheBytes / rowBytes), atLeast1(t.int32(rows)));
  together = minIndex(t, atLeast1(together), all);
  // Sections of so many heads follow each other; the last one may have fewer.
  Value number = t.int32(t.block(0)), blocks = mulIndex(t, together, t.int32(tiles));
  Value firstHead = mulIndex(t, quotient(number, blocks), together);
  Value here = minIndex(t, together, arith::SubIOp::create(b, t.loc, all, firstHead));
  Value within = rest(number, blocks), head = addIndex(t, firstHead, rest(within, here));
  return {t.toIndex(quotient(head, t.int32(heads))), t.toIndex(rest(head, t.int32(heads))),
          t.toIndex(quotient(within, here))};
}

} // namespace quern::nvidia
