// RUN: quern-opt %s -quern-separate-buffers | FileCheck %s
// Each kernel gets an empty tensor of its own.

!x = tensor<?x8xf32>

// CHECK-LABEL: func.func @f(
// CHECK-SAME:    %[[X:[a-z0-9]+]]: tensor<?x8xf32>, %[[N:[a-z0-9]+]]: index
// CHECK-NEXT:    %[[E0:.*]] = tensor.empty(%[[N]])
// CHECK-NEXT:    %[[Y:.*]] = kernel.softmax %[[X]] into %[[E0]]
// CHECK-COUNT-2: tensor.empty(%[[N]])
// CHECK-NOT:     tensor.empty
// CHECK:         %[[Z:.*]]:2 = kernel.norm rms %[[X]] residual %[[Y]] into {{%([^,]+), %([^ ]+)}} {
// CHECK:         return %[[Z]]#0, %[[Z]]#1
func.func @f(%x: !x, %n: index) -> (!x, !x) {
  %e = tensor.empty(%n) : !x
  %y = kernel.softmax %x into %e : (!x, !x) -> !x
  %z:2 = kernel.norm rms %x residual %y into %e, %e {epsilon = 1.0e-5 : f64} : (!x, !x, !x, !x) -> (!x, !x)
  return %z#0, %z#1 : !x, !x
}
