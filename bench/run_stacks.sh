#!/usr/bin/env bash
# Measures `residue stacks` on cores made for it: against gdb on one of 200 threads, and how it grows with
# frames, threads and modules; see bench/README.md.
#
#   bench/run_stacks.sh [--dir DIR] [--runs N] [--residue FILE]
#
# Cores already in DIR (default build/bench/stacks) are used again; --residue measures that program as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh
. bench/cores.sh

dir=build/bench/stacks runs=5 residue=''
while (($#)); do
  case $1 in
    --dir) dir=$2 ;;
    --runs) runs=$2 ;;
    --residue) residue=$2 ;;
    *) fail "usage: run_stacks.sh [--dir DIR] [--runs N] [--residue FILE]" ;;
  esac
  shift 2
done

# overflow_core KILOBYTES CORE
overflow_core() {
  (ulimit -s "$1" && take_core "$2" "$bin/stack_overflow")
}

# module_core COUNT CORE: libraries that differ in nothing but their name (and so in their build-id).
module_core() {
  local libraries=() path
  for ((i = 0; i < $1; ++i)); do
    path=$dir/libraries/libpass$i.so
    mkdir -p "$dir/libraries"
    [[ -s $path ]] || c++ -shared -nostdlib -Wl,--build-id "-Wl,-soname,libpass$i.so" "$pass_on" -o "$path"
    libraries+=("$(realpath "$path")")
  done
  take_core "$2" "$bin/many_modules" "${libraries[@]}"
}

ensure_packages test
targets=(cost deep_threads stack_overflow many_modules pass_on)
[[ -n $residue ]] || targets+=(residue)
build_bench "${targets[@]}"
residue=${residue:-build/release/residue}
pass_on=$(find build/release/bench -name 'pass_on*.o' -print -quit)
mkdir -p "$dir"
measure() { python3 bench/measure_stacks.py "$1" --residue "$residue" --cost "$bin/cost" --runs "$runs" "${@:2}"; }

heading "200 threads: medians of $runs runs after one warm-up, residue and gdb in turn"
take_core "$dir/threads-200.core" "$bin/deep_threads" 200
measure compare "$bin/deep_threads" "$dir/threads-200.core"

heading "Frames: one thread that has overflowed its stack"
for kilobytes in 200 800 3200; do overflow_core $kilobytes "$dir/overflow-$kilobytes.core"; done
measure growth --unit frames "$dir"/overflow-{200,800,3200}.core

heading "Threads"
for threads in 10 100 1000; do take_core "$dir/growth-$threads.core" "$bin/deep_threads" $threads; done
measure growth --unit threads "$dir"/growth-{10,100,1000}.core

heading "Modules: one stack that goes through each of them"
for modules in 10 100 1000; do module_core $modules "$dir/modules-$modules.core"; done
measure growth --unit modules "$dir"/modules-{10,100,1000}.core
