#!/bin/bash
# kill-and-resume.sh MODEL DATA FOLDER KILLS SEED [STEPS SAVE DELAY [OPTIONS...]]: trains a model once
# undisturbed and once killed (SIGKILL) at KILLS random moments and resumed each time; succeeds if all
# files have the same bits. STEPS (3000) and SAVE (40, steps between checkpoints) suit the speed of
# the model, DELAY (90) bounds the time before a kill, in milliseconds.
set -u
model=$1 data=$2 folder=$3 kills=$4 RANDOM=$5 steps=${6:-3000} save=${7:-40} delay=${8:-90}
options=(--data "$data" --steps "$steps" --save-every "$save" --eval-every 500 --batch 4 --sequence 8
         --learning-rate 0.01 --seed 11 "${@:9}")
rm -rf "$folder"
mkdir -p "$folder"
"$model" train "${options[@]}" --out "$folder/calm" > "$folder/calm.txt" || exit 1

killed=0 completed=0
while [ $killed -lt "$kills" ]; do
  "$model" train "${options[@]}" --out "$folder/rough" --resume > "$folder/rough.txt" 2>&1 &
  process=$!
  pause=$((RANDOM % delay + 10))
  sleep "$(printf '%d.%03d' $((pause / 1000)) $((pause % 1000)))"
  if kill -9 $process 2> /dev/null; then
    wait $process 2> /dev/null
    status=$?
    [ $status = 137 ] && killed=$((killed + 1))
  else
    wait $process
    status=$?
  fi
  if [ $status != 137 ]; then
    # It came to the end, or failed. Begin anew until there were enough kills.
    [ $status = 0 ] || { cat "$folder/rough.txt"; exit 1; }
    completed=$((completed + 1))
    cmp "$folder"/{calm,rough}/checkpoint.safetensors || exit 1
    rm -rf "$folder/rough"
  fi
done
"$model" train "${options[@]}" --out "$folder/rough" --resume > "$folder/rough.txt" 2>&1 || {
  cat "$folder/rough.txt"
  exit 1
}
cmp "$folder"/{calm,rough}/weights.safetensors || exit 1
cmp "$folder"/{calm,rough}/checkpoint.safetensors || exit 1
# The log holds every step once, with the same losses.
losses() { sed 's/,"tokens_per_second.*//' "$1/log.jsonl"; }
diff <(losses "$folder/calm") <(losses "$folder/rough") || exit 1
lines=$(wc -l < "$folder/rough/log.jsonl")
[ "$lines" = $((steps + 1)) ] || { echo "the log has $lines lines"; exit 1; }
echo "killed $killed times, same bits"
