# ===- narrow.py - Programs that keep weights and caches in bf16 ----------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: env QUERN_CUDA_DRIVER=%cuda_driver %python %s %t

# --precision=bf16 on the CPU and on an emulated GPU, against f32. On the CPU only storage is bf16: with weights that are
# numbers of bf16 the forward pass gives the bits of f32, and what decoding adds is the rounding of the cache. On the GPU
# activations are rounded too. Both write the tokens that f32 writes.

import json
import os
import sys

import numpy as np

from compiled import SMALL_GPT, SMALL_LLAMA, Model, check, tokens
from safetensors_numpy import bf16, from_bf16

PROMPT = 7
PROGRAMS = "--programs=forward,loss,prefill,decode"
LENGTH = 24


def types_of(model, device):
    """The types of the weights and of the caches that program decode takes, as `info` tells."""
    programs = json.loads(model.execute("info", "--json", "--device=" + device))["programs"]
    decode = next(program for program in programs if program["name"] == "decode")
    caches = [argument for argument in decode["arguments"] if len(argument["shape"]) == 5]
    check(decode["cache_bytes"] > 0 and caches, "decode has no caches")
    return decode["weights_bytes"], {argument["type"] for argument in caches}


def decoded(model, ids, options=()):
    """Logits from the last position of a prompt on, then one by one, with caches that go through files."""
    batch, length = ids.shape
    results = model.run("prefill", {"tokens": ids[:, :PROMPT].copy(), "position": np.array(0, np.int32), **empty(model, batch, options)}, options=options)
    pieces = [results.pop("logits")]
    for position in range(PROMPT, length):
        given = {"tokens": ids[:, position : position + 1].copy(), "position": np.array(position, np.int32), **results}
        results = model.run("decode", given, options=options)
        pieces.append(results.pop("logits"))
    return np.concatenate(pieces, axis=1), results


def empty(model, batch, options):
    first = model.run("decode", {"tokens": np.zeros((batch, 1), np.int32)}, options=options)
    return {name: np.zeros([*cache.shape[:2], LENGTH, *cache.shape[3:]], cache.dtype) for name, cache in first.items() if name != "logits"}


def largest_error(got, expected):
    return np.abs(got - expected).max() / np.abs(expected).max()


def same_bits(name, exact, narrow, inputs, trained):
    """Weights that bf16 holds: nothing is rounded before a cache is written."""
    weights = {key: from_bf16(bf16(value)) for key, value in trained.items()}
    for program in ("forward", "loss"):
        given = inputs if program == "loss" else {"tokens": inputs["tokens"]}
        expected = exact.run(program, given, weights)
        got = narrow.run(program, given, weights, options=["--device=cpu"])
        for key, value in expected.items():
            check(value.tobytes() == got[key].tobytes(), f"{name}: {key} of {program} has other bits than in f32")
    # A file in bf16 gives them as well.
    stored = narrow.run("loss", inputs, {key: bf16(value) for key, value in weights.items()}, options=["--device=cpu"])
    check(stored["loss"].tobytes() == expected["loss"].tobytes(), f"{name}: weights from a file in bf16")


def compare(name, new, vocabulary):
    folder = os.path.join(sys.argv[1], name)
    exact = Model(folder, new)
    narrow = Model(folder + "16", new, ["--target=cpu,nvidia", "--gpu=sm_80", "--precision=bf16", PROGRAMS])
    for device in ("cpu", "gpu"):
        weights, caches = types_of(narrow, device)
        check(caches == {"bf16"}, f"{name}: on the {device} caches are {caches}")
        check(set(weights) == {"bf16", "f32"} and weights["bf16"] > 4 * weights["f32"], f"{name}: on the {device} weights are {weights}")
    check(types_of(exact, "cpu")[1] == {"f32"}, f"{name}: f32 is not exact")

    # A model that is sure of its tokens.
    inputs = tokens(vocabulary, batch=2, sequence=LENGTH)
    trained = exact.run("train_step", inputs, options=["--steps", "60", "--learning-rate", "3e-3"])
    trained = {key: value for key, value in trained.items() if key not in ("loss", "gradient_norm")}
    same_bits(name, exact, narrow, inputs, trained)

    # Each rounding moves what comes out by up to 2^-8, and independent ones add up as their root. Two layers round their
    # six weights, keys and values, the tables and, on the GPU, what each of about twelve kernels writes.
    from_trained = ["--weights", exact.path("trained.safetensors")]
    exact.run("forward", {"tokens": inputs["tokens"]}, trained)
    os.replace(exact.path("weights.safetensors"), exact.path("trained.safetensors"))
    expected = exact.run("forward", {"tokens": inputs["tokens"]}, options=from_trained)["logits"]
    for device, roundings in (("cpu", 2 * 8 + 2), ("gpu", 2 * 20 + 2)):
        options = ["--device=" + device, *from_trained]
        allowed = 2.0**-8 * roundings**0.5
        logits, caches = decoded(narrow, inputs["tokens"], options)
        check(all(cache.dtype == np.uint16 for cache in caches.values()), f"{name}: caches come back as {caches}")
        error = largest_error(logits, expected[:, PROMPT - 1 :])
        check(0 < error <= allowed, f"{name}: decoding on the {device} is off by {error}, allowed are {allowed}")
        whole = narrow.run("forward", {"tokens": inputs["tokens"]}, options=options)["logits"]
        error = largest_error(whole, expected)
        check(0 < error <= allowed, f"{name}: the forward pass on the {device} is off by {error}, allowed are {allowed}")

    prompt = " ".join(str(token) for token in inputs["tokens"][0, :6])
    command = ["generate", *from_trained, "--ids", "--prompt", prompt, "--tokens", "12", "--temperature", "0"]
    texts = [model.execute(*command, *device) for model, device in ((exact, []), (narrow, ["--device=cpu"]), (narrow, ["--device=gpu"]))]
    check(len(set(texts)) == 1 and len(texts[0].split()) == 12, f"{name}: {texts}")
    print(name, "agrees")


compare("gpt", SMALL_GPT, 61)
compare("llama", SMALL_LLAMA, 67)
