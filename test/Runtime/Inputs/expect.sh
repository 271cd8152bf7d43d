#!/bin/bash
# expect.sh CODE COMMAND...: runs the command and succeeds if it ends with that exit code.
expected=$1
shift
"$@"
code=$?
[ $code = "$expected" ] && exit 0
echo "expect.sh: exit code $code instead of $expected: $*" >&2
exit 1
