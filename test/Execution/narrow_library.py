# ===- narrow_library.py - A library whose programs take weights in bf16, through its C interface -----===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %library_python %s %t

# However weights change (a file, a step of training, quern_set_parameter, a pointer into them), the next run sees them
# rounded; caches are bf16 on their way in and out.

import ctypes
import os
import subprocess
import sys

import numpy as np

from compiled import SMALL_GPT, check

F32, I32, BF16 = 0, 2, 4
TYPES = {F32: np.float32, I32: np.int32, BF16: np.uint16}


class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_int), ("rank", ctypes.c_int32),
                ("shape", ctypes.c_int64 * 8), ("data", ctypes.c_void_p)]

    def array(self):
        """The memory itself."""
        count = int(np.prod(self.shape[: self.rank]))
        dtype = np.dtype(TYPES[self.type])
        memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(self.data)
        return np.frombuffer(memory, dtype).reshape(self.shape[: self.rank])


def compile_library(folder):
    os.makedirs(folder, exist_ok=True)
    os.environ.pop("LD_PRELOAD", None)  # processes bring their own sanitizers
    text, path = os.path.join(folder, "model.mlir"), os.path.join(folder, "model.so")
    with open(text, "w", encoding="utf-8") as file:
        subprocess.run(["quern", "new", *SMALL_GPT], check=True, stdout=file)
    subprocess.run(["quern", "compile", text, "--emit=lib", "--precision=bf16", "-o", path], check=True)
    return ctypes.CDLL(path)


class Model:
    def __init__(self, library):
        self.library = library
        library.quern_open.restype = ctypes.c_void_p
        library.quern_error.restype = ctypes.c_char_p
        library.quern_parameter_count.restype = ctypes.c_int64
        self.handle = ctypes.c_void_p(library.quern_open())
        self.must(self.library.quern_initialize(self.handle, ctypes.c_uint64(3)))

    def error(self):
        return self.library.quern_error().decode()

    def must(self, status):
        check(status == 0, self.error())

    def run(self, program, **inputs):
        kinds = {np.dtype(kind): number for number, kind in TYPES.items()}
        self.inputs = inputs
        given = (Tensor * len(inputs))(*(
            Tensor(name.encode(), kinds[x.dtype], x.ndim, (ctypes.c_int64 * 8)(*x.shape), x.ctypes.data)
            for name, x in inputs.items()))
        return self.library.quern_run(self.handle, program.encode(), given, ctypes.c_size_t(len(inputs)))

    def result(self, name):
        tensor = Tensor()
        self.must(self.library.quern_result(self.handle, name.encode(), ctypes.byref(tensor)))
        return tensor.array().copy()

    def logits(self):
        self.must(self.run("forward", tokens=TOKENS))
        return self.result("logits")

    def parameter(self, name):
        for index in range(self.library.quern_parameter_count(self.handle)):
            tensor = Tensor()
            self.must(self.library.quern_parameter(self.handle, ctypes.c_int64(index), ctypes.byref(tensor)))
            if tensor.name.decode() == name:
                return index, tensor.array()
        sys.exit(f"there is no parameter {name}")

    def set(self, index, values):
        self.must(self.library.quern_set_parameter(self.handle, ctypes.c_int64(index), ctypes.c_void_p(values.ctypes.data)))

    def save(self, path):
        self.must(self.library.quern_save_weights(self.handle, path.encode()))

    def load(self, path):
        self.must(self.library.quern_load_weights(self.handle, path.encode()))


def same(a, b):
    return a.tobytes() == b.tobytes()


TOKENS = np.random.default_rng(0).integers(0, 61, (2, 9), dtype=np.int32)
folder = sys.argv[1]
library = compile_library(folder)
model, other = Model(library), Model(library)
start = model.logits()
check(same(start, other.logits()), "two models with the same weights differ")

targets = np.roll(TOKENS, -1, axis=1).copy()
model.must(model.run("train_step", tokens=TOKENS, targets=targets))
trained = model.logits()
check(not same(trained, start), "a step of training does not show")
path = os.path.join(folder, "weights.safetensors")
model.save(path)
other.load(path)
check(same(trained, other.logits()), "loaded weights do not show")

index, table = model.parameter("wte.weight")
kept = table.copy()
model.set(index, np.zeros_like(kept))
check(np.abs(model.logits()).max() == 0, "a parameter that was set does not show")
table[...] = kept
check(same(trained, model.logits()), "what was written through a pointer does not show")
table[...] = 0
check(np.abs(model.logits()).max() == 0, "what was written through a pointer does not show a second time")
table[...] = kept

# Caches.
token = np.array([[7]], np.int32)
model.must(model.run("decode", tokens=token, position=np.array(0, np.int32)))
first = model.result("logits")
caches = {name: model.result(name) for name in ("cache.block.0.keys", "cache.block.0.values")}
check(all(cache.dtype == np.uint16 for cache in caches.values()), "caches are not bf16")
model.must(model.run("decode", tokens=token, position=np.array(1, np.int32), **caches))
second = model.result("logits")
check(not same(first, second), "the second token does not see the first")
model.must(model.run("prefill", tokens=np.array([[7, 7]], np.int32), position=np.array(0, np.int32)))
# A key that two orders of addition round apart differs by up to 2^-8.
check(np.abs(model.result("logits") - second).max() <= 2.0**-8 * np.abs(second).max(), "decoding and prefill differ")
wide = {name: cache.astype(np.float32) for name, cache in caches.items()}
check(model.run("decode", tokens=token, **wide) == -1, "a cache of f32 was taken")
check(model.error() == "input 'cache.block.0.keys' has type f32, the program expects bf16", model.error())
print("agrees")
