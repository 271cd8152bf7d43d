//===- StructureOps.td - Models, parameters, layers, functions --------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===---------------------------------------------------------------------------------------------===//
#ifndef QUERN_STRUCTURE_OPS_TD
#define QUERN_STRUCTURE_OPS_TD

include "QuernDialect.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"

def Quern_Initializer : I32EnumAttr<"Initializer", "how a parameter starts", [
    I32EnumAttrCase<"Zeros", 0, "zeros">, I32EnumAttrCase<"Ones", 1, "ones">,
    I32EnumAttrCase<"Normal", 2, "normal">, I32EnumAttrCase<"Uniform", 3, "uniform">,
    I32EnumAttrCase<"Residual", 4, "residual">]> {
  let cppNamespace = "::quern";
}

def Quern_ModelOp : Op<Quern_Dialect, "model",
    [IsolatedFromAbove, SymbolTable, Symbol, NoTerminator, SingleBlock, NoRegionArguments]> {
  let summary = "a model: its parameters, layers and functions";
  let description = [{
    ```mlir
    quern.model @gpt kind("causal_lm") context(1024) {
      quern.parameter @token : tensor<50257x768xf32> init(normal, 0.02) decay file("wte.weight")
      quern.layers @block count(12) file("h.{layer}.") (%x: tensor<?x?x768xf32>) -> tensor<?x?x768xf32> { ... }
      quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]}) -> tensor<?x?x50257xf32> { ... }
      quern.function @loss(%tokens: ..., %targets: ...) -> tensor<f32> { ... }
    }
    ```
    `kind` tells the runtime which commands a person expects of the program; no pass depends on it.
    `context` is the longest sequence that the model takes; without it there is no limit.

    (C1) a function `forward` exists. (C2) `context`, when given, is positive.
    (C3) no layers apply themselves and no function calls itself, directly or through others.
    (C4) no two parameters have the same name in weight files. (C5) nothing but parameters, layers and functions.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$kind, OptionalAttr<I64Attr>:$context);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `kind` `(` $kind `)` (`context` `(` $context^ `)`)? attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
}

def Quern_ParameterOp : Op<Quern_Dialect, "parameter", [Symbol, ParentOneOf<["ModelOp", "LayersOp"]>]> {
  let summary = "a learned tensor";
  let description = [{
    The type, how training starts, whether weight decay applies, and the name in a weight file. Within `quern.layers` it
    is one layer's tensor; the program stores all layers stacked along a new first dimension.

    Initializers: `zeros`, `ones`, `normal` (mean 0, standard deviation `scale`), `uniform` (in [-scale, scale)),
    `residual` (GPT-2: normal with standard deviation scale / sqrt(2 x layers)). Without `file`, the name in files is
    the symbol's.

    (C1) the type is a float tensor with static, positive dimensions. (C2) normal, uniform and residual have
    a positive scale; zeros and ones have none. (C3) `residual` stands within layers.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type, Quern_Initializer:$initializer,
      OptionalAttr<F64Attr>:$scale, UnitAttr:$decay, OptionalAttr<StrAttr>:$file);
  let assemblyFormat = [{
    $sym_name `:` $type `init` `(` $initializer (`,` $scale^)? `)` (`decay` $decay^)? (`file` `(` $file^ `)`)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() { return ::mlir::cast<::mlir::RankedTensorType>(getType()); }
    /// The type as the program stores it: stacked along a new first dimension within layers.
    ::mlir::RankedTensorType getStoredType();
    /// The layers that it stands in, or null.
    LayersOp getLayers();
    /// The name in a weight file, with the layers' prefix; "{layer}" stands for the layer's number.
    std::string getFileName();
    /// Its name in programs: "token", or "block.qkv" within layers.
    std::string getProgramName();
  }];
}

def Quern_LayersOp : Op<Quern_Dialect, "layers",
    [Symbol, SymbolTable, HasParent<"ModelOp">, IsolatedFromAbove, SingleBlock, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "equal layers, rolled";
  let description = [{
    `count` layers with parameters of their own, applied one after another by `quern.apply`. The region describes one of them:
    its parameters, then its computation. The first arguments, as many as are yielded, go from layer to layer; further
    arguments are the same for all of them. `file` is a prefix of the parameters' names.

    (C1) count is positive. (C2) each yielded value has the type of its argument. (C3) at least one value is yielded.
    (C4) arguments are ranked tensors.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$count, OptionalAttr<StrAttr>:$file);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    YieldOp getYield();
    unsigned getNumCarried();
  }];
}

def Quern_FunctionOp : Op<Quern_Dialect, "function",
    [IsolatedFromAbove, FunctionOpInterface, SingleBlock, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "a function of a model, or a program that was derived from one";
  let description = [{
    `forward` and `loss` are written by people; `derive` adds *programs*, functions with the attribute
    `program` that read no parameters: these are arguments of them.

    Attributes of arguments and results: `quern.name` (an argument's SSA name unless given), `quern.dims` (names of dimensions; equal
    names are equal sizes), and in programs `quern.role` (input, option, parameter, first_moment, second_moment,
    cache; results: output, gradient), `quern.parameter` (the symbol), `quern.updates` (on a result: the name
    of the argument that it replaces, together with the role of it).

    (C1) arguments and results are ranked tensors without dimensions of size 0. (C2) `quern.dims` names each
    dimension of its argument, and equal names have equal static sizes. (C3) no two arguments of one role share a name.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type,
      OptionalAttr<StrAttr>:$sym_visibility, OptionalAttr<DictArrayAttr>:$arg_attrs,
      OptionalAttr<DictArrayAttr>:$res_attrs, UnitAttr:$program);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "::mlir::FunctionType":$type)>];
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// The name of an argument or result, or "" when it has none.
    ::llvm::StringRef getArgumentName(unsigned index);
    ::llvm::StringRef getResultName(unsigned index);
    ReturnOp getReturn();
  }];
}

def Quern_ReturnOp : Op<Quern_Dialect, "return", [Pure, Terminator, HasParent<"FunctionOp">]> {
  let summary = "end of a function";
  let description = "(C1) the values have the types that the function declares.";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let hasVerifier = 1;
}

def Quern_YieldOp : Op<Quern_Dialect, "yield", [Pure, Terminator, ParentOneOf<["LayersOp", "ScanOp"]>]> {
  let summary = "end of a layer or of a scan's body";
  let description = "In layers: the values for the next layer. In a scan: the carried values, then one slice of each stacked result.";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Quern_ReadOp : Op<Quern_Dialect, "read", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a parameter";
  let description = [{
    Within layers the layer's own tensor. Reading one parameter twice ties two uses to one tensor.

    (C1) the parameter exists here: in the same layers, or in the model for a function. (C2) the type is the parameter's.
  }];
  let arguments = (ins FlatSymbolRefAttr:$parameter);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$parameter attr-dict `:` type($result)";
}

def Quern_ApplyOp : Op<Quern_Dialect, "apply", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "apply rolled layers";
  let description = [{
    `y = layer[count-1](... layer[1](layer[0](x)))`.

    (C1) the layers exist. (C2) operands and results have the types of the layers' arguments and yielded values.
  }];
  let arguments = (ins FlatSymbolRefAttr:$layers, Variadic<AnyType>:$operands);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = "$layers `(` $operands `)` attr-dict `:` functional-type($operands, $results)";
}

def Quern_CallOp : Op<Quern_Dialect, "call", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "call a function of the model, such as forward within loss";
  let description = "(C1) the function exists. (C2) operands and results have its types.";
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<AnyType>:$operands);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = "$callee `(` $operands `)` attr-dict `:` functional-type($operands, $results)";
}

def Quern_ScanOp : Op<Quern_Dialect, "scan",
    [RecursiveMemoryEffects, RecursivelySpeculatable, SingleBlock, AttrSizedOperandSegments,
     DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "a rolled loop over layers, in derived programs";
  let description = [{
    Runs the body `count` times, for layer 0 to count-1, or backwards when `reverse`. Arguments of the body: the
    carried values, then slice [layer] of each stacked operand. It yields the next carried values, then one slice [layer] of each
    stacked result. Results: the last carried values, then the stacked results. Values from outside may be used in it.

    ```mlir
    %y, %saved = quern.scan 12 carry (%x = %x0 : tensor<4x64x768xf32>) slices (%w = %ws : tensor<12x768x768xf32>)
        -> (tensor<4x64x768xf32>, tensor<12x4x64x768xf32>) {
      %h = quern.linear %x, %w : tensor<4x64x768xf32>, tensor<768x768xf32>
      quern.yield %h, %x : tensor<4x64x768xf32>, tensor<4x64x768xf32>
    }
    ```
    (C1) stacked operands and results have count as their first dimension. (C2) carried values keep their types.
    (C3) the yielded slices have the types of the stacked results without the first dimension. (C4) count is positive.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$inits, Variadic<AnyRankedTensor>:$stacks, I64Attr:$count, UnitAttr:$reverse);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let builders = [
    /// With an empty body that has its arguments; add the terminator and then call `setResultTypesFromYield`, or
    /// give the result types here.
    OpBuilder<(ins "::mlir::TypeRange":$results, "::mlir::ValueRange":$inits, "::mlir::ValueRange":$stacks,
                   "int64_t":$count, CArg<"bool", "false">:$reverse)>];
  let extraClassDeclaration = [{
    unsigned getNumCarried() { return getInits().size(); }
    ::mlir::Block::BlockArgListType getCarriedArguments() { return getBody().front().getArguments().take_front(getNumCarried()); }
    ::mlir::Block::BlockArgListType getSliceArguments() { return getBody().front().getArguments().drop_front(getNumCarried()); }
    ::mlir::ResultRange getCarriedResults() { return getResults().take_front(getNumCarried()); }
    ::mlir::ResultRange getStackedResults() { return getResults().drop_front(getNumCarried()); }
    YieldOp getYield();
    /// `type` with a new first dimension of `count`, and without its first dimension.
    static ::mlir::RankedTensorType stack(::mlir::Type type, int64_t count);
    static ::mlir::RankedTensorType slice(::mlir::Type type);
  }];
}

#endif // QUERN_STRUCTURE_OPS_TD
