#===- timed.py - Times kernels on operands that the device alone has ------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""measure(program, row): seconds of a run, after a look at the result of products."""

import ctypes

import numpy as np

import device
from device import bf16, check_close, from_bf16

TYPES = {"bf16": np.uint16, "f32": np.float32, "f64": np.float64, "i32": np.int32}


class _Shape:
    """What a descriptor needs to know of an array."""

    def __init__(self, shape, itemsize):
        self.shape, self.ndim, self.itemsize = shape, len(shape), itemsize
        self.strides = [itemsize * int(np.prod(shape[i + 1:], dtype=np.int64)) for i in range(len(shape))]


def _values(operand):
    """A piece of the operand's values; it is repeated all over."""
    count = int(min(np.prod(operand.shape, dtype=np.int64), 1 << 22))
    random = np.random.default_rng(count)
    if isinstance(operand.fill, str) and operand.fill.startswith("below"):
        return random.integers(0, int(operand.fill.split()[1]), count, dtype=np.int32)
    values = random.standard_normal(count).astype(np.float32) if operand.fill == "normal" else np.full(count, operand.fill)
    return bf16(values) if operand.element == "bf16" else values.astype(TYPES[operand.element])


class Memory:
    """The operands of a row in the device's memory, and the arena. Without `fill` operands are what memory is."""

    def __init__(self, program, row, fill=True):
        self.row, self.addresses = row, {}
        self.library = device._device
        program.load()
        try:
            for name, operand in row.operands.items():
                self.addresses[name] = self.allocate(operand.bytes(), name)
                if fill and operand.fill is not None:
                    values = _values(operand)
                    self.library.device_repeat(ctypes.c_uint64(self.addresses[name]), ctypes.c_uint64(operand.bytes()),
                                               ctypes.c_void_p(values.ctypes.data), ctypes.c_uint64(values.nbytes))
            self.descriptors = [device._descriptor(self.addresses[name], _Shape(operand.shape, np.dtype(TYPES[operand.element]).itemsize))
                                for name, operand in row.operands.items()]
            self.pointers = (ctypes.c_void_p * len(self.descriptors))(*(ctypes.addressof(d) for d in self.descriptors))
            self.arena = self.allocate(max(program.functions["f"][1](self.pointers), 1), "the arena")
            self.addresses[None] = self.arena
        except Exception:
            self.free()
            raise

    def allocate(self, count, name):
        address = self.library.device_allocate(ctypes.c_uint64(count), name.encode())
        self.check()
        return address

    def check(self):
        problems = self.library.device_problems().decode()
        if problems:
            self.library.device_clear()
            raise RuntimeError(problems.strip())

    def free(self):
        for address in self.addresses.values():
            self.library.device_free(ctypes.c_uint64(address))

    def time(self, runs):
        seconds = self.library.device_time(b"f", self.pointers, ctypes.c_uint64(self.arena), ctypes.c_uint64(runs))
        self.check()
        return seconds

    def read(self, name, rows=None):
        """An operand in f32, or a range of its rows."""
        operand = self.row.operands[name]
        begin, end = rows or (0, operand.shape[0])
        width = operand.bytes() // operand.shape[0]
        values = np.empty((end - begin, operand.shape[1]), TYPES[operand.element])
        self.library.device_read(ctypes.c_uint64(self.addresses[name] + begin * width), ctypes.c_void_p(values.ctypes.data),
                                 ctypes.c_uint64(values.nbytes))
        return from_bf16(values) if operand.element == "bf16" else values


def _check_product(memory):
    """The first and the last row of C against float64: bf16 rounds by 2^-8, and sums of f32 by some 1e-5 of their
    terms."""
    _, m, _, _, layout = memory.row.peer
    b = memory.read("b")
    for row in (0, m - 1):
        a = memory.read("a")[:, row] if layout[0] == "t" else memory.read("a", (row, row + 1))[0]
        columns = b.T if layout[1] == "t" else b
        wanted, size = np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
        for k in range(0, len(a), 1024):  # float64 of all of B would not fit everywhere
            piece = columns[k:k + 1024].astype(np.float64)
            wanted += a[k:k + 1024] @ piece
            size += np.abs(a[k:k + 1024]) @ np.abs(piece)
        check_close("row %d of %s" % (row, memory.row.name), memory.read("c", (row, row + 1))[0], wanted,
                    2.0**-8 * np.abs(wanted) + 1e-5 * size)


def measure(program, row, seconds):
    """Seconds of one run, the mean of as many as fit into `seconds`."""
    memory = Memory(program, row)
    try:
        once = memory.time(1)
        if row.peer[0] == "gemm":
            _check_product(memory)
        return memory.time(int(min(max(seconds / once, 3), 300)))
    finally:
        memory.free()


def copy_rate(count):
    """Bytes a second that the device's own copy moves, reading and writing `count` bytes."""
    rate = device._device.device_copy_rate(ctypes.c_uint64(count))
    problems = device._device.device_problems().decode()
    if problems:
        raise RuntimeError(problems.strip())
    return rate
