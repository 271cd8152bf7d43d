//===- DifferentiableOpInterface.td - Ops that have a gradient --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_DIFFERENTIABLE_OP_INTERFACE_TD
#define QUERN_DIFFERENTIABLE_OP_INTERFACE_TD

include "mlir/IR/OpBase.td"

def Quern_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::quern";
  let description = [{
    An op whose vector-Jacobian product is known. The rules are external models, all in lib/Model/GradientRules*.cpp; adding
    one for a new op is all that it takes to differentiate it.
  }];
  let methods = [
    InterfaceMethod<[{
      Builds, at `builder`, the gradients of the operands from those of the results, and adds them to `adjoints`. The
      op's operands and results may be used freely: what of them is saved and what is recomputed is decided later, from the
      uses. At least one result has an adjoint, and at least one operand is active. May replace the op by
      one that computes more. Reports at the op why it has no gradient when it fails.
    }], "::llvm::LogicalResult", "buildGradient", (ins "::mlir::OpBuilder &":$builder, "::quern::Adjoints &":$adjoints)>,
    InterfaceMethod<"What it costs to run the op a second time, in the backward pass, instead of saving its results.",
      "::quern::RecomputeCost", "getRecomputeCost", (ins)>
  ];
}

#endif // QUERN_DIFFERENTIABLE_OP_INTERFACE_TD
