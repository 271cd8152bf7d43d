// RUN: quern-opt %s -quern-integer-bfloat | FileCheck %s

// CHECK-LABEL: llvm.func @narrow(
// CHECK-SAME:      %[[P:.*]]: !llvm.ptr, %[[MASK:.*]]: vector<8xi1>, %[[ZERO:.*]]: vector<8xbf16>)
// CHECK:         %[[OTHER:.*]] = llvm.bitcast %[[ZERO]] : vector<8xbf16> to vector<8xi16>
// CHECK:         %[[BITS:.*]] = llvm.intr.masked.load %[[P]], %[[MASK]], %[[OTHER]] {alignment = 2 : i32} : {{.*}} -> vector<8xi16>
// CHECK:         %[[X:.*]] = llvm.bitcast %[[BITS]] : vector<8xi16> to vector<8xbf16>
// CHECK:         %[[BACK:.*]] = llvm.bitcast %[[X]] : vector<8xbf16> to vector<8xi16>
// CHECK:         llvm.intr.masked.store %[[BACK]], %[[P]], %[[MASK]] {alignment = 2 : i32} : vector<8xi16>
llvm.func @narrow(%p: !llvm.ptr, %mask: vector<8xi1>, %zero: vector<8xbf16>) {
  %x = llvm.intr.masked.load %p, %mask, %zero {alignment = 2 : i32}
    : (!llvm.ptr, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
  llvm.intr.masked.store %x, %p, %mask {alignment = 2 : i32} : vector<8xbf16>, vector<8xi1> into !llvm.ptr
  llvm.return
}

// CHECK-LABEL: llvm.func @plain(
// CHECK:         %[[BITS:.*]] = llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr -> i16
// CHECK:         %[[X:.*]] = llvm.bitcast %[[BITS]] : i16 to bf16
// CHECK:         %[[BACK:.*]] = llvm.bitcast %[[X]] : bf16 to i16
// CHECK:         llvm.store %[[BACK]], %{{.*}} : i16, !llvm.ptr
llvm.func @plain(%p: !llvm.ptr) {
  %x = llvm.load %p {alignment = 2 : i64} : !llvm.ptr -> bf16
  llvm.store %x, %p : bf16, !llvm.ptr
  llvm.return
}

// CHECK-LABEL: llvm.func @wide(
// CHECK-NOT:     bitcast
llvm.func @wide(%p: !llvm.ptr, %mask: vector<8xi1>, %zero: vector<8xf32>) {
  %x = llvm.intr.masked.load %p, %mask, %zero {alignment = 4 : i32}
    : (!llvm.ptr, vector<8xi1>, vector<8xf32>) -> vector<8xf32>
  llvm.intr.masked.store %x, %p, %mask {alignment = 4 : i32} : vector<8xf32>, vector<8xi1> into !llvm.ptr
  llvm.return
}
