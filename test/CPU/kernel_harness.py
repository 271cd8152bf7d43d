#===- kernel_harness.py - Compile kernels and call them on NumPy arrays ---------------------------===//
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===//
"""Compile functions made of kernel ops and call them on NumPy arrays.

    from kernel_harness import Program, guarded, check_guards

    program = Program('''
      func.func @f(%x: memref<?x768xf32>, %y: memref<?x768xf32>) {
        kernel.softmax %x into %y : (memref<?x768xf32>, memref<?x768xf32>) -> ()
        return
      }''')
    y = guarded((5, 768))
    program("f", x, y, threads=2)      # arrays are passed as memrefs, with their strides
    check_guards(y)                    # nothing was written around y
    program.same_bits("f", x, y)       # 1, 2, 3 and 4 threads give the same bits in all arrays
    seconds = program.time("f", x, y)  # best of several calls

The functions return nothing and have one block; each memref argument takes an array (rank 0 included),
each index or integer argument a Python int. bf16 arrays are uint16 arrays: `bf16(x)` rounds to them,
`from_bf16(x)` reads them. quern-opt is taken from PATH; LLVM's tools from
`llvm-config-22 --bindir`.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time

import numpy as np

LLVM = os.environ.get("QUERN_LLVM_BIN") or "/usr/lib/llvm-22/bin"

# What LLVM calls the levels, and the features (as in /proc/cpuinfo) that a machine must have to run them.
LEVELS = {
    "x86-64-v2": {"sse4_2", "ssse3"},
    "x86-64-v3": {"avx2", "fma", "bmi2"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}


def runnable_cpus():
    """"native" and the x86-64 levels that this machine can run."""
    flags = set()
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("flags"):
                flags = set(line.split(":")[1].split())
                break
    return ["native"] + [level for level, needs in LEVELS.items() if needs <= flags]


def _passes():
    """The passes of the CPU target that this quern-opt has."""
    text = subprocess.run(["quern-opt", "--help"], capture_output=True, text=True, check=True).stdout
    return {name for name in ("quern-expand-math",) if "--" + name in text}


class CompileError(Exception):
    """A tool failed; the message holds its diagnostics."""


def _run(command, **keywords):
    result = subprocess.run(command, capture_output=True, text=True, **keywords)
    if result.returncode:
        raise CompileError(" ".join(command) + "\n" + result.stderr)
    return result.stdout


def _descriptor(array):
    rank = array.ndim

    class Memref(ctypes.Structure):
        _fields_ = [("allocated", ctypes.c_void_p), ("aligned", ctypes.c_void_p), ("offset", ctypes.c_int64),
                    ("sizes", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)]

    size = array.itemsize
    assert all(stride % size == 0 for stride in array.strides)
    return Memref(array.ctypes.data, array.ctypes.data, 0, (ctypes.c_int64 * rank)(*array.shape),
                  (ctypes.c_int64 * rank)(*(stride // size for stride in array.strides)))


# vdpbf16ps in operations that all processors have, by its definition (Intel's Software Developer's Manual, volume 2C) but
# for denormal numbers: the second product of each pair first, each sum rounded.
DOT = re.compile(r"@llvm\.x86\.avx512bf16\.dpbf16ps\.(512|256|128)")
DOT_DEFINITION = """
define internal <16 x float> @dpbf16ps.512(<16 x float> %sums, <32 x bfloat> %a, <32 x bfloat> %b) alwaysinline {
  %a.pairs = bitcast <32 x bfloat> %a to <16 x i32>
  %b.pairs = bitcast <32 x bfloat> %b to <16 x i32>
  %a.upper = and <16 x i32> %a.pairs, splat (i32 -65536)
  %b.upper = and <16 x i32> %b.pairs, splat (i32 -65536)
  %a.second = bitcast <16 x i32> %a.upper to <16 x float>
  %b.second = bitcast <16 x i32> %b.upper to <16 x float>
  %a.lower = shl <16 x i32> %a.pairs, splat (i32 16)
  %b.lower = shl <16 x i32> %b.pairs, splat (i32 16)
  %a.first = bitcast <16 x i32> %a.lower to <16 x float>
  %b.first = bitcast <16 x i32> %b.lower to <16 x float>
  %half = call <16 x float> @llvm.fma.v16f32(<16 x float> %a.second, <16 x float> %b.second, <16 x float> %sums)
  %whole = call <16 x float> @llvm.fma.v16f32(<16 x float> %a.first, <16 x float> %b.first, <16 x float> %half)
  ret <16 x float> %whole
}
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
"""


def without_dot_products(text):
    """LLVM IR with `DOT_DEFINITION` in the place of the instruction, which it must have."""
    lines = [line for line in text.splitlines() if not (line.startswith("declare") and DOT.search(line))]
    assert any(DOT.search(line) for line in lines), "there are no dot products of bf16"
    return DOT.sub(r"@dpbf16ps.\1", "\n".join(lines)) + DOT_DEFINITION


class Program:
    """The functions of an MLIR text, emitted for `cpu` (with changes to its model, such as "l3=0"), compiled and loaded. With
    `emulated`, they are compiled for this machine, which need not be able to run code for `cpu`: LLVM takes the vectors apart."""

    def __init__(self, text, cpu="native", keep=None, machine="", emulated=False):
        self.cpu, self.machine, self.emulated = cpu, machine, emulated
        directory = keep or tempfile.mkdtemp(prefix="quern-kernel-")
        try:
            self._build(text, directory)
        finally:
            if not keep:
                shutil.rmtree(directory, ignore_errors=True)

    def _build(self, text, directory):
        path = lambda suffix: os.path.join(directory, "kernel" + suffix)
        with open(path(".mlir"), "w") as file:
            file.write(text)
        expand = ",quern-expand-math{cpu=%s}" % self.cpu if "quern-expand-math" in _passes() else ""
        pipeline = ("builtin.module(func.func(llvm-request-c-wrappers),quern-emit-cpu{cpu=%s machine=%s}%s,quern-lower-to-llvm)"
                    % (self.cpu, self.machine, expand))
        start = time.time()
        _run(["quern-opt", path(".mlir"), "--pass-pipeline=" + pipeline, "-o", path(".llvm.mlir")])
        self.emit_seconds = time.time() - start
        _run([LLVM + "/mlir-translate", "--mlir-to-llvmir", path(".llvm.mlir"), "-o", path(".ll")])
        if self.emulated:
            with open(path(".ll"), encoding="utf-8") as file:
                text = without_dot_products(file.read())
            with open(path(".ll"), "w", encoding="utf-8") as file:
                file.write(text)
        target = "native" if self.emulated else self.cpu
        start = time.time()
        # LLVM prefers 256-bit vectors on some processors; the kernels are written for the widest.
        _run([LLVM + "/clang", "-O3", "-march=" + target, "-Wno-override-module", "-fPIC", "-c", path(".ll"), "-o",
              path(".o")] + (["-Xclang", "-target-feature", "-Xclang", "-prefer-256-bit"]
                             if target in ("native", "x86-64-v4") else []))
        self.compile_seconds = time.time() - start
        # Each library has a name of its own, so that several can be loaded side by side.
        library = path("-" + hashlib.sha1((self.cpu + self.machine + text).encode()).hexdigest()[:12] + ".so")
        _run([LLVM + "/clang", "-shared", "-fopenmp", "-L", os.path.dirname(LLVM) + "/lib",
              "-Wl,-rpath," + os.path.dirname(LLVM) + "/lib", path(".o"), "-o", library, "-lm"])
        self.library = ctypes.CDLL(library)

    def arguments(self, *arguments):
        """What `call` takes: build it once when timing."""
        held = [_descriptor(a) if isinstance(a, np.ndarray) else ctypes.c_int64(a) for a in arguments]
        return [ctypes.byref(h) if isinstance(h, ctypes.Structure) else h for h in held]

    def __call__(self, name, *arguments, threads=2):
        self.library.omp_set_num_threads(threads)
        getattr(self.library, "_mlir_ciface_" + name)(*self.arguments(*arguments))

    def same_bits(self, name, *arguments, counts=(1, 2, 3, 4)):
        """Calls with each number of threads from the same arrays; all of them must end with the same bits.
        The arrays are left as the first call leaves them."""
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        before = [_whole(a).copy() for a in arrays]
        first = None
        for count in counts:
            for array, old in zip(arrays, before):
                _whole(array)[...] = old
            self(name, *arguments, threads=count)
            after = [_whole(a).tobytes() for a in arrays]
            if first is None:
                first = after
            elif first != after:
                raise AssertionError("%s (%s): %d threads give other bits than %d" % (name, self.cpu, count, counts[0]))

    def time(self, name, *arguments, threads=2, seconds=0.5, repeat=3):
        """Seconds of one call: the best of at least `repeat` calls, for `seconds` in all."""
        self.library.omp_set_num_threads(threads)
        function, held = getattr(self.library, "_mlir_ciface_" + name), self.arguments(*arguments)
        function(*held)
        best, spent, calls = float("inf"), 0.0, 0
        while calls < repeat or spent < seconds:
            start = time.perf_counter()
            function(*held)
            taken = time.perf_counter() - start
            best, spent, calls = min(best, taken), spent + taken, calls + 1
        return best


def bf16(x):
    """Rounds to the nearest bf16, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(x):
    return (np.asarray(x).astype(np.uint32) << 16).view(np.float32)


# Arrays that notice writes around them ------------------------------------------------------------

CANARY = 0x7FA5C3E1  # a signalling NaN in f32, and its upper half in bf16: reading it shows as well
GUARD = 64           # canary words on each side


def _whole(array):
    """All memory of a guarded array; the array itself otherwise."""
    return array.base if isinstance(array, _Guarded) and array.base is not None else array


class _Guarded(np.ndarray):
    pass


def guarded(shape, dtype=np.float32, pitch=None, fill=None, line_aligned=False):
    """An array whose memory is canaries, inside and around; rows `pitch` elements apart when given (the gaps
    are canaries too). `fill` gives the values to start with. With `line_aligned` it starts at a multiple of
    64 bytes, otherwise anywhere."""
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    row = shape[-1] if shape else 1
    pitch = pitch or row
    rows = int(np.prod(shape[:-1])) if shape else 1
    words = -(-dtype.itemsize * rows * pitch // 4)
    memory = np.full(2 * GUARD + 16 + words, CANARY, np.uint32).view(_Guarded)
    start = GUARD + (-memory.ctypes.data // 4 % 16 if line_aligned else 0)
    strides = [pitch * dtype.itemsize, dtype.itemsize][2 - min(len(shape), 2):]
    for size in reversed(shape[1:-1]):
        strides.insert(0, strides[0] * size)
    array = np.ndarray.__new__(_Guarded, shape, dtype, memory, start * 4, tuple(strides))
    if fill is not None:
        array[...] = fill
    return array


def check_guards(*arrays):
    """Raises where a canary around a guarded array, or between its rows, was overwritten."""
    for array in arrays:
        memory = np.asarray(array.base).view(np.uint16)
        covered = np.full(memory.shape, True)
        start = (array.ctypes.data - memory.ctypes.data) // 2
        covered_view = np.ndarray(array.shape + (array.itemsize // 2,), bool, covered, start,
                                  tuple(s // 2 for s in array.strides) + (1,))
        covered_view[...] = False
        bad = np.flatnonzero(covered & (memory != np.full(memory.size // 2, CANARY, np.uint32).view(np.uint16)))
        if bad.size:
            raise AssertionError("%d half words around an array of shape %s were overwritten, the first at half word %d"
                                 % (bad.size, array.shape, bad[0] - start))


def check_close(what, got, wanted, tolerance):
    """Raises unless |got - wanted| <= tolerance (an array or a number) everywhere; NaN fails."""
    error = np.abs(np.asarray(got, np.float64) - wanted)
    bad = ~(error <= tolerance)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError("%s: %d of %d values are off, the first at %s: %r instead of %r"
                             % (what, bad.sum(), bad.size, where, np.asarray(got)[where], np.asarray(wanted)[where]))
