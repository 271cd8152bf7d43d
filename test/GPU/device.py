#===- device.py - Compile kernels for GPUs and run them on the emulator ---------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===---------------------------------------------------------------------------------------------===#
"""Compile functions made of kernel ops for a GPU and call them on NumPy arrays: the program's own host code asks for
the launches, and the emulator executes the PTX and checks it.

    from device import Program, function, output, check_close

    program = Program(function("f", {"x": "memref<?x768xf32>", "y": "memref<?x768xf32>"},
                               "kernel.softmax %x into %y : (memref<?x768xf32>, memref<?x768xf32>) -> ()"), "sm_80")
    y = output((5, 768))          # uninitialized on the device; must be written everywhere
    program("f", x, y)            # raises on anything that the emulator finds
    program.same_bits("f", x, y)  # other schedules of the warps give the same bits

Arguments are dense arrays, contiguous in memory; strided operands are made in the function's body, by memref.subview.
bf16 arrays are uint16 arrays: `bf16(x)` rounds to them, `from_bf16(x)` reads them. quern-opt is taken from PATH,
LLVM's tools from QUERN_LLVM_BIN.

The same tests run on a real GPU, on a machine that has no compiler (test/Device). With QUERN_DEVICE_PACK=FOLDER in the
environment programs are compiled and stored there, and calls do nothing; Python's -O leaves out the assertions about
their results. With QUERN_DEVICE_PACKED=FOLDER programs come from there and run on the GPU: not its accesses are
checked, but whether all of the outputs, and nothing beside the arguments, was written. With QUERN_DEVICE_LOOK=1 as well
nothing runs, and it is only looked whether the programs are there.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.path.append(os.path.join(os.path.dirname(__file__), os.pardir, "CPU"))
import ptxas  # noqa: E402
from kernel_harness import CompileError, check_close  # noqa: E402,F401 (check_close is for our users)

LLVM = os.environ.get("QUERN_LLVM_BIN") or "/usr/lib/llvm-22/bin"
PACK, PACKED = os.environ.get("QUERN_DEVICE_PACK"), os.environ.get("QUERN_DEVICE_PACKED")
IDLE = bool(PACK or os.environ.get("QUERN_DEVICE_LOOK"))  # nothing runs
SKIPPED = 77  # what a test ends with that needs another GPU

if IDLE:
    def check_close(what, got, wanted, tolerance):  # noqa: F811 (nothing has run)
        pass


def _run(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise CompileError(" ".join(command) + "\n" + result.stderr)
    return result.stdout + result.stderr


def _load_device():
    if PACKED:
        library = ctypes.CDLL(os.path.join(PACKED, "lib", "libquern_cuda_device.so"), ctypes.RTLD_GLOBAL)
        library.device_allocate.restype = library.device_uninitialized.restype = ctypes.c_uint64
        library.device_problems.restype = library.device_describe.restype = ctypes.c_char_p
        library.device_launched.restype = library.device_unpack.restype = ctypes.c_char_p
        library.device_time.restype = library.device_copy_rate.restype = ctypes.c_double
        if not library.device_describe():
            sys.exit(library.device_problems().decode())
        return library
    # Programs that run as processes of their own bring their own sanitizers (lit.local.cfg).
    os.environ.pop("LD_PRELOAD", None)
    build = os.path.dirname(os.path.dirname(shutil.which("quern-opt")))
    # Programs that are loaded later find quern_device_launch in it.
    library = ctypes.CDLL(os.path.join(build, "test", "GPU", "libquern_emulated_device.so"), ctypes.RTLD_GLOBAL)
    library.device_allocate.restype = library.device_uninitialized.restype = ctypes.c_uint64
    library.device_problems.restype = library.device_launched.restype = ctypes.c_char_p
    library.device_unpack.restype = library.device_reports.restype = ctypes.c_char_p
    return library


_device = None if IDLE else _load_device()


def _runs(architecture):
    """Whether the GPU takes code for it: sm_90a is for compute capability 9.0 alone."""
    capability = re.search(r"compute capability (\d+)\.(\d+)", _device.device_describe().decode())
    major, minor = (int(number) for number in capability.groups())
    return (major, minor) == (9, 0) if architecture == "sm_90a" else (major, minor) >= (8, 0)


# All that there is code for: what needs no GPU is assembled for each of them.
ALL_ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_90a")
ARCHITECTURES = tuple(a for a in ("sm_80", "sm_90a") if not PACKED or IDLE or _runs(a))


def function(name, arguments, body):
    """The text of a program: `arguments` maps names to types of dense memrefs, `body` has one kernel or more."""
    signature = ", ".join("%%%s: %s" % argument for argument in arguments.items())
    return """func.func @%s(%s, %%arena: memref<?xi8> {quern.arena}) attributes {quern.program} {
  %s
  return
}
func.func @%s.arena_bytes(%s) -> i64 {
  %%none = arith.constant 0 : i64
  return %%none : i64
}
""" % (name, signature, body, name, signature)


def kernel(name, op, arguments):
    """The text of a program that is one op, whose operands are all `arguments` in their order."""
    return function(name, arguments, "%s : (%s) -> ()" % (op, ", ".join(arguments.values())))


class Output(np.ndarray):
    """An array that is uninitialized on the device when a program starts."""


def output(shape, dtype=np.float32):
    return np.zeros(shape, dtype).view(Output)


def bf16(x):
    """Rounds to the nearest bf16, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(x):
    return (np.asarray(x).astype(np.uint32) << 16).view(np.float32)


class _Row(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("run", ctypes.c_void_p), ("arena_bytes", ctypes.c_void_p)]


class _Code(ctypes.Structure):
    _fields_ = [("architecture", ctypes.c_char_p), ("text", ctypes.c_void_p), ("programs", ctypes.POINTER(_Row)),
                ("text_bytes", ctypes.c_int64)]


def _descriptor(address, array):
    class Memref(ctypes.Structure):
        _fields_ = [("allocated", ctypes.c_uint64), ("aligned", ctypes.c_uint64), ("offset", ctypes.c_int64),
                    ("shape", ctypes.c_int64 * (2 * array.ndim))]

    strides = [stride // array.itemsize for stride in array.strides]
    return Memref(address, address, 0, (ctypes.c_int64 * (2 * array.ndim))(*array.shape, *strides))


class Program:
    """The functions of an MLIR text, compiled for `architecture` and loaded."""

    loaded = None  # the program whose PTX the device has

    def __init__(self, text, architecture="sm_80", keep=None, precision="auto"):
        self.architecture, self.precision = architecture, precision
        given = "" if precision == "auto" else precision + "\n"
        key = hashlib.sha256((given + architecture + "\n" + text).encode()).hexdigest()[:20] + ".so"
        if PACKED:
            path = os.path.join(PACKED, "kernels", key)
            if not os.path.exists(path):
                raise CompileError("there is no program for %s of this text in %s; pack it again" % (architecture, PACKED))
            if IDLE:
                return
            if not _runs(architecture):
                print("this GPU does not run code for", architecture)
                sys.exit(SKIPPED)
            self._load(path)
            return
        if PACK and os.path.exists(os.path.join(PACK, "kernels", key)):
            return
        directory = keep or tempfile.mkdtemp(prefix="quern-device-")
        try:
            self._build(text, directory)
            if PACK:
                shutil.move(os.path.join(directory, "host.so"), os.path.join(PACK, "kernels", key))
                return
            self._load(os.path.join(directory, "host.so"))
            with open(os.path.join(directory, "kernels.ptx"), "w") as file:
                file.write(self.ptx)
        finally:
            if not keep:
                shutil.rmtree(directory, ignore_errors=True)

    @property
    def ptx(self):
        frame, size = ctypes.c_void_p(self.code.text), ctypes.c_int64(self.code.text_bytes)
        return _device.device_unpack(frame, size).decode()

    def _build(self, text, directory):
        path = lambda name: os.path.join(directory, name)
        with open(path("kernels.mlir"), "w") as file:
            file.write('module attributes {quern.model = "{}"} {\n%s}\n' % text)
        phases = "builtin.module(quern-select-targets{targets=%s},quern-phase-emit{targets=%s precision=%s},quern-phase-llvm{targets=%s debug-info=false})"
        _run(["quern-opt", path("kernels.mlir"), "--pass-pipeline=" + phases % (self.architecture, self.architecture, self.precision, self.architecture),
              "-o", path("host.mlir")])
        _run([LLVM + "/mlir-translate", "--mlir-to-llvmir", path("host.mlir"), "-o", path("host.ll")])
        _run([LLVM + "/clang", "-O1", "-Wno-override-module", "-fPIC", "-shared", path("host.ll"), "-o",
              path("host.so")] + (["-s"] if PACK else []))

    def _load(self, path):
        self.library = ctypes.CDLL(path)
        self.code = code = _Code.in_dll(self.library, "quern_device_codes")
        assert code.architecture.decode() == self.architecture
        self.functions = {}
        row = 0
        while code.programs[row].name:
            entry = code.programs[row]
            run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64)(entry.run)
            arena = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(entry.arena_bytes)
            self.functions[entry.name.decode()] = run, arena
            row += 1

    def load(self):
        """Makes its code the device's; what went wrong before is forgotten."""
        _device.device_clear()
        if Program.loaded is self:
            return
        if PACKED:
            _device.device_load_codes(ctypes.byref(self.code))
        else:
            _device.device_load(self.ptx.encode())
        Program.loaded = self

    def __call__(self, name, *arrays, schedule=0):
        """Runs a function; arrays get what the device's memory holds after it."""
        if IDLE:
            return
        run, arena_bytes = self.functions[name]
        self.load()
        if not PACKED:
            _device.device_schedule(ctypes.c_uint64(schedule))
        addresses = {}
        try:
            for number, array in enumerate(arrays):
                assert array.flags.c_contiguous, "argument %d is not contiguous" % number
                if id(array) not in addresses:
                    addresses[id(array)] = self._upload(array, "argument %d" % number)
            descriptors = [_descriptor(addresses[id(array)], array) for array in arrays]
            pointers = (ctypes.c_void_p * len(arrays))(*(ctypes.addressof(d) for d in descriptors))
            arena = _device.device_allocate(ctypes.c_uint64(max(arena_bytes(pointers), 1)), b"the arena")
            addresses[None] = arena
            if PACKED:
                _device.device_run(name.encode(), pointers, ctypes.c_uint64(arena))
            else:
                run(pointers, arena)
            self._raise_problems(name)
            for number, array in enumerate(arrays):
                self._download(name, array, addresses[id(array)], number)
        finally:
            for address in addresses.values():
                _device.device_free(ctypes.c_uint64(address))

    def _upload(self, array, name):
        address = _device.device_allocate(ctypes.c_uint64(max(array.nbytes, 1)), name.encode())
        if not isinstance(array, Output) and array.nbytes:
            _device.device_write(ctypes.c_uint64(address), ctypes.c_void_p(array.ctypes.data),
                                 ctypes.c_uint64(array.nbytes))
        return address

    def _download(self, name, array, address, number):
        if not array.nbytes:
            return
        missing = _device.device_uninitialized(ctypes.c_uint64(address), ctypes.c_uint64(array.nbytes),
                                               ctypes.c_uint64(array.itemsize))
        if missing:
            raise AssertionError("%s (%s): nobody wrote %d of %d bytes of argument %d" % (
                name, self.architecture, missing, array.nbytes, number))
        _device.device_read(ctypes.c_uint64(address), ctypes.c_void_p(array.ctypes.data), ctypes.c_uint64(array.nbytes))

    def _raise_problems(self, name):
        problems = _device.device_problems().decode()
        if problems:
            raise AssertionError("%s (%s):\n%s" % (name, self.architecture, problems))

    def launched(self):
        """The kernels that the last call launched, in order."""
        return [] if IDLE else _device.device_launched().decode().split()

    def kernels(self):
        """The PTX of each kernel."""
        if IDLE:
            return {}
        parts = re.split(r"\.visible \.entry (\w+)\(", self.ptx)
        return dict(zip(parts[1::2], parts[2::2]))

    def counters(self):
        """What the launches of the last call counted; None on a real GPU."""
        if IDLE or PACKED:
            return None
        values = (ctypes.c_uint64 * 5)()
        _device.device_counters(values)
        return dict(zip(("warp_instructions", "thread_instructions", "global_sectors", "shared_accesses",
                         "bank_conflicts"), values))

    def same_bits(self, name, *arrays, schedules=(0, 1)):
        """Calls from the same arrays with each schedule of the warps; all must end with the same bits. The arrays are
        left as the first call leaves them."""
        if IDLE:
            return
        before = [array.copy() for array in arrays]
        first = None
        for schedule in reversed(schedules):
            for array, old in zip(arrays, before):
                array[...] = old
            self(name, *arrays, schedule=schedule)
            after = [array.tobytes() for array in arrays]
            if first is not None and first != after:
                raise AssertionError("%s (%s): schedule %d gives other bits than %d" % (
                    name, self.architecture, schedule, schedules[-1]))
            first = after

    def assemble(self):
        """What ptxas says of each kernel (ptxas.py); None where there is no ptxas. Raises on its warnings."""
        if IDLE or PACKED:
            return None
        return ptxas.assemble(self.ptx, self.architecture)


def check_assembly(program):
    """Raises where ptxas, if there is one, warns or spills registers."""
    for name, kernel in (program.assemble() or {}).items():
        if kernel["spills"]:
            raise AssertionError("%s (%s) spills %d bytes" % (name, program.architecture, kernel["spills"]))
