# ===- llama2c.py - A checkpoint of llama2.c as safetensors --------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""llama2c.py IN.bin OUT.safetensors: version 0 of the format, float32, with llama2.c's own names."""

import struct
import sys

import numpy as np

from safetensors_numpy import write

with open(sys.argv[1], "rb") as file:
    dim, hidden, layers, heads, kv_heads, vocabulary, _ = struct.unpack("<7i", file.read(28))
    data = np.frombuffer(file.read(), np.float32)
kv = dim // heads * kv_heads
shapes = {
    "tok_embeddings": (abs(vocabulary), dim),
    "attention_norm": (layers, dim),
    "wq": (layers, dim, dim),
    "wk": (layers, kv, dim),
    "wv": (layers, kv, dim),
    "wo": (layers, dim, dim),
    "ffn_norm": (layers, dim),
    "w1": (layers, hidden, dim),
    "w2": (layers, dim, hidden),
    "w3": (layers, hidden, dim),
    "norm": (dim,),
}
arrays, offset = {}, 0
for name, shape in shapes.items():
    size = int(np.prod(shape))
    arrays[name] = data[offset : offset + size].reshape(shape)
    offset += size
write(sys.argv[2], arrays)
