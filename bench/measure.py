#!/usr/bin/env python3
"""Measures `residue analyze` on cores against a plain read of the same file, in the same run.

    measure.py --residue FILE --read-file FILE [--runs N] CORE...

Beside CORE (x.core) lies x.truth, what heap_maker printed. For every core: one warm-up, then N rounds of one read, one
analysis without retained sizes and one with them, so that a busy moment of the machine hits all. Medians are reported;
the spread is (max - min) / median of the whole analysis. `retained` is what dominators and retained sizes cost: the median
of the rounds' differences, and the difference of the peaks. The database is a new one each time. Then the used chunks are
counted and summed in SQL, over the dump and over that database.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

COLUMNS = "{:<16} {:>7} {:>8} {:>8} {:>10} {:>7} {:>6} {:>9} {:>8} {:>7} {:>9} {:>9} {:>8} {:>8}"
SUM = "SELECT count(*) AS chunks, sum(size) AS bytes FROM chunk WHERE state = 'used'"


def read_truth(core):
    with open(os.path.splitext(core)[0] + ".truth", encoding="utf-8") as stream:
        pairs = (line.strip().split("=", 1) for line in stream if "=" in line and " " not in line)
        return {key: int(value) for key, value in pairs if value.isdigit()}


def run_measured(command):
    """Wall seconds and peak resident bytes of one run; stops everything if it fails."""
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"measure.py: exit code {child.returncode}: {' '.join(command)}")
    return seconds, usage.ru_maxrss * 1024


def read_seconds(program, core):
    output = subprocess.run([program, core], check=True, capture_output=True, text=True).stdout
    return float(output.split()[0].removeprefix("seconds="))


def remove_database(path):
    for suffix in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)


def measure(options, core, folder):
    database = os.path.join(folder, "bench.db")
    analyze = [options.residue, "analyze", core, "--db", database, "--quiet"]
    reads, walls, extra, sums, peak, plain_peak = [], [], [], {core: [], database: []}, 0, 0
    for round_number in range(options.runs + 1):
        read = read_seconds(options.read_file, core)
        remove_database(database)
        plain, plain_memory = run_measured(analyze + ["--no-retained"])
        remove_database(database)
        wall, memory = run_measured(analyze)
        peak, plain_peak = max(peak, memory), max(plain_peak, plain_memory)
        if round_number > 0:  # the first is the warm-up
            reads.append(read)
            walls.append(wall)
            extra.append(wall - plain)
        for source, seconds in sums.items():
            wall, _ = run_measured([options.residue, "query", source, SUM, "--quiet"])
            if round_number > 0:
                seconds.append(wall)
    sizes = (peak, os.path.getsize(database))
    return reads, walls, sizes, (statistics.median(extra), peak - plain_peak), [statistics.median(s) for s in sums.values()]


def row_of(options, source, sql):
    command = [options.residue, "query", source, sql, "--format", "tsv"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    return lines[1].replace("\t", " / ") if result.returncode == 0 and len(lines) > 1 else "not available"


def found_in(options, database):
    """Used and leaked chunks as residue stored them, to be held against the truth."""
    return row_of(options, database, "SELECT sum(used_count), sum(leaked_count) FROM usage_by_heap")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--residue", required=True)
    parser.add_argument("--read-file", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("cores", nargs="+")
    options = parser.parse_args()

    print(COLUMNS.format("core", "chunks", "file", "read", "analyze", "spread", "ratio", "ns/chunk", "peak", "db",
                         "retained", "retained", "sum", "sum"))
    print(COLUMNS.format("", "M", "MB", "s", "s", "%", "", "", "MB", "MB", "s", "MB", "dump s", "db s"))
    notes = []
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(options.cores[0]))) as folder:
        for core in options.cores:
            truth = read_truth(core)
            reads, walls, (peak, stored), (extra, extra_peak), sums = measure(options, core, folder)
            read, wall = statistics.median(reads), statistics.median(walls)
            row = (f"{truth['used_chunks'] / 1e6:.2f}", f"{os.path.getsize(core) / 1e6:.0f}", f"{read:.3f}",
                   f"{wall:.3f}", f"{100 * (max(walls) - min(walls)) / wall:.0f}", f"{wall / read:.1f}",
                   f"{1e9 * wall / truth['used_chunks']:.0f}", f"{peak / 1e6:.0f}", f"{stored / 1e6:.1f}",
                   f"{extra:.2f}", f"{extra_peak / 1e6:.0f}", *(f"{seconds:.2f}" for seconds in sums))
            print(COLUMNS.format(os.path.basename(core), *row), flush=True)
            found = found_in(options, os.path.join(folder, "bench.db"))
            notes.append(f"{os.path.basename(core)}: used / leaked chunks made {truth['used_chunks']} / "
                         f"{truth['leaked_chunks']}, found {found}; used chunks / bytes summed over the dump "
                         f"{row_of(options, core, SUM)}, over the database "
                         f"{row_of(options, os.path.join(folder, 'bench.db'), SUM)}")
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
