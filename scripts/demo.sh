#!/usr/bin/env bash
# Builds residue and shows what it does; every command is printed before it runs, to be typed again.
#
#   scripts/demo.sh              a sample service leaks; two cores of it are taken, analysed and compared
#   scripts/demo.sh DUMP...      analyses your own dumps instead, oldest first
#
# Installs missing packages first (see setup.sh). Everything it makes is under build/.
set -euo pipefail
invoked_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/setup.sh

RESIDUE=build/release/residue
SERVICE=build/release/samples/leaky_service
DB=build/demo/demo.db
CORES=build/demo/cores
SECONDS_TO_WAIT=30

build() {
  heading "Building residue (log: build/demo/build.log)"
  local options=(-DCMAKE_BUILD_TYPE=RelWithDebInfo)
  # a new build folder needs no test libraries; one that has tests keeps them
  [[ -f build/release/CMakeCache.txt ]] || options+=(-DBUILD_TESTING=OFF)
  quietly build/demo/configure.log cmake -S . -B build/release -G Ninja "${options[@]}"
  if [[ -t 1 ]]; then
    cmake --build build/release --target residue residue_sqlite leaky_service  # one line, rewritten
  else
    quietly build/demo/build.log cmake --build build/release --target residue residue_sqlite leaky_service
  fi
  note "built in $SECONDS s"
}

service_pid=
stop_service() {
  [[ -n $service_pid ]] || return 0
  kill "$service_pid" 2>/dev/null || true
  wait "$service_pid" 2>/dev/null || true
  service_pid=
}
trap stop_service EXIT

# Starts the service in the cores' folder (the kernel writes cores where a process is), with a pipe at both ends.
start_service() {
  coproc SERVICE_IO { cd "$CORES" && exec "$OLDPWD/$SERVICE"; } 2>/dev/null
  service_pid=$SERVICE_IO_PID
  exec {service_out}<&"${SERVICE_IO[0]}" {service_in}>&"${SERVICE_IO[1]}"
}

# Waits until the service is ready with the given phase. What it says, it knows of its own heap; that is kept.
wait_for_phase() {
  local line
  while IFS= read -r -t "$SECONDS_TO_WAIT" -u "$service_out" line; do
    echo "$line" >>"$CORES/phase$1.truth"
    if [[ $line == "READY phase=$1"* ]]; then
      note "leaky_service: $line"
      return 0
    fi
  done
  fail "the sample did not reach phase $1 within $SECONDS_TO_WAIT s"
}

next_phase() { echo >&"$service_in"; }

# Much of a core is memory that was reserved and never touched: zeros, which need no disk.
keep_core() {
  mv "$1" "$2"
  fallocate --dig-holes "$2" 2>/dev/null || true
  note "$2: $(du -h --apparent-size "$2" | cut -f1), on disk $(du -h "$2" | cut -f1)"
}

# take_core PHASE: writes $CORES/phase<PHASE>.core with gcore; 1 if that is not possible here.
take_core() {
  local prefix="$CORES/phase$1"
  printf '\n%s$%s gcore -o %s %s\n' "$STYLE_HEAD" "$STYLE_OFF" "$prefix" "$service_pid"
  if gcore -o "$prefix" "$service_pid" >"$CORES/gcore.log" 2>&1 && [[ -f $prefix.$service_pid ]]; then
    keep_core "$prefix.$service_pid" "$prefix.core"
    return 0
  fi
  grep -iE 'ptrace|not permitted|denied|could not|unable' "$CORES/gcore.log" | head -n 3 >&2 || true
  return 1
}

cores_by_gcore() {
  start_service
  wait_for_phase 1
  take_core 1 || return 1
  next_phase
  wait_for_phase 2
  take_core 2 || return 1
  stop_service
}

# Where the kernel puts the core of a process, as a pattern for the shell: %p is known, the rest is "something".
kernel_core_glob() {
  local pattern pid=$1
  pattern=$(cat /proc/sys/kernel/core_pattern)
  pattern=${pattern//%%/%}
  pattern=$(sed -E "s/%[pPiI]/$pid/g; s/%[a-zA-Z]/*/g" <<<"$pattern")
  [[ $pattern == /* ]] || pattern="$CORES/$pattern"
  [[ $pattern == *"$pid"* || $(cat /proc/sys/kernel/core_uses_pid) == 0 ]] || pattern+=".$pid"
  echo "$pattern"
}

# The way without ptrace: the service is run up to a phase, aborted, and the kernel writes the core.
core_by_abort() {
  local phase=$1 pid file
  start_service
  pid=$service_pid
  wait_for_phase 1
  if ((phase == 2)); then
    next_phase
    wait_for_phase 2
  fi
  printf '\n%s$%s kill -ABRT %s\n' "$STYLE_HEAD" "$STYLE_OFF" "$pid"
  kill -ABRT "$pid"
  wait "$pid" 2>/dev/null || true
  service_pid=
  # shellcheck disable=SC2046,SC2012  # the pattern is meant to expand
  file=$(ls -t $(kernel_core_glob "$pid") 2>/dev/null | head -n 1) || true
  [[ -n $file && -s $file ]] || fail "the kernel wrote no core (core_pattern is '$(cat /proc/sys/kernel/core_pattern)',
    ulimit -c is $(ulimit -c)). Run the demo on a core you have: scripts/demo.sh /path/to/core"
  keep_core "$file" "$CORES/phase$phase.core"
}

cores_by_kernel() {
  local pattern
  pattern=$(cat /proc/sys/kernel/core_pattern)
  note "gcore cannot stop a process here. In a container that is usual: ptrace is forbidden unless it is started with"
  note "--cap-add=SYS_PTRACE. The demo lets the service crash instead, so that the kernel writes the cores."
  if [[ $pattern == '|'* ]]; then
    fail "that is not possible either: the kernel hands cores to a program (core_pattern is '$pattern').
    Fetch a core from it (with systemd: coredumpctl dump -o core) and run: scripts/demo.sh core"
  fi
  ulimit -c unlimited 2>/dev/null || fail "ulimit -c cannot be raised, so there will be no core"
  core_by_abort 1
  core_by_abort 2
}

sample_cores() {
  heading "A service that leaks, and two cores of it"
  [[ -x $SERVICE ]] || fail "$SERVICE was not built"
  rm -rf "$CORES"
  mkdir -p "$CORES"
  if ! cores_by_gcore; then
    stop_service
    cores_by_kernel
  fi
  DUMPS=("$CORES/phase1.core" "$CORES/phase2.core")
}

# Dumps are named as the user named them, from where the user is.
own_dumps() {
  local dump
  DUMPS=()
  for dump in "$@"; do
    [[ $dump == /* ]] || dump="${invoked_from%/}/$dump"
    [[ -r $dump ]] || fail "$dump: cannot be read"
    DUMPS+=("$dump")
  done
}

# What the sample itself counted as leaked, to hold against the table above it.
sample_truth() {
  local truth="$CORES/phase2.truth" chunks bytes
  [[ ${DUMPS[0]} == "$CORES/"* && -f $truth ]] || return 0
  chunks=$(sed -n 's/^leak.total.chunks=//p' "$truth")
  bytes=$(sed -n 's/^leak.total.bytes=//p' "$truth")
  printf '\n'
  note "leaky_service itself counted $chunks leaked chunks of $bytes bytes ($truth has each kind)"
}

report() {
  local last=${#DUMPS[@]}
  heading "What is in $([[ $last == 1 ]] && echo it || echo them), who owns it, what leaked"
  show_and_run "$RESIDUE" analyze "${DUMPS[@]}" --db "$DB"
  heading "What leaked, largest first"
  show_and_run "$RESIDUE" leaks "$DB@$last"
  sample_truth
  heading "What every thread was doing"
  show_and_run "$RESIDUE" stacks "${DUMPS[last - 1]}" --limit 12
  if ((last > 1)); then
    heading "What grew"
    show_and_run "$RESIDUE" diff "$DB" 1 "$last"
  fi
  heading "A gate for a pipeline: exit code 1 if it leaks"
  show_and_run "$RESIDUE" leaks "$DB@$last" --limit 1 --fail-on 'leaked_bytes > 0' || note "exit code $?"
  heading "Anything else is SQL"
  show_and_run "$RESIDUE" query "$DB" "SELECT key AS type, used_count, used_bytes, leaked_count, leaked_bytes \
FROM usage_by_type WHERE snapshot = $last ORDER BY leaked_bytes DESC, used_bytes DESC LIMIT 5"
}

own_dumps "$@"
ensure_packages demo
mkdir -p build/demo
SECONDS=0
build
SECONDS=0
rm -f "$DB" "$DB"-*
(($#)) || sample_cores
report

heading "Done in $SECONDS s. To go on:"
cat <<END
   scripts/demo.sh /path/to/core                       the same with your own core (several: oldest first)
   $RESIDUE analyze /path/to/core        a summary of one dump
   $RESIDUE query $DB "SELECT ..."
   $RESIDUE help
   (all of it in $PWD)
END
