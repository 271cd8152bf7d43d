// D = A B for f16 A (256 x 64) and B (64 x 256), f32 D, by MLIR's own nvgpu dialect: each block loads 128 x 64 of A and
// twice 64 x 64 of B and multiplies them, B as it lies (N-major). nvgpu.py lowers and runs it.
!barrier = !nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>>
!mapA = !nvgpu.tensormap.descriptor<tensor = memref<128x64xf16, 3>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
!mapB = !nvgpu.tensormap.descriptor<tensor = memref<64x64xf16, 3>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
!sums = !nvgpu.warpgroup.accumulator<fragmented = vector<128x128xf32>>
func.func @main(%a: memref<256x64xf16>, %b: memref<64x256xf16>, %d: memref<256x256xf32>) {
  %bytes = arith.constant 32768 : i32
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %anyA = memref.cast %a : memref<256x64xf16> to memref<*xf16>
  %anyB = memref.cast %b : memref<64x256xf16> to memref<*xf16>
  %describedA = nvgpu.tma.create.descriptor %anyA box[%c128, %c64] : memref<*xf16> -> !mapA
  %describedB = nvgpu.tma.create.descriptor %anyB box[%c64, %c64] : memref<*xf16> -> !mapB
  gpu.launch blocks(%x, %y, %z) in (%gx = %c2, %gy = %c2, %gz = %c1)
             threads(%tx, %ty, %tz) in (%bx = %c128, %by = %c1, %bz = %c1) dynamic_shared_memory_size %bytes {
    %c0 = arith.constant 0 : index
    %block = arith.constant 128 : index
    %half = arith.constant 64 : index
    %count = arith.constant 1 : index
    %transactions = arith.constant 32768 : index
    %ticks = arith.constant 10000000 : index
    %phase = arith.constant 0 : i1
    %thread = gpu.thread_id x
    %first = arith.cmpi eq, %thread, %c0 : index
    %offsetB = arith.constant 16384 : index
    %offsetB1 = arith.constant 24576 : index
    %shared = gpu.dynamic_shared_memory : memref<?xi8, #gpu.address_space<workgroup>>
    %tileA = memref.view %shared[%c0][] : memref<?xi8, #gpu.address_space<workgroup>> to memref<128x64xf16, #gpu.address_space<workgroup>>
    %tileB = memref.view %shared[%offsetB][] : memref<?xi8, #gpu.address_space<workgroup>> to memref<64x128xf16, #gpu.address_space<workgroup>>
    %tileB0 = memref.view %shared[%offsetB][] : memref<?xi8, #gpu.address_space<workgroup>> to memref<64x64xf16, #gpu.address_space<workgroup>>
    %tileB1 = memref.view %shared[%offsetB1][] : memref<?xi8, #gpu.address_space<workgroup>> to memref<64x64xf16, #gpu.address_space<workgroup>>
    %barrier = nvgpu.mbarrier.create -> !barrier
    nvgpu.mbarrier.init %barrier[%c0], %count, predicate = %first : !barrier
    nvvm.fence.mbarrier.init
    gpu.barrier
    nvgpu.mbarrier.arrive.expect_tx %barrier[%c0], %transactions, predicate = %first : !barrier
    %row = arith.muli %x, %block : index
    %column = arith.muli %y, %block : index
    %column1 = arith.addi %column, %half : index
    nvgpu.tma.async.load %describedA[%c0, %row], %barrier[%c0] to %tileA, predicate = %first : !mapA, !barrier -> memref<128x64xf16, #gpu.address_space<workgroup>>
    nvgpu.tma.async.load %describedB[%column, %c0], %barrier[%c0] to %tileB0, predicate = %first : !mapB, !barrier -> memref<64x64xf16, #gpu.address_space<workgroup>>
    nvgpu.tma.async.load %describedB[%column1, %c0], %barrier[%c0] to %tileB1, predicate = %first : !mapB, !barrier -> memref<64x64xf16, #gpu.address_space<workgroup>>
    nvgpu.mbarrier.try_wait.parity %barrier[%c0], %phase, %ticks : !barrier
    %zeros = nvgpu.warpgroup.mma.init.accumulator -> !sums
    %operandA = nvgpu.warpgroup.generate.descriptor %tileA, %describedA : memref<128x64xf16, #gpu.address_space<workgroup>>, !mapA -> !nvgpu.warpgroup.descriptor<tensor = memref<128x64xf16, 3>>
    %operandB = nvgpu.warpgroup.generate.descriptor %tileB, %describedB : memref<64x128xf16, #gpu.address_space<workgroup>>, !mapB -> !nvgpu.warpgroup.descriptor<tensor = memref<64x128xf16, 3>>
    %product = nvgpu.warpgroup.mma %operandA, %operandB, %zeros {transposeB} : <tensor = memref<128x64xf16, 3>>, <tensor = memref<64x128xf16, 3>>, !sums -> !sums
    nvvm.wgmma.wait.group.sync.aligned 0
    %place = memref.subview %d[%row, %column][128, 128][1, 1] : memref<256x256xf32> to memref<128x128xf32, strided<[256, 1], offset: ?>>
    nvgpu.warpgroup.mma.store %product, %place : !sums to memref<128x128xf32, strided<[256, 1], offset: ?>>
    gpu.terminator
  }
  return
}
