# ===- programs.py - Compiled programs among themselves ------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t

# All programs of a small GPT and a small Llama: bits for any number of threads, decoding against the forward
# pass for splits of the text, gradients against differences of the loss, and steps that lower it.

import filecmp
import os
import sys

import numpy as np

from compiled import SMALL_GPT, SMALL_LLAMA, Model, check, tokens


def same_bits(model, inputs):
    for program, options in (("forward", []), ("gradients", []), ("train_step", ["--steps", "3"])):
        given = inputs if program != "forward" else {"tokens": inputs["tokens"]}
        for threads in (1, 2, 3, 4):
            model.run(program, given, options=options, threads=threads, outputs=f"{program}.{threads}")
            same = filecmp.cmp(model.path(f"{program}.1"), model.path(f"{program}.{threads}"), shallow=False)
            check(same, f"{program} gives other bits with {threads} threads than with 1")


def decodes(model, inputs):
    """Prefill in pieces and decode token by token: the logits of each last position are those of the forward pass, to float32 rounding."""
    ids = inputs["tokens"]
    expected = model.run("forward", {"tokens": ids})["logits"]
    length = ids.shape[1]
    for cuts in ([length], [1] * length, [length // 2, 1, 1, length - length // 2 - 2], [5, 1, length - 6]):
        state, position, pieces, last = {}, 0, [], []
        for piece in cuts:
            program = "decode" if piece == 1 else "prefill"
            given = {"tokens": ids[:, position : position + piece].copy(), "position": np.array(position, np.int32)}
            if not state:
                # The cache must have room for all that is to come.
                state = empty_caches(model, ids.shape[0], length)
            results = model.run(program, {**given, **state})
            pieces.append(results.pop("logits"))
            state = results
            position += piece
            last.append(position - 1)
        error = np.abs(np.concatenate(pieces, axis=1) - expected[:, last]).max() / np.abs(expected).max()
        check(error <= 2e-6, f"pieces of {cuts} tokens: logits differ by {error} of the largest")


def empty_caches(model, batch, capacity):
    first = model.run("decode", {"tokens": np.zeros((batch, 1), np.int32), "position": np.array(0, np.int32)})
    caches = {}
    for name, cache in first.items():
        if name != "logits":
            shape = list(cache.shape)
            shape[2] = capacity  # [layers, batch, capacity, heads, head dimension]
            caches[name] = np.zeros(shape, cache.dtype)
    check(caches, "decode returns no caches")
    return caches


def descends(model, inputs):
    losses = model.run("train_step", inputs, options=["--steps", "30", "--learning-rate", "3e-3"])["loss"]
    check(losses[-1] < 0.6 * losses[0], f"30 steps on one batch take the loss from {losses[0]} to {losses[-1]} only")


def slope(model, inputs, weights_of):
    """The loss along the gradient: (loss(w + h g) - loss(w - h g)) / 2h = |g|^2."""
    results = model.run("gradients", inputs, weights_of)
    gradient = {name[len("gradient.") :]: value for name, value in results.items() if name.startswith("gradient.")}
    squared = sum(float((value.astype(np.float64) ** 2).sum()) for value in gradient.values())
    step = 1e-2 / np.sqrt(squared)
    losses = []
    for sign in (1, -1):
        moved = {name: (value + sign * step * gradient[name]).astype(np.float32) for name, value in weights_of.items()}
        losses.append(float(model.run("loss", inputs, moved)["loss"]))
    measured = (losses[0] - losses[1]) / (2 * step)
    check(abs(measured / squared - 1) < 1e-2, f"the loss rises by {measured} along the gradient, not by {squared}")


for name, new, vocabulary in (("gpt", SMALL_GPT, 61), ("llama", SMALL_LLAMA, 67)):
    small = Model(os.path.join(sys.argv[1], name), new)
    given = tokens(vocabulary, 3, 37)
    same_bits(small, given)
    decodes(small, given)
    descends(small, given)
    start = small.run("train_step", given, options=["--steps", "2"])
    slope(small, given, {key: value for key, value in start.items() if key not in ("loss", "gradient_norm")})
    print(name, "agrees with itself")
