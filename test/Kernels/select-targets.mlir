// RUN: quern-opt %s -quern-select-targets=targets=cpu,sm_80 | FileCheck %s --check-prefixes=BOTH,CHECK
// RUN: quern-opt %s -quern-select-targets=targets=sm_80 | FileCheck %s --check-prefixes=ONE,CHECK

// BOTH:    func.func @f(%{{.*}}: memref<4xf32>) attributes {quern.program}
// BOTH:    func.func @f.arena_bytes
// ONE-NOT: func.func @f(
// CHECK:   func.func @sm_80.f(%{{.*}}: memref<4xf32>) attributes {quern.program, quern.target = "sm_80"}
// CHECK:   func.func @sm_80.f.arena_bytes(%{{.*}}: memref<4xf32>) -> i64 attributes {quern.target = "sm_80"}
func.func @f(%x: memref<4xf32>) attributes {quern.program} {
  return
}
func.func @f.arena_bytes(%x: memref<4xf32>) -> i64 {
  %c = arith.constant 0 : i64
  return %c : i64
}
