# ===- gradient.py - Gradient rules against finite differences in float64 --------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""Compare derived gradients with finite differences of the loss, both in float64.

    from gradient import Case, check

    cases = [Case({"x": "2x5x8", "w": "8x3"}, "%y = quern.linear %x, %w : {x}, {w}", {"y": "2x5x3"})]
    check(cases, ranges={"tokens": (0, 7)})

Each case becomes a model with the tensors of its first argument as parameters and a loss that is the
sum of all results, weighted with random inputs. "{x}" in a text is the type of %x. Further inputs
(`integers`, `floats`) get no gradient. A case without results
defines %loss itself. `quern-derive` derives the gradients, `quern-reference` evaluates both sides.
"""

import os
import re
import subprocess
import sys
import tempfile


class Case:
    def __init__(self, parameters, body, results=None, integers=None, floats=None):
        self.parameters = parameters
        self.body = body
        self.results = results or {}
        self.integers = integers or {}
        self.floats = floats or {}


def tensor(shape, element="f32"):
    """The type of "2x3", or of "" for rank 0."""
    return f"tensor<{shape}x{element}>" if shape else f"tensor<{element}>"


def model(name, case):
    """The text of a case's model."""
    types = {n: tensor(s) for n, s in case.parameters.items()}
    types |= {n: tensor(s) for n, s in case.floats.items()}
    types |= {n: tensor(s, "i32") for n, s in case.integers.items()}
    types |= {n: tensor(s) for n, s in case.results.items()}
    arguments = [f"%{n}: {types[n]}" for n in (*case.floats, *case.integers)]
    arguments += [f"%weight_{n}: {types[n]}" for n in case.results]
    lines = []
    for n in case.parameters:
        lines.append(f"quern.parameter @{n} : {types[n]} init(ones)")
    # A model needs a forward function; these models are made for their loss.
    lines.append("quern.function @forward() {\n quern.return\n }")
    lines.append(f"quern.function @loss({', '.join(arguments)}) -> tensor<f32> {{")
    for n in case.parameters:
        lines.append(f"%{n} = quern.read @{n} : {types[n]}")
    lines.append(re.sub(r"\{(\w+)\}", lambda match: types[match[1]], case.body))
    sums = []
    for n, shape in case.results.items():
        rank = len(shape.split("x")) if shape else 0
        lines.append(f"%weighted_{n} = arith.mulf %{n}, %weight_{n} : {types[n]}")
        if rank:
            lines.append(
                f"%sum_{n} = quern.sum %weighted_{n} dimensions {list(range(rank))} : {types[n]}"
            )
            sums.append(f"%sum_{n}")
        else:
            sums.append(f"%weighted_{n}")
    loss = sums[0] if sums else "%loss"
    for i, term in enumerate(sums[1:]):
        lines.append(f"%total_{i} = arith.addf {loss}, {term} : tensor<f32>")
        loss = f"%total_{i}"
    lines.append(f"quern.return {loss} : tensor<f32>\n}}")
    text = "\n  ".join(line.replace("\n", "\n  ") for line in lines)
    return f'quern.model @{name} kind("test") {{\n  {text}\n}}\n'


def check(cases, ranges=None, dims=None, seed=1, tolerance=None, texts=(), passes=()):
    """Exits with an error, and what was compared, if a gradient of one of the cases is wrong.

    `texts` are models that are written out, with `@forward` and `@loss`; `passes` run before derive.
    """
    source = "\n".join([*(model(f"case{i}", case) for i, case in enumerate(cases)), *texts])
    run(source, passes, ranges or {}, dims or {}, seed, tolerance)


def run(source, passes, ranges, dims, seed, tolerance):
    with tempfile.TemporaryDirectory() as folder:
        before, after = os.path.join(folder, "model.mlir"), os.path.join(folder, "gradients.mlir")
        with open(before, "w", encoding="utf-8") as file:
            file.write(source)
        derive = ["quern-opt", before, *passes, "--quern-derive=programs=gradients", "-o", after]
        compare = ["quern-reference", before, after, "--check-gradient", "--random", str(seed)]
        for name, (low, high) in ranges.items():
            compare += ["--range", f"{name}={low}:{high}"]
        if dims:
            compare += ["--dims", ",".join(f"{name}={size}" for name, size in dims.items())]
        if tolerance:
            compare += ["--tolerance", str(tolerance)]
        for command in (derive, compare):
            result = subprocess.run(command, text=True, capture_output=True)
            if result.returncode:
                sys.exit(f"{source}\n{' '.join(command)}\n{result.stdout}{result.stderr}")
        print(result.stdout, end="")
        if "largest difference" not in result.stdout:
            sys.exit("nothing was compared")
