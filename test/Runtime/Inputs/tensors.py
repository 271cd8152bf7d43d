#!/usr/bin/env python3
"""Writes and prints safetensors files for tests, with nothing but the standard library.

tensors.py write FILE NAME:DTYPE:SHAPE=VALUES...   tokens:I32:2x3=1,2,3,4,5,6; a scalar has no SHAPE
tensors.py print FILE [NAME...]                    one line a tensor: name dtype shape values...
tensors.py same FILE FILE                          fails unless all tensors have the same bits
tensors.py near FILE FILE TOLERANCE                fails unless all numbers differ by no more than that
"""
import json
import struct
import sys

CODES = {"F32": "f", "F64": "d", "I32": "i", "I64": "q"}


def read(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[8 + length + begin : 8 + length + end])
    return tensors


def write(path, texts):
    header, data = {}, b""
    for text in texts:
        description, values = text.split("=")
        name, dtype, shape = description.split(":")
        numbers = [(float if dtype[0] == "F" else int)(v) for v in values.split(",") if v]
        raw = struct.pack("<%d%s" % (len(numbers), CODES[dtype]), *numbers)
        sizes = [int(size) for size in shape.split("x") if size]
        header[name] = {"dtype": dtype, "shape": sizes, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


def main(command, path, *rest):
    if command == "write":
        write(path, rest)
    elif command == "print":
        for name, (dtype, shape, raw) in sorted(read(path).items()):
            if not rest or name in rest:
                values = struct.unpack("<%d%s" % (len(raw) // struct.calcsize(CODES[dtype]), CODES[dtype]), raw)
                print(name, dtype, "x".join(map(str, shape)) or "scalar", *("%.6g" % v for v in values[:8]))
    elif command == "same":
        a, b = read(path), read(rest[0])
        different = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
        if different or not a:
            sys.exit("different: " + ", ".join(different or ["no tensors"]))
        print("same bits in", len(a), "tensors")
    elif command == "near":
        a, b, tolerance = read(path), read(rest[0]), float(rest[1])
        worst = {}
        for name in a.keys() | b.keys():
            if name not in a or name not in b or a[name][:2] != b[name][:2]:
                sys.exit("not in both alike: " + name)
            (dtype, _, left), (_, _, right) = a[name], b[name]
            unpack = lambda raw: struct.unpack("<%d%s" % (len(raw) // struct.calcsize(CODES[dtype]), CODES[dtype]), raw)
            # A difference that is no number is not near.
            worst[name] = max((abs(x - y) if x == x and y == y else float("inf")
                               for x, y in zip(unpack(left), unpack(right))), default=0)
        far = {name: difference for name, difference in worst.items() if not difference <= tolerance}
        if far or not a:
            sys.exit("too far apart: %s" % far)
        print("differ by at most %.3g" % max(worst.values()))
    else:
        sys.exit(__doc__)


main(*sys.argv[1:])
