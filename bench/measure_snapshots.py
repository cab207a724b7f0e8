#!/usr/bin/env python3
"""Measures residue on a database of many snapshots (see many_snapshots.cpp).

    measure_snapshots.py DATABASE --residue FILE [--pairs N] [--seed N]

Wall time of whole programs, start to exit, in milliseconds. What is read is partly in the page cache: the first pair is not,
as a rule, and is the maximum.
"""
import argparse
import contextlib
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import time

DIFF_LIMIT, TREND_LIMIT = 300, 1000  # milliseconds


def run(command):
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"measure_snapshots.py: {' '.join(command)}: {done.stderr.strip()}")
    return (time.monotonic() - started) * 1000, done.stdout


def report(name, times, limit=None):
    verdict = "" if limit is None else f"   (limit {limit}: {'met' if max(times) < limit else 'MISSED'})"
    print(f"{name:<34} median {statistics.median(times):8.1f} ms   most {max(times):8.1f} ms{verdict}")


def report_size(database, connection, count):
    size = os.path.getsize(database)
    print(f"{count} snapshots, {size / 1e6:.0f} MB, {size / count / 1e3:.0f} kB each; of that:")
    pages = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 8")
    for name, used in pages:
        print(f"  {name:<32} {used / count / 1e3:8.1f} kB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("--residue", required=True)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sizes", action="store_true", help="what fills the file: reads all of it")
    options = parser.parse_args()
    chosen = random.Random(options.seed)
    with contextlib.closing(sqlite3.connect(f"file:{options.database}?mode=ro", uri=True)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM snapshot ORDER BY id")]
        process, per_process = connection.execute(
            "SELECT process, count(*) FROM snapshot GROUP BY 1 ORDER BY 2 DESC LIMIT 1").fetchone()
        if options.sizes:
            report_size(options.database, connection, len(ids))
    times = []
    for _ in range(options.pairs):
        first, second = chosen.sample(ids, 2)
        times.append(run([options.residue, "diff", options.database, str(first), str(second)])[0])
    report("diff of two", times, DIFF_LIMIT)
    sums = ("SELECT key, n, most FROM (SELECT r.key AS id, count(*) AS n, max(r.used_bytes) AS most FROM snapshot s "
            f"JOIN usage_row r ON r.snapshot = s.id WHERE s.process = '{process}' GROUP BY 1) JOIN usage_key USING (id)")
    report(f"SQL over the {per_process} of one process",
           [run([options.residue, "query", options.database, sums])[0] for _ in range(5)])
    if "residue trend" in run([options.residue, "help"])[1]:
        report(f"trend over the {per_process} of one process",
               [run([options.residue, "trend", options.database, "--process", process])[0] for _ in range(5)], TREND_LIMIT)


if __name__ == "__main__":
    main()
