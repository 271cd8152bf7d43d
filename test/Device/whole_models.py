#===- whole_models.py - Whole models on a GPU -----------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""whole_models.py CHECK: goldens, agree, losses or train. While packing (QUERN_DEVICE_PACK) it compiles their models.

Where QUERN_DEVICE_QUICK is set, which run.py does on the emulated driver, there are fewer and smaller steps."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
sys.path.insert(0, os.path.join(TESTS, "Execution"))  # before its namesakes in Numerics
import devices  # noqa: E402
import goldens  # noqa: E402
from compiled import PACK, PACKED, Model, check  # noqa: E402
from safetensors_numpy import read, write  # noqa: E402

QUICK = bool(os.environ.get("QUERN_DEVICE_QUICK"))
GPU_CODE = ["--gpu=sm_80,sm_90a"]
BOTH_F32, GPU_BF16 = ["--target=cpu,nvidia", "--precision=f32", *GPU_CODE], ["--target=nvidia", "--precision=bf16", *GPU_CODE]
TRAINED = "gpt --layers 4 --heads 4 --width 128 --context 64 --vocabulary 256".split()
SHAPE = ["--batch", "2", "--sequence", "8"] if QUICK else ["--batch", "12", "--sequence", "64"]
CPU, GPU = devices.CPU, devices.GPU


def data(name):
    return os.path.join(PACKED, "data", name)


# Goldens: float64 results of PyTorch -------------------------------------------------------------


def golden_models():
    return {name: Model(name, new, [goldens.PROGRAMS, "--target=nvidia", "--precision=f32", *GPU_CODE])
            for name, new in goldens.MODELS.items()}


def check_goldens(models):
    for name, model in models.items():
        goldens.try_model(data(name), model, 2 if QUICK else 20)


# The same programs on the processor --------------------------------------------------------------


def agree_models():
    return {name: (Model(name, new, BOTH_F32), Model(name + "16", new, [*GPU_BF16, "--programs=gradients"]))
            for name, new in devices.KINDS.items()}


def check_agree(models):
    for name, pair in models.items():
        devices.compare(name, *pair)


# A hundred steps of training ---------------------------------------------------------------------


def trained_models():
    return Model("exact", TRAINED, BOTH_F32), Model("narrow", TRAINED, [*GPU_BF16, "--programs=train_step,loss"])


def command(model, name, steps):
    """The options of a run in folder `name`."""
    return ["train", "--data", data("text"), "--out", model.path(name), "--schedule", "constant", "--warmup", "1" if QUICK else "10",
            "--seed", "3", "--eval-every", "1000", "--eval-batches", "1", *SHAPE, "--steps", str(steps)]


def losses(model, name):
    """Of the steps that its log has."""
    log = os.path.join(model.path(name), "log.jsonl")
    if not os.path.exists(log):
        return np.zeros(0)
    with open(log, encoding="utf-8") as file:
        entries = [json.loads(line) for line in file if line.endswith("\n")]
    return np.array([entry["loss"] for entry in entries if "loss" in entry])


def train(model, name, steps, *options):
    """The losses after all steps."""
    model.execute(*command(model, name, steps), *options)
    return losses(model, name)


def check_losses(models):
    """In float32 the GPU may be as far from the processor as three times what one rounding of the initial weights
    changes there: in f32 a step rounds more often than once, but is no less stable. Activations in bf16 have a rounding
    error of 2^-9; a loss is a mean over many positions, and five such errors are allowed."""
    exact, narrow = models
    steps = 3 if QUICK else 100
    ids = np.zeros((1, 8), np.int32)
    # A step of rate 0 leaves the weights as they were drawn.
    weights = exact.run("train_step", {"tokens": ids, "targets": ids}, options=[*CPU, "--learning-rate", "0"])
    weights = {name: value for name, value in weights.items() if name not in ("loss", "gradient_norm")}
    write(exact.path("start"), weights)
    signs = np.random.default_rng(1)
    moved = {name: np.where(signs.random(value.shape) < 0.5, np.nextafter(value, np.float32(np.inf)),
                            np.nextafter(value, np.float32(-np.inf))) for name, value in weights.items()}
    write(exact.path("moved"), moved)

    start, beside = ["--weights", exact.path("start")], ["--weights", exact.path("moved")]
    host = train(exact, "host", steps, *start, *CPU)
    sensitivity = np.maximum.accumulate(np.abs(train(exact, "beside", steps, *beside, *CPU) - host))
    on_gpu = train(exact, "gpu", steps, *start, *GPU)
    in_bf16 = train(narrow, "bf16", steps, *start)
    check(len(host) == len(on_gpu) == len(in_bf16) == steps, f"{len(host)}, {len(on_gpu)} and {len(in_bf16)} losses")
    if not QUICK:
        check(host[-1] < 0.7 * host[0], f"the model does not learn: {host[0]} and {host[-1]} after {steps} steps")
    # The log holds float32, each with a rounding of its own.
    error, allowed = np.abs(on_gpu - host), 3 * sensitivity + 1e-6 * host
    worst = np.argmax(error / allowed)
    check(error[worst] <= allowed[worst], f"step {worst}: loss {on_gpu[worst]} on the GPU, {host[worst]} on the processor")
    relative = np.abs(in_bf16 - host) / host
    check(relative.max() <= 5 * 2.0**-9, f"step {relative.argmax()}: {in_bf16[relative.argmax()]} in bf16, {host[relative.argmax()]} in f32")
    print(f"{steps} losses: f32 differs by {error.max():.2g} (allowed there {allowed[error.argmax()]:.2g}), bf16 by {relative.max():.2g} of the loss")


# Training that is killed, and files that go from one device to the other -------------------------


def killed_once(model, name, steps, after, *options):
    """Trains, is killed after so many steps, and resumes. A fast GPU may come to the end before: then once more."""
    line = [*command(model, name, steps), *options]
    for _ in range(10):
        shutil.rmtree(model.path(name), ignore_errors=True)
        process = subprocess.Popen([model.program, *line], env=model.environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        while process.poll() is None and len(losses(model, name)) < after:
            time.sleep(0.001)
        process.kill()
        _, errors = process.communicate()
        check(process.returncode in (0, -9), f"it ended with {process.returncode}: {errors}")
        if process.returncode:
            return model.execute(*line, "--resume")
    return check(False, "it came to the end ten times before it was killed")


def check_train(models):
    exact, narrow = models
    steps, save = (4, 1) if QUICK else (60, 7)
    for model, device in ((exact, GPU), (narrow, [])):
        options = [*device, "--save-every", str(save)]
        train(model, "calm", steps, *options)
        killed_once(model, "rough", steps, steps // 4, *options)
        for file in ("weights.safetensors", "checkpoint.safetensors"):
            same = filecmp.cmp(os.path.join(model.path("calm"), file), os.path.join(model.path("rough"), file), shallow=False)
            check(same, f"{file} has other bits than that of the undisturbed run")
    print("killed and resumed with the same bits, in f32 and bf16")

    # From the processor to the GPU and back, in the middle of a run.
    expected = train(exact, "straight", steps, *GPU, "--save-every", str(save))
    crossed = None
    for part, device in enumerate((CPU, GPU, CPU)):
        crossed = train(exact, "crossed", steps * (part + 1) // 3, *device, *(["--resume"] if part else []))
    check(len(crossed) == steps, f"{len(crossed)} losses")
    # Where both have f32, 100 steps differ far less: see the losses.
    check(np.abs(crossed - expected).max() <= 1e-3 * expected[0], f"losses {crossed} and {expected}")
    weights = os.path.join(exact.path("straight"), "weights.safetensors")
    check(all(np.isfinite(value).all() for value in read(weights).values()), "weights that are not finite")
    generate = ["generate", "--weights", weights, "--prompt", "the mill", "--tokens", "6" if QUICK else "40", "--temperature", "0"]
    texts = [exact.execute(*generate, *device) for device in (CPU, GPU)]
    check(texts[0] == texts[1] and len(texts[0]) >= 6, f"{texts}")
    print("checkpoints go from one device to the other, and both write %r" % texts[0])


CHECKS = {"goldens": (golden_models, check_goldens), "agree": (agree_models, check_agree),
          "losses": (trained_models, check_losses), "train": (trained_models, check_train)}


def main():
    models, body = CHECKS[sys.argv[1]]
    built = models()
    if not PACK:
        body(built)


main()
