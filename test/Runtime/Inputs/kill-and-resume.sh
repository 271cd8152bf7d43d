#!/bin/bash
# kill-and-resume.sh MODEL DATA FOLDER KILLS SEED: trains a model once undisturbed and once killed
# (SIGKILL) at KILLS random moments and resumed each time; succeeds if all files have the same bits.
set -u
model=$1 data=$2 folder=$3 kills=$4 RANDOM=$5
options=(--data "$data" --steps 3000 --save-every 40 --eval-every 500 --batch 4 --sequence 8
         --learning-rate 0.01 --seed 11)
rm -rf "$folder"
mkdir -p "$folder"
"$model" train "${options[@]}" --out "$folder/calm" > "$folder/calm.txt" || exit 1

killed=0 completed=0
while [ $killed -lt "$kills" ]; do
  "$model" train "${options[@]}" --out "$folder/rough" --resume > "$folder/rough.txt" 2>&1 &
  process=$!
  sleep "0.0$((RANDOM % 90 + 10))"
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
[ "$lines" = 3001 ] || { echo "the log has $lines lines"; exit 1; }
echo "killed $killed times, same bits"
