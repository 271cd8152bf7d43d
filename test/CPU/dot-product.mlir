// RUN: quern-opt %s --quern-emit-cpu=cpu=znver4 | FileCheck %s --check-prefixes=CHECK,DOT
// RUN: quern-opt %s --quern-emit-cpu=cpu=sapphirerapids | FileCheck %s --check-prefixes=CHECK,DOT
// RUN: quern-opt %s --quern-emit-cpu="cpu=x86-64-v4 machine=dot=bf16" | FileCheck %s --check-prefixes=CHECK,EXPANDED
// RUN: quern-opt %s --quern-emit-cpu=cpu=x86-64-v4 | FileCheck %s --check-prefix=NONE
// RUN: quern-opt %s --quern-emit-cpu="cpu=znver4 machine=dot=none" | FileCheck %s --check-prefix=NONE
// RUN: not quern-opt %s --quern-emit-cpu="cpu=znver4 machine=dot=int8" 2>&1 | FileCheck %s --check-prefix=ERROR

// Panels hold pairs along K: 33 is 17 of them, the last of which has a zero.
// ERROR: --machine: dot takes bf16 (products of bf16 by pairs, also where no instruction multiplies these) or none, got 'int8'

// CHECK-LABEL: func.func private @kernel.gemm.0
// CHECK:         vector.shuffle %{{.*}}, %{{.*}} [0, 16, 1, 17, {{.*}}] : vector<16xi16>, vector<16xi16>
// CHECK:         %[[STEPS:.*]] = arith.constant 17 : index
// CHECK:         scf.for %{{.*}} = %{{.*}} to %[[STEPS]] {{.*}} -> (vector<16xf32>
// CHECK:           %[[B:.*]] = vector.load %{{.*}} : memref<{{.*}}xi32>, vector<16xi32>
// CHECK:           %[[A:.*]] = memref.load %{{.*}} : memref<{{.*}}xi32
// CHECK:           %[[ROW:.*]] = vector.broadcast %[[A]] : i32 to vector<16xi32>
// DOT-DAG:         %[[FIRST:.*]] = vector.bitcast %[[ROW]] : vector<16xi32> to vector<32xbf16>
// DOT-DAG:         %[[SECOND:.*]] = vector.bitcast %[[B]] : vector<16xi32> to vector<32xbf16>
// DOT:             x86vector.avx512.dot %{{.*}}, %[[FIRST]], %[[SECOND]] : vector<32xbf16> -> vector<16xf32>
// EXPANDED-NOT:    x86vector
// EXPANDED:        vector.fma
// EXPANDED:        vector.fma
// NONE-NOT:      x86vector
// NONE:          vector.fma
// NONE-NOT:      x86vector
func.func @pairs(%a: memref<24x33xbf16>, %b: memref<33x48xbf16>, %c: memref<24x48xf32>) {
  kernel.gemm %a, %b into %c : (memref<24x33xbf16>, memref<33x48xbf16>, memref<24x48xf32>) -> ()
  return
}
