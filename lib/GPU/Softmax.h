//===- Softmax.h - What softmax and cross-entropy share ---------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_LIB_GPU_SOFTMAX_H
#define QUERN_LIB_GPU_SOFTMAX_H

#include "Team.h"

namespace quern::nvidia {

/// Of one row x.
struct RowSum {
  mlir::Value maximum; ///< max(x), 0 for a row of -infinity
  mlir::Value sum;     ///< sum(exp(x - maximum))
};

/// One pass over the row, with a running maximum (Milakov and Gimelshein 2018); in every thread of
/// the team. A NaN in the row makes the sum a NaN.
RowSum rowSumOfExponentials(Team &team, const Team::Part &row);

} // namespace quern::nvidia

#endif // QUERN_LIB_GPU_SOFTMAX_H
