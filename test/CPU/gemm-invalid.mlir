// RUN: quern-opt %s --quern-emit-cpu -split-input-file -verify-diagnostics

func.func @half(%a: memref<4x8xf16>, %b: memref<8x4xf16>, %c: memref<4x4xf16>) {
  // expected-error @+1 {{has no emitter for the CPU on elements of type 'f16'; use f32, f64 or bf16}}
  kernel.gemm %a, %b into %c : (memref<4x8xf16>, memref<8x4xf16>, memref<4x4xf16>) -> ()
  return
}

// -----

func.func @mixed(%a: memref<4x8xf32>, %b: memref<8x4xf64>, %c: memref<4x4xf32>) {
  // expected-error @+1 {{mixes elements of type 'f32' and 'f64'}}
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<8x4xf64>, memref<4x4xf32>) -> ()
  return
}

// -----

func.func @columns(%a: memref<4x8xf32, strided<[1, 4]>>, %b: memref<8x4xf32>, %c: memref<4x4xf32>) {
  // expected-error @+1 {{needs contiguous rows (a last stride of 1), not 'memref<4x8xf32, strided<[1, 4]>>'}}
  kernel.gemm %a, %b into %c : (memref<4x8xf32, strided<[1, 4]>>, memref<8x4xf32>, memref<4x4xf32>) -> ()
  return
}

// -----

func.func @batch(%a: memref<2x4x8xi8>, %b: memref<2x8x4xi8>, %c: memref<2x4x4xi8>) {
  // expected-error @+1 {{has no emitter for the CPU on elements of type 'i8'; use f32, f64 or bf16}}
  kernel.batch_gemm %a, %b into %c : (memref<2x4x8xi8>, memref<2x8x4xi8>, memref<2x4x4xi8>) -> ()
  return
}

// -----

func.func @flags(%a: memref<4x8xf32>, %b: memref<8x4xf32>, %i: memref<4x4xi1>, %c: memref<4x4xf32>) {
  // expected-error @+1 {{has a region on elements of type 'i1', which has no emitter for the CPU; use f32, f64, bf16 or integers of whole bytes}}
  kernel.gemm %a, %b with %i into %c : (memref<4x8xf32>, memref<8x4xf32>, memref<4x4xi1>, memref<4x4xf32>) -> () epilogue (%sum: f32, %n: i1) {
    %0 = arith.uitofp %n : i1 to f32
    %1 = arith.mulf %sum, %0 : f32
    kernel.yield %1 : f32
  }
  return
}

// -----

func.func @column(%a: memref<4x8xf32>, %b: memref<8x4xf32>, %x: memref<4x4xf32, strided<[1, 4]>>, %c: memref<4x4xf32>) {
  // expected-error @+1 {{needs contiguous rows (a last stride of 1), not 'memref<4x4xf32, strided<[1, 4]>>'}}
  kernel.gemm %a, %b with %x into %c : (memref<4x8xf32>, memref<8x4xf32>, memref<4x4xf32, strided<[1, 4]>>, memref<4x4xf32>) -> () epilogue (%sum: f32, %n: f32) {
    %1 = arith.mulf %sum, %n : f32
    kernel.yield %1 : f32
  }
  return
}

// -----

func.func @wide(%a: memref<4x8xf32>, %b: memref<8x48xf32>, %c: memref<4x48xf32>) {
  // expected-error @+1 {{has panels of 7, and the tile of}}
  kernel.gemm %a, %b into %c {panels_b = #kernel.panels<7 columns>} : (memref<4x8xf32>, memref<8x48xf32>, memref<4x48xf32>) -> ()
  return
}

// -----

func.func @strided(%a: memref<4x8xf32>, %b: memref<4x48xf32>, %c: memref<8x48xf32, strided<[50, 1]>>) {
  // expected-error @+1 {{takes panels of a dense matrix, not of 'memref<8x48xf32, strided<[50, 1]>>'}}
  kernel.gemm %a, %b into %c {transpose_a, panels_c = #kernel.panels<7 rows>} : (memref<4x8xf32>, memref<4x48xf32>, memref<8x48xf32, strided<[50, 1]>>) -> ()
  return
}
