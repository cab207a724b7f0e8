#!/usr/bin/env bash
# Every check there is, in the order that ends with the most telling one:
# lint, unit tests under sanitizers, a short fuzz run, and all tests of the release build.
#
# Installs missing packages first (see setup.sh). Works from a fresh clone and from any directory; all output goes to
# build/. FUZZ_SECONDS (default 20) is the time each fuzz target gets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh

FUZZ_SECONDS=${FUZZ_SECONDS:-20}
jobs=$(nproc)

configure() {
  local folder=$1
  shift
  quietly "build/configure-$(basename "$folder").log" cmake -S . -B "$folder" -G Ninja \
    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DBUILD_TESTING=ON -DRESIDUE_WERROR=ON "$@"
}

# LeakSanitizer stops the process with ptrace, which a container may forbid; then only the leak check is lost.
sanitizer_options() {
  local leaks=1
  if ! can_ptrace; then
    note "ptrace is denied here: the sanitizer build runs without its leak check"
    leaks=0
  fi
  export ASAN_OPTIONS=detect_leaks=$leaks:strict_string_checks=1:detect_stack_use_after_return=1
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
}

can_ptrace() {
  sleep 30 &
  local child=$! answer=0
  gdb -q -batch -nx -p "$child" 2>&1 | grep -q 'ptrace:' && answer=1
  kill "$child" 2>/dev/null
  wait "$child" 2>/dev/null
  return "$answer"
}

sanitizer_tests() {
  configure build/sanitize -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    '-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g' '-DRESIDUE_SANITIZE=address;undefined'
  cmake --build build/sanitize
  (
    sanitizer_options
    ctest --test-dir build/sanitize -j "$jobs" --output-on-failure --no-tests=error \
      -LE 'e2e-slow|witness'
  )
}

# Runs one fuzz target from its seeds (tests/fuzz/seeds/<target>, if there) on a corpus that lives in the build folder.
fuzz_one() {
  local target=$1 binary corpus="build/fuzz/corpus/$1" log="build/fuzz/$1.log"
  binary=$(find build/fuzz -type f -name "$target" -perm -u+x -print -quit)
  [[ -n $binary ]] || { echo "$target: not built" >&2; return 1; }
  mkdir -p "$corpus" build/fuzz/findings
  local folders=("$corpus")
  [[ -d tests/fuzz/seeds/$target ]] && folders+=("tests/fuzz/seeds/$target")
  # The same seed each time: a change is judged by what it did, not by luck. FUZZ_SEED=0 draws lots.
  if ! "$binary" -seed="${FUZZ_SEED:-1}" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -max_len=1048576 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$target-" "${folders[@]}" \
    >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "$target: FAILED; the input is in build/fuzz/findings, the output in $log" >&2
    return 1
  fi
  printf '   %-28s %s runs\n' "$target" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
}
export -f fuzz_one
export FUZZ_SECONDS

fuzz() {
  configure build/fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRESIDUE_FUZZ=ON \
    -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14
  local targets
  mapfile -t targets < <(ninja -C build/fuzz -t targets all |
    sed -n 's/^\(fuzz_[a-z0-9_]*\): .*/\1/p' | LC_ALL=C sort -u)
  ((${#targets[@]})) || fail "the fuzz build has no fuzz_* targets"
  cmake --build build/fuzz --target "${targets[@]}"
  # shellcheck disable=SC2016  # $1 is for the inner shell
  printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'fuzz_one "$1"' fuzz_one
}

release_tests() {
  configure build/release -DCMAKE_BUILD_TYPE=RelWithDebInfo
  cmake --build build/release
  # some tests make the kernel write cores
  ulimit -c unlimited 2>/dev/null || note "ulimit -c cannot be raised: tests that need kernel cores will say so"
  ctest --test-dir build/release -j "$jobs" --output-on-failure --no-tests=error
}

started=$SECONDS
step() {
  heading "$1 (after $((SECONDS - started)) s)"
  shift
  "$@"
}

ensure_packages test
step "Lint" scripts/lint.sh --quick
step "Unit tests under AddressSanitizer and UndefinedBehaviorSanitizer" sanitizer_tests
step "Fuzzing, $FUZZ_SECONDS s a target" fuzz
step "All tests of the release build" release_tests
