// RUN: not quern-opt %s -quern-precision=precision=f16 2>&1 | FileCheck %s

// CHECK: error: there is no precision 'f16'; there are f32, bf16 and auto
module {
}
