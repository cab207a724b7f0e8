#!/usr/bin/env bash
# Makes a database of many snapshots and measures what it costs to store one more and to compare them; see
# bench/README.md.
#
#   bench/run_snapshots.sh [--dir DIR] [--snapshots N] [--residue FILE]
#
# A database already in DIR (default build/bench/snapshots) is used again; --residue measures that program as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh
. bench/cores.sh

dir=build/bench/snapshots snapshots=10000 residue=''
while (($#)); do
  case $1 in
    --dir) dir=$2 ;;
    --snapshots) snapshots=$2 ;;
    --residue) residue=$2 ;;
    *) fail "usage: run_snapshots.sh [--dir DIR] [--snapshots N] [--residue FILE]" ;;
  esac
  shift 2
done

ensure_packages test
targets=(many_snapshots)
[[ -n $residue ]] || targets+=(residue)
build_bench "${targets[@]}"
residue=${residue:-build/release/residue}
mkdir -p "$dir"
database=$dir/snapshots-$snapshots.db

heading "Storing: 200 imports, each opens and closes the database"
rm -f "$dir"/few.db*
"$bin/many_snapshots" "$dir/few.db" --snapshots 200 --reopen

if [[ ! -s $database ]]; then
  heading "Making a database of $snapshots snapshots"
  rm -f "$database.part"*
  "$bin/many_snapshots" "$database.part" --snapshots "$snapshots"
  mv "$database.part" "$database"
fi

heading "Reading it"
python3 bench/measure_snapshots.py "$database" --residue "$residue" --sizes

heading "Forgetting the oldest thirtieth"
cp "$database" "$dir/forget.db"
time "$residue" forget "$dir/forget.db" --format csv \
  $(seq 1 $((snapshots / 30))) > /dev/null
rm -f "$dir"/forget.db*
