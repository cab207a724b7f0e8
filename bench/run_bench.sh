#!/usr/bin/env bash
# Makes large cores with a known heap and measures `residue analyze` on them; see bench/README.md.
#
#   bench/run_bench.sh [--dir DIR] [--sizes "1 5 10"] [--random MILLIONS] [--runs N]
#
# Cores already in DIR (default build/bench) are used again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh

dir=build/bench sizes="1 5 10" random=2 runs=5
while (($#)); do
  case $1 in
    --dir) dir=$2 ;;
    --sizes) sizes=$2 ;;
    --random) random=$2 ;;
    --runs) runs=$2 ;;
    *) fail "usage: run_bench.sh [--dir DIR] [--sizes \"1 5 10\"] [--random MILLIONS] [--runs N]" ;;
  esac
  shift 2
done

build() {
  heading "Building"
  quietly build/bench-configure.log cmake -S . -B build/release -G Ninja \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRESIDUE_BENCH=ON
  quietly build/bench-build.log cmake --build build/release --target residue heap_maker read_file
  heap_maker=$(find build/release -type f -name heap_maker -perm -u+x -print -quit)
  read_file=$(find build/release -type f -name read_file -perm -u+x -print -quit)
}

# make_core MODE MILLIONS: DIR/MODE-MILLIONS.core and its .truth, unless both are there.
make_core() {
  local name="$dir/$1-$2" line
  cores+=("$name.core")
  [[ -s $name.core && -s $name.truth ]] && return 0
  heading "Making $name.core"
  coproc MAKER { exec "$heap_maker" "$1" "$2"; }
  local pid=$MAKER_PID out in
  exec {out}<&"${MAKER[0]}" {in}>&"${MAKER[1]}"
  while IFS= read -r -u "$out" line; do
    echo "$line"
    [[ $line == READY* ]] && break
  done >"$name.truth.part"
  gcore -o "$name" "$pid" >"$name.gcore.log" 2>&1 || true
  kill "$pid" 2>/dev/null || true
  [[ -s $name.$pid ]] ||
    fail "gcore failed, see $name.gcore.log (in a container ptrace may be forbidden)"
  exec {in}>&- {out}<&-
  wait "$pid" 2>/dev/null || true
  mv "$name.$pid" "$name.core"
  mv "$name.truth.part" "$name.truth"
  rm -f "$name.gcore.log"
}

ensure_packages test
build
mkdir -p "$dir"
cores=()
for millions in $sizes; do make_core regular "$millions"; done
[[ $random == 0 ]] || make_core random "$random"

heading "Medians of $runs runs after one warm-up, reads and analyses in turn"
python3 bench/measure.py --residue build/release/residue --read-file "$read_file" --runs "$runs" "${cores[@]}"
