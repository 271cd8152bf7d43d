// The generic form can say what the own forms cannot; it gets an error all the same.
// RUN: quern-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{requires attribute 'permutation'}}
  %0 = "quern.transpose"(%x) : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{op inferred type(s) 'tensor<3x2xf32>' are incompatible with return type(s) of operation 'tensor<2x3xf32>'}}
  // expected-error @below {{failed to infer returned types}}
  %0 = "quern.transpose"(%x) <{permutation = array<i64: 1, 0>}> : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: f32) {
  // expected-error @below {{operand #0 must be ranked tensor, but got 'f32'}}
  %0 = "quern.relu"(%x) : (f32) -> tensor<2xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{quern.squared_norm (C1): takes one tensor or more}}
  // expected-error @below {{failed to infer returned types}}
  %0 = "quern.squared_norm"() : () -> tensor<f32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{quern.concatenate (C1): takes one tensor or more}}
  // expected-error @below {{failed to infer returned types}}
  %0 = "quern.concatenate"() <{dimension = 0 : i64}> : () -> tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @below {{operand count (1) does not match with the total size (3) specified in attribute 'operandSegmentSizes'}}
  %0 = "quern.layer_norm"(%x) <{operandSegmentSizes = array<i32: 1, 1, 1>}> : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

// expected-error @below {{region #0 ('body') failed to verify constraint: region with 1 blocks}}
"quern.model"() <{kind = "x", sym_name = "m"}> ({
}) : () -> ()

// -----

// expected-error @below {{entry block must have 1 arguments to match function signature}}
"quern.function"() <{function_type = (tensor<2xf32>) -> (), sym_name = "f"}> ({
  "quern.return"() : () -> ()
}) : () -> ()

// -----

// expected-error @below {{type of entry block argument #0('tensor<3xf32>') must match the type of the corresponding argument in function signature('tensor<2xf32>')}}
"quern.function"() <{function_type = (tensor<2xf32>) -> (), sym_name = "f"}> ({
^bb0(%x: tensor<3xf32>):
  "quern.return"() : () -> ()
}) : () -> ()

// -----

// expected-error @below {{op attribute 'function_type' failed to satisfy constraint: type attribute of function type}}
"quern.function"() <{function_type = i32, sym_name = "f"}> ({
  "quern.return"() : () -> ()
}) : () -> ()

// -----

// expected-error @below {{quern.scan: 0 operands and 1 results do not fit a body with 1 arguments and 1 yielded values}}
%0 = "quern.scan"() <{count = 2 : i64, operandSegmentSizes = array<i32: 0, 0>}> ({
^bb0(%x: tensor<2xf32>):
  "quern.yield"(%x) : (tensor<2xf32>) -> ()
}) : () -> tensor<2x2xf32>

// -----

// expected-error @below {{expects parent op to be one of 'quern.layers, quern.scan'}}
"quern.yield"() : () -> ()
