# RUN: %python %s %t
"""Asynchronous instructions and tensor arguments that are none: each an error when the text is loaded."""

import sys

from emulated import Kernel

TEXT = """
.version 8.3
.target sm_90a
.address_size 64
.visible .entry kernel(.param .u64 out) {
  .reg .b16 %rs<4>;
  .reg .b32 %r<8>;
  .reg .b64 %rd<8>;
  .reg .pred %p<4>;
  .shared .align 128 .b8 tile[256];
  .shared .align 8 .b8 barrier[8];
  nothing;
  ret;
}
"""

kernel = Kernel(sys.argv[1], TEXT, 64, ["--block", "32"])

BULK = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
TENSOR = "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
REDUCE = "cp.reduce.async.bulk.global.shared::cta.bulk_group"
for number, (instruction, message) in enumerate((
        ("cp.async.ca.shared.global [tile], [%rd1], 12;", "cp.async copies 4, 8 or 16 bytes"),
        ("cp.async.cg.shared.global [tile], [%rd1], 8;", "cp.async.cg copies 16 bytes"),
        ("cp.async.ca.global.shared [%rd1], [tile], 16;", "'tile' is in shared memory"),
        ("cp.async.shared.global [tile], [%rd1], 16;", "needs a cache operator: one of .ca, .cg"),
        ("cp.async.wait_group %r1;", "expected an integer constant"),
        ("cp.async.ca.shared.global [tile], [%rd1], 16, %r1, %r2;", "takes 3 to 4 operands, not 5"),
        ("cp.sync.ca.shared.global [tile], [%rd1], 16;", "needs asynchrony: one of .async"),
        ("cp.reduce.async.ca.shared.global [tile], [%rd1], 16;", "reductions are bulk operations"),
        (f"{BULK} [tile], [%rd1], %r1;", "takes 4 operands, not 3"),
        ("cp.async.bulk.shared::cluster.global.bulk_group [tile], [%rd1], %r1;",
         "copies to shared memory complete on an mbarrier, copies to global memory in a bulk_group"),
        ("cp.async.bulk.shared::cluster.global [tile], [%rd1], %r1, [barrier];",
         "needs a completion mechanism: one of .mbarrier::complete_tx::bytes, .bulk_group"),
        ("cp.async.bulk.shared::cluster.mbarrier::complete_tx::bytes [tile], [%rd1], %r1, [barrier];",
         "copies between two of .global, .shared::cta and .shared::cluster"),
        (f"{BULK}.cp_mask [tile], [%rd1], %r1, [barrier];", "unknown modifier '.cp_mask'"),
        (f"{TENSOR} [tile], [%rd1, {{%r1}}], [barrier];", "expected 2 elements, found 1"),
        (f"{TENSOR} [tile], [%rd1], [barrier];", "expected a tensor operand like [map, {c0, c1}]"),
        (f"{TENSOR.replace('2d', '6d')} [tile], [%rd1, {{%r1, %r2}}], [barrier];",
         "needs a number of dimensions: one of .1d, .2d, .3d, .4d, .5d"),
        (f"{TENSOR.replace('2d', '4d')}.im2col [tile], [%rd1, {{%r1, %r2, %r3, %r4}}], [barrier], {{%rs1, %rs2}};",
         "of the modes of tensor copies .tile alone is emulated"),
        ("cp.reduce.async.bulk.tensor.1d.shared::cluster.global.add.tile.mbarrier::complete_tx::bytes "
         "[tile], [%rd1, {%r1}], [barrier];", "tensors are reduced in global memory"),
        (f"{REDUCE}.add.s64 [%rd1], [tile], %r1;", ".add takes .u64 rather than .s64"),
        (f"{REDUCE}.add.f16 [%rd1], [tile], %r1;", ".noftz goes with .add of .f16 and .bf16, which needs it"),
        (f"{REDUCE}.min.f32 [%rd1], [tile], %r1;", ".min and .max take integers, .f16 and .bf16"),
        (f"{REDUCE}.mul.f32 [%rd1], [tile], %r1;", "needs an operation: one of .add, .min"),
        ("mbarrier.begin.shared.b64 [barrier];", "needs an operation: one of .init"),
        ("mbarrier.init.shared::cluster.b64 [barrier], 1;", "this operation is for .shared::cta alone"),
        ("mbarrier.init.shared.b32 [barrier], 1;", "is not known for the type .b32"),
        ("mbarrier.arrive.release.shared.b64 _, [barrier];", "needs a scope: one of .cta, .cluster"),
        ("mbarrier.arrive.expect_tx.shared.b64 _, [barrier];", "takes 3 operands, not 2"),
        ("mapa.shared::cluster.u16 %rs1, %rs2, %r1;", "is not known for the type .u16"),
        ("prefetch.tensorspace [%rd1];", "needs what to prefetch: one of .tensormap"))):
    kernel.finds(f"unknown{number}", [message], ("nothing;", instruction), code=2)

for number, (tensor, message) in enumerate((
        ("bf16,64x64:/dev/null", "expected tensor:TYPE,DIMENSIONS,BOX[,SWIZZLE]:FILE"),
        ("b16,64x64,64x64:/dev/null", "'b16' is no type of tensor elements"),
        ("bf16,64xy,64x64:/dev/null", "expected numbers like 64x128, not '64xy'"),
        ("bf16,64x64,64:/dev/null", "tensor and box have the same number of dimensions, 1 to 5"),
        ("bf16,64x64,64x64,96:/dev/null", "'96' is no swizzle; 32, 64 and 128 bytes are"),
        ("bf16,64x64,128x64,128:/dev/null", "the box is 256 bytes wide, more than the 128 bytes of the swizzle"),
        ("bf16,60x64,64x64,128:/dev/null", "globalStrides[0] is 120 bytes and must be a multiple of 16 below 2^40"),
        ("bf16,64x64,64x64,128:/nowhere", "cannot read /nowhere"))):
    kernel.finds(f"tensor{number}", [message], ("nothing;", ""), code=2,
                 launch=["--block", "32", "--argument", "tensor:" + tensor])
