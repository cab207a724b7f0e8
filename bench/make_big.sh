#!/usr/bin/env bash
# Makes `big`, a program with 120 MB of .debug_info in 18 large units (about ten minutes of CPU time).
#
#   bench/make_big.sh DIR [COMPILER]    DIR/big; COMPILER is g++ if not given
#
# Objects are made once and used again; the same compiler makes the same program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh

readonly units=18 kinds=24
dir=${1:?usage: make_big.sh DIR [COMPILER]} compiler=${2:-g++}
mkdir -p "$dir"
[[ -s $dir/big ]] && exit 0

heading "Compiling $units units of $dir/big"
flags=(-std=c++20 -O1 -g -Ibench "-ffile-prefix-map=$PWD=/residue")
compile() {
  local object=$1
  shift
  [[ -s $object ]] || { nice "$compiler" "${flags[@]}" "$@" -c -o "$object.part" && mv "$object.part" "$object"; }
}
pids=()
objects=()
for ((unit = 0; unit < units; ++unit)); do
  ((${#pids[@]} < $(nproc))) || { wait "${pids[0]}" && pids=("${pids[@]:1}"); }
  compile "$dir/unit-$unit.o" "-DUNIT=$unit" "-DKINDS=$kinds" bench/big_unit.cpp &
  pids+=($!)
  objects+=("$dir/unit-$unit.o")
done
for pid in "${pids[@]}"; do wait "$pid"; done
compile "$dir/main.o" bench/big_program.cpp
"$compiler" -o "$dir/big.part" "$dir/main.o" "${objects[@]}"
mv "$dir/big.part" "$dir/big"
