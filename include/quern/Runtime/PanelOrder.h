//===- PanelOrder.h - Between rows and panels ------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
///
/// \file
/// Compiled programs may keep the matrices of a parameter in panels, as their micro-kernels read
/// them (Tensor.h); files and people have them row by row.
///
//===------------------------------------------------------------------------------------------===//
#ifndef QUERN_RUNTIME_PANELORDER_H
#define QUERN_RUNTIME_PANELORDER_H

#include "quern/Runtime/Tensor.h"

namespace quern::runtime {

/// Writes the elements of `tensor`, which lies in panels on the host, row by row to `rows`.
void fromPanels(const Tensor &tensor, void *rows);
/// Writes what stands row by row in `rows` into the panels of `tensor`, on the host.
void toPanels(const void *rows, const Tensor &tensor);

} // namespace quern::runtime

#endif // QUERN_RUNTIME_PANELORDER_H
