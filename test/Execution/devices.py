# ===- devices.py - Programs on a GPU against the processor's --------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: env QUERN_CUDA_DRIVER=%cuda_driver %python %s %t

# One executable with code for both: losses, gradients, two steps of training and decoded tokens agree. With activations in
# bf16 they agree to its three digits. Here on an emulated GPU; test/Device runs the same on a real one.

import os
import sys

import numpy as np

from compiled import SMALL_GPT, SMALL_LLAMA, Model, check, tokens

CPU, GPU = ["--device=cpu"], ["--device=gpu"]


def worst(got, expected, names):
    """The largest difference, in units of the largest element of all."""
    largest = max(np.abs(expected[name]).max() for name in names)
    return max(np.abs(got[name] - expected[name]).max() for name in names) / largest


def agree(kind, got, expected, allowed):
    check(abs(got["loss"].ravel()[0] - expected["loss"].ravel()[0]) <= allowed * expected["loss"].ravel()[0], f"{kind}: loss")
    names = [name for name in expected if name not in ("loss", "gradient_norm")]
    error = worst(got, expected, names)
    check(error <= allowed, f"{kind}: {error} of the largest")


KINDS = {"gpt": SMALL_GPT, "llama": SMALL_LLAMA}
EXACT, NARROW = ["--target=cpu,nvidia", "--gpu=sm_80", "--precision=f32"], ["--target=nvidia", "--gpu=sm_80", "--programs=gradients"]


def compare(name, exact, narrow):
    """`exact` computes in f32 on both devices, `narrow` in bf16 on the GPU."""
    inputs = tokens(61, batch=2, sequence=19)
    gradients = exact.run("gradients", inputs, options=CPU)
    agree(name + " gradients", exact.run("gradients", inputs, options=GPU), gradients, 2e-5)
    stepped = exact.run("train_step", inputs, options=[*CPU, "--steps", "2"])
    on_gpu = exact.run("train_step", inputs, options=[*GPU, "--steps", "2"])
    check(np.abs(on_gpu["loss"] - stepped["loss"]).max() <= 1e-5 * stepped["loss"][0], f"{name}: losses {on_gpu['loss']}")

    command = ["generate", "--weights", exact.path("outputs.safetensors"), "--ids", "--prompt", "3 5 7 11", "--tokens", "12", "--temperature", "0"]
    texts = [exact.execute(*command, *device) for device in (CPU, GPU)]
    check(texts[0] == texts[1] and len(texts[0].split()) == 12, f"{name}: {texts}")

    agree(name + " in bf16", narrow.run("gradients", inputs), gradients, 0.03)
    print(name, "agrees")


def main():
    for name, new in KINDS.items():
        folder = os.path.join(sys.argv[1], name)
        compare(name, Model(folder, new, EXACT), Model(folder + "16", new, NARROW))


if __name__ == "__main__":
    main()
