// What kernels refuse.
// RUN: quern-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: memref<4x8xf32>, %b: memref<7x3xf32>, %c: memref<4x3xf32>) {
  // expected-error @below {{A has 8 columns and B a depth of 7}}
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<7x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x2xf32>) {
  // expected-error @below {{an output has 2 columns and B 3}}
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<4x2xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<f32>) {
  // expected-error @below {{an output has rank 0, not 1 or more}}
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<f32>) -> ()
  return
}

// -----

func.func @f(%a: memref<8xf32>, %b: memref<8x3xf32>, %c: memref<3xf32>) {
  // expected-error @below {{multiplies tensors of rank 2 or more}}
  kernel.gemm %a, %b into %c : (memref<8xf32>, memref<8x3xf32>, memref<3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<2x8x3xf32>, %c: memref<4x3xf32>) {
  // expected-error @below {{B has rank 3, not 2}}
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<2x8x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<8x4xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>) {
  // expected-error @below {{takes one transpose at most}}
  kernel.gemm %a, %b into %c {transpose_a, transpose_b} : (memref<8x4xf32>, memref<8x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<8x4xf32>, %b: memref<8x3xf32>, %c: memref<5x3xf32>) {
  // expected-error @below {{output 'memref<5x3xf32>' does not fit a transposed A of type 'memref<8x4xf32>'}}
  kernel.gemm %a, %b into %c {transpose_a} : (memref<8x4xf32>, memref<8x3xf32>, memref<5x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %d: memref<4xf32>, %e: memref<4x3xf32>) {
  // expected-error @below {{bias 'memref<4xf32>' does not have 3 elements}}
  kernel.gemm %a, %b bias %d into %e : (memref<4x8xf32>, memref<8x3xf32>, memref<4xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %d: memref<3xf32>, %e: memref<4x3xf32>) {
  // expected-error @below {{accumulate excludes the other epilogues}}
  kernel.gemm %a, %b bias %d into %e {accumulate} : (memref<4x8xf32>, memref<8x3xf32>, memref<3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %d: memref<5x3xf32>, %e: memref<4x3xf32>) {
  // expected-error @below {{residual and output differ in shape}}
  kernel.gemm %a, %b residual %d into %e : (memref<4x8xf32>, memref<8x3xf32>, memref<5x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  // expected-error @below {{(C1): operands of `with` need a region, which says what becomes of them}}
  kernel.gemm %a, %b with %x into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  // expected-error @below {{(C2): operand 'memref<3x4xf32>' of `with` has neither the shape of output 'memref<4x3xf32>', nor that of its columns, nor rank 0}}
  kernel.gemm %a, %b with %e into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<3x4xf32>, memref<4x3xf32>) -> () epilogue (%sum: f32, %0: f32) {
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  // expected-error @below {{(C3): the region has arguments of types 'f32', 'bf16', not 'f32', 'f32'}}
  kernel.gemm %a, %b with %d into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xbf16>, memref<4x3xf32>) -> () epilogue (%sum: f32, %0: bf16) {
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  // expected-error @below {{(C3): the region has arguments of types 'f32', not 'f32', 'f32'}}
  kernel.gemm %a, %b with %x into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>, memref<4x3xf32>) -> () epilogue (%sum: f32) {
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>) -> () epilogue (%sum: f32) {
    // expected-error @below {{(C4): has values of types 'f32', 'f32', and the outputs of the product take 'f32'}}
    kernel.yield %sum, %sum : f32, f32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  kernel.gemm %a, %b into %d : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xbf16>) -> () epilogue (%sum: f32) {
    %0 = arith.extf %sum : f32 to f64
    // expected-error @below {{(C4): has values of types 'f64', and the outputs of the product take 'f32'}}
    kernel.yield %0 : f64
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  // expected-error @below {{(C4): the region does not end in kernel.yield}}
  "kernel.gemm"(%a, %b, %c) <{operandSegmentSizes = array<i32: 1, 1, 0, 0, 0, 1>}> ({
  ^bb0(%sum: f32):
    %0 = arith.negf %sum : f32
  }) : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %y: memref<3x3xf32>) {
  // expected-error @below {{(C5): outputs differ in shape: 'memref<4x3xf32>' and 'memref<3x3xf32>'}}
  kernel.gemm %a, %b into %c, %y : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>, memref<3x3xf32>) -> () epilogue (%sum: f32) {
    kernel.yield %sum, %sum : f32, f32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %i: memref<4x3xi32>) {
  kernel.gemm %a, %b with %i into %i : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xi32>, memref<4x3xi32>) -> () epilogue (%sum: f32, %0: i32) {
    // expected-error @below {{(C6): stands in the region of a product, which takes elementwise ops of arith and math on numbers, and no divisions of integers}}
    %1 = arith.divsi %0, %0 : i32
    kernel.yield %1 : i32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  kernel.gemm %a, %b into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>) -> () epilogue (%sum: f32) {
    // expected-error @below {{(C6): stands in the region of a product}}
    %0 = memref.alloc() : memref<f32>
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  // expected-error @below {{accumulate excludes the other epilogues}}
  kernel.gemm %a, %b into %c {accumulate} : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>) -> () epilogue (%sum: f32) {
    kernel.yield %sum : f32
  }
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xbf16>, %e: memref<3x4xf32>, %x: memref<4x3xf32>) {
  // expected-error @below {{takes an output or more}}
  "kernel.gemm"(%a, %b) <{operandSegmentSizes = array<i32: 1, 1, 0, 0, 0, 0>}> ({
  ^bb0(%sum: f32):
    kernel.yield
  }) : (memref<4x8xf32>, memref<8x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>, %d: memref<4x3xf32>, %e: memref<4x3xf32>) {
  // expected-error @below {{takes 1 to 2 outputs, not 3}}
  kernel.gemm %a, %b into %c, %d, %e : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>, memref<4x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>) {
  // expected-error @below {{takes A, B and one output of equal rank, 3 or more}}
  kernel.batch_gemm %a, %b into %c : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<2x4x8xf32>, %b: memref<2x7x3xf32>, %c: memref<2x4x3xf32>) {
  // expected-error @below {{A, B and C do not fit}}
  kernel.batch_gemm %a, %b into %c : (memref<2x4x8xf32>, memref<2x7x3xf32>, memref<2x4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<2x4x8xf32>, %b: memref<3x8x3xf32>, %c: memref<2x4x3xf32>) {
  // expected-error @below {{A, B and C do not fit}}
  kernel.batch_gemm %a, %b into %c : (memref<2x4x8xf32>, memref<3x8x3xf32>, memref<2x4x3xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x48xf32>, %k: memref<2x5x6x8xf32>, %v: memref<2x5x6x8xf32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{Q has rank 3, not 4}}
  kernel.attention %q, %k, %v into %o {scale = 1.0 : f64} : (memref<2x5x48xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x5x4x8xf32>, %v: memref<2x5x4x8xf32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{needs a static number of heads that is a multiple of the groups, not 6 and 4}}
  kernel.attention %q, %k, %v into %o {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x4x8xf32>, memref<2x5x4x8xf32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x5x6x4xf32>, %v: memref<2x5x6x8xf32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{needs equal static head dimensions of Q and K}}
  kernel.attention %q, %k, %v into %o {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x4xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x5x6x8xf32>, %v: memref<2x5x6x?xf32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{needs a static head dimension of V}}
  kernel.attention %q, %k, %v into %o {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x?xf32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x7x6x8xf32>, %v: memref<2x6x6x8xf32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{Q, K, V and O do not fit}}
  kernel.attention %q, %k, %v into %o {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x7x6x8xf32>, memref<2x6x6x8xf32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x5x6x8xf32>, %v: memref<2x5x6x8xf32>, %o: memref<2x5x6x8xf32>, %l: memref<2x5x6xf32>) {
  // expected-error @below {{the log-sum-exp is [batch, heads, queries], not}}
  kernel.attention %q, %k, %v into %o, %l {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x5x6x8xf32>, %v: memref<2x5x6x8xf32>, %m: memref<1x1x1x5x5xf32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{the mask has rank 5, not 4 or less}}
  kernel.attention %q, %k, %v mask %m into %o {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<1x1x1x5x5xf32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x5x6x8xf32>, %v: memref<2x5x6x8xf32>, %m: memref<2x1xi32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{lengths has rank 2, not 1}}
  kernel.attention %q, %k, %v lengths %m into %o {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x1xi32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x5x6x8xf32>, %v: memref<2x5x6x8xf32>, %m: memref<1xi32>, %o: memref<2x5x6x8xf32>) {
  // expected-error @below {{offset has rank 1, not 0}}
  kernel.attention %q, %k, %v offset %m into %o {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<1xi32>, memref<2x5x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %l: memref<2x6x5xf32>, %e: memref<2x5x6x4xf32>) {
  // expected-error @below {{K and dK differ in shape}}
  kernel.attention_backward %q, %q, %q, %q, %l, %q into %q, %e, %q, %l {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x6x5xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x4xf32>, memref<2x5x6x8xf32>, memref<2x6x5xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %l: memref<2x6x5xf32>, %d: memref<2x5x6xf32>) {
  // expected-error @below {{the log-sum-exp and D differ in shape}}
  kernel.attention_backward %q, %q, %q, %q, %l, %q into %q, %q, %q, %d {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x6x5xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6x8xf32>, memref<2x5x6xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %y: memref<4x7xf32>) {
  // expected-error @below {{x and an output differ in shape}}
  kernel.norm layer %x into %y {epsilon = 1.0 : f64} : (memref<4x8xf32>, memref<4x7xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %w: memref<4xf32>, %y: memref<4x8xf32>) {
  // expected-error @below {{weight 'memref<4xf32>' is no vector for 'memref<4x8xf32>'}}
  kernel.norm layer %x weight %w into %y {epsilon = 1.0 : f64} : (memref<4x8xf32>, memref<4xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %w: memref<8xf32>, %y: memref<4x8xf32>) {
  // expected-error @below {{an RMS norm has no bias}}
  kernel.norm rms %x bias %w into %y {epsilon = 1.0 : f64} : (memref<4x8xf32>, memref<8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %r: memref<4x8xf32>, %y: memref<4x8xf32>) {
  // expected-error @below {{takes 2 outputs, not 1}}
  kernel.norm rms %x residual %r into %y {epsilon = 1.0 : f64} : (memref<4x8xf32>, memref<4x8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<f32>, %y: memref<f32>) {
  // expected-error @below {{x has rank 0, not 1 or more}}
  kernel.norm rms %x into %y {epsilon = 1.0 : f64} : (memref<f32>, memref<f32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %g: memref<4x8xf32>, %y: memref<4x8xf32>, %w: memref<4xf32>) {
  // expected-error @below {{a gradient 'memref<4xf32>' is no vector for 'memref<4x8xf32>'}}
  kernel.norm_backward rms %x, %g into %y, %w {epsilon = 1.0 : f64} : (memref<4x8xf32>, memref<4x8xf32>, memref<4x8xf32>, memref<4xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<f32>, %y: memref<f32>) {
  // expected-error @below {{x has rank 0, not 1 or more}}
  kernel.softmax %x into %y : (memref<f32>, memref<f32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %y: memref<4x8xf32>, %z: memref<4x8xf32>) {
  // expected-error @below {{takes 1 output, not 2}}
  kernel.softmax %x into %y, %z : (memref<4x8xf32>, memref<4x8xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %y: memref<4x7xf32>) {
  // expected-error @below {{x and y differ in shape}}
  kernel.softmax %x into %y : (memref<4x8xf32>, memref<4x7xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %g: memref<4x7xf32>, %y: memref<4x8xf32>) {
  // expected-error @below {{y and dY differ in shape}}
  kernel.softmax_backward %x, %g into %y : (memref<4x8xf32>, memref<4x7xf32>, memref<4x8xf32>) -> ()
  return
}

// -----

func.func @f(%t: memref<2x5xi32>, %w: memref<7xf32>, %y: memref<2x5x4xf32>) {
  // expected-error @below {{the table has rank 1, not 2}}
  kernel.embedding %t, %w into %y : (memref<2x5xi32>, memref<7xf32>, memref<2x5x4xf32>) -> ()
  return
}

// -----

func.func @f(%t: memref<2x5xi32>, %w: memref<7x3xf32>, %y: memref<2x5x4xf32>) {
  // expected-error @below {{a table 'memref<7x3xf32>' does not have the width of 'memref<2x5x4xf32>'}}
  kernel.embedding %t, %w into %y : (memref<2x5xi32>, memref<7x3xf32>, memref<2x5x4xf32>) -> ()
  return
}

// -----

func.func @f(%w: memref<7x3xf32>, %o: memref<1xi32>, %y: memref<2x5x3xf32>) {
  // expected-error @below {{offset has rank 1, not 0}}
  kernel.position_embedding %w offset %o into %y : (memref<7x3xf32>, memref<1xi32>, memref<2x5x3xf32>) -> ()
  return
}

// -----

func.func @f(%t: memref<2x5xi32>, %g: memref<2x5xf32>, %y: memref<7x4xf32>) {
  // expected-error @below {{dY has rank 2, not 3}}
  kernel.embedding_backward %t, %g into %y : (memref<2x5xi32>, memref<2x5xf32>, memref<7x4xf32>) -> ()
  return
}

// -----

func.func @f(%g: memref<2x5x4xf32>, %y: memref<4xf32>) {
  // expected-error @below {{the table's gradient has rank 1, not 2}}
  kernel.position_embedding_backward %g into %y : (memref<2x5x4xf32>, memref<4xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<2x5x3x7xf32>, %y: memref<2x5x3x7xf32>) {
  // expected-error @below {{needs an even static head dimension}}
  kernel.rotary %x into %y {base = 1.0 : f64} : (memref<2x5x3x7xf32>, memref<2x5x3x7xf32>) -> ()
  return
}

// -----

func.func @f(%t: memref<2x5xi32>, %y: memref<1xf32>) {
  // expected-error @below {{the count has rank 1, not 0}}
  kernel.count_targets %t into %y {ignore_index = -1 : i64} : (memref<2x5xi32>, memref<1xf32>) -> ()
  return
}

// -----

func.func @f(%l: memref<2x5x7xf32>, %t: memref<2x4xi32>, %c: memref<f32>, %y: memref<f32>) {
  // expected-error @below {{targets 'memref<2x4xi32>' do not fit logits 'memref<2x5x7xf32>'}}
  kernel.cross_entropy %l, %t, %c into %y {ignore_index = -1 : i64} : (memref<2x5x7xf32>, memref<2x4xi32>, memref<f32>, memref<f32>) -> ()
  return
}

// -----

func.func @f(%t: memref<2x4xi32>, %c: memref<f32>, %s: memref<f32>, %y: memref<f32>, %l: memref<2x5x7xf32>) {
  // expected-error @below {{targets 'memref<2x4xi32>' do not fit logits 'memref<2x5x7xf32>'}}
  kernel.cross_entropy_gradient %t, %c, %s into %y, %l {ignore_index = -1 : i64} : (memref<2x4xi32>, memref<f32>, memref<f32>, memref<f32>, memref<2x5x7xf32>) -> ()
  return
}

// -----

func.func @f(%t: memref<2x5xi32>, %c: memref<f32>, %s: memref<f32>, %y: memref<f32>) {
  // expected-error @below {{takes 2 outputs, not 1}}
  kernel.cross_entropy_gradient %t, %c, %s into %y {ignore_index = -1 : i64} : (memref<2x5xi32>, memref<f32>, memref<f32>, memref<f32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %y: memref<4xf32>) {
  // expected-error @below {{the sum 'memref<4xf32>' is no vector for 'memref<4x8xf32>'}}
  kernel.sum_rows %x into %y : (memref<4x8xf32>, memref<4xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<4x8xf32>, %y: memref<4xf32>) {
  // expected-error @below {{the sum has rank 1, not 0}}
  kernel.squared_norm %x into %y : (memref<4x8xf32>, memref<4xf32>) -> ()
  return
}

// -----

func.func @f(%g: memref<4xf32>, %o: memref<f64>, %p: memref<4xf32>, %q: memref<5xf32>) {
  // expected-error @below {{the gradient and an output differ in shape}}
  kernel.adamw %g scale %o options %o, %o, %o, %o, %o decay %o into %p, %p, %q : (memref<4xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<4xf32>, memref<4xf32>, memref<5xf32>) -> ()
  return
}

// -----

func.func @f(%g: memref<4xf32>, %o: memref<f64>) {
  // expected-error @below {{has 1 gradients and 2 weight decays}}
  kernel.adamw %g scale %o options %o, %o, %o, %o, %o decay %o, %o into %g, %g, %g : (memref<4xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<4xf32>, memref<4xf32>, memref<4xf32>) -> ()
  return
}

// -----

func.func @f(%g: memref<4xf32>, %o: memref<f64>) {
  // expected-error @below {{takes 6 outputs, not 3}}
  kernel.adamw %g, %g scale %o options %o, %o, %o, %o, %o decay %o, %o into %g, %g, %g : (memref<4xf32>, memref<4xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<4xf32>, memref<4xf32>, memref<4xf32>) -> ()
  return
}

// -----

func.func @f(%g: memref<4xf32>, %o: memref<f64>, %d: memref<4xf64>) {
  // expected-error @below {{has moments of different element types: 'f32' and 'f64'}}
  kernel.adamw %g, %g scale %o options %o, %o, %o, %o, %o decay %o, %o into %g, %g, %g, %d, %d, %d : (memref<4xf32>, memref<4xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<4xf32>, memref<4xf32>, memref<4xf32>, memref<4xf64>, memref<4xf64>, memref<4xf64>) -> ()
  return
}

// -----

func.func @f(%g: memref<4xf32>, %o: memref<f64>, %d: memref<1xf64>) {
  // expected-error @below {{a weight decay has rank 1, not 0}}
  kernel.adamw %g scale %o options %o, %o, %o, %o, %o decay %d into %g, %g, %g : (memref<4xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<1xf64>, memref<4xf32>, memref<4xf32>, memref<4xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<5x8xf32>, %p: memref<8x8xf32>, %o: memref<f64>) {
  // expected-error @below {{takes 3 outputs, not 2}}
  kernel.gemm_adamw %x, %x options %o, %o, %o, %o, %o decay %o into %p, %p : (memref<5x8xf32>, memref<5x8xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<8x8xf32>, memref<8x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<5x8xf32>, %p: memref<8x8xbf16>, %o: memref<f64>) {
  // expected-error @below {{updates a parameter of f32 or f64, not 'memref<8x8xbf16>'}}
  kernel.gemm_adamw %x, %x options %o, %o, %o, %o, %o decay %o into %p, %p, %p : (memref<5x8xf32>, memref<5x8xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<8x8xbf16>, memref<8x8xbf16>, memref<8x8xbf16>) -> ()
  return
}

// -----

func.func @f(%x: memref<5x8xf32>, %p: memref<8x8xf32>, %q: memref<8x9xf32>, %o: memref<f64>) {
  // expected-error @below {{the parameter and a moment differ in shape: 'memref<8x8xf32>' and 'memref<8x9xf32>'}}
  kernel.gemm_adamw %x, %x options %o, %o, %o, %o, %o decay %o into %p, %q, %p : (memref<5x8xf32>, memref<5x8xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<8x8xf32>, memref<8x9xf32>, memref<8x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<5x8xf32>, %p: memref<8x8xf32>, %q: memref<8x8xf64>, %o: memref<f64>) {
  // expected-error @below {{has a parameter and moments of different element types: 'f32' and 'f64'}}
  kernel.gemm_adamw %x, %x options %o, %o, %o, %o, %o decay %o into %p, %p, %q : (memref<5x8xf32>, memref<5x8xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<8x8xf32>, memref<8x8xf32>, memref<8x8xf64>) -> ()
  return
}

// -----

func.func @f(%x: memref<5x8xf32>, %y: memref<5x9xf32>, %p: memref<8x8xf32>, %o: memref<f64>) {
  // expected-error @below {{A, B and the parameter do not fit: 'memref<5x8xf32>', 'memref<5x9xf32>', 'memref<8x8xf32>'}}
  kernel.gemm_adamw %x, %y options %o, %o, %o, %o, %o decay %o into %p, %p, %p : (memref<5x8xf32>, memref<5x9xf32>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<8x8xf32>, memref<8x8xf32>, memref<8x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<5x8xf32>, %p: memref<8x8xf32>, %d: memref<1xf64>, %o: memref<f64>) {
  // expected-error @below {{an option has rank 1, not 0}}
  kernel.gemm_adamw %x, %x options %d, %o, %o, %o, %o decay %o into %p, %p, %p : (memref<5x8xf32>, memref<5x8xf32>, memref<1xf64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<f64>, memref<8x8xf32>, memref<8x8xf32>, memref<8x8xf32>) -> ()
  return
}

// -----

func.func @f(%x: memref<2x3x5xf32>, %o: memref<i32>, %c: memref<2x9x4xf32>) {
  // expected-error @below {{x 'memref<2x3x5xf32>' does not fit a cache of type 'memref<2x9x4xf32>'}}
  kernel.cache_append %x, %o into %c : (memref<2x3x5xf32>, memref<i32>, memref<2x9x4xf32>) -> ()
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) {
  // expected-error @below {{'kernel.softmax' op expected the number of tensor results (0) to be equal to the number of output tensors (1)}}
  kernel.softmax %x into %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> ()
  return
}

// -----

func.func @f(%l: memref<2x?xf32>, %r: memref<f64>, %i: memref<i64>, %t: memref<2xi32>) {
  // expected-error @below {{needs a static vocabulary, the last dimension of 'memref<2x?xf32>'}}
  kernel.sample %l temperature %r top_k %i top_p %r seed %i index %i into %t, %t
      : (memref<2x?xf32>, memref<f64>, memref<i64>, memref<f64>, memref<i64>, memref<i64>, memref<2xi32>, memref<2xi32>) -> ()
  return
}

// -----

func.func @f(%l: memref<2x9xf32>, %r: memref<1xf64>, %i: memref<i64>, %t: memref<2xi32>) {
  // expected-error @below {{an option has rank 1, not 0}}
  kernel.sample %l temperature %r top_k %i top_p %r seed %i index %i into %t, %t
      : (memref<2x9xf32>, memref<1xf64>, memref<i64>, memref<1xf64>, memref<i64>, memref<i64>, memref<2xi32>, memref<2xi32>) -> ()
  return
}

// -----

func.func @f(%l: memref<2x9xf32>, %r: memref<f64>, %i: memref<i64>, %t: memref<3xi32>) {
  // expected-error @below {{output 'memref<3xi32>' does not fit logits 'memref<2x9xf32>'}}
  kernel.sample %l temperature %r top_k %i top_p %r seed %i index %i into %t, %t
      : (memref<2x9xf32>, memref<f64>, memref<i64>, memref<f64>, memref<i64>, memref<i64>, memref<3xi32>, memref<3xi32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<4x3xf32>, %c: memref<8x3xf32>) {
  // expected-error @below {{panels_b excludes transpose_a}}
  kernel.gemm %a, %b into %c {transpose_a, panels_b = #kernel.panels<2 rows>} : (memref<4x8xf32>, memref<4x3xf32>, memref<8x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>) {
  // expected-error @below {{panels_c needs transpose_a and excludes epilogues other than accumulate}}
  kernel.gemm %a, %b into %c {panels_c = #kernel.panels<2 rows>} : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<4x3xf32>, %bias: memref<3xf32>, %c: memref<8x3xf32>) {
  // expected-error @below {{panels_c needs transpose_a and excludes epilogues other than accumulate}}
  kernel.gemm %a, %b bias %bias into %c {transpose_a, panels_c = #kernel.panels<2 rows>} : (memref<4x8xf32>, memref<4x3xf32>, memref<3xf32>, memref<8x3xf32>) -> ()
  return
}

// -----

func.func @f(%a: memref<4x8xf32>, %b: memref<8x3xf32>, %c: memref<4x3xf32>) {
  // expected-error @below {{panels are 1 or more wide, not 0}}
  kernel.gemm %a, %b into %c {panels_b = #kernel.panels<0 rows>} : (memref<4x8xf32>, memref<8x3xf32>, memref<4x3xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x1x6x8xf32>, %k: memref<2x1x6x8xf32>, %v: memref<2x1x6x8xf32>, %p: memref<i32>, %o0: memref<2x1x6x8xf32>) {
  // expected-error @below {{takes 3 outputs, not 1}}
  kernel.cached_attention %q, %k, %v offset %p into %o0 {scale = 1.0 : f64} : (memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<i32>, memref<2x1x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x1x6x8xf32>, %k: memref<2x1x6x8xf32>, %v: memref<2x1x6x8xf32>, %p: memref<1xi32>, %o0: memref<2x1x6x8xf32>, %o1: memref<2x9x6x8xf32>, %o2: memref<2x9x6x8xf32>) {
  // expected-error @below {{offset has rank 1, not 0}}
  kernel.cached_attention %q, %k, %v offset %p into %o0, %o1, %o2 {scale = 1.0 : f64} : (memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<1xi32>, memref<2x1x6x8xf32>, memref<2x9x6x8xf32>, memref<2x9x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x1x6x8xf32>, %k: memref<2x1x6x8xf32>, %v: memref<2x1x6x8xf32>, %p: memref<i32>, %o0: memref<2x1x6x8xf32>, %o1: memref<2x9x6x8xf32>, %o2: memref<2x8x6x8xf32>) {
  // expected-error @below {{Q, K, V and O do not fit}}
  kernel.cached_attention %q, %k, %v offset %p into %o0, %o1, %o2 {scale = 1.0 : f64} : (memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<i32>, memref<2x1x6x8xf32>, memref<2x9x6x8xf32>, memref<2x8x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x1x6x8xf32>, %k: memref<2x6x8xf32>, %v: memref<2x1x6x8xf32>, %p: memref<i32>, %o0: memref<2x1x6x8xf32>, %o1: memref<2x9x6x8xf32>, %o2: memref<2x9x6x8xf32>) {
  // expected-error @below {{the key has rank 3, not 4}}
  kernel.cached_attention %q, %k, %v offset %p into %o0, %o1, %o2 {scale = 1.0 : f64} : (memref<2x1x6x8xf32>, memref<2x6x8xf32>, memref<2x1x6x8xf32>, memref<i32>, memref<2x1x6x8xf32>, memref<2x9x6x8xf32>, memref<2x9x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x1x6x8xf32>, %k: memref<2x2x6x8xf32>, %v: memref<2x1x6x8xf32>, %p: memref<i32>, %o0: memref<2x1x6x8xf32>, %o1: memref<2x9x6x8xf32>, %o2: memref<2x9x6x8xf32>) {
  // expected-error @below {{the key 'memref<2x2x6x8xf32>' does not fit a cache of type 'memref<2x9x6x8xf32>'}}
  kernel.cached_attention %q, %k, %v offset %p into %o0, %o1, %o2 {scale = 1.0 : f64} : (memref<2x1x6x8xf32>, memref<2x2x6x8xf32>, memref<2x1x6x8xf32>, memref<i32>, memref<2x1x6x8xf32>, memref<2x9x6x8xf32>, memref<2x9x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x1x6x8xf32>, %k: memref<2x1x6x8xf32>, %v: memref<2x1x6x4xf32>, %p: memref<i32>, %o0: memref<2x1x6x8xf32>, %o1: memref<2x9x6x8xf32>, %o2: memref<2x9x6x8xf32>) {
  // expected-error @below {{the value 'memref<2x1x6x4xf32>' does not fit a cache of type 'memref<2x9x6x8xf32>'}}
  kernel.cached_attention %q, %k, %v offset %p into %o0, %o1, %o2 {scale = 1.0 : f64} : (memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<2x1x6x4xf32>, memref<i32>, memref<2x1x6x8xf32>, memref<2x9x6x8xf32>, memref<2x9x6x8xf32>) -> ()
  return
}

// -----

func.func @f(%q: memref<2x5x6x8xf32>, %k: memref<2x1x6x8xf32>, %v: memref<2x1x6x8xf32>, %p: memref<i32>, %o0: memref<2x5x6x8xf32>, %o1: memref<2x9x6x8xf32>, %o2: memref<2x9x6x8xf32>) {
  // expected-error @below {{takes one query a sequence, not 'memref<2x5x6x8xf32>'}}
  kernel.cached_attention %q, %k, %v offset %p into %o0, %o1, %o2 {scale = 1.0 : f64} : (memref<2x5x6x8xf32>, memref<2x1x6x8xf32>, memref<2x1x6x8xf32>, memref<i32>, memref<2x5x6x8xf32>, memref<2x9x6x8xf32>, memref<2x9x6x8xf32>) -> ()
  return
}
