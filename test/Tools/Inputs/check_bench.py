"""check_bench.py FILE WORK SHAPE... --threads N... [--no-ratio] [--type TYPE] [--peer NAME DESCRIPTION]: the JSON of
`quern bench` has these rows, in this order, with numbers that agree with each other."""

import argparse
import json
import math

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("work")
parser.add_argument("shapes", nargs="+")
parser.add_argument("--threads", type=int, nargs="+", required=True)
parser.add_argument("--no-ratio", action="store_true")
parser.add_argument("--type", default="f32")
parser.add_argument("--peer", nargs=2, default=[], help="has measured each row (none: nobody has), and is described so")
options = parser.parse_args()

with open(options.file) as file:
    report = json.load(file)
machine = report["machine"]
assert machine["processor"] and machine["compiled_for"] and isinstance(machine["versions"], dict)
assert [c["threads"] for c in machine["ceilings"]] == options.threads
assert all(c["f32_gflops"] > 0 and c["read_gigabytes"] > 0 and c["update_gigabytes"] > 0 for c in machine["ceilings"])

expected = [(options.work, shape, threads) for shape in options.shapes for threads in options.threads]
rows = report["results"]
assert [(row["work"], row["shape"], row["threads"]) for row in rows] == expected, rows
for row in rows:
    if options.peer and options.peer[0] == "none":
        assert not row["peers"]
    elif options.peer:
        assert row["peers"][options.peer[0]] > 0 and options.peer[1] in machine["versions"][options.peer[0]]
    assert row["type"] == options.type and row["unit"] and row["peers"] is not None
    assert 0 < row["seconds_min"] <= row["seconds_median"]
    assert row["rate"] > 0 and math.isfinite(row["rate"])
    if options.no_ratio:
        assert row["ratio"] is None and row["ceiling"] is None
    else:
        assert row["ceiling"] > 0 and row["ratio"] > 0
    one = next((r for r in rows if r["shape"] == row["shape"] and r["threads"] == 1), row)
    if row["work"] in ("train", "prefill", "decode") and one is not row:
        assert math.isclose(row["speedup"], row["rate"] / one["rate"])
    else:
        assert row["speedup"] is None
    if row["work"] == "train":
        # Beside the weights there is the process itself, which small models do not outweigh.
        assert row["memory_predicted_bytes"] > 0
        assert row["memory_bytes"] > 0.9 * row["memory_predicted_bytes"]
        assert row["memory_bytes"] < 1.1 * row["memory_predicted_bytes"] + (64 << 20)
    else:
        assert row["memory_bytes"] is None and row["memory_predicted_bytes"] is None
    if row["unit"].startswith("G") and not options.no_ratio:
        assert math.isclose(row["ratio"], row["rate"] / row["ceiling"])
