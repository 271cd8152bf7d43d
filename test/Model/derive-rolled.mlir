// Gradients through loops of every shape, against finite differences in float64.
// RUN: quern-opt %s --quern-derive=programs=loss,gradients -o %t.mlir
// RUN: quern-reference %s %t.mlir --model captured --check-gradient --random 1 --dims rows=3
// RUN: quern-reference %s %t.mlir --model twice --check-gradient --random 2 --dims rows=3
// RUN: quern-reference %s %t.mlir --model carried --check-gradient --random 3 --dims rows=2
// RUN: quern-reference %s %t.mlir --model nested --check-gradient --random 4 --dims rows=2
// RUN: quern-reference %s %t.mlir --model shapes --check-gradient --random 5 --dims batch=2,sequence=5
// RUN: quern-reference %s %t.mlir --model partial --check-gradient --random 6 --dims rows=2
// RUN: FileCheck %s --input-file %t.mlir

// Layers that see a value from outside: its adjoint is carried backwards, and begins with what the
// value gets otherwise.
// CHECK-LABEL: quern.model @captured
// CHECK: quern.function @gradients
// CHECK: quern.scan 3 carry
// CHECK: %[[OUTER:.*]] = arith.mulf %{{[0-9]+}}, %{{[0-9]+}}#0
// CHECK-NEXT: quern.scan 3 reverse carry (%{{.*}} = %{{.*}} : tensor<?x4xf32>, %{{.*}} = %[[OUTER]] : tensor<?x4xf32>)
quern.model @captured kind("test") {
  quern.parameter @embed : tensor<4x4xf32> init(normal, 0.5)
  quern.layers @block count(3) (%x: tensor<?x4xf32>, %c: tensor<?x4xf32>) -> tensor<?x4xf32> {
    quern.parameter @w : tensor<4x4xf32> init(normal, 0.5)
    %w = quern.read @w : tensor<4x4xf32>
    %y = quern.linear %x, %w : tensor<?x4xf32>, tensor<4x4xf32>
    %t = math.tanh %y : tensor<?x4xf32>
    %z = arith.mulf %t, %c : tensor<?x4xf32>
    %r = arith.addf %x, %z : tensor<?x4xf32>
    quern.yield %r : tensor<?x4xf32>
  }
  quern.function @forward(%in: tensor<?x4xf32> {quern.dims = ["rows", ""]}) -> tensor<?x4xf32> {
    %e = quern.read @embed : tensor<4x4xf32>
    %c = quern.linear %in, %e : tensor<?x4xf32>, tensor<4x4xf32>
    %y = quern.apply @block(%in, %c) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    %z = arith.mulf %y, %c : tensor<?x4xf32>
    quern.return %z : tensor<?x4xf32>
  }
  quern.function @loss(%in: tensor<?x4xf32> {quern.dims = ["rows", ""]}, %target: tensor<?x4xf32> {quern.dims = ["rows", ""]}) -> tensor<f32> {
    %y = quern.call @forward(%in) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %d = arith.subf %y, %target : tensor<?x4xf32>
    %q = arith.mulf %d, %d : tensor<?x4xf32>
    %s = quern.sum %q dimensions [0, 1] : tensor<?x4xf32>
    quern.return %s : tensor<f32>
  }
}

// Layers that are applied twice: the second loop's gradient is where the first one's begins.
// CHECK-LABEL: quern.model @twice
// CHECK: quern.function @gradients
// CHECK: %[[SECOND:.*]]:2 = quern.scan 2 reverse
// CHECK: quern.scan 2 reverse {{.*}} = %[[SECOND]]#1 : tensor<2x4x4xf32>
// CHECK: quern.linear_weight_gradient %{{.*}}, %{{.*}} init
quern.model @twice kind("test") {
  quern.layers @block count(2) (%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
    quern.parameter @w : tensor<4x4xf32> init(normal, 0.5)
    %w = quern.read @w : tensor<4x4xf32>
    %y = quern.linear %x, %w : tensor<?x4xf32>, tensor<4x4xf32>
    %t = quern.gelu %y : tensor<?x4xf32>
    %r = arith.addf %x, %t : tensor<?x4xf32>
    quern.yield %r : tensor<?x4xf32>
  }
  quern.function @forward(%in: tensor<?x4xf32> {quern.dims = ["rows", ""]}) -> tensor<?x4xf32> {
    %y = quern.apply @block(%in) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %z = quern.apply @block(%y) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    quern.return %z : tensor<?x4xf32>
  }
  quern.function @loss(%in: tensor<?x4xf32> {quern.dims = ["rows", ""]}) -> tensor<f32> {
    %y = quern.call @forward(%in) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %q = arith.mulf %y, %y : tensor<?x4xf32>
    %s = quern.sum %q dimensions [0, 1] : tensor<?x4xf32>
    quern.return %s : tensor<f32>
  }
}

// Two carried values, one of which begins as an input, becomes active after a layer, and is returned
// only by itself; the other is not used after the loop.
quern.model @carried kind("test") {
  quern.layers @block count(3) (%x: tensor<?x3xf32>, %h: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
    quern.parameter @w : tensor<3x3xf32> init(normal, 0.5)
    quern.parameter @b : tensor<3xf32> init(normal, 0.5)
    %w = quern.read @w : tensor<3x3xf32>
    %b = quern.read @b : tensor<3xf32>
    %y = quern.linear %x, %w bias %b : tensor<?x3xf32>, tensor<3x3xf32>, tensor<3xf32>
    %t = math.tanh %y : tensor<?x3xf32>
    %n = arith.addf %h, %t : tensor<?x3xf32>
    %m = arith.mulf %n, %x : tensor<?x3xf32>
    quern.yield %m, %n : tensor<?x3xf32>, tensor<?x3xf32>
  }
  quern.function @forward(%in: tensor<?x3xf32> {quern.dims = ["rows", ""]}, %h: tensor<?x3xf32> {quern.dims = ["rows", ""]}) -> tensor<?x3xf32> {
    %y:2 = quern.apply @block(%in, %h) : (tensor<?x3xf32>, tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>)
    quern.return %y#1 : tensor<?x3xf32>
  }
  quern.function @loss(%in: tensor<?x3xf32> {quern.dims = ["rows", ""]}, %h: tensor<?x3xf32> {quern.dims = ["rows", ""]}) -> tensor<f32> {
    %y = quern.call @forward(%in, %h) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
    %q = arith.mulf %y, %y : tensor<?x3xf32>
    %s = quern.sum %q dimensions [0, 1] : tensor<?x3xf32>
    quern.return %s : tensor<f32>
  }
}

// Layers within layers; the inner ones have the same parameters in every outer one.
quern.model @nested kind("test") {
  quern.layers @inner count(2) (%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
    quern.parameter @w : tensor<3x3xf32> init(normal, 0.5)
    %w = quern.read @w : tensor<3x3xf32>
    %y = quern.linear %x, %w : tensor<?x3xf32>, tensor<3x3xf32>
    %t = math.tanh %y : tensor<?x3xf32>
    quern.yield %t : tensor<?x3xf32>
  }
  quern.layers @outer count(3) (%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
    quern.parameter @scale : tensor<3xf32> init(ones)
    %g = quern.read @scale : tensor<3xf32>
    %n = quern.rms_norm %x weight %g : tensor<?x3xf32>, tensor<3xf32>
    %y = quern.apply @inner(%n) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %r = arith.addf %x, %y : tensor<?x3xf32>
    quern.yield %r : tensor<?x3xf32>
  }
  quern.function @forward(%in: tensor<?x3xf32> {quern.dims = ["rows", ""]}) -> tensor<?x3xf32> {
    %y = quern.apply @outer(%in) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    quern.return %y : tensor<?x3xf32>
  }
  quern.function @loss(%in: tensor<?x3xf32> {quern.dims = ["rows", ""]}) -> tensor<f32> {
    %y = quern.call @forward(%in) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %q = arith.mulf %y, %y : tensor<?x3xf32>
    %s = quern.sum %q dimensions [0, 1] : tensor<?x3xf32>
    quern.return %s : tensor<f32>
  }
}

// An attention written by hand in a layer: masks and broadcasts read shapes of values that are not
// saved for that. The scores are saved, for the temperature's gradient, and all else follows from them.
// CHECK-LABEL: quern.model @shapes
// CHECK: quern.function @gradients
// CHECK: %[[S:.*]] = quern.matmul {{.*}} transpose_b
// CHECK: quern.yield %{{[^,]*}}, %x, %{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}}, %[[S]] :
quern.model @shapes kind("test") {
  quern.layers @block count(2) (%x: tensor<?x?x6xf32>) -> tensor<?x?x6xf32> {
    quern.parameter @qkv : tensor<6x18xf32> init(normal, 0.5)
    quern.parameter @temperature : tensor<1xf32> init(ones)
    %w = quern.read @qkv : tensor<6x18xf32>
    %qkv = quern.linear %x, %w : tensor<?x?x6xf32>, tensor<6x18xf32>
    %q0, %k0, %v0 = quern.split %qkv dimension 2 sizes [6, 6, 6] : tensor<?x?x18xf32>
    %q1 = quern.split_heads %q0 heads 2 : tensor<?x?x6xf32>
    %k1 = quern.split_heads %k0 heads 2 : tensor<?x?x6xf32>
    %v1 = quern.split_heads %v0 heads 2 : tensor<?x?x6xf32>
    %q = quern.transpose %q1 [0, 2, 1, 3] : tensor<?x?x2x3xf32>
    %k = quern.transpose %k1 [0, 2, 1, 3] : tensor<?x?x2x3xf32>
    %v = quern.transpose %v1 [0, 2, 1, 3] : tensor<?x?x2x3xf32>
    %s = quern.matmul %q, %k transpose_b : tensor<?x2x?x3xf32>, tensor<?x2x?x3xf32>
    %t1 = quern.read @temperature : tensor<1xf32>
    %t = quern.broadcast %t1 like %s : tensor<1xf32>, tensor<?x2x?x?xf32>
    %scaled = arith.mulf %s, %t : tensor<?x2x?x?xf32>
    %mask = quern.causal_mask like %s : tensor<?x2x?x?xf32>
    %low = quern.full -1.0e9 like %s : tensor<?x2x?x?xf32>
    %masked = arith.select %mask, %scaled, %low : tensor<?x2x?x?xi1>, tensor<?x2x?x?xf32>
    %p = quern.softmax %masked : tensor<?x2x?x?xf32>
    %a = quern.matmul %p, %v : tensor<?x2x?x?xf32>, tensor<?x2x?x3xf32>
    %b = quern.transpose %a [0, 2, 1, 3] : tensor<?x2x?x3xf32>
    %m = quern.merge_heads %b : tensor<?x?x2x3xf32>
    %r = arith.addf %x, %m : tensor<?x?x6xf32>
    quern.yield %r : tensor<?x?x6xf32>
  }
  quern.function @forward(%in: tensor<?x?x6xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<?x?x6xf32> {
    %y = quern.apply @block(%in) : (tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
    quern.return %y : tensor<?x?x6xf32>
  }
  quern.function @loss(%in: tensor<?x?x6xf32> {quern.dims = ["batch", "sequence", ""]}) -> tensor<f32> {
    %y = quern.call @forward(%in) : (tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
    %q = arith.mulf %y, %y : tensor<?x?x6xf32>
    %s = quern.sum %q dimensions [0, 1, 2] : tensor<?x?x6xf32>
    quern.return %s : tensor<f32>
  }
}

// A parameter that the loss does not depend on has gradient zero.
// CHECK-LABEL: quern.model @partial
// CHECK: quern.function @gradients
// CHECK: %[[ZERO:.*]] = quern.full 0.000000e+00 like %unused
// CHECK: quern.return %{{.*}}, %[[ZERO]], %{{.*}} : tensor<f32>, tensor<3xf32>, tensor<2x3x3xf32>
quern.model @partial kind("test") {
  quern.parameter @unused : tensor<3xf32> init(ones)
  quern.layers @block count(2) (%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
    quern.parameter @w : tensor<3x3xf32> init(normal, 0.5)
    %w = quern.read @w : tensor<3x3xf32>
    %y = quern.linear %x, %w : tensor<?x3xf32>, tensor<3x3xf32>
    quern.yield %y : tensor<?x3xf32>
  }
  quern.function @forward(%in: tensor<?x3xf32> {quern.dims = ["rows", ""]}) -> tensor<?x3xf32> {
    %u = quern.read @unused : tensor<3xf32>
    %like = quern.broadcast %u like %in : tensor<3xf32>, tensor<?x3xf32>
    %one = quern.full 1.0 like %like : tensor<?x3xf32>
    %sum = arith.addf %in, %one : tensor<?x3xf32>
    %y = quern.apply @block(%sum) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    quern.return %y : tensor<?x3xf32>
  }
  quern.function @loss(%in: tensor<?x3xf32> {quern.dims = ["rows", ""]}) -> tensor<f32> {
    %y = quern.call @forward(%in) : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %q = arith.mulf %y, %y : tensor<?x3xf32>
    %s = quern.sum %q dimensions [0, 1] : tensor<?x3xf32>
    quern.return %s : tensor<f32>
  }
}
