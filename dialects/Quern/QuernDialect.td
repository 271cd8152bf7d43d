//===- QuernDialect.td - The quern dialect ----------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIALECT_TD
#define QUERN_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Quern_Dialect : Dialect {
  let name = "quern";
  let cppNamespace = "::quern";
  let summary = "Transformer models";
  let description = [{
    Models as people write them down: parameters, rolled layers, attention, norms, losses, optimizers, on
    tensors with value semantics. `arith` and `math` on tensors, `tensor.expand_shape` and
    `tensor.collapse_shape` mix freely with these operations.

    Each operation states its formula and numbers its constraints: (C1), (C2), ... A violated constraint is reported
    with its number.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
}

def Quern_Tensor : AnyTypeOf<[AnyRankedTensor], "ranked tensor">;

/// An operation of models: pure, with result types that follow from operands and attributes.
class Quern_Op<string mnemonic, list<Trait> traits = []>
    : Op<Quern_Dialect, mnemonic, traits # [Pure, InferTypeOpAdaptor]>;

def Quern_NormKind : I32EnumAttr<"NormKind", "which normalization",
    [I32EnumAttrCase<"Layer", 0, "layer">, I32EnumAttrCase<"Rms", 1, "rms">]> {
  let cppNamespace = "::quern";
}

#endif // QUERN_DIALECT_TD
