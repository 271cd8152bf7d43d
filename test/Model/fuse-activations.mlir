// RUN: quern-opt %s -quern-fuse-activations | FileCheck %s
// RUN: quern-opt %s -quern-fuse -o %t.mlir
// RUN: quern-reference %s %t.mlir --compare forward --dims batch=2 --tolerance 1e-7

// CHECK-LABEL: quern.model @silu
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.silu %x
// CHECK-NEXT: quern.return %[[Y]]
quern.model @silu kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %n = arith.negf %x : tensor<?x8xf32>
    %e = math.exp %n : tensor<?x8xf32>
    %d = arith.addf %one, %e : tensor<?x8xf32>
    %y = arith.divf %x, %d : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// The negation as a difference or a product, the sigmoid as a factor.

// CHECK-LABEL: quern.model @silu_of_sigmoid
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.silu %x
// CHECK-NEXT: %[[Z:.*]] = quern.silu %[[Y]]
// CHECK-NEXT: quern.return %[[Z]]
quern.model @silu_of_sigmoid kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>) {
    %zero = arith.constant dense<0.0> : tensor<4x8xf32>
    %one = arith.constant dense<1.0> : tensor<4x8xf32>
    %minus_one = arith.constant dense<-1.0> : tensor<4x8xf32>
    %n = arith.subf %zero, %x : tensor<4x8xf32>
    %e = math.exp %n : tensor<4x8xf32>
    %d = arith.addf %e, %one : tensor<4x8xf32>
    %s = arith.divf %one, %d : tensor<4x8xf32>
    %y = arith.mulf %s, %x : tensor<4x8xf32>
    %yn = arith.mulf %y, %minus_one : tensor<4x8xf32>
    %ye = math.exp %yn : tensor<4x8xf32>
    %yd = arith.addf %ye, %one : tensor<4x8xf32>
    %ys = arith.divf %one, %yd : tensor<4x8xf32>
    %z = arith.mulf %y, %ys : tensor<4x8xf32>
    quern.return %z : tensor<4x8xf32>
  }
}

// CHECK-LABEL: quern.model @gelu_erf
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.gelu %x : tensor<?x8xf32>
// CHECK-NEXT: quern.return %[[Y]]
quern.model @gelu_erf kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %half = quern.full 0.5 like %x : tensor<?x8xf32>
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %root = quern.full 1.4142135 like %x : tensor<?x8xf32>
    %u = arith.divf %x, %root : tensor<?x8xf32>
    %erf = math.erf %u : tensor<?x8xf32>
    %gate = arith.addf %erf, %one : tensor<?x8xf32>
    %h = arith.mulf %x, %half : tensor<?x8xf32>
    %y = arith.mulf %h, %gate : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// CHECK-LABEL: quern.model @gelu_tanh
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: %[[Y:.*]] = quern.gelu %x tanh
// CHECK-NEXT: quern.return %[[Y]]
quern.model @gelu_tanh kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %half = quern.full 0.5 like %x : tensor<?x8xf32>
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %a = quern.full 0.044715 like %x : tensor<?x8xf32>
    %c = quern.full 0.7978845608 like %x : tensor<?x8xf32>
    %x2 = arith.mulf %x, %x : tensor<?x8xf32>
    %x3 = arith.mulf %x2, %x : tensor<?x8xf32>
    %ax3 = arith.mulf %a, %x3 : tensor<?x8xf32>
    %sum = arith.addf %x, %ax3 : tensor<?x8xf32>
    %u = arith.mulf %c, %sum : tensor<?x8xf32>
    %t = math.tanh %u : tensor<?x8xf32>
    %gate = arith.addf %one, %t : tensor<?x8xf32>
    %xg = arith.mulf %x, %gate : tensor<?x8xf32>
    %y = arith.mulf %half, %xg : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// x (1 + 0.044715 x^2) instead of x + 0.044715 x^3.

// CHECK-LABEL: quern.model @gelu_tanh_factored
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: quern.gelu %x tanh
quern.model @gelu_tanh_factored kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %half = quern.full 0.5 like %x : tensor<?x8xf32>
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %a = quern.full 0.044715 like %x : tensor<?x8xf32>
    %c = quern.full 0.7978845608 like %x : tensor<?x8xf32>
    %x2 = arith.mulf %x, %x : tensor<?x8xf32>
    %ax2 = arith.mulf %x2, %a : tensor<?x8xf32>
    %f = arith.addf %ax2, %one : tensor<?x8xf32>
    %cx = arith.mulf %c, %x : tensor<?x8xf32>
    %u = arith.mulf %cx, %f : tensor<?x8xf32>
    %t = math.tanh %u : tensor<?x8xf32>
    %gate = arith.addf %t, %one : tensor<?x8xf32>
    %hx = arith.mulf %half, %x : tensor<?x8xf32>
    %y = arith.mulf %hx, %gate : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// CHECK-LABEL: quern.model @relu
// CHECK-NEXT: quern.function @forward
// CHECK-NEXT: quern.relu %x
quern.model @relu kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %zero = quern.full 0.0 like %x : tensor<?x8xf32>
    %y = arith.maximumf %x, %zero : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

//===- Near misses ------------------------------------------------------------------------------===//

// exp(x) where exp(-x) belongs: x (1 - sigmoid(x)).

// CHECK-LABEL: quern.model @not_negated
// CHECK-NOT: quern.silu
quern.model @not_negated kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %e = math.exp %x : tensor<?x8xf32>
    %d = arith.addf %one, %e : tensor<?x8xf32>
    %y = arith.divf %x, %d : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// The gate is that of another tensor.

// CHECK-LABEL: quern.model @other_gate
// CHECK-NOT: quern.silu
quern.model @other_gate kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>, %z: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %n = arith.negf %z : tensor<?x8xf32>
    %e = math.exp %n : tensor<?x8xf32>
    %d = arith.addf %one, %e : tensor<?x8xf32>
    %y = arith.divf %x, %d : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// The sigmoid is needed by itself.

// CHECK-LABEL: quern.model @sigmoid_read
// CHECK-NOT: quern.silu
quern.model @sigmoid_read kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %n = arith.negf %x : tensor<?x8xf32>
    %e = math.exp %n : tensor<?x8xf32>
    %d = arith.addf %one, %e : tensor<?x8xf32>
    %s = arith.divf %one, %d : tensor<?x8xf32>
    %y = arith.mulf %x, %s : tensor<?x8xf32>
    quern.return %s, %y : tensor<?x8xf32>, tensor<?x8xf32>
  }
}

// GPT-2's constant is 0.044715.

// CHECK-LABEL: quern.model @other_constant
// CHECK-NOT: quern.gelu
quern.model @other_constant kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %half = quern.full 0.5 like %x : tensor<?x8xf32>
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %a = quern.full 0.0447 like %x : tensor<?x8xf32>
    %c = quern.full 0.7978845608 like %x : tensor<?x8xf32>
    %x2 = arith.mulf %x, %x : tensor<?x8xf32>
    %x3 = arith.mulf %x2, %x : tensor<?x8xf32>
    %ax3 = arith.mulf %a, %x3 : tensor<?x8xf32>
    %sum = arith.addf %x, %ax3 : tensor<?x8xf32>
    %u = arith.mulf %c, %sum : tensor<?x8xf32>
    %t = math.tanh %u : tensor<?x8xf32>
    %gate = arith.addf %one, %t : tensor<?x8xf32>
    %xg = arith.mulf %x, %gate : tensor<?x8xf32>
    %y = arith.mulf %half, %xg : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}

// erf of x / 2 is not that of x / sqrt(2).

// CHECK-LABEL: quern.model @other_erf
// CHECK-NOT: quern.gelu
quern.model @other_erf kind("test") {
  quern.function @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>) {
    %half = quern.full 0.5 like %x : tensor<?x8xf32>
    %one = quern.full 1.0 like %x : tensor<?x8xf32>
    %u = arith.mulf %x, %half : tensor<?x8xf32>
    %erf = math.erf %u : tensor<?x8xf32>
    %gate = arith.addf %erf, %one : tensor<?x8xf32>
    %h = arith.mulf %x, %half : tensor<?x8xf32>
    %y = arith.mulf %h, %gate : tensor<?x8xf32>
    quern.return %y : tensor<?x8xf32>
  }
}
