#!/bin/sh
# ===- pack.sh - Fill a folder for run.sh -----------------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# Usage: test/Device/pack.sh FOLDER [--build BUILD] [--only NAME]... [--jobs N] [--predictions FILE]
#
# On a machine with the compiler: compiles what test/Device/run.sh runs and fills FOLDER with programs, PTX,
# tests and data, at most 60 MiB, which can then be moved to a machine with a GPU and without a compiler.
# QUERN_TEST_DATA names the folder of reference data (default: ../shared/data beside the checkout).
set -eu
# Debian's Python, which has its NumPy.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$(dirname "$0")/pack.py" "$@"
