# ===- coverage.py - Every op has a gradient rule, and every rule a test ----------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""Compare the tables of rules with the ops of the dialect and with the tests in test/Numerics.

RUN: python3 %s
"""

import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[3]

# Ops of models with nothing to differentiate: their operands give a shape alone.
NO_GRADIENT = {"quern.full", "quern.causal_mask"}

rules = set()
names = {"arith": r"arith::(\w+)Op", "math": r"math::(\w+)Op", "tensor": r"tensor::(\w+)Op"}
mnemonics = {}
for path in (root / "dialects/Quern").glob("*.td"):
    for name, mnemonic in re.findall(r'def Quern_(\w+)Op : \w*Op<"(\w+)"', path.read_text()):
        mnemonics[name] = "quern." + mnemonic
for path in (root / "lib/Model").glob("GradientRules*.cpp"):
    for op in re.findall(r"attach<([\w:]+)Op,", path.read_text()):
        dialect, _, name = op.rpartition("::")
        if dialect == "tensor":
            rules.add("tensor." + re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower())
        elif dialect:
            rules.add(f"{dialect}.{name.lower()}")
        else:
            rules.add(mnemonics[name])
assert len(rules) > 40, rules

forward = set()
for name in ("TransformerOps.td", "TensorOps.td"):
    text = (root / "dialects/Quern" / name).read_text()
    forward |= {"quern." + m for m in re.findall(r': Quern_Op<"(\w+)"', text)}
missing = forward - rules - NO_GRADIENT
tests = "\n".join(path.read_text() for path in (root / "test/Numerics").glob("*.py"))
# What fuse makes, and what the rule of another op makes, is tested through these.
untested = {rule for rule in rules if not re.search(re.escape(rule) + r"\b", tests)}

for what, ops in (("no gradient rule", missing), ("no test in test/Numerics", untested)):
    for op in sorted(ops):
        print(f"{op} has {what}")
sys.exit(bool(missing or untested))
