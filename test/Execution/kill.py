# ===- kill.py - Training that is killed ---------------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %t %S/../Runtime/Inputs/text.py

# A compiled GPT is killed (SIGKILL) at twenty random moments of its training and resumed each time, on changing numbers of
# threads: it ends with the bits of an undisturbed run.

import filecmp
import os
import random
import shutil
import subprocess
import sys
import time

from compiled import Model, check

folder, make_text = sys.argv[1:]
shutil.rmtree(folder, ignore_errors=True)
small = "gpt --layers 2 --heads 2 --width 32 --context 32 --vocabulary 256".split()
model = Model(folder, small, ["--programs=loss,train_step"])
with open(model.path("text"), "wb") as file:
    subprocess.run([sys.executable, make_text, "20000"], check=True, stdout=file)

OPTIONS = "--steps 400 --save-every 7 --eval-every 100 --batch 4 --sequence 32 --seed 5".split()


def start(name, threads):
    command = [model.program, "train", "--data", model.path("text"), "--out", model.path(name), "--resume", *OPTIONS]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process):
    _, errors = process.communicate()
    check(process.returncode == 0, f"training ended with {process.returncode}: {errors}")


def same(name):
    for file in ("weights.safetensors", "checkpoint.safetensors"):
        check(
            filecmp.cmp(model.path(f"calm/{file}"), model.path(f"{name}/{file}"), shallow=False),
            f"{file} has other bits than that of the undisturbed run",
        )


begin = time.monotonic()
finish(start("calm", 2))
whole = time.monotonic() - begin

draw = random.Random(1)
killed, threads = 0, 1
while killed < 20:
    process = start("rough", threads)
    # Somewhere from before the first step to after the last checkpoint of what a run does alone.
    time.sleep(draw.uniform(0, whole / 3))
    process.kill()
    process.wait()
    if process.returncode == 0:  # it had come to its end: begin anew
        same("rough")
        shutil.rmtree(model.path("rough"))
    else:
        killed += 1
    threads = threads % 3 + 1
finish(start("rough", threads))
same("rough")
print("killed", killed, "times, same bits")
