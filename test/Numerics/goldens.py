# ===- goldens.py - Training goldens against the reference interpreter ------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# REQUIRES: data
# RUN: %python %s %shared_data/training-goldens %S/Inputs %t

# Logits, loss, every gradient and AdamW's steps of trained models, which PyTorch computed in float64.
# The files round results to float32. Derived programs run in the float64 interpreter.

import json
import os
import subprocess
import sys

import numpy as np

from safetensors_numpy import read, write

# Rounding of the stored results: half a unit in the last place of float32.
ROUNDING = 2.0**-24


def reference(text, function, weights, inputs, outputs):
    subprocess.run(
        ["quern-reference", text, "--function", function, "--weights", weights, "--inputs", inputs, "--outputs", outputs],
        check=True,
    )
    return read(outputs)


def compare(what, got, expected, tolerance):
    """The largest difference may be `tolerance` times the largest expected number."""
    largest = np.abs(expected).max()
    error = np.abs(got.astype(np.float64) - expected).max()
    if got.shape != expected.shape or not error <= tolerance * largest:
        sys.exit(f"{what}: error {error} of {largest}, shapes {got.shape} and {expected.shape}")
    return error / largest if largest else 0


def try_model(case, text, folder):
    golden, info = read(case + ".safetensors"), json.load(open(case + ".json", encoding="utf-8"))
    weights, inputs, outputs, derived = (
        os.path.join(folder, name) for name in ("w.safetensors", "i.safetensors", "o.safetensors", "derived.mlir")
    )
    os.makedirs(folder, exist_ok=True)
    names = [name[2:] for name in golden if name.startswith("w.")]
    write(weights, {name: golden["w." + name] for name in names})
    write(inputs, {"tokens": golden["in.x"].astype(np.int32), "targets": golden["in.y"].astype(np.int32)})

    logits = reference(text, "forward", weights, inputs, outputs)["logits"]
    # Logits hold differences of larger numbers: allow some roundings of the largest.
    print("logits", compare("logits", logits, golden["out.logits"], 4 * ROUNDING))

    subprocess.run(["quern-opt", text, "--quern-derive=programs=gradients", "-o", derived], check=True)
    results = reference(derived, "gradients", weights, inputs, outputs)
    print("loss", compare("loss", results["loss"], np.array(info["loss"]), 1e-12))
    gradients = {name: golden["grad." + name] for name in names}
    if sorted(results) != sorted(["loss"] + ["gradient." + name for name in names]):
        sys.exit(f"gradients of other tensors: {sorted(results)}")
    # The smallest gradients vanish in exact arithmetic (those of key biases), so that a unit in the
    # last place of the largest of all is allowed everywhere.
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    worst = 0
    for name, gradient in gradients.items():
        error = np.abs(results["gradient." + name] - gradient)
        allowed = 2 * ROUNDING * np.abs(gradient) + 1e-13 * largest
        if not (error <= allowed).all():
            sys.exit(f"gradient of {name}: error {error.max()} of {np.abs(gradient).max()}")
        worst = max(worst, (error / largest).max())
    print("gradients", len(gradients), worst)
    norm = np.sqrt(sum((results["gradient." + name] ** 2).sum() for name in names))
    print("norm", compare("gradient norm", norm, np.array(info["grad_l2"]), 1e-12))
    try_training(golden, info, text, folder, names)


def try_training(golden, info, text, folder, names):
    """AdamW's steps: the loss before each, and the weights after the last."""
    state, inputs, derived = (os.path.join(folder, name) for name in ("s.safetensors", "i.safetensors", "derived.mlir"))
    subprocess.run(["quern-opt", text, "--quern-derive=programs=train_step", "-o", derived], check=True)
    optimizer, losses = info["optimizer"], info["loss_curve"]
    options = {
        "learning_rate": optimizer["lr"],
        "beta1": optimizer["betas"][0],
        "beta2": optimizer["betas"][1],
        "epsilon": optimizer["eps"],
        "weight_decay": optimizer["weight_decay"],
        "weight_decay_others": optimizer["weight_decay"],
        "clip": 0.0,
    }
    arrays = {name: golden["w." + name].astype(np.float64) for name in names}
    zeros = {name: np.zeros_like(array) for name, array in arrays.items()}
    arrays |= {prefix + name: zero for name, zero in zeros.items() for prefix in ("first_moment.", "second_moment.")}
    for step, expected in enumerate(losses[:-1]):
        write(state, arrays)
        numbers = {name: np.array(value) for name, value in (options | {"step": step + 1.0}).items()}
        tokens = {name: golden[key].astype(np.int32) for name, key in (("tokens", "in.x"), ("targets", "in.y"))}
        write(inputs, numbers | tokens)
        arrays = reference(derived, "train_step", state, inputs, os.path.join(folder, "o.safetensors"))
        # A step that overshoots magnifies roundings.
        compare(f"loss before step {step + 1}", arrays.pop("loss"), np.array(expected), 1e-9)
        arrays.pop("gradient_norm")
    worst = max(compare(f"{name} after {step + 1} steps", arrays[name], golden["after." + name], 2 * ROUNDING) for name in names)
    print("weights after", step + 1, "steps", worst)


data, texts, folder = sys.argv[1:]
for case, text in [
    ("gpt_nano_sort_pretrained", "gpt_nano_sort.mlir"),
    ("llama_stories260k_pretrained", "llama_stories260k.mlir"),
]:
    print(case)
    try_model(os.path.join(data, case), os.path.join(texts, text), os.path.join(folder, case))
