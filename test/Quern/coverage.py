# ===- coverage.py - Every operation and every constraint has a test -------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s %quern_src
#
# From the operations that dialects/Quern describes: each is printed and parsed in ops.mlir or
# structure.mlir; each numbered constraint is violated in invalid-*.mlir; the reference interpreter
# has a definition of each; each that has a gradient rule is compared with finite differences.

import glob
import os
import re
import subprocess
import sys

source = sys.argv[1]


def read(*paths):
    return "\n".join(open(path, encoding="utf-8").read() for path in paths)


tests = os.path.join(source, "test", "Quern")
valid = read(os.path.join(tests, "ops.mlir"), os.path.join(tests, "structure.mlir"))
invalid = read(*glob.glob(os.path.join(tests, "invalid-*.mlir")))
numerics = read(*glob.glob(os.path.join(source, "test", "Numerics", "*.py")))
known = subprocess.run(["quern-reference", "--list-ops"], capture_output=True, text=True, check=True).stdout.split("\n")
# What the interpreter runs, rather than evaluates.
STRUCTURE = {"quern.model", "quern.layers", "quern.function", "quern.return", "quern.yield"}

missing = []
operations = {}
for path in glob.glob(os.path.join(source, "dialects", "Quern", "*.td")):
    text = read(path)
    for definition in re.split(r"\ndef ", text)[1:]:
        match = re.match(r'\w+ : (?:Quern_Op<|Op<Quern_Dialect, )"(\w+)"', definition)
        if match:
            description = definition.split("let arguments")[0]
            operations["quern." + match[1]] = sorted(set(re.findall(r"\((C\d+)\)", description.split("as `")[0])))
if len(operations) < 50:
    sys.exit(f"found only {len(operations)} operations")

for name, constraints in operations.items():
    if not re.search(re.escape(name) + r"\b", valid):
        missing.append(f"{name} is neither in ops.mlir nor in structure.mlir")
    if name not in known and name not in STRUCTURE:
        missing.append(f"{name} has no definition in lib/Reference")
    for constraint in constraints:
        if f"{name} ({constraint})" not in invalid:
            missing.append(f"{name} ({constraint}) is violated in no invalid-*.mlir")

rules = read(*glob.glob(os.path.join(source, "lib", "Model", "GradientRules*.cpp")))
attached = re.findall(r"attach<(?:(\w+)::)?(\w+)Op,", rules)
if len(attached) < 40:
    sys.exit(f"found only {len(attached)} gradient rules")
for dialect, operation in attached:
    if dialect:  # arith::AddFOp is arith.addf, tensor::ExpandShapeOp is tensor.expand_shape
        words = re.findall(r"[A-Z][a-z0-9]+|[A-Z]+", operation)
        name = f"{dialect}." + ("_" if dialect == "tensor" else "").join(words).lower()
    else:
        name = "quern." + "_".join(re.findall(r"[A-Z][a-z0-9]+", operation)).lower()
    # Within a text a formatted name stands for several operations, which a comment lists.
    if not re.search(re.escape(name) + r"\b", numerics):
        missing.append(f"{name} has a gradient rule, but no test in test/Numerics")

# Differentiable by nature: a loss through these must have a gradient.
for name in operations:
    base = name.split(".")[1]
    attached_name = "".join(part.capitalize() for part in base.split("_"))
    of_models = re.search(r'Quern_Op<"' + base + '"', read(*(os.path.join(source, "dialects", "Quern", f) for f in ("TransformerOps.td", "TensorOps.td"))))
    if of_models and base not in ("causal_mask", "full") and ("", attached_name) not in attached:
        missing.append(f"{name} has no gradient rule")

if missing:
    sys.exit("\n".join(missing))
print(len(operations), "operations,", sum(map(len, operations.values())), "constraints,", len(attached), "gradient rules")
