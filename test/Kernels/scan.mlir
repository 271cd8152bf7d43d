// RUN: quern-opt %s --quern-phase-kernels | FileCheck %s --check-prefix=KERNELS
// RUN: quern-opt %s --quern-phase-kernels --quern-phase-buffers | FileCheck %s --check-prefix=BUFFERS
// A scan is a loop; its stacked results are written slice by slice into their final place, and nothing is copied.

quern.model @m kind("test") {
  quern.function @forward(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    quern.return %x : tensor<4x8xf32>
  }

  // KERNELS-LABEL: func.func @forwards(
  // KERNELS:         scf.for %[[LAYER:[a-z0-9]+]] = %c0{{.*}} to %c12
  // KERNELS:           tensor.extract_slice %{{.*}}[%[[LAYER]], 0, 0] [1, 8, 8]
  // BUFFERS-LABEL: func.func @forwards(
  // BUFFERS-SAME:    %[[X:.*]]: memref<?x8xf32> {{{.*}}quern.name = "x"
  // BUFFERS-SAME:    %[[W:.*]]: memref<12x8x8xf32> {{{.*}}quern.name = "w"
  // BUFFERS-SAME:    %[[Y:.*]]: memref<?x8xf32> {{{.*}}quern.name = "y"
  // BUFFERS-SAME:    %[[SAVED:.*]]: memref<12x?x8xf32> {{{.*}}quern.name = "saved"
  // BUFFERS:         linalg.generic {{.*}} ins(%[[X]] {{.*}} outs(%[[Y]]
  // BUFFERS:         scf.for
  // BUFFERS-DAG:       %[[SLOT:.*]] = memref.subview %[[SAVED]]
  // BUFFERS-DAG:       %[[WL:.*]] = memref.subview %[[W]]
  // BUFFERS:           kernel.gemm %[[Y]], %[[WL]] into %[[SLOT]]
  // BUFFERS:           linalg.generic {{.*}} ins(%[[Y]], %[[SLOT]] {{.*}} outs(%[[Y]]
  // BUFFERS-NOT:     memref.copy
  // BUFFERS:         return
  quern.function @forwards(%x: tensor<?x8xf32>, %w: tensor<12x8x8xf32>)
      -> (tensor<?x8xf32> {quern.name = "y"}, tensor<12x?x8xf32> {quern.name = "saved"}) attributes {program} {
    %x0 = math.exp %x : tensor<?x8xf32>
    %y, %saved = quern.scan 12 carry (%c = %x0 : tensor<?x8xf32>) slices (%wl = %w : tensor<12x8x8xf32>)
        -> (tensor<?x8xf32>, tensor<12x?x8xf32>) {
      %a = quern.linear %c, %wl : tensor<?x8xf32>, tensor<8x8xf32>
      %e = math.exp %a : tensor<?x8xf32>
      %s = arith.addf %c, %e : tensor<?x8xf32>
      quern.yield %s, %a : tensor<?x8xf32>, tensor<?x8xf32>
    }
    quern.return %y, %saved : tensor<?x8xf32>, tensor<12x?x8xf32>
  }

  // KERNELS-LABEL: func.func @backwards(
  // KERNELS:         scf.for %[[I:[a-z0-9]+]] =
  // KERNELS:           %[[LAYER:.*]] = arith.subi %c2{{.*}}, %[[I]]
  // KERNELS:           tensor.extract_slice %{{.*}}[%[[LAYER]], 0]
  quern.function @backwards(%x: tensor<8xf32>, %w: tensor<3x8xf32>) -> (tensor<8xf32> {quern.name = "y"}) attributes {program} {
    %y = quern.scan 3 reverse carry (%c = %x : tensor<8xf32>) slices (%wl = %w : tensor<3x8xf32>) -> (tensor<8xf32>) {
      %s = arith.mulf %c, %wl : tensor<8xf32>
      quern.yield %s : tensor<8xf32>
    }
    quern.return %y : tensor<8xf32>
  }

  // A cache is updated where it lies.
  // BUFFERS-LABEL: func.func @decode(
  // BUFFERS-SAME:    memref<2x1x?x2x4xf32> {{{.*}}quern.name = "cache"
  // BUFFERS-NOT:     memref.copy
  // BUFFERS:         %[[SLOT:.*]] = memref.subview %{{.*}}[%{{.*}}, 0, 0, 0, 0]
  // BUFFERS:         kernel.cache_append %{{.*}}, %{{.*}} into %[[SLOT]]
  // BUFFERS-NOT:     memref.copy
  // BUFFERS:         return
  quern.function @decode(%k: tensor<1x3x2x4xf32>, %position: tensor<i32>,
                         %cache: tensor<2x1x?x2x4xf32> {quern.role = "cache"})
      -> (tensor<2x1x?x2x4xf32> {quern.name = "cache", quern.role = "cache", quern.updates = "cache"}) attributes {program} {
    %new = quern.scan 2 slices (%c = %cache : tensor<2x1x?x2x4xf32>) -> (tensor<2x1x?x2x4xf32>) {
      %a = quern.cache_append %c, %k offset %position : tensor<1x?x2x4xf32>, tensor<1x3x2x4xf32>, tensor<i32>
      quern.yield %a : tensor<1x?x2x4xf32>
    }
    quern.return %new : tensor<2x1x?x2x4xf32>
  }
}
