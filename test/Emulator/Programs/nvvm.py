# RUN: %python %s %t
"""Kernels in nvvm and llvm ops, lowered by LLVM to PTX, run by quern-emulate and compared with float64.

The forms are those in which the compiler emits kernels for GPUs. Where ptxas is installed it takes the PTX too.
"""

import os
import re
import shutil
import subprocess
import sys

import numpy as np

from launching import Launcher, draw, expect, from_bfloat16, product_bound, random

files = Launcher(sys.argv[1])
path, buffer, tensor, result = files.path, files.buffer, files.tensor, files.result

PIPELINE = ["--convert-nvvm-to-llvm", "--reconcile-unrealized-casts", "--gpu-module-to-binary=format=isa"]


def lower(name, chip, body):
    """Writes NAME.ptx for a gpu.module with `body`."""
    module = f'gpu.module @k [#nvvm.target<chip = "{chip}", features = "+ptx83", O = 3>] {{\n{body}}}\n'
    with open(path(name + ".mlir"), "w", encoding="utf-8") as file:
        file.write(module)
    lowered = subprocess.run(["mlir-opt", path(name + ".mlir"), *PIPELINE], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    text = re.search(r'assembly = "((?:[^"\\]|\\.)*)"', lowered).group(1)
    text = re.sub(r"\\([0-9A-F]{2})", lambda code: chr(int(code.group(1), 16)), text).replace("\\\\", "\\")
    with open(path(name + ".ptx"), "w", encoding="utf-8") as file:
        file.write(text.rstrip("\0"))
    if shutil.which("ptxas"):
        log = subprocess.run(["ptxas", "-arch=" + chip, "-v", path(name + ".ptx"), "-o", os.devnull],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
        assert " 0 bytes spill stores" in log and "(C75" not in log, log


def emulate(name, options, *arguments):
    files.emulate(path(name + ".ptx"), options.split(), arguments)


def warp_operations():
    """One warp: 16 x 16 by 16 x 8 through cp.async, ldmatrix and mma.sync, rounded to bf16 and stored by stmatrix;
    2^x, 1 / sqrt(x), log2(x), tanh(x) of each thread's number, and the maximum of an integer by redux."""
    lower("warp_operations", "sm_90a", """
  llvm.mlir.global external @shared() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<0 x i8>
  llvm.func @kernel(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %x: !llvm.ptr<1>, %d: !llvm.ptr<1>, %y: !llvm.ptr<1>)
      attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
    %shared = llvm.mlir.addressof @shared : !llvm.ptr<3>
    %lane = nvvm.read.ptx.sreg.tid.x range <i32, 0, 32> : i32
    // A has 512 bytes, 16 for each thread; B (8 x 16, a row for each column) has 256, 8 for each.
    %16 = llvm.mlir.constant(16 : i32) : i32
    %8 = llvm.mlir.constant(8 : i32) : i32
    %a16 = llvm.mul %lane, %16 : i32
    %b8 = llvm.mul %lane, %8 : i32
    %toA = llvm.getelementptr %shared[%a16] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %fromA = llvm.getelementptr %a[%a16] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
    nvvm.cp.async.shared.global %toA, %fromA, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>
    %sharedB = llvm.getelementptr %shared[512] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    %toB = llvm.getelementptr %sharedB[%b8] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %fromB = llvm.getelementptr %b[%b8] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
    nvvm.cp.async.shared.global %toB, %fromB, 8, cache = ca : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.commit.group
    nvvm.cp.async.wait.group 0
    nvvm.barrier0
    // Rows of A: lane i mod 16, the left or right half. Rows of B: lane i mod 8, the upper or lower half of k.
    %15 = llvm.mlir.constant(15 : i32) : i32
    %7 = llvm.mlir.constant(7 : i32) : i32
    %1 = llvm.mlir.constant(1 : i32) : i32
    %3 = llvm.mlir.constant(3 : i32) : i32
    %4 = llvm.mlir.constant(4 : i32) : i32
    %5 = llvm.mlir.constant(5 : i32) : i32
    %rowA = llvm.and %lane, %15 : i32
    %rowA32 = llvm.shl %rowA, %5 : i32
    %halfA = llvm.lshr %lane, %4 : i32
    %halfA16 = llvm.shl %halfA, %4 : i32
    %offsetA = llvm.add %rowA32, %halfA16 : i32
    %addressA = llvm.getelementptr %shared[%offsetA] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %fragmentA = nvvm.ldmatrix %addressA {num = 4 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m=8, n=8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32, i32, i32)>
    %rowB = llvm.and %lane, %7 : i32
    %rowB32 = llvm.shl %rowB, %5 : i32
    %bit3 = llvm.lshr %lane, %3 : i32
    %halfB = llvm.and %bit3, %1 : i32
    %halfB16 = llvm.shl %halfB, %4 : i32
    %offsetB = llvm.add %rowB32, %halfB16 : i32
    %addressB = llvm.getelementptr %sharedB[%offsetB] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %fragmentB = nvvm.ldmatrix %addressB {num = 2 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m=8, n=8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> !llvm.struct<(i32, i32)>
    %a0 = llvm.extractvalue %fragmentA[0] : !llvm.struct<(i32, i32, i32, i32)>
    %a1 = llvm.extractvalue %fragmentA[1] : !llvm.struct<(i32, i32, i32, i32)>
    %a2 = llvm.extractvalue %fragmentA[2] : !llvm.struct<(i32, i32, i32, i32)>
    %a3 = llvm.extractvalue %fragmentA[3] : !llvm.struct<(i32, i32, i32, i32)>
    %b0 = llvm.extractvalue %fragmentB[0] : !llvm.struct<(i32, i32)>
    %b1 = llvm.extractvalue %fragmentB[1] : !llvm.struct<(i32, i32)>
    %zero = llvm.mlir.constant(0.0 : f32) : f32
    %sums = nvvm.mma.sync A[%a0, %a1, %a2, %a3] B[%b0, %b1] C[%zero, %zero, %zero, %zero]
      {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<bf16>, multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
    %d0 = llvm.extractvalue %sums[0] : !llvm.struct<(f32, f32, f32, f32)>
    %d1 = llvm.extractvalue %sums[1] : !llvm.struct<(f32, f32, f32, f32)>
    %d2 = llvm.extractvalue %sums[2] : !llvm.struct<(f32, f32, f32, f32)>
    %d3 = llvm.extractvalue %sums[3] : !llvm.struct<(f32, f32, f32, f32)>
    %upper = llvm.call_intrinsic "llvm.nvvm.ff2bf16x2.rn"(%d1, %d0) : (f32, f32) -> vector<2xbf16>
    %lower = llvm.call_intrinsic "llvm.nvvm.ff2bf16x2.rn"(%d3, %d2) : (f32, f32) -> vector<2xbf16>
    %upperWord = llvm.bitcast %upper : vector<2xbf16> to i32
    %lowerWord = llvm.bitcast %lower : vector<2xbf16> to i32
    // D is 16 x 8, 16 bytes a row, in place of A.
    nvvm.barrier0
    %rowD16 = llvm.shl %rowA, %4 : i32
    %addressD = llvm.getelementptr %shared[%rowD16] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    nvvm.stmatrix %addressD, %upperWord, %lowerWord {layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m=8, n=8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : !llvm.ptr<3>, i32, i32
    nvvm.barrier0
    %pieceD = llvm.getelementptr %shared[%b8] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %words = llvm.load %pieceD {alignment = 8 : i64} : !llvm.ptr<3> -> i64
    %outD = llvm.getelementptr %d[%b8] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
    llvm.store %words, %outD {alignment = 8 : i64} : i64, !llvm.ptr<1>

    %fromX = llvm.getelementptr %x[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    %v = llvm.load %fromX : !llvm.ptr<1> -> f32
    %exp2 = llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f"(%v) : (f32) -> f32
    %rsqrt = llvm.call_intrinsic "llvm.nvvm.rsqrt.approx.ftz.f"(%v) : (f32) -> f32
    %log2 = llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"(%v) : (f32) -> f32
    %tanh = llvm.intr.tanh(%v) {fastmathFlags = #llvm.fastmath<afn>} : (f32) -> f32
    %all = llvm.mlir.constant(-1 : i32) : i32
    %whole = llvm.fptosi %v : f32 to i32
    %most = nvvm.redux.sync max %whole, %all : i32 -> i32
    %max = llvm.sitofp %most : i32 to f32
    %outY = llvm.getelementptr %y[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    llvm.store %exp2, %outY : f32, !llvm.ptr<1>
    %outY1 = llvm.getelementptr %outY[32] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
    llvm.store %rsqrt, %outY1 : f32, !llvm.ptr<1>
    %outY2 = llvm.getelementptr %outY[64] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
    llvm.store %log2, %outY2 : f32, !llvm.ptr<1>
    %outY3 = llvm.getelementptr %outY[96] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
    llvm.store %tanh, %outY3 : f32, !llvm.ptr<1>
    %outY4 = llvm.getelementptr %outY[128] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
    llvm.store %max, %outY4 : f32, !llvm.ptr<1>
    llvm.return
  }
""")
    a, b = draw(16, 16), draw(8, 16)
    x = random.uniform(0.25, 8, 32).astype(np.float32)
    emulate("warp_operations", "--block 32 --shared 1024", buffer("a", a), buffer("b", b), buffer("x", x),
            buffer("d", np.zeros((16, 8), np.uint16)), buffer("y", np.zeros((5, 32), np.float32)))
    p, q = from_bfloat16(a), from_bfloat16(b)
    exact = p @ q.T
    expect("mma", from_bfloat16(result("d", (16, 8), np.uint16)), exact, product_bound(p, q) + 2.0**-8 * np.abs(exact))
    y = result("y", (5, 32))
    x = x.astype(np.float64)
    expect("exp2", y[0], np.exp2(x), 2.0**-21.9 * np.exp2(x))
    expect("rsqrt", y[1], x**-0.5, 2.0**-22.8 * x**-0.5)
    expect("log2", y[2], np.log2(x), 2.0**-21.9 * np.maximum(1, np.abs(np.log2(x))))
    expect("tanh", y[3], np.tanh(x), 2.0**-10.9 * np.tanh(x))
    assert (y[4] == np.floor(x.max())).all()


def struct(count):
    return "!llvm.struct<(" + ", ".join(["f32"] * count) + ")>"


def cluster_product():
    """Clusters of two blocks: each multiplies its own 64 x 64 of A with the same 64 x 64 of B, of which each loads one
    half for both. mbarriers, multicast, wgmma, f32 results."""
    sums = struct(32)
    multiplies = ""
    previous = "%sums0"
    for i in range(4):
        # The first one sets the sums: LLVM would set zeros behind the fence, which does not cover them there.
        scale = "one" if i else "zero"
        multiplies += f"""
    %offset{i} = llvm.mlir.constant({2 * i} : i64) : i64
    %a{i} = llvm.add %descriptorA, %offset{i} : i64
    %b{i} = llvm.add %descriptorB, %offset{i} : i64
    %next{i} = nvvm.wgmma.mma_async %a{i}, %b{i}, {previous}, #nvvm.shape<m = 64, n = 64, k = 16>, D[<f32>, <{scale}>], A[<bf16>, #nvvm.wgmma_scale_in<one>, <row>], B[<bf16>, #nvvm.wgmma_scale_in<one>, <col>] : {sums} -> {sums}"""
        previous = f"%next{i}"
    stores = ""
    for i in range(32):
        stores += f"""
    %value{i} = llvm.extractvalue {previous}[{i}] : {sums}
    %place{i} = llvm.getelementptr %mine[{i // 4 * 8 + i // 2 % 2 * 8 * 64 + i % 2}] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
    llvm.store %value{i}, %place{i} : f32, !llvm.ptr<1>"""
    lower("cluster_product", "sm_90a", """
  llvm.mlir.global external @shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
  llvm.func @kernel(%mapA: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant, llvm.align = 64 : i64}, %mapB: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant, llvm.align = 64 : i64}, %out: !llvm.ptr<1>)
      attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 128>, nvvm.minctasm = 1 : i32, nvvm.cluster_dim = array<i32: 2, 1, 1>} {
    %shared = llvm.mlir.addressof @shared : !llvm.ptr<3>
    %tileB = llvm.getelementptr %shared[8192] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    %barrier = llvm.getelementptr %shared[16384] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    %0 = llvm.mlir.constant(0 : i32) : i32
    %1 = llvm.mlir.constant(1 : i32) : i32
    %32 = llvm.mlir.constant(32 : i32) : i32
    %64 = llvm.mlir.constant(64 : i32) : i32
    %bytes = llvm.mlir.constant(16384 : i32) : i32
    %both = llvm.mlir.constant(3 : i16) : i16
    %thread = nvvm.read.ptx.sreg.tid.x range <i32, 0, 128> : i32
    %block = nvvm.read.ptx.sreg.ctaid.x : i32
    %rank = nvvm.read.ptx.sreg.cluster.ctarank : i32
    %isFirst = llvm.icmp "eq" %thread, %0 : i32
    llvm.cond_br %isFirst, ^initialize, ^initialized
  ^initialize:
    nvvm.mbarrier.init %barrier, %1 : !llvm.ptr<3>, i32
    nvvm.fence.mbarrier.init
    nvvm.mbarrier.arrive.expect_tx %barrier, %bytes : !llvm.ptr<3>, i32
    llvm.br ^initialized
  ^initialized:
    nvvm.cluster.arrive {aligned}
    nvvm.cluster.wait {aligned}
    llvm.cond_br %isFirst, ^load, ^loaded
  ^load:
    nvvm.prefetch tensormap, %mapA : !llvm.ptr
    %rowA = llvm.mul %block, %64 : i32
    %toA = llvm.addrspacecast %shared : !llvm.ptr<3> to !llvm.ptr<7>
    nvvm.cp.async.bulk.tensor.shared.cluster.global %toA, %mapA, %barrier, box[%0, %rowA] : !llvm.ptr<7>, !llvm.ptr
    %rowB = llvm.mul %rank, %32 : i32
    %4096 = llvm.mlir.constant(4096 : i32) : i32
    %offsetB = llvm.mul %rank, %4096 : i32
    %halfB = llvm.getelementptr %tileB[%offsetB] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %toB = llvm.addrspacecast %halfB : !llvm.ptr<3> to !llvm.ptr<7>
    nvvm.cp.async.bulk.tensor.shared.cluster.global %toB, %mapB, %barrier, box[%0, %rowB] multicast_mask = %both : !llvm.ptr<7>, !llvm.ptr
    llvm.br ^loaded
  ^loaded:
    %ticks = llvm.mlir.constant(1000000 : i32) : i32
    nvvm.mbarrier.try_wait.parity %barrier, %0, %ticks : !llvm.ptr<3>, i32, i32
    // Descriptors: start address, stride offset 1024, 128-byte swizzle.
    %fixed = llvm.mlir.constant(0x4000004000010000 : i64) : i64
    %mask = llvm.mlir.constant(0x3ffff : i64) : i64
    %c4 = llvm.mlir.constant(4 : i64) : i64
    %addressA = llvm.ptrtoint %shared : !llvm.ptr<3> to i64
    %maskedA = llvm.and %addressA, %mask : i64
    %startA = llvm.lshr %maskedA, %c4 : i64
    %descriptorA = llvm.or %startA, %fixed : i64
    %addressB = llvm.ptrtoint %tileB : !llvm.ptr<3> to i64
    %maskedB = llvm.and %addressB, %mask : i64
    %startB = llvm.lshr %maskedB, %c4 : i64
    %descriptorB = llvm.or %startB, %fixed : i64
    %sums0 = llvm.mlir.undef : """ + sums + """
    nvvm.wgmma.fence.aligned""" + multiplies + """
    nvvm.wgmma.commit.group.sync.aligned
    nvvm.wgmma.wait.group.sync.aligned 0
    // Row 16 warp + lane / 4 of the block's 64 rows, columns 2 (lane mod 4) and after.
    %2 = llvm.mlir.constant(2 : i32) : i32
    %3 = llvm.mlir.constant(3 : i32) : i32
    %5 = llvm.mlir.constant(5 : i32) : i32
    %31 = llvm.mlir.constant(31 : i32) : i32
    %4 = llvm.mlir.constant(4 : i32) : i32
    %warp = llvm.lshr %thread, %5 : i32
    %lane = llvm.and %thread, %31 : i32
    %rowOfWarp = llvm.shl %warp, %4 : i32
    %rowOfLane = llvm.lshr %lane, %2 : i32
    %rowInBlock = llvm.add %rowOfWarp, %rowOfLane : i32
    %rowOfBlock = llvm.mul %block, %64 : i32
    %row = llvm.add %rowOfBlock, %rowInBlock : i32
    %row64 = llvm.mul %row, %64 : i32
    %group = llvm.and %lane, %3 : i32
    %column = llvm.shl %group, %1 : i32
    %at = llvm.add %row64, %column : i32
    %mine = llvm.getelementptr %out[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32""" + stores + """
    // Nobody ends while the other block may still send to it.
    nvvm.cluster.arrive {aligned}
    nvvm.cluster.wait {aligned}
    llvm.return
  }
""")
    a, b = draw(256, 64), draw(64, 64)
    emulate("cluster_product", "--grid 4 --block 128 --shared 16400", tensor("a", a, (64, 64)),
            tensor("b", b, (64, 32)), buffer("d", np.zeros((256, 64), np.float32)))
    p, q = from_bfloat16(a), from_bfloat16(b)
    expect("cluster", result("d", (256, 64)), p @ q.T, product_bound(p, q))


def loop_product():
    """One warpgroup: 64 x 256 by 256 x 64 in a loop over slices of 16, the sums carried by the
    loop. Registers pass an opaque instruction before each wgmma.fence, so that none is set behind it."""
    sums = struct(32)
    types = ", ".join(["f32"] * 32)

    def gather(prefix, values):
        text, before = f"    {prefix}_ = llvm.mlir.poison : {sums}\n", f"{prefix}_"
        for i in range(32):
            text += f"    {prefix}{i} = llvm.insertvalue {values}{i}, {before}[{i}] : {sums}\n"
            before = f"{prefix}{i}"
        return text

    def scatter(prefix, value):
        return "".join(f"    {prefix}{i} = llvm.extractvalue {value}[{i}] : {sums}\n" for i in range(32))

    def names(prefix):
        return ", ".join(f"{prefix}{i}" for i in range(32))

    arguments = ", ".join(f"%sum{i}: f32" for i in range(32))
    zeros = ", ".join(["%zero"] * 32)
    hold = "".join(f"""
    %held{i} = llvm.inline_asm has_side_effects asm_dialect = att "", "=f,0" %sum{i} : (f32) -> f32""" for i in range(32))
    stores = "".join(f"""
    %place{i} = llvm.getelementptr %mine[{i // 4 * 8 + i // 2 % 2 * 8 * 64 + i % 2}] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
    llvm.store %last{i}, %place{i} : f32, !llvm.ptr<1>""" for i in range(32))
    lower("loop_product", "sm_90a", """
  llvm.mlir.global external @shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
  llvm.func @kernel(%mapA: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant, llvm.align = 64 : i64}, %mapB: !llvm.ptr {llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant, llvm.align = 64 : i64}, %out: !llvm.ptr<1>)
      attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 128>, nvvm.minctasm = 1 : i32} {
    %shared = llvm.mlir.addressof @shared : !llvm.ptr<3>
    %barrier = llvm.getelementptr %shared[65536] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    %0 = llvm.mlir.constant(0 : i32) : i32
    %1 = llvm.mlir.constant(1 : i32) : i32
    %2 = llvm.mlir.constant(2 : i32) : i32
    %4 = llvm.mlir.constant(4 : i32) : i32
    %16 = llvm.mlir.constant(16 : i32) : i32
    %64 = llvm.mlir.constant(64 : i32) : i32
    %bytes = llvm.mlir.constant(65536 : i32) : i32
    %thread = nvvm.read.ptx.sreg.tid.x range <i32, 0, 128> : i32
    %isFirst = llvm.icmp "eq" %thread, %0 : i32
    llvm.cond_br %isFirst, ^load, ^loaded
  ^load:
    nvvm.mbarrier.init %barrier, %1 : !llvm.ptr<3>, i32
    nvvm.fence.mbarrier.init
    nvvm.mbarrier.arrive.expect_tx %barrier, %bytes : !llvm.ptr<3>, i32
    llvm.br ^tile(%0 : i32)
  ^tile(%tile: i32):
    %8192 = llvm.mlir.constant(8192 : i32) : i32
    %offset = llvm.mul %tile, %8192 : i32
    %tileA = llvm.getelementptr %shared[%offset] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
    %tileB = llvm.getelementptr %tileA[32768] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
    %toA = llvm.addrspacecast %tileA : !llvm.ptr<3> to !llvm.ptr<7>
    %toB = llvm.addrspacecast %tileB : !llvm.ptr<3> to !llvm.ptr<7>
    %column = llvm.mul %tile, %64 : i32
    nvvm.cp.async.bulk.tensor.shared.cluster.global %toA, %mapA, %barrier, box[%column, %0] : !llvm.ptr<7>, !llvm.ptr
    nvvm.cp.async.bulk.tensor.shared.cluster.global %toB, %mapB, %barrier, box[%column, %0] : !llvm.ptr<7>, !llvm.ptr
    %nextTile = llvm.add %tile, %1 : i32
    %more = llvm.icmp "slt" %nextTile, %4 : i32
    llvm.cond_br %more, ^tile(%nextTile : i32), ^loaded
  ^loaded:
    nvvm.barrier0
    %ticks = llvm.mlir.constant(1000000 : i32) : i32
    nvvm.mbarrier.try_wait.parity %barrier, %0, %ticks : !llvm.ptr<3>, i32, i32
    %fixed = llvm.mlir.constant(0x4000004000010000 : i64) : i64
    %mask = llvm.mlir.constant(0x3ffff : i64) : i64
    %c4 = llvm.mlir.constant(4 : i64) : i64
    %2048 = llvm.mlir.constant(2048 : i64) : i64
    %addressA = llvm.ptrtoint %shared : !llvm.ptr<3> to i64
    %maskedA = llvm.and %addressA, %mask : i64
    %startA = llvm.lshr %maskedA, %c4 : i64
    %descriptorA = llvm.or %startA, %fixed : i64
    %descriptorB = llvm.add %descriptorA, %2048 : i64
    %zero = llvm.mlir.constant(0.0 : f32) : f32
    llvm.br ^slice(%0, """ + zeros + """ : i32, """ + types + """)
  ^slice(%slice: i32, """ + arguments + """):
    // Tiles of four slices are 8192 bytes apart, slices 32: in units of 16 bytes 512 and 2.
    %tileOfSlice = llvm.lshr %slice, %2 : i32
    %inTile = llvm.urem %slice, %4 : i32
    %c512 = llvm.mlir.constant(512 : i32) : i32
    %tileOffset = llvm.mul %tileOfSlice, %c512 : i32
    %sliceOffset = llvm.shl %inTile, %1 : i32
    %units = llvm.add %tileOffset, %sliceOffset : i32
    %units64 = llvm.zext %units : i32 to i64
    %sliceA = llvm.add %descriptorA, %units64 : i64
    %sliceB = llvm.add %descriptorB, %units64 : i64""" + hold + """
    nvvm.wgmma.fence.aligned
""" + gather("%in", "%held") + f"""
    %product = nvvm.wgmma.mma_async %sliceA, %sliceB, %in31, #nvvm.shape<m = 64, n = 64, k = 16>, D[<f32>, <one>], A[<bf16>, #nvvm.wgmma_scale_in<one>, <row>], B[<bf16>, #nvvm.wgmma_scale_in<one>, <col>] : {sums} -> {sums}
    nvvm.wgmma.commit.group.sync.aligned
    nvvm.wgmma.wait.group.sync.aligned 0
""" + scatter("%new", "%product") + """
    %nextSlice = llvm.add %slice, %1 : i32
    %moreSlices = llvm.icmp "slt" %nextSlice, %16 : i32
    llvm.cond_br %moreSlices, ^slice(%nextSlice, """ + names("%new") + """ : i32, """ + types + """), ^end(""" +
          names("%new") + """ : """ + types + """)
  ^end(""" + ", ".join(f"%last{i}: f32" for i in range(32)) + """):
    %3 = llvm.mlir.constant(3 : i32) : i32
    %5 = llvm.mlir.constant(5 : i32) : i32
    %31 = llvm.mlir.constant(31 : i32) : i32
    %warp = llvm.lshr %thread, %5 : i32
    %lane = llvm.and %thread, %31 : i32
    %rowOfWarp = llvm.shl %warp, %4 : i32
    %rowOfLane = llvm.lshr %lane, %2 : i32
    %row = llvm.add %rowOfWarp, %rowOfLane : i32
    %row64 = llvm.mul %row, %64 : i32
    %group = llvm.and %lane, %3 : i32
    %first = llvm.shl %group, %1 : i32
    %at = llvm.add %row64, %first : i32
    %mine = llvm.getelementptr %out[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32""" + stores + """
    llvm.return
  }
""")
    a, b = draw(64, 256), draw(64, 256)
    emulate("loop_product", "--block 128 --shared 65544", tensor("a", a, (64, 64)), tensor("b", b, (64, 64)),
            buffer("d", np.zeros((64, 64), np.float32)))
    p, q = from_bfloat16(a), from_bfloat16(b)
    expect("loop", result("d", (64, 64)), p @ q.T, product_bound(p, q))


warp_operations()
cluster_product()
loop_product()
