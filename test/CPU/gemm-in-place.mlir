// RUN: quern-opt %s --quern-emit-cpu=cpu=x86-64-v3 | FileCheck %s

// With few columns of C, threads read the rows of A where they lie, and wait for nobody. With many they wait until A is packed; so
// they do for a part of A's rows that others had before, where sums of a C in bf16 stand apart.

// CHECK-LABEL: func.func private @kernel.gemm.0(%{{.*}}: memref<9x32xf32>, %{{.*}}: memref<32x512xf32>
// CHECK-NOT: omp.barrier
// CHECK-LABEL: func.func private @kernel.gemm.1(%{{.*}}: memref<9x32xf32>, %{{.*}}: memref<32x513xf32>
// CHECK: omp.barrier
// CHECK-LABEL: func.func private @kernel.gemm.2(%{{.*}}: memref<9x1024xf32>, %{{.*}}: memref<1024x512xf32>, %{{.*}}: memref<9x512xbf16>
// CHECK: omp.barrier
// CHECK-LABEL: func.func private @kernel.gemm.3(%{{.*}}: memref<9x32xbf16>, %{{.*}}: memref<32x512xf32>
// CHECK: omp.barrier
// CHECK-LABEL: func.func
func.func @products(%x: memref<9x32xf32>, %w: memref<32x512xf32>, %y: memref<9x512xf32>, %v: memref<32x513xf32>, %z: memref<9x513xf32>,
                    %deep: memref<9x1024xf32>, %u: memref<1024x512xf32>, %narrow: memref<9x512xbf16>, %half: memref<9x32xbf16>) {
  kernel.gemm %x, %w into %y : (memref<9x32xf32>, memref<32x512xf32>, memref<9x512xf32>) -> ()
  kernel.gemm %x, %v into %z : (memref<9x32xf32>, memref<32x513xf32>, memref<9x513xf32>) -> ()
  kernel.gemm %deep, %u into %narrow : (memref<9x1024xf32>, memref<1024x512xf32>, memref<9x512xbf16>) -> ()
  kernel.gemm %half, %w into %y : (memref<9x32xbf16>, memref<32x512xf32>, memref<9x512xf32>) -> ()
  return
}
