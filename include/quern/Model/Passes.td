//===- Passes.td - Passes on models -------------------------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_MODEL_PASSES_TD
#define QUERN_MODEL_PASSES_TD

include "mlir/Pass/PassBase.td"

//===- Deriving programs -------------------------------------------------------------------------===//

def Expand : Pass<"quern-expand", "::mlir::ModuleOp"> {
  let summary = "turn forward and loss into closed programs with rolled loops";
  let description = [{
    Calls are inlined, applied layers become `quern.scan` over their stacked parameters, and each parameter that is
    read becomes an argument, in the order of declaration. The program takes the place of the function.

    ```mlir
    quern.function @forward(%tokens: tensor<?x?xi32>) -> tensor<?x?x48xf32> {
      %table = quern.read @token : tensor<256x48xf32>
      %x = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<256x48xf32>
      %y = quern.apply @block(%x) : (tensor<?x?x48xf32>) -> tensor<?x?x48xf32>
      ...
    // becomes
    quern.function @forward(%tokens: tensor<?x?xi32> {quern.role = "input"},
        %token: tensor<256x48xf32> {quern.parameter = @token, quern.role = "parameter"},
        %block.proj: tensor<3x48x48xf32> {quern.parameter = @block::@proj, quern.role = "parameter"})
        -> (tensor<?x?x48xf32> {quern.name = "logits", quern.role = "output"}) attributes {program} {
      %x = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<256x48xf32>
      %y = quern.scan 3 carry (%h = %x : tensor<?x?x48xf32>) slices (%w = %block.proj : tensor<3x48x48xf32>) ...
    ```
  }];
  let options = [ListOption<"programs", "programs", "std::string",
                            "functions to expand: forward, loss (default: those that exist)">];
  let dependentDialects = ["::quern::QuernDialect", "::mlir::tensor::TensorDialect"];
}

#endif // QUERN_MODEL_PASSES_TD
