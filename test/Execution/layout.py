# ===- layout.py - Parameters in panels and in rows ------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t %S/../Runtime/Inputs/text.py

# --layout says how parameters lie in memory. Nobody sees it: files, gradients and results are those of any layout, up to the
# order of sums, and a run goes on in the other layout from its checkpoint.

import json
import os
import shutil
import subprocess
import sys

import numpy as np

from compiled import Model, check, tokens

PROGRAMS = "--programs=gradients,train_step,loss,prefill,decode"
# Whole panels and narrow ones, of columns (GPT) and of rows (Llama), on every processor.
GPT = ["gpt", "--layers", "2", "--heads", "4", "--width", "100", "--context", "64", "--vocabulary", "256"]
LLAMA = ["llama", "--layers", "2", "--heads", "6", "--kv-heads", "3", "--width", "108", "--hidden", "136", "--context", "64",
         "--vocabulary", "67", "--untied"]
folder, make_text = sys.argv[1:]


def pair(name, new, *options):
    return [Model(os.path.join(folder, name + layout), new, [PROGRAMS, "--layout=" + layout, *options]) for layout in ("rows", "panels")]


def close(what, got, expected, relative):
    check(got.keys() == expected.keys(), f"{what}: results are {sorted(got)}, in rows {sorted(expected)}")
    for key, value in expected.items():
        scale = np.abs(value.astype(np.float64)).max()
        error = np.abs(got[key].astype(np.float64) - value).max()
        check(got[key].shape == value.shape and error <= relative * scale, f"{what}: {key} is off by {error} of {scale}")


def in_panels(model):
    """The parameters that lie in panels, from the description that the executable carries."""
    with open(model.program, "rb") as file:
        text = file.read()
    start = text.index(b'{"context"')
    description = json.JSONDecoder().raw_decode(text[start:text.index(b"\0", start)].decode())[0]
    return [parameter["name"] for parameter in description["parameters"] if "panels" in parameter]


def compare(name, rows, panels, relative):
    check(not in_panels(rows) and in_panels(panels), f"{name}: in panels lie {in_panels(rows)} and {in_panels(panels)}")
    inputs = tokens(61, batch=2, sequence=39)
    close(name + " gradients", panels.run("gradients", inputs), rows.run("gradients", inputs), relative)
    prompt = {"tokens": inputs["tokens"][:1]}
    close(name + " prefill", panels.run("prefill", prompt), rows.run("prefill", prompt), relative)
    one = {"tokens": inputs["tokens"][:1, :1]}
    close(name + " decode", panels.run("decode", one), rows.run("decode", one), relative)
    steps = ["--steps", "3"]
    learned, wanted = panels.run("train_step", inputs, options=steps), rows.run("train_step", inputs, options=steps)
    close(name + " training", {"loss": learned["loss"]}, {"loss": wanted["loss"]}, relative)
    # AdamW divides by the size of a gradient: where that is nothing but rounding, an update may point anywhere.
    close(name + " weights", learned, wanted, 0.05)
    for threads in (1, 3, 4):
        again = panels.run("train_step", inputs, options=steps, threads=threads)
        for key, value in learned.items():
            check(value.tobytes() == again[key].tobytes(), f"{name}: {key} has other bits on {threads} threads")


def crosses(rows, panels):
    """From one layout to the other and back, in the middle of a run."""
    with open(rows.path("text"), "wb") as file:
        subprocess.run([sys.executable, make_text, "20000"], check=True, stdout=file)
    shared = ["--data", rows.path("text"), "--schedule", "constant", "--warmup", "5", "--learning-rate", "1e-3", "--batch", "4",
              "--sequence", "32", "--seed", "5"]
    losses = {}
    for name, parts in (("straight", [rows]), ("crossed", [panels, rows, panels])):
        out = rows.path(name)
        shutil.rmtree(out, ignore_errors=True)
        for number, model in enumerate(parts):
            steps = str(60 * (number + 1) // len(parts))
            model.execute("train", *shared, "--out", out, "--steps", steps, *(["--resume"] if number else []))
        with open(os.path.join(out, "log.jsonl"), encoding="utf-8") as file:
            losses[name] = np.array([entry["loss"] for entry in map(json.loads, file) if "loss" in entry])
    straight, crossed = losses["straight"], losses["crossed"]
    check(straight.shape == crossed.shape and np.abs(crossed / straight - 1).max() < 1e-3,
          f"losses {crossed} across layouts, {straight} in rows")
    check(straight[-1] < 0.8 * straight[0], f"60 steps take the loss from {straight[0]} to {straight[-1]} only")


gpt = pair("gpt", GPT)
compare("GPT", *gpt, 2e-5)
crosses(*gpt)
compare("Llama", *pair("llama", LLAMA), 2e-5)
# Updates on the accumulators write panels as well: the same bits.
never = [model.run("train_step", tokens(61, batch=2, sequence=39), options=["--steps", "3"]) for model in pair("never", LLAMA, "--clip=never")]
check(all(value.tobytes() == never[1][key].tobytes() for key, value in never[0].items()), "without clipping, layouts differ in bits")
compare("Llama in bf16", *pair("narrow", LLAMA, "--precision=bf16"), 2e-2)
