// RUN: quern-opt %s -split-input-file -pass-pipeline="builtin.module(quern-emit-nvidia,gpu.module(quern-expand-device-math))" -verify-diagnostics

// What kernels over rows cannot be emitted for.

func.func @sm_80.f(%x: memref<4x8xf32, strided<[16, 2]>>, %y: memref<4x8xf32>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  // expected-error @below {{operand #0 of type 'memref<4x8xf32, strided<[16, 2]>>' does not have its last dimension contiguous in memory; copy it into a buffer that does}}
  kernel.softmax %x into %y : (memref<4x8xf32, strided<[16, 2]>>, memref<4x8xf32>) -> ()
  return
}

// -----

func.func @sm_80.f(%x: memref<4x8xi8>, %y: memref<8xf32>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  // expected-error @below {{operand #0 has elements of type 'i8'; this kernel computes on f32, f64, bf16 and f16}}
  kernel.sum_rows %x into %y : (memref<4x8xi8>, memref<8xf32>) -> ()
  return
}

// -----

func.func @sm_80.f(%x: memref<4x?xf32>, %w: memref<?xf32>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  // expected-error @below {{needs a static last dimension for the gradients of weight and bias: their partial sums have a fixed place in the arena}}
  kernel.norm_backward rms %x, %x weight %w into %x, %w {epsilon = 1.0e-5}
    : (memref<4x?xf32>, memref<4x?xf32>, memref<?xf32>, memref<4x?xf32>, memref<?xf32>) -> ()
  return
}

// -----

func.func @sm_80.f(%y: memref<f32>, %arena: memref<?xi8> {quern.arena}) attributes {quern.target = "sm_80"} {
  // expected-error @below {{has no inputs}}
  kernel.squared_norm into %y : (memref<f32>) -> ()
  return
}

// -----

func.func @sm_80.f(%x: memref<4x8xf64>, %arena: memref<?xi8> {quern.arena}) attributes {quern.target = "sm_80"} {
  // expected-error @below {{'math.exp' on 'f64' has no form for NVIDIA GPUs; compile with --target=cpu, or use exp, exp2, log, log2, tanh, erf, sqrt or rsqrt on f32}}
  kernel.softmax %x into %x : (memref<4x8xf64>, memref<4x8xf64>) -> ()
  return
}
