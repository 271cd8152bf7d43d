# ===- summarize.py - The outcome of a run of lit in one line --------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
"""summarize.py REPORT.json: names the tests that failed, and ends with "N passed, N failed".

Exits with 0 only if a test passed and none failed. What was skipped is neither.
"""

import json
import sys

PASSED = {"PASS", "XFAIL", "FLAKYPASS"}
SKIPPED = {"UNSUPPORTED", "EXCLUDED", "SKIPPED"}

with open(sys.argv[1], encoding="utf-8") as file:
    tests = json.load(file)["tests"]
passed = [test for test in tests if test["code"] in PASSED]
skipped = [test for test in tests if test["code"] in SKIPPED]
# Anything else is a failure, codes that lit may add one day included.
failed = [test for test in tests if test["code"] not in PASSED | SKIPPED]

for test in failed:
    print(f"failed: {test['name']} ({test['code'].lower()})")
if skipped:
    print(f"{len(skipped)} skipped: they need data or a processor that is not here")
if not tests:
    print("no test ran")
print(f"{len(passed)} passed, {len(failed)} failed", flush=True)
sys.exit(0 if passed and not failed else 1)
