#!/bin/sh
# ===- run.sh - Everything that needs a GPU, in one command -----------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# Usage: test/Device/run.sh FOLDER [--only NAME]... [--jobs N] [--seconds N] [--table FILE]   (or FOLDER/run.sh ...)
#
# On a machine with an NVIDIA GPU, its driver, and python3 with NumPy, from a FOLDER that pack.sh filled elsewhere:
# all kernels against float64, whole models, and the table of speeds. The last line counts what passed.
# Exit status: 0 all passed, 1 something failed, 2 the folder is incomplete or the call is wrong, 3 there is no GPU.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ -f "$here/manifest.json" ]; then
  folder=$here
else
  folder=${1:?"usage: test/Device/run.sh FOLDER [--only NAME]... [--jobs N] [--seconds N]"}
  shift
fi
if [ ! -f "$folder/test/Device/run.py" ]; then
  echo "run.sh: the folder $folder is incomplete: test/Device/run.py is missing; fill it with test/Device/pack.sh"
  exit 2
fi
for python in ${QUERN_PYTHON:-} python3 /usr/bin/python3; do
  "$python" -c 'import numpy' 2>/dev/null && exec "$python" "$folder/test/Device/run.py" "$@"
done
echo "run.sh: there is no python3 with NumPy; install it, or name one in QUERN_PYTHON"
exit 2
