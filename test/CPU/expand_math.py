#===- expand_math.py - Errors of exp, log, tanh, erf in units in the last place -------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
#
# RUN: %python %s
#
# For each width of vectors and processor: compiles the functions, and compares them with libm in
# f64 on a sample of all floats and on all edge cases. By hand, `expand_math.py 1` tries each of the
# 2^32 floats, `expand_math.py 1 x86-64-v3:8` those of one case (ten minutes and more of one core
# each); quern-opt must be in PATH.

import os
import subprocess
import sys
import tempfile

LLVM = os.environ.get("QUERN_LLVM_BIN", "/usr/lib/llvm-22/bin")
# The bounds that the description of quern-expand-math states.
BOUNDS = {"exp": 1.5, "exp2": 1.5, "log": 2, "log2": 2, "tanh": 3, "erf": 3, "rsqrt": 1.5,
          "exp_non_positive": 1.5, "exp2_non_positive": 1.5}


def function(name, width):
    """MLIR of `test_name`, which applies math.name to arrays in vectors of `width` (1: scalars)."""
    op = "math." + name.removesuffix("_non_positive")
    attributes = " {quern.non_positive}" if name.endswith("_non_positive") else ""
    if width == 1:
        body = f"""
    %a = memref.load %x[%i] : memref<?xf32>
    %b = {op} %a{attributes} : f32
    memref.store %b, %y[%i] : memref<?xf32>"""
    else:
        body = f"""
    %a = vector.load %x[%i] : memref<?xf32>, vector<{width}xf32>
    %b = {op} %a{attributes} : vector<{width}xf32>
    vector.store %b, %y[%i] : memref<?xf32>, vector<{width}xf32>"""
    return f"""
func.func private @loop_{name}(%x: memref<?xf32>, %y: memref<?xf32>, %n: index) {{
  %c0 = arith.constant 0 : index
  %step = arith.constant {width} : index
  scf.for %i = %c0 to %n step %step {{{body}
  }}
  return
}}
llvm.func @test_{name}(%x: !llvm.ptr, %y: !llvm.ptr, %n: i64) {{
  %size = builtin.unrealized_conversion_cast %n : i64 to index
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %empty = llvm.mlir.poison : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
""" + "".join(f"""
  %{v}0 = llvm.insertvalue %{v}, %empty[0] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %{v}1 = llvm.insertvalue %{v}, %{v}0[1] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %{v}2 = llvm.insertvalue %zero, %{v}1[2] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %{v}3 = llvm.insertvalue %n, %{v}2[3, 0] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %{v}4 = llvm.insertvalue %one, %{v}3[4, 0] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %{v}5 = builtin.unrealized_conversion_cast %{v}4 :
    !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)> to memref<?xf32>""" for v in "xy") + f"""
  func.call @loop_{name}(%x5, %y5, %size) : (memref<?xf32>, memref<?xf32>, index) -> ()
  llvm.return
}}
"""


def check(cpu, width, stride, directory):
    def run(*command, **more):
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **more).stdout

    text = "".join(function(name, width) for name in BOUNDS)
    lowered = run("quern-opt", f"--quern-expand-math=cpu={cpu}", "--quern-lower-to-llvm", input=text)
    assert "math." not in lowered
    ir = os.path.join(directory, f"{cpu}.ll")
    with open(ir, "w") as f:
        f.write(run(f"{LLVM}/mlir-translate", "--mlir-to-llvmir", input=lowered))
    program = os.path.join(directory, f"{cpu}-{width}")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "math_error.c")
    run(f"{LLVM}/clang", "-O2", "-Wno-override-module", f"-march={cpu}", ir, source, "-lm", "-o", program)
    pairs = [text for name, bound in BOUNDS.items() for text in (name, str(bound))]
    result = subprocess.run([program, str(stride), *pairs], text=True, stdout=subprocess.PIPE)
    print(f"--- {cpu}, vectors of {width}\n{result.stdout}", end="", flush=True)
    return result.returncode == 0


def main():
    stride = int(sys.argv[1]) if len(sys.argv) > 1 else 997
    wanted = sys.argv[2] if len(sys.argv) > 2 else None
    with open("/proc/cpuinfo") as f:
        flags = next(line for line in f if line.startswith("flags")).split()
    cases = [("x86-64-v2", 4)]
    if "fma" in flags and "avx2" in flags:
        cases += [("x86-64-v3", 8), ("x86-64-v3", 1)]
    if "avx512vl" in flags and "avx512dq" in flags:
        cases += [("x86-64-v4", 16)]
    if wanted:
        cases = [(cpu, width) for cpu, width in cases if f"{cpu}:{width}" == wanted]
        if not cases:
            sys.exit(f"no case {wanted} on this processor")
    with tempfile.TemporaryDirectory() as directory:
        good = [check(cpu, width, stride, directory) for cpu, width in cases]
    return 0 if all(good) else 1


sys.exit(main())
