// RUN: quern-opt %s --quern-emit-nvidia -split-input-file -verify-diagnostics

func.func @integers(%a: memref<4x8xi8>, %b: memref<8x4xi8>, %c: memref<4x4xi8>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  // expected-error @+1 {{operand #0 has elements of type 'i8'; this kernel computes on f32, f64, bf16 and f16}}
  kernel.gemm %a, %b into %c : (memref<4x8xi8>, memref<8x4xi8>, memref<4x4xi8>) -> ()
  return
}

// -----

func.func @mixed(%a: memref<4x8xf32>, %b: memref<8x4xf64>, %c: memref<4x4xf32>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  // expected-error @+1 {{mixes f64 with narrower elements: 'f32' and 'f64'}}
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<8x4xf64>, memref<4x4xf32>) -> ()
  return
}

// -----

func.func @columns(%a: memref<2x4x8xf32, strided<[32, 1, 4]>>, %b: memref<2x8x4xf32>, %c: memref<2x4x4xf32>,
                   %arena: memref<?xi8> {quern.arena}) attributes {quern.target = "sm_80"} {
  // expected-error @+1 {{operand #0 of type 'memref<2x4x8xf32, strided<[32, 1, 4]>>' does not have its last dimension contiguous in memory; copy it into a buffer that does}}
  kernel.batch_gemm %a, %b into %c : (memref<2x4x8xf32, strided<[32, 1, 4]>>, memref<2x8x4xf32>, memref<2x4x4xf32>) -> ()
  return
}

// -----

func.func @counts(%a: memref<4x8xf32>, %b: memref<8x4xf32>, %i: memref<4x4xi32>, %c: memref<4x4xf32>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  // expected-error @+1 {{has a region on elements of type 'i32', which has no emitter for GPUs; use those of the product}}
  kernel.gemm %a, %b with %i into %c : (memref<4x8xf32>, memref<8x4xf32>, memref<4x4xi32>, memref<4x4xf32>) -> () epilogue (%sum: f32, %n: i32) {
    %0 = arith.sitofp %n : i32 to f32
    %1 = arith.mulf %sum, %0 : f32
    kernel.yield %1 : f32
  }
  return
}

// -----

func.func @panels(%a: memref<4x8xf32>, %b: memref<8x48xf32>, %c: memref<4x48xf32>, %arena: memref<?xi8> {quern.arena})
    attributes {quern.target = "sm_80"} {
  // expected-error @+1 {{has no emitter for GPUs on matrices in panels; compile with --layout=rows}}
  kernel.gemm %a, %b into %c {panels_b = #kernel.panels<24 columns>} : (memref<4x8xf32>, memref<8x48xf32>, memref<4x48xf32>) -> ()
  return
}
