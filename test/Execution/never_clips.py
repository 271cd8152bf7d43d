# ===- never_clips.py - Programs that never clip gradients ----------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t %S/../Runtime/Inputs/text.py

# --clip=never updates weights within the backward pass, most of them where their gradient is computed. It changes when that
# happens, and no bit of what happens: a run is that of a program whose clipping is turned off, for any number of threads, and
# goes on from its checkpoint; one that clips does not. What saves memory is in the program's own account of it.

import filecmp
import json
import os
import shutil
import subprocess
import sys

from compiled import SMALL_GPT, SMALL_LLAMA, Model, check, tokens

PROGRAMS = "--programs=train_step,loss"
folder, make_text = sys.argv[1:]


def refused(model, message, *arguments):
    command = [model.program, *arguments]
    done = subprocess.run(command, env=model.environment(), capture_output=True, text=True, check=False)
    check(done.returncode == 2 and message in done.stderr, f"{command} ended with {done.returncode}: {done.stderr}, not {message}")


def same_bits(name, new, batch, sequence, *options):
    """Weights and losses after a few steps."""
    clips = Model(os.path.join(folder, name), new, [PROGRAMS, *options])
    never = Model(os.path.join(folder, name + ".never"), new, [PROGRAMS, "--clip=never", *options])
    inputs = tokens(61, batch, sequence)
    steps = ["--steps", "4", "--learning-rate", "3e-3"]
    expected = clips.run("train_step", inputs, options=[*steps, "--clip", "0"])
    expected.pop("gradient_norm")
    clipped = clips.run("train_step", inputs, options=[*steps, "--clip", "0.01"])
    check(clipped["loss"].tobytes() != expected["loss"].tobytes(), f"{name}: clipping changes nothing")
    for threads in (1, 2, 3, 4):
        got = never.run("train_step", inputs, options=steps, threads=threads)
        check(sorted(got) == sorted(expected), f"{name}: results {sorted(got)}, not {sorted(expected)}")
        for key, value in expected.items():
            check(got[key].tobytes() == value.tobytes(), f"{name}: other bits of {key} with {threads} threads")
    return clips, never


def gradient_bytes(model):
    """What the description of train_step says about memory for gradients."""
    (step,) = (p for p in json.loads(model.execute("info", "--json"))["programs"] if p["name"] == "train_step")
    check(step["clips"] == (not model.folder.endswith(".never")), f"clips: {step['clips']}")
    return sum(use["bytes"] for use in step["arena"] if use["use"] == "gradients")


def runs(clips, never):
    """Runs of `train`, and which program continues which."""
    text = os.path.join(folder, "text")
    with open(text, "w", encoding="utf-8") as file:
        subprocess.run([sys.executable, make_text, "4000"], check=True, stdout=file)
    out = {name: os.path.join(folder, "run." + name) for name in ("off", "never", "resumed", "clipped")}
    for path in out.values():
        shutil.rmtree(path, ignore_errors=True)
    train = ["train", "--data", text, "--batch", "3", "--sequence", "24", "--schedule", "constant", "--warmup", "0"]
    clips.execute(*train, "--steps", "6", "--clip", "0", "--out", out["off"])
    never.execute(*train, "--steps", "6", "--out", out["never"])
    clips.execute(*train, "--steps", "3", "--clip", "0", "--out", out["resumed"])
    never.execute("train", "--resume", "--steps", "6", "--out", out["resumed"])
    for name in ("never", "resumed"):
        for file in ("weights", "checkpoint"):
            one, other = (os.path.join(out[run], file + ".safetensors") for run in ("off", name))
            check(filecmp.cmp(one, other, shallow=False), f"{other} has other bits than {one}")
    lines = [json.loads(line) for line in open(os.path.join(out["never"], "log.jsonl"), encoding="utf-8")]
    check(all("gradient_norm" not in line for line in lines), "a norm that nothing computed is logged")

    refused(never, "--clip 1: program 'train_step' never clips gradients, for it was compiled with --clip=never; leave --clip out, or compile the "
            "model without --clip=never", *train, "--clip", "1", "--out", out["clipped"])
    refused(never, "--clip 1: program 'train_step' never clips", "run", "train_step", "--random-inputs", "--batch", "1", "--sequence", "4", "--clip", "1")
    clips.execute(*train, "--steps", "3", "--out", out["clipped"])
    refused(never, "clips gradients to a norm of 1, and this program, compiled with --clip=never, cannot; continue it with a program compiled "
            "without that, or start a new run with --weights and another --out", "train", "--resume", "--steps", "6", "--out", out["clipped"])
    # And the way back: a run that never clipped goes on so.
    clips.execute("train", "--resume", "--steps", "6", "--out", out["never"])
    refused(clips, "contradicts the checkpoint", "train", "--resume", "--clip", "1", "--out", out["never"])


# Bytes as tokens, for `train`.
BYTES = ["gpt", "--layers", "3", "--heads", "2", "--width", "40", "--context", "40", "--vocabulary", "256", "--untied"]
gpt, gpt_never = same_bits("gpt", BYTES, 2, 39)
runs(gpt, gpt_never)
# Of the gradients of this model, the vectors of one layer and the positions' table are left.
before, after = gradient_bytes(gpt), gradient_bytes(gpt_never)
check(after < before / 4, f"{after} bytes for gradients of {before}")
same_bits("tied", SMALL_GPT, 2, 17)  # the token table is the output matrix
same_bits("llama", SMALL_LLAMA, 3, 21)
same_bits("narrow", SMALL_GPT, 2, 39, "--precision=bf16")
same_bits("fixed", SMALL_LLAMA, 2, 39, "--shape", "batch=2,sequence=39")
# Several blocks of K: more tokens than a block has.
same_bits("deep", BYTES, 3, 40, "--machine", "panel=4K")
