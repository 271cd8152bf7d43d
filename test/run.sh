#!/bin/sh
# ===- run.sh - Install, build and run every test --------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# Usage: test/run.sh [--asan] [-j N]
#
# On a Debian 12 that has nothing yet: installs the packages (as root or through sudo), builds, runs
# all tests. The last line is "N passed, N failed"; the exit status is 0 only if some tests ran and
# all of them passed. --asan does the same under AddressSanitizer and UBSan, in a build folder of its own.
# QUERN_TEST_DATA names the folder of reference data; without it, tests that need it are skipped.
set -u
cd "$(dirname "$0")/.." || exit 1

preset=release build=build extra='' jobs=$(nproc)
while [ $# -gt 0 ]; do
  case $1 in
    --asan) preset=asan build=build-asan extra=libclang-rt-22-dev ;;
    -j) shift; jobs=${1:?-j takes a number} ;;
    -h | --help) sed -n '9,14s/^# //p' "$0"; exit 0 ;;
    *) echo "test/run.sh: unknown option $1 (--asan, -j N)" >&2; exit 2 ;;
  esac
  shift
done

stopped() {
  echo "test/run.sh: $1" >&2
  echo "0 passed, 1 failed"
  exit 1
}

. examples/packages.sh
# shellcheck disable=SC2086
quern_install_packages $extra || stopped "packages are missing"
cmake --preset "$preset" -Wno-dev || stopped "the configuration failed"
ninja -C "$build" -j "$jobs" || stopped "the build failed"

report=$build/test/report.json
rm -f "$report"
# lit's own limit for a test needs a Python module beyond Debian's lit; this bounds the whole.
timeout 3600 /usr/bin/python3 /usr/lib/llvm-22/bin/lit -sv -j "$jobs" --output "$report" \
  "$build/test" "$build/unit"
[ -f "$report" ] || stopped "lit wrote no report"
exec /usr/bin/python3 test/summarize.py "$report"
