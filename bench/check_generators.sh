#!/usr/bin/env bash
# Runs the programs that leave cores, small and without cores: each must say what it made and end by its
# signal.
#
#   check_generators.sh DEEP_THREADS STACK_OVERFLOW MANY_MODULES
set -uo pipefail
ulimit -c 0

failures=0
# expect STATUS PATTERN COMMAND...
expect() {
  local status=$1 pattern=$2 printed ended
  shift 2
  printed=$("$@")
  ended=$?
  [[ $ended == "$status" && $printed =~ ^$pattern$ ]] && return 0
  echo "$(basename "$1"): printed '$printed' and ended with $ended; expected '$pattern' and $status" >&2
  failures=$((failures + 1))
}

readonly aborted=134 segmentation_fault=139
expect $aborted $'threads=4\nstages=[1-9][0-9]*' "$1" 3 5
expect $segmentation_fault 'frames=[1-9][0-9]{3,}' bash -c 'ulimit -s 256; exec "$0"' "$2"
expect $aborted 'modules=0' "$3"
exit $((failures > 0))
