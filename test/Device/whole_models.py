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
from compiled import IDLE, PACKED, Model, check  # noqa: E402
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
            for name, (new, _) in goldens.MODELS.items()}


def check_goldens(models):
    for name, model in models.items():
        goldens.try_model(data(name), model, 2 if QUICK else 20, goldens.MODELS[name][1])


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


def bf16_of(values):
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def check_losses(models):
    """How far rounding takes a run is a matter of the run: the GPU may be as far from the processor as three times what
    rounding the initial weights once changes there, upwards or downwards by one unit of f32, or to bf16. It rounds more
    often than once, and no less stably. A rate at which this model learns steadily keeps both small."""
    exact, narrow = models
    steps = 3 if QUICK else 100
    ids = np.zeros((1, 8), np.int32)
    # A step of rate 0 leaves the weights as they were drawn.
    drawn = exact.run("train_step", {"tokens": ids, "targets": ids}, options=[*CPU, "--learning-rate", "0"])
    drawn = {name: value for name, value in drawn.items() if name not in ("loss", "gradient_norm")}
    random = np.random.default_rng(1)
    starts = {"drawn": drawn, "narrow": {name: bf16_of(value) for name, value in drawn.items()}, "moved": {
        name: np.nextafter(value, np.where(random.random(value.shape) < 0.5, np.float32(np.inf), np.float32(-np.inf)))
        for name, value in drawn.items()}}
    for name, weights in starts.items():
        write(exact.path(name + ".safetensors"), weights)

    def curve(model, name, start, device):
        return train(model, name, steps, "--weights", exact.path(start + ".safetensors"), "--learning-rate", "3e-4", *device)

    host = curve(exact, "host", "drawn", CPU)
    check(len(host) == steps, f"{len(host)} losses")
    if not QUICK:
        check(host[-1] < 0.7 * host[0], f"the model does not learn: {host[0]} and {host[-1]} after {steps} steps")
    for what, start, got, unit in (("f32", "moved", curve(exact, "gpu", "drawn", GPU), 2.0**-21),
                                   ("bf16", "narrow", curve(narrow, "gpu16", "drawn", GPU), 2.0**-8)):
        # The loss itself is a sum of rounded terms: ex2.approx and its argument lose 2^-21 (PTX ISA 8.3, "ex2").
        allowed = 3 * np.maximum.accumulate(np.abs(curve(exact, start, start, CPU) - host)) + 4 * unit * host
        error = np.abs(got - host)
        worst = np.argmax(error / allowed)
        check(error[worst] <= allowed[worst], f"{what}: loss {got[worst]} after {worst} steps, {host[worst]} on the processor")
        print(f"{steps} losses in {what}: at most {error.max():.2g} from the processor's, {error[worst] / allowed[worst]:.2g} of what is allowed")


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
    if not IDLE:
        body(built)


if __name__ == "__main__":
    main()
