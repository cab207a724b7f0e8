#!/usr/bin/env bash
# Measures residue's symbolizer on a program with 120 MB of .debug_info; see bench/README.md.
#
#   bench/run_symbols.sh [--dir DIR] [--runs N] [--counts "1 10 100 1000 10000"] [--slow N] [--compiler CXX]
#
# The program, in DIR (default build/bench/big), is made once: some minutes on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh
. bench/cores.sh

dir=build/bench/big runs=3 counts='1 10 100 1000 10000' slow=100 compiler=g++
while (($#)); do
  case $1 in
    --dir) dir=$2 ;;
    --runs) runs=$2 ;;
    --counts) counts=$2 ;;
    --slow) slow=$2 ;;
    --compiler) compiler=$2 ;;
    *) fail "usage: run_symbols.sh [--dir DIR] [--runs N] [--counts \"N…\"] [--slow N] [--compiler CXX]" ;;
  esac
  shift 2
done

ensure_packages test
build_bench symbolize_addresses cost residue
bench/make_big.sh "$dir" "$compiler"
big=$dir/big

heading "Random addresses of $big: medians of $runs runs after one warm-up, the tools in turn"
python3 bench/measure_symbols.py --tool "$bin/symbolize_addresses" --cost "$bin/cost" --runs "$runs" \
  --counts "$counts" --slow "$slow" "$big"

heading "residue stacks on a core of $big, stopped in main"
take_core "$dir/big.core" "$big"
python3 bench/measure_stacks.py compare --residue build/release/residue --cost "$bin/cost" --runs "$runs" \
  "$big" "$dir/big.core"
