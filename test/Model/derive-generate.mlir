// RUN: quern-opt %S/Inputs/gpt.mlir --quern-derive=programs=generate | FileCheck %s

// The step takes nothing but its state, options, parameters and caches; each of the first and the last is updated in place.

// CHECK: quern.function @generate(%tokens: tensor<?x1xi32> {quern.dims = ["batch", ""], quern.name = "tokens", quern.role = "state"},
// CHECK-SAME: %position: tensor<i32> {quern.name = "position", quern.role = "state"}, %index: tensor<i64> {quern.name = "index", quern.role = "state"},
// CHECK-SAME: %temperature: tensor<f64> {quern.name = "temperature", quern.role = "option"}, %top_k: tensor<i64> {{.*}} %top_p: tensor<f64> {{.*}} %seed: tensor<i64>
// CHECK-SAME: %[[K:[^:]*]]: tensor<2x?x?x2x3xf32> {quern.dims = ["", "batch", "capacity", "", ""], quern.name = "cache.block.0.keys", quern.role = "cache"}
// CHECK-SAME: -> (tensor<2x?x?x2x3xf32> {{{.*}}quern.name = "cache.block.0.keys", quern.role = "cache", quern.updates = "cache.block.0.keys"}
// CHECK-SAME: tensor<?x1xi32> {quern.dims = ["batch", ""], quern.name = "drawn", quern.role = "output"}
// CHECK-SAME: tensor<?x1xi32> {{.*}}quern.name = "tokens", quern.role = "state", quern.updates = "tokens"}
// CHECK-SAME: tensor<i32> {quern.name = "position", quern.role = "state", quern.updates = "position"}
// CHECK-SAME: tensor<i64> {quern.name = "index", quern.role = "state", quern.updates = "index"})
// CHECK: quern.attention {{.*}} offset %position causal
// CHECK: %[[TOKEN:.*]], %[[NEXT:.*]] = quern.sample %{{.*}} temperature %temperature top_k %top_k top_p %top_p seed %seed index %index : tensor<?x1x11xf32>
// CHECK: %[[P:.*]] = arith.addi %position, %{{.*}} : tensor<i32>
// CHECK: %[[I:.*]] = arith.addi %index, %{{.*}} : tensor<i64>
// CHECK: quern.return %{{.*}}, %{{.*}}, %[[TOKEN]], %[[NEXT]], %[[P]], %[[I]] :
