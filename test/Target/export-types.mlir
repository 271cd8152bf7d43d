// RUN: quern-opt %s -quern-export-programs=cpu=x86-64-v3 | FileCheck %s

// The description tells in which type a program takes an argument: on the host, and where a device's takes it in another.

module attributes {quern.device_code = {sm_80 = ".version 8.3"}, quern.model = "{\"model\": \"m\", \"kind\": \"kernels\", \"programs\": [{\"name\": \"f\", \"arguments\": [{\"name\": \"w\", \"type\": \"f32\"}, {\"name\": \"b\", \"type\": \"f32\"}]}, {\"name\": \"g\", \"arguments\": [{\"name\": \"w\", \"type\": \"f32\"}, {\"name\": \"b\", \"type\": \"f32\"}]}]}"} {
  func.func @f(%w: memref<4xbf16>, %b: memref<4xf32>, %arena: memref<?xi8> {quern.arena})
      attributes {quern.program, quern.precision = "bf16"} {
    return
  }
  func.func @f.arena_bytes(%w: memref<4xbf16>, %b: memref<4xf32>) -> i64 {
    %c = arith.constant 64 : i64
    return %c : i64
  }
  func.func @sm_80.g(%w: memref<4xbf16>, %b: memref<4xf32>, %arena: memref<?xi8> {quern.arena})
      attributes {quern.program, quern.precision = "bf16", quern.target = "sm_80"} {
    return
  }
  func.func @sm_80.g.arena_bytes(%w: memref<4xbf16>, %b: memref<4xf32>) -> i64 {
    %c = arith.constant 64 : i64
    return %c : i64
  }
}

// CHECK:      @quern_module_json(
// CHECK-SAME:   \22device\22:{{{.*}}\22precision\22:\22bf16\22}
// CHECK-SAME:   \22arguments\22:[{\22name\22:\22w\22,\22type\22:\22bf16\22},{\22name\22:\22b\22,\22type\22:\22f32\22}],\22name\22:\22f\22
// CHECK-SAME:   \22arguments\22:[{\22device_type\22:\22bf16\22,\22name\22:\22w\22,\22type\22:\22f32\22},{\22name\22:\22b\22,\22type\22:\22f32\22}],\22name\22:\22g\22
// CHECK-SAME:   \22target\22:{{{.*}}\22precision\22:\22bf16\22
