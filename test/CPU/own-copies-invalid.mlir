// RUN: quern-opt %s --quern-emit-cpu=cpu=x86-64-v3 --verify-diagnostics

// A sum of partial sums is the work of all threads.
func.func @sum(%x: memref<2x32xf32>, %arena: memref<?xi8> {quern.arena}) {
  %c0 = arith.constant 0 : index
  %n = memref.view %arena[%c0][] {quern.per_thread = 1 : i64, quern.place = array<i64: 0, 0, 64>} : memref<?xi8> to memref<f32>
  // expected-error @below {{needs memory that threads share, and is to run on each of them}}
  kernel.squared_norm %x into %n : (memref<2x32xf32>, memref<f32>) -> ()
  return
}
