"""Launches of quern-emulate on NumPy arrays, for the tests beside this file."""

import os
import subprocess

import numpy as np

random = np.random.default_rng(0)


def to_bfloat16(x):
    """The nearest bf16 numbers as uint16, ties to even; all finite."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bfloat16(x):
    return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def draw(rows, columns):
    """Standard normal numbers in bf16."""
    return to_bfloat16(random.standard_normal((rows, columns)).astype(np.float32))


class Launcher:
    """Keeps the arguments of launches as files of a folder."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def buffer(self, name, values):
        values.tofile(self.path(name))
        return "buffer:" + self.path(name)

    def tensor(self, name, values, box, kind="bf16", swizzle=",128"):
        """A two-dimensional tensor; `box` is columns by rows."""
        rows, columns = values.shape
        values.tofile(self.path(name))
        return f"tensor:{kind},{columns}x{rows},{box[0]}x{box[1]}{swizzle}:{self.path(name)}"

    def result(self, name, shape, kind=np.float32):
        return np.fromfile(self.path(name), kind).reshape(shape)

    def emulate(self, ptx, options, arguments):
        """Runs one launch in turn and with two seeds: nothing may be found, and the bits must be the same."""
        command = ["quern-emulate", ptx, *options]
        for argument in arguments:
            command += ["--argument", argument]
        files = [a.split(":")[-1] for a in arguments if a.startswith(("buffer:", "tensor:"))]
        before = {name: open(name, "rb").read() for name in files}
        results = []
        for schedule in ("0", "1", "2"):
            for name, contents in before.items():
                open(name, "wb").write(contents)
            run = subprocess.run(command + ["--schedule", schedule], stdout=subprocess.PIPE, text=True)
            assert run.returncode == 0, f"{ptx}, schedule {schedule}:\n{run.stdout}"
            results.append([open(name, "rb").read() for name in files])
        assert results[0] == results[1] == results[2], ptx


def expect(what, result, exact, bound):
    """`bound` is the error that the formats of the numbers allow each element."""
    error = np.max(np.abs(result - exact) / bound)
    assert np.isfinite(result).all() and error <= 1, (what, error)


def product_bound(a, b):
    """Of a @ b.T on tensor cores: sums are cut to 24 bits after every 8 products of 16-bit numbers."""
    return a.shape[1] / 8 * 2.0**-23 * (np.abs(a) @ np.abs(b).T)
