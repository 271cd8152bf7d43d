# ===- derive-decoder.py - Decoders agree with the forward pass -------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""Logits of prefill and decode, in float64, are those of forward at the last position of each part, for any split.

RUN: python3 %s %t
"""

import json
import os
import struct
import subprocess
import sys

import numpy as np

TYPES = {"F64": "<f8", "F32": "<f4", "I32": "<i4", "I64": "<i8"}


def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], TYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
    }


def write(path, arrays):
    names = {np.dtype(value): key for key, value in TYPES.items()}
    header, data = {}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def evaluate(program, text, inputs, folder):
    write(f"{folder}/inputs.safetensors", inputs)
    subprocess.run(
        ["quern-reference", text, "--function", program, "--random", "5", "--dims", "batch=2",
         "capacity=11", "--inputs", f"{folder}/inputs.safetensors", "--outputs",
         f"{folder}/outputs.safetensors"],
        check=True,
    )  # fmt: skip
    return read(f"{folder}/outputs.safetensors")


def check(name, options, folder):
    text = subprocess.run(
        ["quern", "new", *options], check=True, capture_output=True, text=True
    ).stdout
    # The table of positions must not be called as the option of decoders is: inputs go by name here.
    text = text.replace("@position ", "@positions ")
    path = f"{folder}/{name}.mlir"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    derived = f"{folder}/{name}.derived.mlir"
    subprocess.run(["quern-opt", path, "--quern-fuse", "--quern-derive", "-o", derived], check=True)
    tokens = np.random.default_rng(1).integers(0, 13, (2, 9)).astype(np.int32)
    expected = evaluate("forward", derived, {"tokens": tokens}, folder)["logits"]
    for split in ([9], [1] * 9, [4, 1, 1, 3], [1, 5, 3]):
        caches, position = {}, 0
        for length in split:
            part = tokens[:, position : position + length]
            inputs = {"tokens": part, "position": np.array(position, np.int32), **caches}
            # Before the first part, caches hold arbitrary numbers.
            results = evaluate("decode" if length == 1 else "prefill", derived, inputs, folder)
            logits = results.pop("logits")
            assert logits.shape == (2, 1, 13), logits.shape
            error = np.abs(logits - expected[:, position + length - 1 : position + length]).max()
            assert error < 1e-10, f"{name}, split {split}, position {position}: {error}"
            # Files prefix names with the role, which the names of caches begin with already.
            caches = {"cache." + key.split("cache.")[-1]: results[key] for key in results}
            position += length
        assert len(caches) == 2, sorted(caches)
        print(f"{name}, split {split}: ok")


folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
small = "--layers 2 --heads 4 --width 16 --vocabulary 13 --context 11".split()
check("gpt", ["gpt", *small], folder)
check("llama", ["llama", *small, "--kv-heads", "2", "--hidden", "12"], folder)
check("interleaved", ["llama", *small, "--hidden", "12", "--rotary", "interleaved"], folder)
