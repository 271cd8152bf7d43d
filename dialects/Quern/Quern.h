//===- Quern.h - The quern dialect -----------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
///
/// \file
/// The language of models; QuernOps.td has every operation's formula and constraints.
///
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIALECTS_QUERN_QUERN_H
#define QUERN_DIALECTS_QUERN_QUERN_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Quern/QuernDialect.h.inc"
#include "dialects/Quern/QuernEnums.h.inc"

namespace quern {
class LayersOp;
class ReturnOp;
class YieldOp;
} // namespace quern

#define GET_OP_CLASSES
#include "dialects/Quern/QuernOps.h.inc"

#endif // QUERN_DIALECTS_QUERN_QUERN_H
