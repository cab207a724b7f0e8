#!/usr/bin/env python3
"""Checks residue's view of a heap against witnesses that share no code with it.

    run_witness.py --residue BIN --witness LIB --judge BIN --work DIR [options] -- COMMAND...
    run_witness.py --residue BIN --witness LIB --judge BIN --work DIR --samples DIR --suite [NAME…]

Runs COMMAND under malloc_witness, which stops it at a chosen moment and writes down every live
block; lets reach_judge decide from outside which of them something points at; takes a core of the
stopped process; asks residue about the core; compares. One line a check; exit code 1 if any fails.
Without --residue everything but the comparison is done, which tests the witnesses.
"""
import argparse
import os
import random
import shlex
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import witness_checks  # noqa: E402
from frozen_process import FrozenProcess, WitnessError  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CHUNK_SQL = "SELECT address, size, state, reach, heap FROM chunk"
HEAP_SQL = "SELECT * FROM heap"


def add_run_options(parser):
    parser.add_argument("--at", default="exit", help="exit, allocs:N or signal (SIGUSR2)")
    parser.add_argument("--drop", type=int, default=0, help="drop every Nth free()")
    parser.add_argument("--least", type=float, default=witness_checks.PLANTED_FOUND_AT_LEAST,
                        metavar="PERCENT", help="of the planted blocks nothing in the heap points "
                        "at that must be found")
    parser.add_argument("--exe", help="the process to witness, when COMMAND is a wrapper")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--lines", type=int, default=0, help="empty lines to give it on stdin")
    parser.add_argument("--signal-after", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--signal-when", metavar="TEXT", help="when TEXT is in its output")
    parser.add_argument("--core", choices=("gcore", "kernel"), default="gcore")
    parser.add_argument("--timeout", type=float, default=120)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residue", help="the analyser")
    parser.add_argument("--witness", required=True, help="libmalloc_witness.so")
    parser.add_argument("--judge", required=True, help="reach_judge")
    parser.add_argument("--work", required=True, help="folder for truths, cores and output")
    parser.add_argument("--samples", default=".", help="folder with leaky_service, for --suite")
    parser.add_argument("--suite", action="store_true", help="run programs.txt, or those NAMEd")
    parser.add_argument("--keep", action="store_true", help="keep the cores")
    add_run_options(parser)
    parser.add_argument("command", nargs="*")
    options = parser.parse_args(arguments)
    if not options.suite and not options.command:
        parser.error("no COMMAND")
    return options


def ask_residue(residue, core, sql):
    done = subprocess.run([residue, "query", core, sql, "--format", "tsv", "--quiet"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WitnessError(f"residue query ended with {done.returncode}: {done.stderr[-500:]}")
    return witness_checks.rows_of(done.stdout)


def run_judge(judge, process, out):
    done = subprocess.run([judge, str(process.pid), process.truth, out], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise WitnessError(f"reach_judge failed: {done.stderr}")
    return done.stdout.strip()


def print_check(check):
    print(f"  {'ok  ' if check.passed else 'FAIL'} {check.name}: {check.figures}", flush=True)


def explain_missed(residue, core, missed, limit=10):
    """What residue thinks keeps the leaks it has missed."""
    for address in missed[:limit]:
        done = subprocess.run([residue, "explain", core, hex(address), "--quiet"],
                              capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        path = next((i for i, line in enumerate(lines) if line.startswith("path")), len(lines))
        print(f"  missed {address:#x}: " + " <- ".join(line.strip() for line in lines[path:path + 4]))


def run_one(options, tools, work, command):
    """Returns True when every check passed."""
    os.makedirs(work, exist_ok=True)
    judged_path = os.path.join(work, "judged")
    with FrozenProcess(options, tools.witness, work, command) as process:
        print("  " + run_judge(tools.judge, process, judged_path).replace("\n", "\n  "))
        core = process.take_core(options.core)
    header, truth = witness_checks.read_truth(process.truth)
    print(f"  witness: live={header['live']} allocations={header['allocations']} "
          f"uordblks={header['uordblks']} fordblks={header['fordblks']} hblks={header['hblks']} "
          f"unknown_frees={header['unknown_frees']} core={os.path.getsize(core)}", flush=True)
    passed = True
    if tools.residue:
        started = time.monotonic()
        heaps = ask_residue(tools.residue, core, HEAP_SQL)
        chunks = witness_checks.chunks_of(ask_residue(tools.residue, core, CHUNK_SQL), heaps)
        print(f"  residue: two queries in {time.monotonic() - started:.1f} s")
        judged = witness_checks.read_judged(judged_path)
        checks = witness_checks.compare(header, truth, judged, chunks, heaps, bool(options.drop),
                                         options.least)
        for check in checks:
            print_check(check)
        if options.drop:
            explain_missed(tools.residue, core, witness_checks.missed_leaks(truth, chunks, judged))
        passed = all(check.passed for check in checks)
    if not tools.keep:
        os.unlink(core)
    return passed


def read_programs(names):
    """Yields (name, options, command) of programs.txt, placeholders still in place."""
    with open(os.path.join(HERE, "programs.txt"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            name, options, command = (part.strip() for part in line.split("|", 2))
            if not names or name in names:
                yield name, shlex.split(options), command


def write_input(path):
    """24 MB, alternately random and repetitive: work for a compressor's threads."""
    source = random.Random(1)
    with open(path, "wb") as file:
        for i in range(12):
            file.write(source.randbytes(1 << 20))
            file.write(bytes(f"line {i} of something that repeats\n", "ascii") * 30000)


def substitute(word, tools, work):
    places = {"{here}": HERE, "{work}": work, "{samples}": os.path.abspath(tools.samples),
              "{samples_source}": os.path.join(HERE, "../../samples/leaky_service")}
    for key, value in places.items():
        word = word.replace(key, value)
    return word


def run_suite(tools):
    outcomes = {}
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    for name, words, command_line in read_programs(tools.command):
        work = os.path.join(os.path.abspath(tools.work), name)
        command = [substitute(word, tools, work) for word in shlex.split(command_line)]
        print(f"{name}: {' '.join(words)}", flush=True)
        if shutil.which(command[0]) is None:
            print(f"  SKIP: {command[0]} is not installed")
            outcomes[name] = "skipped"
            continue
        os.makedirs(work, exist_ok=True)
        if "{work}/input.bin" in command_line:
            write_input(os.path.join(work, "input.bin"))
        try:
            passed = run_one(parser.parse_args(words), tools, work, command)
        except WitnessError as error:
            print(f"  FAIL {error}", flush=True)
            passed = False
        outcomes[name] = "passed" if passed else "FAILED"
    for name in set(tools.command) - set(outcomes):
        outcomes[name] = "FAILED (no such program in programs.txt)"
    print("suite: " + ", ".join(f"{name} {outcome}" for name, outcome in outcomes.items()))
    return bool(outcomes) and not any(o.startswith("FAILED") for o in outcomes.values())


def main(arguments):
    options = parse_arguments(arguments)
    if options.suite:
        return 0 if run_suite(options) else 1
    try:
        passed = run_one(options, options, os.path.abspath(options.work), options.command)
    except WitnessError as error:
        print(f"  FAIL {error}")
        passed = False
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
