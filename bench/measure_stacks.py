#!/usr/bin/env python3
"""Measures `residue stacks` against gdb on the same core, and how its time grows.

    measure_stacks.py compare --residue FILE --cost FILE [--runs N] PROGRAM CORE
    measure_stacks.py growth  --residue FILE --cost FILE [--runs N] --unit NAME CORE...

compare: after one warm-up, N rounds of one run each, in turn, so that a busy moment of the machine hits all; the ratios
are medians of the rounds' ratios. `rows` prints every frame of every thread, as gdb does; `text`, what a person sees by
default, prints equal stacks once and leaves out the middle of long ones. What was printed is counted in another run.
growth: the cores are of one program in several sizes; beside CORE (x.core) lies x.truth, whose line NAME= is its size.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

from child import MEGABYTE, Runner


def text_command(residue, core):
    return [residue, "stacks", core, "--quiet"]


def rows_command(residue, core):
    return [residue, "stacks", core, "--quiet", "--format", "tsv"]


def gdb_command(program, core):
    return ["gdb", "-nx", "-batch", "-ex", "set print frame-arguments none", "-ex", "thread apply all bt", program, core]


def read_truth(core):
    with open(os.path.splitext(core)[0] + ".truth", encoding="utf-8") as stream:
        pairs = (line.strip().split("=", 1) for line in stream if "=" in line)
        return {key: int(value) for key, value in pairs if value.isdigit()}


def count_residue(residue, core):
    """Threads and frames in the rows of `residue stacks`, and how many frames are real ones (not inlined)."""
    output = subprocess.run(rows_command(residue, core), check=True, capture_output=True, text=True).stdout.splitlines()
    columns = output[0].split("\t")
    rows = [dict(zip(columns, line.split("\t"))) for line in output[1:]]
    physical = sum(1 for row in rows if row["inlined"] in ("0", ""))
    return len({row["tid"] for row in rows}), len(rows), physical


def count_gdb(runner, program, core):
    with tempfile.TemporaryFile() as output:
        runner.run(gdb_command(program, core), stdout=output, check=False)
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").splitlines()
    frames = [line for line in lines if line.startswith("#")]
    return sum(1 for line in lines if line.startswith("Thread ")), len(frames)


def row_of(name, costs):
    cpus, peaks = [cost.cpu for cost in costs], [cost.peak for cost in costs]
    print(f"{name:<10} {statistics.median(cpus):>9.3f} {min(cpus):>9.3f} {max(cpus):>9.3f} "
          f"{statistics.median(cost.wall for cost in costs):>9.3f} {max(peaks) / MEGABYTE:>9.1f}")


def compare(options, runner):
    program, core = options.files
    commands = {"rows": rows_command(options.residue, core), "text": text_command(options.residue, core),
                "gdb": gdb_command(program, core)}
    costs = {name: [] for name in commands}
    for round_number in range(options.runs + 1):
        for name, command in commands.items():
            cost = runner.run(command, check=name != "gdb")
            if round_number > 0:  # the first is the warm-up
                costs[name].append(cost)
    print(f"{'':<10} {'CPU s':>9} {'least':>9} {'most':>9} {'wall s':>9} {'peak MB':>9}")
    for name, runs in costs.items():
        row_of(name, runs)
    print()
    theirs = costs["gdb"]
    for name in ("rows", "text"):
        cpu = statistics.median(b.cpu / a.cpu for a, b in zip(costs[name], theirs))
        peak = max(cost.peak for cost in theirs) / max(cost.peak for cost in costs[name])
        print(f"{name}: 1/{cpu:.1f} of gdb's CPU time, 1/{peak:.1f} of its memory")
    print("(wanted: at most 1/8 and 1/3)")
    threads, frames, physical = count_residue(options.residue, core)
    their_threads, their_frames = count_gdb(runner, program, core)
    print(f"printed: residue {threads} threads, {frames} frames ({physical} not inlined); "
          f"gdb {their_threads} threads, {their_frames} frames")
    made = read_truth(core).get("threads", threads)
    # gdb has some frames more where tail calls have replaced them, and some less: it ends main's thread at main.
    if {threads, their_threads} != {made} or abs(frames - their_frames) > 4 + their_frames / 20:
        sys.exit("measure_stacks.py: they did not do the same work, so the ratios mean nothing")


def growth(options, runner):
    print(f"{options.unit:>10} {'CPU s':>9} {'wall s':>9} {'peak MB':>9} {'us/each':>9} {'us/further':>11}")
    smaller = None
    for core in options.files:
        size = read_truth(core)[options.unit]
        runner.run(rows_command(options.residue, core))
        costs = [runner.run(rows_command(options.residue, core)) for _ in range(options.runs)]
        cpu = statistics.median(cost.cpu for cost in costs)
        further = f"{1e6 * (cpu - smaller[1]) / (size - smaller[0]):.2f}" if smaller else ""
        print(f"{size:>10} {cpu:>9.3f} {statistics.median(cost.wall for cost in costs):>9.3f} "
              f"{max(cost.peak for cost in costs) / MEGABYTE:>9.1f} {1e6 * cpu / size:>9.2f} {further:>11}", flush=True)
        smaller = size, cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["compare", "growth"])
    parser.add_argument("--residue", required=True)
    parser.add_argument("--cost", required=True, help="the program of cost.cpp")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--unit", default="frames")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    runner = Runner(options.cost)
    if options.what == "growth":
        growth(options, runner)
    elif len(options.files) == 2:
        compare(options, runner)
    else:
        parser.error("compare needs PROGRAM CORE")


if __name__ == "__main__":
    main()
