# For the scripts in this folder: builds what they measure, and takes cores from the kernel.
# Source it after scripts/setup.sh, from the root of the repository.

# build_bench TARGET...: builds them in build/release and sets `bin`, where they are.
build_bench() {
  heading "Building"
  quietly build/bench-configure.log cmake -S . -B build/release -G Ninja \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRESIDUE_BENCH=ON
  quietly build/bench-build.log cmake --build build/release --target "$@"
  bin=build/release/bench
}

# take_core CORE PROGRAM [ARGUMENT...]: runs a program that ends by a signal, and keeps its core as
# CORE and what it printed as CORE's name with .truth; does nothing if both are there and newer than the program.
# The kernel writes the core (gcore would read pages into the process and fill the holes), so core_pattern must name a
# plain file.
take_core() {
  local core name program folder written
  core=$(realpath -m "$1") program=$(realpath "$2")
  name=${core%.core}
  shift 2
  [[ -s $name.truth && $core -nt $program ]] && return 0
  case $(</proc/sys/kernel/core_pattern) in
    '|'* | */*) fail "cores go elsewhere (/proc/sys/kernel/core_pattern); as root: sysctl kernel.core_pattern=core" ;;
  esac
  note "making $core"
  folder=$(mktemp -d "$(dirname "$core")/core-XXXXXX")
  (
    ulimit -c unlimited
    cd "$folder"
    "$program" "$@" >"$name.truth.part"
  ) 2>"$name.log" || true
  written=$(find "$folder" -maxdepth 1 -type f -name '*core*' -print -quit)
  [[ -n $written ]] || fail "$(basename "$program") left no core, see $name.log"
  mv "$written" "$core"
  mv "$name.truth.part" "$name.truth"
  rm -rf "$folder" "$name.log"
}
