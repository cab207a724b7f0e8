#!/usr/bin/env bash
# Makes sure that the Debian packages residue needs are there; installs what is missing.
#
#   scripts/setup.sh demo     what building residue and running the demo needs
#   scripts/setup.sh test     that, and what the tests and the linters need
#
# Nothing is done, and no privilege is needed, when nothing is missing. Otherwise apt-get is used: directly as root,
# through sudo if there is one, and if neither is possible the command to type is printed and the script fails.
#
# The other scripts source this file for `ensure_packages` and the small functions that print.

DEMO_PACKAGES=(
  build-essential cmake ninja-build gdb
  libboost-program-options-dev libsqlite3-dev llvm-19-dev
  libzstd-dev libxxhash-dev liblz4-dev liblzma-dev zlib1g-dev libbz2-dev
)
TEST_PACKAGES=(
  "${DEMO_PACKAGES[@]}"
  libgtest-dev libgmock-dev libbenchmark-dev
  clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14 cppcheck valgrind
  libc6-dbg python3 sqlite3 bzip2 gzip lz4 xz-utils zstd dwz elfutils clang-19 lld-19
  musl-tools g++-i686-linux-gnu libc6-i386 gdb-multiarch
  qemu-user gcc-arm-linux-gnueabihf libc6-dev-armhf-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross
)

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  STYLE_HEAD=$'\e[1;36m' STYLE_BAD=$'\e[1;31m' STYLE_DIM=$'\e[2m' STYLE_OFF=$'\e[0m'
else
  STYLE_HEAD='' STYLE_BAD='' STYLE_DIM='' STYLE_OFF=''
fi

heading() { printf '\n%s== %s%s\n' "$STYLE_HEAD" "$*" "$STYLE_OFF"; }
note() { printf '%s   %s%s\n' "$STYLE_DIM" "$*" "$STYLE_OFF"; }
fail() {
  printf '%s%s: %s%s\n' "$STYLE_BAD" "$(basename "$0")" "$*" "$STYLE_OFF" >&2
  exit 1
}

# Prints a command as one would type it, then runs it.
show_and_run() {
  printf '\n%s$%s' "$STYLE_HEAD" "$STYLE_OFF"
  local word
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=@,+-]+$ ]]; then printf ' %s' "$word"; else printf ' "%s"' "$word"; fi
  done
  printf '\n'
  "$@"
}

# Runs a command with its output in a log; shows the end of the log if the command fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    fail "failed: $* (all of its output: $log)"
  fi
}

missing_packages() {
  local package
  for package in "$@"; do
    # ii = wanted and installed; everything else, also "removed but configured", is missing
    [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null) == *ii* ]] || echo "$package"
  done
}

# ensure_packages demo|test
ensure_packages() {
  local wanted=()
  case ${1:-} in
    demo) wanted=("${DEMO_PACKAGES[@]}") ;;
    test) wanted=("${TEST_PACKAGES[@]}") ;;
    *) fail "usage: setup.sh demo|test" ;;
  esac
  if ! command -v dpkg-query >/dev/null; then
    note "This is not Debian, so packages are not checked. Needed are the equivalents of:"
    note "${wanted[*]}"
    return 0
  fi
  local missing
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  ((${#missing[@]} == 0)) && return 0

  heading "Installing ${#missing[@]} missing packages (this can take some minutes)"
  note "${missing[*]}"
  local as_root=()
  if ((EUID != 0)); then
    # without a terminal sudo cannot ask for a password
    if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      fail "packages are missing and there are no rights to install them. Please run as root:
    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    fi
  fi
  local log
  log=$(mktemp)
  quietly "$log" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update
  quietly "$log" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}"
  rm -f "$log"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  ensure_packages "$@"
fi
