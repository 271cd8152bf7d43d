#===- results.py - The table of speeds as data and as text ----------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""One result a row, kernels (rows.py) and whole models, with what was measured here, what PyTorch takes, and what was
predicted for an H100 (predict.py). What was not measured says so; a prediction stands in a column of its own."""

import json
import os

import rows

PREDICTIONS = os.path.join("data", "predictions.json")  # in a packed folder


class Result:
    """Of work that is `amount` in `unit`; seconds are None where nothing was measured."""

    def __init__(self, name, amount, unit, first, then, peer):
        self.name, self.amount, self.unit, self.first, self.then, self.peer = name, amount, unit, first, then, peer
        self.seconds = self.peer_seconds = self.ratio = self.predicted = None
        self.limit = self.note = ""

    def rate(self, seconds, otherwise="not measured"):
        if seconds is None:
            return otherwise
        value = self.amount / seconds
        for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e3, "k")):
            if value >= scale and self.unit != "tokens":
                return "%.1f %s%s/s" % (value / scale, prefix, self.unit)
        return "%.0f %s/s" % (value, self.unit)

    def line(self):
        ratio = "-" if self.ratio is None else "%.2f" % self.ratio
        return ("%-46s %14s %14s %6s  %4.2f %5.2f  %14s %-17s %s" % (
            self.name[:46], self.rate(self.seconds), self.rate(self.peer_seconds), ratio, self.first, self.then,
            self.rate(self.predicted, "not predicted"), self.limit, self.note)).rstrip()

    def record(self):
        return {"row": self.name, "amount": self.amount, "unit": self.unit, "seconds": self.seconds,
                "peer_seconds": self.peer_seconds, "ratio": self.ratio, "first": self.first, "then": self.then,
                "predicted_h100_seconds": self.predicted, "predicted_limit": self.limit, "note": self.note}


class Models:
    """Sizes of the rows of whole models; with `quick`, those of a small one on the emulated driver."""

    def __init__(self, quick):
        self.name = "a small GPT" if quick else "GPT-2 124M"
        self.batch, self.sequence = (2, 8) if quick else (64, 1024)
        # Two texts are written; what the longer one takes more is decoding alone.
        self.short, self.long = (2, 4) if quick else (64, 576)

    def training(self):
        tokens = self.batch * self.sequence
        return Result("train %s, bf16, %d x %d" % (self.name, self.batch, self.sequence), tokens, "tokens", 0.7, 1.0,
                      ["train", self.batch, self.sequence])

    def decoding(self):
        return Result("decode %s, bf16, batch 1" % self.name, 1, "tokens", 2.0, 2.0, ["decode", self.long])


def all_results(quick=False):
    """All rows, nothing known of them yet."""
    kernels = [Result(row.name, row.amount, row.unit, row.first, row.then, row.peer) for row in rows.rows(quick)]
    models = Models(quick)
    return [*kernels, models.training(), models.decoding()]


def add_predictions(results, path):
    """Those in a file that predict.py wrote. Returns what the table should say of them."""
    try:
        with open(path, encoding="utf-8") as file:
            predictions = json.load(file)
    except FileNotFoundError:
        return "nothing was predicted: test/Device/pack.sh had no predictions"
    for result in results:
        if found := predictions["rows"].get(result.name):
            result.predicted, result.limit = found["seconds"], found["limit"]
    return predictions["note"]


def show(results, note):
    print("%-46s %14s %14s %6s  %-11s %14s %s" % ("work", "this", "PyTorch", "ratio", "goals", "predicted, H100", "limited by"))
    for result in results:
        print(result.line())
    print(note)
