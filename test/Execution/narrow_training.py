# ===- narrow_training.py - Training with activations in bf16 on the processor ---------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t %S/../Runtime/Inputs/text.py

# --precision=bf16 trains with activations of bf16, multiplied by the weights, or by copies of them in bf16 where the processor multiplies
# bf16; weights, moments and gradients of weights are the f32 ones of any other program. So losses and gradients agree with those of f32 to the digits of bf16, the number of threads changes no bit, and
# a run goes on in the other precision from its checkpoint.

import json
import os
import shutil
import subprocess
import sys

import numpy as np

from compiled import SMALL_GPT, SMALL_LLAMA, Model, check, tokens
from devices import agree

PROGRAMS = "--programs=gradients,train_step,loss"
folder, make_text = sys.argv[1:]


def models(name, new):
    return Model(os.path.join(folder, name), new, [PROGRAMS]), Model(os.path.join(folder, name + "16"), new, [PROGRAMS, "--precision=bf16"])


def compare(name, exact, narrow):
    precisions = [json.loads(model.execute("info", "--json"))["target"]["precision"] for model in (exact, narrow)]
    check(precisions == ["f32", "bf16"], f"{name}: precisions {precisions}")
    inputs = tokens(61, batch=2, sequence=39)
    expected = exact.run("gradients", inputs)
    got = narrow.run("gradients", inputs)
    check({key: (value.dtype, value.shape) for key, value in got.items()} == {key: (value.dtype, value.shape) for key, value in expected.items()},
          f"{name}: gradients have other types or shapes")
    check(any(got[key].tobytes() != value.tobytes() for key, value in expected.items()), f"{name}: nothing is rounded")
    agree(name, got, expected, 0.03)  # as on a GPU

    steps = ["--steps", "30", "--learning-rate", "3e-3"]
    learned, exactly = narrow.run("train_step", inputs, options=steps), exact.run("train_step", inputs, options=steps)
    losses, wanted = learned["loss"], exactly["loss"]
    check(losses[-1] < 0.6 * losses[0], f"{name}: 30 steps on one batch take the loss from {losses[0]} to {losses[-1]} only")
    check(np.abs(losses / wanted - 1).max() < 0.02, f"{name}: losses {losses}, in f32 {wanted}")
    # What a program that does not train, and has weights in bf16, makes of them.
    weights = {key: value for key, value in learned.items() if key not in ("loss", "gradient_norm")}
    got, expected = (model.run("loss", inputs, weights)["loss"] for model in (narrow, exact))
    check(abs(got / expected - 1) < 0.02, f"{name}: a loss of {got}, in f32 {expected}")


def same_bits(name, narrow):
    inputs = tokens(61, batch=3, sequence=37)
    for program, options in (("gradients", []), ("train_step", ["--steps", "3"])):
        first = narrow.run(program, inputs, options=options, threads=1)
        for threads in (2, 3, 4):
            again = narrow.run(program, inputs, options=options, threads=threads)
            for key, value in first.items():
                check(value.tobytes() == again[key].tobytes(), f"{name}: {key} of {program} has other bits on {threads} threads")


def losses(path):
    with open(os.path.join(path, "log.jsonl"), encoding="utf-8") as file:
        return np.array([entry["loss"] for entry in map(json.loads, file) if "loss" in entry])


def crosses(exact, narrow):
    """From one precision to the other and back, in the middle of a run."""
    with open(exact.path("text"), "wb") as file:
        subprocess.run([sys.executable, make_text, "20000"], check=True, stdout=file)
    shared = ["--data", exact.path("text"), "--schedule", "constant", "--warmup", "5", "--learning-rate", "1e-3", "--batch", "4",
              "--sequence", "32", "--seed", "5"]
    for name, parts in (("straight", [exact]), ("crossed", [narrow, exact, narrow])):
        shutil.rmtree(exact.path(name), ignore_errors=True)
        for number, model in enumerate(parts):
            steps = str(60 * (number + 1) // len(parts))
            model.execute("train", *shared, "--out", exact.path(name), "--steps", steps, *(["--resume"] if number else []))
    straight, crossed = losses(exact.path("straight")), losses(exact.path("crossed"))
    check(len(straight) == len(crossed) and straight[-1] < 0.8 * straight[0], f"losses {straight} and {crossed}")
    check(np.abs(crossed / straight - 1).max() < 0.02, f"losses {crossed}, all in f32 {straight}")


for kind, arguments in (("gpt", SMALL_GPT), ("llama", SMALL_LLAMA)):
    pair = models(kind, arguments)
    compare(kind, *pair)
    same_bits(kind, pair[1])
    print(kind, "agrees")
# Products of bf16 by pairs along K, as on processors with AVX512-BF16; where these are the default, without.
exact, narrow = models("gpt", SMALL_GPT)
other = "none" if "bf16 dot products (AVX512-BF16)" in subprocess.run(
    ["quern", "bench", "machine", "--threads", "1", "--peers", "none"], check=True, capture_output=True, text=True).stdout else "bf16"
pairs = Model(narrow.path("pairs"), SMALL_GPT, [PROGRAMS, "--precision=bf16", "--machine=dot=" + other])
compare("by pairs", exact, pairs)
same_bits("by pairs", pairs)
inputs = tokens(61, batch=2, sequence=39)
sums, pair_sums = narrow.run("gradients", inputs), pairs.run("gradients", inputs)
check(any(pair_sums[key].tobytes() != value.tobytes() for key, value in sums.items()), "the order of sums has changed nowhere")
agree("by pairs and by single elements", pair_sums, sums, 0.03)
crosses(*models("bytes", "gpt --layers 2 --heads 2 --width 32 --context 32 --vocabulary 256".split()))
print("a run goes on in the other precision")
