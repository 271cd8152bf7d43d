# ===- onnx.py - ONNX's conformance tests against the reference interpreter ------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# REQUIRES: data
# RUN: %python %s %shared_data/onnx-node-tests %t
#
# Those node tests whose operator is one of ours, or two or three. What does not map is listed with its
# reason, so that a new test in the data is either tried or thought about.

import json
import os
import subprocess
import sys

import numpy as np

from safetensors_numpy import read, write

folder, scratch = sys.argv[1:]
with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
    TESTS = json.load(file)["tests"]
with open(os.path.join(folder, "tensors.bin"), "rb") as file:
    DATA = file.read()
TYPES = {"f16": np.float16, "f32": np.float32, "f64": np.float64, "i64": np.int64, "i32": np.int32, "bool": np.bool_}


def array(entry):
    raw = DATA[entry["offset"] : entry["offset"] + entry["bytes"]]
    return np.frombuffer(raw, TYPES[entry["dtype"]]).reshape(entry["shape"])


class Unmapped(Exception):
    """Why a test has no counterpart."""


def kind(x):
    element = {"f": "f32", "i": "i32", "b": "i1"}[x.dtype.kind]
    return f"tensor<{''.join(f'{size}x' for size in x.shape)}{element}>"


class Builder:
    """The text of a function, with its arguments."""

    def __init__(self):
        self.arguments, self.lines = {}, []

    def argument(self, name, value):
        self.arguments[name] = value.astype(np.float64 if value.dtype.kind == "f" else np.int32)
        return f"%{name}", kind(value)

    def add(self, line):
        self.lines.append(line)


def elementwise(op):
    def build(b, x, attributes):
        name, t = b.argument("x", x[0])
        b.add(f"%y = {op} {name} : {t}")
        return [x[0].shape]

    return build


def gelu(b, x, attributes):
    name, t = b.argument("x", x[0])
    b.add(f"%y = quern.gelu {name} {'tanh' if attributes.get('approximate') == 'tanh' else ''} : {t}")
    return [x[0].shape]


def softmax(b, x, attributes):
    if attributes.get("axis", -1) % x[0].ndim != x[0].ndim - 1:
        raise Unmapped("softmax over another dimension than the last")
    return elementwise("quern.softmax")(b, x, attributes)


def swiglu(b, x, attributes):
    (g, t), (u, s) = b.argument("a", x[0]), b.argument("b", x[1])
    b.add(f"%y = quern.swiglu {g}, {u} : {t}, {s}")
    return [x[0].shape]


def norm(op):
    def build(b, x, attributes):
        if attributes.get("axis", -1) % x[0].ndim != x[0].ndim - 1:
            raise Unmapped("norm over several dimensions")
        names = [b.argument(n, v) for n, v in zip("xwb", x)]
        options = [f"{what} {name}" for what, (name, _) in zip(("weight", "bias"), names[1:])]
        epsilon = f"epsilon {attributes.get('epsilon', 1e-5):e}"
        b.add(f"%y = {op} %x {' '.join(options)} {epsilon} : {', '.join(t for _, t in names)}")
        return [x[0].shape]

    return build


def cross_entropy(b, x, attributes):
    if len(x) > 2:
        raise Unmapped("weights of classes")
    if attributes["reduction"] != "mean":
        raise Unmapped("a sum in place of the mean")
    logits = np.moveaxis(x[0], 1, -1)
    (l, t), (y, s) = b.argument("logits", logits), b.argument("targets", x[1].astype(np.int32))
    ignore = attributes.get("ignore_index", -1)
    b.add(f"%y = quern.cross_entropy {l}, {y} ignore_index {ignore} : {t}, {s}")
    return [()]


def transpose(b, x, attributes):
    name, t = b.argument("x", x[0])
    permutation = attributes.get("perm", list(reversed(range(x[0].ndim))))
    b.add(f"%y = quern.transpose {name} {permutation} : {t}")
    return [tuple(x[0].shape[i] for i in permutation)]


def matmul(b, x, attributes):
    if x[0].shape[:-2] != x[1].shape[:-2]:
        raise Unmapped("leading dimensions that broadcast")
    (l, t), (r, s) = b.argument("a", x[0]), b.argument("b", x[1])
    b.add(f"%y = quern.matmul {l}, {r} : {t}, {s}")
    return [(*x[0].shape[:-1], x[1].shape[-1])]


def concat(b, x, attributes):
    names = [b.argument(f"x{i}", v) for i, v in enumerate(x)]
    axis = attributes["axis"] % x[0].ndim
    b.add(f"%y = quern.concatenate {', '.join(n for n, _ in names)} dimension {axis} : {', '.join(t for _, t in names)}")
    return [np.concatenate(x, axis).shape]


def gemm(b, x, attributes):
    if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or x[2].ndim == 0:
        raise Unmapped("factors, or a scalar bias")
    (l, t), (r, s) = b.argument("a", x[0]), b.argument("b", x[1])
    c, u = b.argument("c", x[2].reshape(-1))
    if attributes.get("transA"):
        b.add(f"%at = quern.transpose {l} [1, 0] : {t}")
        l, t = "%at", kind(x[0].T)
    flag = "transposed" if attributes.get("transB") else ""
    b.add(f"%y = quern.linear {l}, {r} bias {c} {flag} : {t}, {s}, {u}")
    return [((x[0].T if attributes.get("transA") else x[0]).shape[0], x[2].size)]


def rotary(b, x, attributes):
    # The angles are given as tables. Those of the tests are random, so that no base fits.
    raise Unmapped("tables of angles")


def attention(b, x, attributes):
    if "softcap" in attributes:
        raise Unmapped("softcap")
    q, k, v = (
        value.reshape(*value.shape[:2], heads, -1) if value.ndim == 3 else np.moveaxis(value, 1, 2)
        for value, heads in zip(
            x, (attributes.get("q_num_heads"), attributes.get("kv_num_heads"), attributes.get("kv_num_heads"))
        )
    )
    operands = [b.argument(n, value) for n, value in (("q", q), ("k", k), ("v", v))]
    options, names, past = "", ["%q", "%k", "%v"], 0
    if len(x) > 4 and x[4] is not None:
        past = x[4].shape[2]
        for i, name in enumerate("kv", start=1):
            new, old = operands[i], b.argument(f"past_{name}", np.moveaxis(x[3 + i], 1, 2))
            b.add(f"%all_{name} = quern.concatenate {old[0]}, {new[0]} dimension 1 : {old[1]}, {new[1]}")
            joined = np.concatenate([np.moveaxis(x[3 + i], 1, 2), (k, v)[i - 1]], 1)
            operands[i], names[i] = (f"%all_{name}", kind(joined)), f"%all_{name}"
        k, v = np.zeros((k.shape[0], past + k.shape[1], *k.shape[2:])), v
    if len(x) > 3 and x[3] is not None:
        mask = x[3]
        if mask.dtype == np.bool_:
            mask = np.where(mask, 0.0, -np.inf).astype(np.float32)
        if mask.shape[-1] != k.shape[1]:
            raise Unmapped("a mask that is shorter than the keys")
        options += " mask %mask"
        operands.append(b.argument("mask", mask))
    if len(x) > 6 and x[6] is not None:
        lengths = x[6].astype(np.int32)
        if attributes.get("is_causal"):
            # There the last query is at the end of the counted keys.
            if len(set(lengths)) > 1:
                raise Unmapped("an offset for each batch")
            options += " lengths %lengths offset %offset"
            operands.append(b.argument("lengths", lengths))
            operands.append(b.argument("offset", np.array(lengths[0] - q.shape[1], np.int32)))
        else:
            options += " lengths %lengths"
            operands.append(b.argument("lengths", lengths))
    if attributes.get("is_causal"):
        if past:
            options += " offset %offset"
            operands.append(b.argument("offset", np.array(past, np.int32)))
        options += " causal"
    if "scale" in attributes:
        options += f" scale {attributes['scale']:e}"
    b.add(f"%a = quern.attention {', '.join(names)}{options} : {', '.join(t for _, t in operands)}")
    shape = (*q.shape[:3], v.shape[3])
    result = f"tensor<{'x'.join(map(str, shape))}xf32>"
    if x[0].ndim == 3:
        b.add(f"%y = quern.merge_heads %a : {result}")
        return [(*shape[:2], shape[2] * shape[3])]
    b.add(f"%y = quern.transpose %a [0, 2, 1, 3] : {result}")
    return [(shape[0], shape[2], shape[1], shape[3])]


BUILDERS = {
    "Attention": attention,
    "Concat": concat,
    "Erf": elementwise("math.erf"),
    "Exp": elementwise("math.exp"),
    "Gelu": gelu,
    "Gemm": gemm,
    "LayerNormalization": norm("quern.layer_norm"),
    "MatMul": matmul,
    "RMSNormalization": norm("quern.rms_norm"),
    "RotaryEmbedding": rotary,
    "Softmax": softmax,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "SwiGLU": swiglu,
    "Transpose": transpose,
}


def try_test(test):
    stored = {entry["name"]: array(entry) for entry in test["inputs"]}
    inputs = [stored[name] if name else None for name in test["node_inputs"]]
    expected = array(test["outputs"][0])
    b = Builder()
    (shape,) = BUILDERS[test["op"]](b, inputs, test["attributes"])
    result = f"tensor<{''.join(f'{size}x' for size in shape)}f32>"
    arguments = ", ".join(f"%{name}: {kind(value)}" for name, value in b.arguments.items())
    body = "\n  ".join(b.lines)
    text = f"quern.function @test({arguments}) -> {result} {{\n  {body}\n  quern.return %y : {result}\n}}\n"
    paths = [os.path.join(scratch, name) for name in ("test.mlir", "inputs.safetensors", "outputs.safetensors")]
    with open(paths[0], "w", encoding="utf-8") as file:
        file.write(text)
    write(paths[1], b.arguments)
    command = ["quern-reference", paths[0], "--function", "test", "--inputs", paths[1], "--outputs", paths[2]]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{test['test']}: {run.stderr}\n{text}")
    (got,) = read(paths[2]).values()
    unit = 2.0**-11 if expected.dtype == np.float16 else 2.0**-24
    error = np.abs(got - expected.astype(np.float64)).max()
    # ONNX computes its expectations in the type of the test.
    if got.shape != expected.shape or not error <= 40 * unit * max(1, np.abs(expected).max()):
        sys.exit(f"{test['test']}: error {error}, shapes {got.shape} and {expected.shape}\n{text}")


os.makedirs(scratch, exist_ok=True)
tried, reasons = {}, {}
for test in TESTS:
    if test["op"] not in BUILDERS:
        continue
    try:
        try_test(test)
        tried[test["op"]] = tried.get(test["op"], 0) + 1
    except Unmapped as reason:
        reasons.setdefault(str(reason), []).append(test["test"])
print("agree:", tried)
print("not mapped:", {reason: len(tests) for reason, tests in reasons.items()})
if sum(tried.values()) < 73:
    sys.exit("fewer tests than were mapped once")
