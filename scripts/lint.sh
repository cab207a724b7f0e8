#!/usr/bin/env bash
# Formatting, layering and clang-tidy, all with version 14 of the tools.
#
#   scripts/lint.sh            everything; clang-tidy on every source that the release build compiles
#   scripts/lint.sh --quick    without clang-tidy
#   scripts/lint.sh --fix      formats the sources in place and does nothing else
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh

folders=()
for folder in formats symbolize analyzer db cli tests samples bench; do
  [[ -d $folder ]] && folders+=("$folder")
done
mapfile -t sources < <(find "${folders[@]}" -name '*.cpp' -o -name '*.h' | LC_ALL=C sort)
((${#sources[@]})) || fail "no sources found"

# The database of compile commands is the release build's; sources outside the tree (generated ones) are left out.
run_tidy() {
  [[ -f build/release/compile_commands.json ]] ||
    quietly build/lint-configure.log cmake -S . -B build/release -G Ninja \
      -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
  python3 - "${folders[@]}" <<'PYTHON' | xargs -0 -r -n 1 -P "$(nproc)" \
    clang-tidy-14 --quiet -p build/release --extra-arg=-Wno-unknown-warning-option
import json, os, sys
root = os.getcwd()
files = {os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
         for entry in json.load(open("build/release/compile_commands.json"))}
sys.stdout.write("".join(f + "\0" for f in sorted(files) if f.split(os.sep)[0] in sys.argv[1:]))
PYTHON
}

case ${1:-} in
  --fix)
    clang-format-14 -i "${sources[@]}"
    exit 0
    ;;
  '' | --quick) ;;
  *) fail "usage: lint.sh [--quick|--fix]" ;;
esac

heading "Layering"
python3 tests/layering/check_layering.py --self-test
python3 tests/layering/check_layering.py

heading "clang-format (${#sources[@]} files)"
# one line a file says enough; --fix does the rest
clang-format-14 --dry-run "${sources[@]}" 2>&1 | sed -n 's/^\(.*\):[0-9]*:[0-9]*: warning: code should be.*/\1/p' |
  uniq -c | awk '{ print $2 ": " $1 " places are not formatted" } END { exit NR > 0 }' ||
  fail "scripts/lint.sh --fix formats them"

if [[ ${1:-} != --quick ]]; then
  heading "clang-tidy"
  run_tidy 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' >&2) ||
    fail "clang-tidy has findings"
fi
