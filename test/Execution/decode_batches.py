# ===- decode_batches.py - Steps of a decoder with few and with many sequences ----------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t

# Of few sequences each thread computes small rows for itself, of many (8 and more) all threads share the work. Either way a sequence
# gets the logits and the caches that it gets alone, and the bits are those of any number of threads. So in programs whose
# batch is open, fixed to few, fixed to many, and with caches in bf16; with a context that is read in several pieces.

import os
import sys

import numpy as np

from compiled import Model, check

GPT = ["gpt", "--layers", "2", "--heads", "3", "--width", "48", "--context", "400", "--vocabulary", "61"]
LLAMA = ["llama", "--layers", "2", "--heads", "4", "--kv-heads", "2", "--width", "40", "--hidden", "104", "--context", "400"]
LLAMA += ["--vocabulary", "61"]
CAPACITY = 300


def states(model, batches):
    """Inputs of a step for the most sequences; those of fewer are the first of them."""
    most, draw = max(batches), np.random.default_rng(5)
    ids = draw.integers(0, 61, (most, 1), dtype=np.int32)
    first = model.run("decode", {"tokens": ids[: batches[0]], "position": np.array(0, np.int32)})
    caches = {}
    for name, cache in first.items():
        if name != "logits":
            layers, _, _, heads, width = cache.shape
            values = draw.standard_normal((layers, most, CAPACITY, heads, width)).astype(np.float32)
            if cache.dtype == np.uint16:  # bf16: the upper half
                values = (values.view(np.uint32) >> 16).astype(np.uint16)
            caches[name] = values
    check(caches, "decode returns no caches")
    return ids, caches


def step(model, ids, caches, batch, position, threads):
    inputs = {"tokens": ids[:batch], "position": np.array(position, np.int32)}
    inputs.update((name, np.ascontiguousarray(cache[:, :batch])) for name, cache in caches.items())
    return model.run("decode", inputs, threads=threads)


def numbers(array):
    return (array.astype(np.uint32) << 16).view(np.float32) if array.dtype == np.uint16 else array


def steps(model, batches, tolerance):
    ids, caches = states(model, batches)
    for position in (0, 130, CAPACITY - 1):
        alone = None
        for batch in batches:
            results = [step(model, ids, caches, batch, position, threads) for threads in (1, 2, 3, 4)]
            for threads, other in enumerate(results[1:], start=2):
                for name, value in results[0].items():
                    check(value.tobytes() == other[name].tobytes(), f"{name}, {batch} sequences at {position}: other bits on {threads} threads")
            alone = alone or results[0]
            for name, value in results[0].items():
                axis = 0 if name == "logits" else 1
                mine = [numbers(x).take(range(min(batches)), axis) for x in (value, alone[name])]
                error = np.abs(mine[0] - mine[1]).max() / np.abs(mine[1]).max()
                check(error <= tolerance, f"{name}, {batch} sequences at {position}: differ by {error} of the largest from {batches[0]}")
                if name != "logits":
                    kept = np.delete(value, position, axis=2)
                    check((kept == np.delete(caches[name][:, :batch], position, axis=2)).all(), f"{name}: another row than {position} changed")
                    check((value[:, :, position] != caches[name][:, :batch, position]).any(), f"{name}: row {position} did not change")


for label, new in (("gpt", GPT), ("llama", LLAMA)):
    steps(Model(os.path.join(sys.argv[1], label), new, ["--programs=decode"]), (1, 2, 7, 8, 9), 2e-6)
    steps(Model(os.path.join(sys.argv[1], label + "-bf16"), new, ["--programs=decode", "--precision=bf16"]), (1, 7, 8), 2e-2)
    for batch in (5, 9):
        steps(Model(os.path.join(sys.argv[1], f"{label}-{batch}"), new, ["--programs=decode", f"--shape=batch={batch}"]), (batch,), 0)
    print(label, "decodes any number of sequences")
