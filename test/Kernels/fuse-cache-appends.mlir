// RUN: quern-opt %s -quern-fuse-cache-appends | FileCheck %s
// Attention of one query takes over the appending to the caches that it reads.

!q = tensor<2x1x4x8xf32>
!r = tensor<2x1x2x8xf32>
!c = tensor<2x9x2x8xf32>

// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[Q:[a-z0-9]+]]: tensor<2x1x4x8xf32>, %[[K:[a-z0-9]+]]: tensor<2x1x2x8xf32>, %[[V:[a-z0-9]+]]: {{.*}}, %[[KS:[a-z0-9]+]]: tensor<2x9x2x8xf32>, %[[VS:[a-z0-9]+]]: {{.*}}, %[[AT:[a-z0-9]+]]: tensor<i32>, %[[L:[a-z0-9]+]]:
// CHECK:         %[[E:.*]] = tensor.empty
// CHECK-NEXT:    %[[S:.*]]:3 = kernel.cached_attention %[[Q]], %[[K]], %[[V]] lengths %[[L]] offset %[[AT]] into %[[E]], %[[KS]], %[[VS]] {scale = 5.000000e-01 : f64}
// CHECK-NEXT:    return %[[S]]#0, %[[S]]#1, %[[S]]#2
func.func @step(%q: !q, %k: !r, %v: !r, %ks: !c, %vs: !c, %at: tensor<i32>, %l: tensor<2xi32>) -> (!q, !c, !c) {
  %0 = kernel.cache_append %k, %at into %ks : (!r, tensor<i32>, !c) -> !c
  %1 = kernel.cache_append %v, %at into %vs : (!r, tensor<i32>, !c) -> !c
  %e = tensor.empty() : !q
  %o = kernel.attention %q, %0, %1 lengths %l offset %at into %e {causal, scale = 0.5 : f64} : (!q, !c, !c, tensor<2xi32>, tensor<i32>, !q) -> !q
  return %o, %0, %1 : !q, !c, !c
}

// Not with another offset, nor where a cache is used before the attention, nor several rows at a time, nor all keys for all queries.

// CHECK-LABEL: func.func @other_offset(
// CHECK:         kernel.cache_append
// CHECK:         kernel.attention
func.func @other_offset(%q: !q, %k: !r, %ks: !c, %vs: !c, %at: tensor<i32>, %then: tensor<i32>) -> (!q, !c, !c) {
  %0 = kernel.cache_append %k, %at into %ks : (!r, tensor<i32>, !c) -> !c
  %1 = kernel.cache_append %k, %then into %vs : (!r, tensor<i32>, !c) -> !c
  %e = tensor.empty() : !q
  %o = kernel.attention %q, %0, %1 offset %at into %e {causal, scale = 0.5 : f64} : (!q, !c, !c, tensor<i32>, !q) -> !q
  return %o, %0, %1 : !q, !c, !c
}

// CHECK-LABEL: func.func @used_before(
// CHECK:         kernel.cache_append
// CHECK:         kernel.attention
func.func @used_before(%q: !q, %k: !r, %ks: !c, %vs: !c, %at: tensor<i32>) -> (!q, !c, !c) {
  %0 = kernel.cache_append %k, %at into %ks : (!r, tensor<i32>, !c) -> !c
  %1 = kernel.cache_append %k, %at into %vs : (!r, tensor<i32>, !c) -> !c
  %s = kernel.softmax %1 into %0 : (!c, !c) -> !c
  %e = tensor.empty() : !q
  %o = kernel.attention %q, %0, %1 offset %at into %e {causal, scale = 0.5 : f64} : (!q, !c, !c, tensor<i32>, !q) -> !q
  return %o, %s, %1 : !q, !c, !c
}

// CHECK-LABEL: func.func @all_keys(
// CHECK:         kernel.cache_append
// CHECK:         kernel.attention
func.func @all_keys(%q: !q, %k: !r, %ks: !c, %vs: !c, %at: tensor<i32>) -> (!q, !c, !c) {
  %0 = kernel.cache_append %k, %at into %ks : (!r, tensor<i32>, !c) -> !c
  %1 = kernel.cache_append %k, %at into %vs : (!r, tensor<i32>, !c) -> !c
  %e = tensor.empty() : !q
  %o = kernel.attention %q, %0, %1 offset %at into %e {scale = 0.5 : f64} : (!q, !c, !c, tensor<i32>, !q) -> !q
  return %o, %0, %1 : !q, !c, !c
}

// CHECK-LABEL: func.func @several_rows(
// CHECK:         kernel.cache_append
// CHECK:         kernel.attention
func.func @several_rows(%q: tensor<2x3x4x8xf32>, %k: tensor<2x3x2x8xf32>, %ks: !c, %vs: !c, %at: tensor<i32>) -> (tensor<2x3x4x8xf32>, !c, !c) {
  %0 = kernel.cache_append %k, %at into %ks : (tensor<2x3x2x8xf32>, tensor<i32>, !c) -> !c
  %1 = kernel.cache_append %k, %at into %vs : (tensor<2x3x2x8xf32>, tensor<i32>, !c) -> !c
  %e = tensor.empty() : tensor<2x3x4x8xf32>
  %o = kernel.attention %q, %0, %1 offset %at into %e {causal, scale = 0.5 : f64} : (tensor<2x3x4x8xf32>, !c, !c, tensor<i32>, tensor<2x3x4x8xf32>) -> tensor<2x3x4x8xf32>
  return %o, %0, %1 : tensor<2x3x4x8xf32>, !c, !c
}

// A copy for a GPU stays as it is.
// CHECK-LABEL: func.func @nvidia.step(
// CHECK:         kernel.cache_append
func.func @nvidia.step(%q: !q, %k: !r, %ks: !c, %vs: !c, %at: tensor<i32>) -> (!q, !c, !c) attributes {quern.target = "nvidia"} {
  %0 = kernel.cache_append %k, %at into %ks : (!r, tensor<i32>, !c) -> !c
  %1 = kernel.cache_append %k, %at into %vs : (!r, tensor<i32>, !c) -> !c
  %e = tensor.empty() : !q
  %o = kernel.attention %q, %0, %1 offset %at into %e {causal, scale = 0.5 : f64} : (!q, !c, !c, tensor<i32>, !q) -> !q
  return %o, %0, %1 : !q, !c, !c
}
