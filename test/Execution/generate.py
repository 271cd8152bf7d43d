# ===- generate.py - Text whose tokens are drawn where the model runs ------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: env QUERN_CUDA_DRIVER=%cuda_driver %python %s %t

# The program generate draws what the host draws from the logits of decode, on any number of threads and past the window; the
# emulated GPU writes the processor's greedy text, and the same sampled text with and without graphs.

import os
import subprocess
import sys

import numpy as np

from compiled import SMALL_GPT, Model, check, tokens
from safetensors_numpy import read, write

SETTINGS = [["--temperature", "0"], ["--seed", "3"], ["--temperature", "1.5", "--top-k", "7"], ["--top-p", "0.7", "--seed", "18446744073709551615"]]
CONTEXT, VOCABULARY = 40, 61
PROMPT = ["--ids", "--prompt", "3 5 7 11"]


def fails(model, arguments, message):
    done = subprocess.run([model.program, *arguments], env=model.environment(), capture_output=True, text=True, check=False)
    check(done.returncode == 1 and message in done.stderr, f"{arguments}: {done.returncode}, {done.stderr}")


def check_texts(drawing, host, weights):
    """60 tokens, which go past the context of 40."""
    command = ["generate", "--weights", weights, *PROMPT, "--device=cpu", "--tokens", "60"]
    for options in SETTINGS:
        wanted = host.execute(*command, *options)
        check(len(wanted.split()) == 60, wanted)
        for threads in (1, 2, 3, 4):
            text = drawing.execute(*command, *options, threads=threads)
            check(text == wanted, f"{options}, {threads} threads:\n{text}instead of\n{wanted}")
        windowed = [m.execute(*command, *options, "--window", "9") for m in (drawing, host)]
        check(windowed[0] == windowed[1], f"{options}, a window: {windowed}")
    check(drawing.execute(*command[:-1], "1") == host.execute(*command[:-1], "1"), "one token")


def check_end(drawing, weights):
    command = ["generate", "--weights", weights, *PROMPT, "--device=cpu", "--tokens", "30", "--seed", "3"]
    text = drawing.execute(*command).split()
    for end in {text[0], text[9], text[29]}:
        stopped = drawing.execute(*command, "--end-token", end).split()
        check(stopped == text[:text.index(end)], f"end token {end}: {stopped} of {text}")


def check_gpu(drawing, weights):
    command = ["generate", "--weights", weights, *PROMPT, "--tokens", "12"]
    greedy = [drawing.execute(*command, "--temperature", "0", device) for device in ("--device=cpu", "--device=gpu")]
    check(greedy[0] == greedy[1], f"greedy on the GPU: {greedy}")
    sampled = [*command, "--seed", "3", "--top-p", "0.9", "--device=gpu"]
    text = drawing.execute(*sampled)
    os.environ["QUERN_CUDA_GRAPHS"] = "0"
    check(drawing.execute(*sampled) == text, "other tokens without graphs")
    del os.environ["QUERN_CUDA_GRAPHS"]
    words = text.split()
    stopped = drawing.execute(*sampled, "--end-token", words[5]).split()
    check(stopped == words[:words.index(words[5])], f"end token on the GPU: {stopped} of {words}")


def check_batch(drawing, arrays):
    """Three texts at once, one step: the tokens of the largest logits, and everything ready for the next."""
    shape = (2, 3, 8, 3, 16)
    inputs = {"tokens": np.array([[3], [50], [9]], np.int32), "cache.block.0.keys": np.zeros(shape, np.float32),
              "cache.block.0.values": np.zeros(shape, np.float32)}
    decoded = drawing.run("decode", inputs, arrays, ["--device=cpu"])
    for device in ("cpu", "gpu"):
        step = drawing.run("generate", inputs, arrays, [f"--device={device}"])
        wanted = decoded["logits"].argmax(-1)
        check((step["drawn"] == wanted).all() and (step["tokens"] == wanted).all(), f"{device}: {step['drawn']} {wanted}")
        check(step["position"] == 1 and step["index"] == 1, f"{device}: {step['position']} {step['index']}")
        again = drawing.run("generate", {name: array for name, array in step.items() if name != "drawn"}, arrays, [f"--device={device}"])
        check(again["position"] == 2 and again["index"] == 2, f"{device}: second step")


def main():
    folder = sys.argv[1]
    programs = "--programs=train_step,prefill,decode"
    drawing = Model(os.path.join(folder, "drawing"), SMALL_GPT, ["--target=cpu,nvidia", "--gpu=sm_80", "--precision=f32", programs + ",generate"])
    # Parameters in rows, as the other has them for its GPU: sums then have one order, and logits the same bits.
    host = Model(os.path.join(folder, "host"), SMALL_GPT, [programs, "--layout=rows"])
    drawing.run("train_step", tokens(VOCABULARY, 2, 19), options=["--device=cpu"])
    weights = drawing.path("outputs.safetensors")
    arrays = {name: array * 8 if array.ndim == 2 else array for name, array in read(weights).items() if name not in ("loss", "gradient_norm")}
    weights = drawing.path("sharp.safetensors")  # with logits that differ
    write(weights, arrays)
    check_texts(drawing, host, weights)
    check_end(drawing, weights)
    check_gpu(drawing, weights)
    check_batch(drawing, arrays)

    damaged = dict(arrays)
    damaged["wpe.weight"] = arrays["wpe.weight"].copy()
    damaged["wpe.weight"][6] = np.nan
    write(drawing.path("damaged.safetensors"), damaged)
    command = ["generate", "--weights", drawing.path("damaged.safetensors"), *PROMPT, "--tokens", "12"]
    for device in ("cpu", "gpu"):
        fails(drawing, [*command, f"--device={device}"], "error: the model's logits are not numbers; its weights are damaged")
    print("the tokens are the same")


if __name__ == "__main__":
    main()
