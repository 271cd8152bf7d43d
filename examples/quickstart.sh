#!/bin/sh
# ===- quickstart.sh - From a fresh clone to text that a model wrote ------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===---------------------------------------------------------------------------------------------===#
# Usage: examples/quickstart.sh [--data FILE] [--steps N] [--out FOLDER] [-j N]
#
# On a bare Debian 12, as root or with sudo: installs the packages, builds the compiler, compiles a
# small GPT, trains it on the Jargon File (public domain, from a Debian package) or on FILE, and lets
# it write. Minutes on two cores; the compiler is built only once.
set -eu
cd "$(dirname "$0")/.."

data= steps=2500 out=build/quickstart jobs=$(nproc)
while [ $# -gt 0 ]; do
  case $1 in
    --data | --steps | --out | -j)
      [ $# -gt 1 ] || { echo "quickstart.sh: $1 takes a value" >&2; exit 2; } ;;
  esac
  case $1 in
    --data) data=$2; shift ;;
    --steps) steps=$2; shift ;;
    --out) out=$2; shift ;;
    -j) jobs=$2; shift ;;
    -h | --help) sed -n '8,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart.sh: unknown option $1 (--data FILE, --steps N, --out FOLDER, -j N)" >&2; exit 2 ;;
  esac
  shift
done
case $steps in
  '' | *[!0-9]*) echo "quickstart.sh: --steps takes a number, not '$steps'" >&2; exit 2 ;;
esac
if [ -n "$data" ] && [ ! -r "$data" ]; then
  echo "quickstart.sh: cannot read the text '$data'" >&2
  exit 1
fi

started=$(date +%s)
stage() {
  printf '\n== %s (after %d s)\n' "$1" $(($(date +%s) - started))
}

stage "1 of 6: install LLVM, MLIR and the tools to build with"
. examples/packages.sh
quern_install_packages
mkdir -p "$out"

stage "2 of 6: build the compiler and the runtime that compiled programs link"
cmake --preset release -Wno-dev > "$out/configure.log" || { cat "$out/configure.log"; exit 1; }
ninja -C build -j "$jobs" quern quern_runtime quern_runtime_main

stage "3 of 6: get a text to learn from"
if [ -z "$data" ]; then
  data=$out/jargon.txt
  if [ ! -s "$data" ]; then
    echo "The Jargon File, version 4.4.7: in the public domain, from Debian's package jargon-text."
    rm -rf "$out/package" && mkdir "$out/package"
    (cd "$out/package" && apt-get download -q jargon-text > download.log 2>&1 && dpkg-deb -x ./*.deb .) || {
      cat "$out/package/download.log" >&2
      echo "The package jargon-text cannot be had; give a text of your own with --data FILE" >&2
      exit 1
    }
    # The lexicon alone, in ASCII, without the indentation of its pages.
    zcat "$out/package/usr/share/doc/jargon-text/jargon.txt.gz" | sed -n '/^ *:abbrev:/,$p' |
      iconv -f UTF-8 -t ASCII//TRANSLIT | sed 's/^ *//' > "$data.part"
    mv "$data.part" "$data"
  fi
fi
ls -lL "$data" | awk '{ print $NF ": " $5 " bytes" }'

stage "4 of 6: write the text of a GPT, and compile it to a program"
set -- --layers 4 --heads 4 --width 128 --context 128 --vocabulary 256
echo "quern new gpt $* > $out/gpt.mlir"
build/bin/quern new gpt "$@" > "$out/gpt.mlir"
echo "quern compile $out/gpt.mlir -o $out/gpt"
build/bin/quern compile "$out/gpt.mlir" -o "$out/gpt" --timing

stage "5 of 6: train it: $steps steps of 8 x 128 bytes"
"$out/gpt" train --data "$data" --out "$out/run" --overwrite --batch 8 --sequence 128 \
  --steps "$steps" --learning-rate 0.002 --eval-every 250

stage "6 of 6: let it write"
"$out/gpt" generate --weights "$out/run/weights.safetensors" --prompt ":hacker: n. " --echo \
  --tokens 500 --temperature 0.7 --seed 4
printf '\n'

stage "done"
cat <<EOF
The model's text is $out/gpt.mlir; change it, compile it again. The program explains itself:
  $out/gpt --help
  $out/gpt generate --weights $out/run/weights.safetensors --prompt "The "
EOF
