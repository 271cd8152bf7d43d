#!/bin/bash
# stop.sh SIGNAL LOG COMMAND...: runs the command, sends it the signal once its LOG has grown by ten
# lines, and ends with its exit code.
signal=$1 log=$2
shift 2
lines() { cat "$log" 2> /dev/null | wc -l; }
before=$(lines)
"$@" &
process=$!
while kill -0 $process 2> /dev/null && [ "$(lines)" -lt $((before + 10)) ]; do
  sleep 0.01
done
kill -s "$signal" $process 2> /dev/null
wait $process
