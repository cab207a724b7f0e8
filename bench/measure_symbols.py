#!/usr/bin/env python3
"""Measures residue's symbolizer on random addresses of a program, beside the other tools that are installed.

    measure_symbols.py --tool FILE --cost FILE [--runs N] [--seed N] [--counts "1 10 100 1000 10000"] [--slow N]
                       [--referee N] [--differences N] PROGRAM

--tool is the program of symbolize_addresses.cpp. Addresses are uniform over .text, the same for the same seed; the
first ones of a larger count are those of the smaller. addr2line, eu-addr2line and gdb get at most --slow addresses
(default 100), for they take minutes for more. Below the table: how far the answers agree with llvm-symbolizer's.
"""

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from child import MEGABYTE, Runner

COLUMNS = "{:<16} {:>9} {:>9} {:>9} {:>9} {:>11}"


def section(program, name):
    """Address and size of a section, as readelf prints them."""
    lines = subprocess.run(["readelf", "-SW", program], check=True, capture_output=True, text=True).stdout
    match = re.search(rf" {re.escape(name)} +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", lines)
    if match is None:
        sys.exit(f"measure_symbols.py: {program} has no {name}")
    return int(match[1], 16), int(match[2], 16)


def random_addresses(program, count, seed):
    start, size = section(program, ".text")
    source = random.Random(seed)
    return [start + source.randrange(size) for _ in range(count)]


def write_lines(folder, name, lines):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(line + "\n" for line in lines)
    return path


def others(program):
    """Name, command, whether it is slow; the addresses come on standard input. Those that are installed."""
    llvm = next((name for name in ("llvm-symbolizer-19", "llvm-symbolizer") if shutil.which(name)), "llvm-symbolizer")
    tools = [("llvm-symbolizer", [llvm, f"--obj={program}"], False),
             ("addr2line", ["addr2line", "-e", program, "-i", "-f", "-C"], True),
             ("eu-addr2line", ["eu-addr2line", "-e", program, "-i", "-f", "-C"], True)]
    return [tool for tool in tools if shutil.which(tool[1][0])]


def report(name, count, costs):
    wall = statistics.median(cost.wall for cost in costs)
    print(COLUMNS.format(name, count, f"{statistics.median(cost.cpu for cost in costs):.3f}", f"{wall:.3f}",
                         f"{max(cost.peak for cost in costs) / MEGABYTE:.1f}",
                         f"{1e6 * statistics.median(cost.cpu for cost in costs) / count:.1f}"), flush=True)


def measure(options, runner, folder, addresses):
    """One table for one count of addresses; the tools take turns."""
    texts = [hex(address) for address in addresses]
    listed = write_lines(folder, "addresses", texts)
    commands = [("residue", [options.tool, options.program], listed)]
    for name, command, slow in others(options.program):
        if not slow or len(addresses) <= options.slow:
            commands.append((name, command, listed))
    if shutil.which("gdb") and len(addresses) <= options.slow:
        script = write_lines(folder, "gdb", [f"info line *{text}" for text in texts])
        commands.append(("gdb info line", ["gdb", "-nx", "-batch", "-x", script, options.program], None))
    costs = {name: [] for name, _, _ in commands}
    for round_number in range(options.runs + 1):
        for name, command, stdin in commands:
            cost = runner.run(command, stdin=stdin)
            if round_number > 0:  # the first is the warm-up
                costs[name].append(cost)
    for name, _, _ in commands:
        report(name, len(addresses), costs[name])


def answers(command, addresses):
    """For each address its frames, innermost first: (function, file, line)."""
    text = "".join(hex(address) + "\n" for address in addresses)
    output = subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout
    result = []
    for block in output.split("\n\n"):
        lines = block.splitlines()
        places = [line.rsplit(":", 2) for line in lines[1::2]]
        result.append([(name, os.path.basename(place[0]), place[1]) for name, place in zip(lines[0::2], places)])
    return [frames for frames in result if frames]


OPERATOR = re.compile(r"operator ?(\(\)|\[\]|->\*?|<=>|<<=?|>>=?|[<>=!+\-*/%&|^]=|&&|\|\||\+\+|--|[<>=!+\-*/%&|^~,]|\w+)")


def bare(name):
    """The last component of a function's name, without template arguments and parameters: what is the same in the
    name as it is linked and as it is declared."""
    name = OPERATOR.sub(lambda match: "operator_" + match[1].encode().hex(), name)
    name = re.sub(r" \[clone [^]]*\]|\(anonymous namespace\)", "", name)
    depth, kept = 0, []
    for character in name:
        if character in "<({[":
            depth += 1
        elif character in ">)}]":
            depth -= 1
        elif depth == 0:
            kept.append(character)
    flat = re.sub(r"( const| volatile| &&?)+$", "", "".join(kept).strip())
    return re.split(r"::| ", flat)[-1]


def compare(options, addresses):
    reference = next((command for name, command, _ in others(options.program) if name == "llvm-symbolizer"), None)
    if reference is None:
        print("\nllvm-symbolizer is not installed: the answers were not compared")
        return
    ours, theirs = answers([options.tool, options.program], addresses), answers(reference, addresses)
    if len(ours) != len(addresses) or len(theirs) != len(addresses):
        sys.exit(f"measure_symbols.py: {len(ours)} and {len(theirs)} answers for {len(addresses)} addresses")
    same_count = [(a, b) for a, b in zip(ours, theirs) if len(a) == len(b)]
    pairs = [pair for a, b in same_count for pair in zip(a, b)]
    names = sum(1 for a, b in pairs if bare(a[0]) == bare(b[0]))
    lines = sum(1 for a, b in pairs if a[1:] == b[1:])
    print(f"\n{len(addresses)} addresses: residue {sum(map(len, ours))} frames, llvm-symbolizer {sum(map(len, theirs))}; "
          f"as many frames for {len(same_count)} addresses; of those {len(pairs)} frames the same function in {names}, "
          f"the same file and line in {lines}")
    referee(options, [(address, a[0], b[0]) for address, a, b in zip(addresses, ours, theirs)
                      if len(a) == len(b) and a[0][1:] != b[0][1:]])
    if options.differences:
        show_differences(addresses, ours, theirs, options.differences)


def referee(options, differing):
    """Asks gdb for the lines of some of the addresses where the innermost ones differ. Where several rows of a line table
    have the same address, gdb takes the last one that begins a statement, llvm-symbolizer the last one."""
    chosen = differing[:options.referee]
    if not chosen or not shutil.which("gdb"):
        return
    with tempfile.TemporaryDirectory() as folder:
        script = write_lines(folder, "gdb", [f"info line *{address:#x}" for address, _, _ in chosen])
        output = subprocess.run(["gdb", "-nx", "-batch", "-x", script, options.program], check=False, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    places = [(os.path.basename(file), line) for line, file in re.findall(r'^Line (\d+) of "([^"]*)"', output, re.M)]
    if len(places) != len(chosen):
        print(f"gdb knew {len(places)} of {len(chosen)} lines that differ")
        return
    ours = sum(1 for place, (_, a, _) in zip(places, chosen) if place == a[1:])
    theirs = sum(1 for place, (_, _, b) in zip(places, chosen) if place == b[1:])
    print(f"innermost lines differ for {len(differing)} addresses; gdb, asked for {len(chosen)} of them, has residue's line "
          f"for {ours} and llvm-symbolizer's for {theirs}")


def show_differences(addresses, ours, theirs, limit):
    for address, a, b in zip(addresses, ours, theirs):
        same = len(a) == len(b) and all(bare(x[0]) == bare(y[0]) and x[1:] == y[1:] for x, y in zip(a, b))
        if same:
            continue
        print(f"{address:#x}")
        for name, frames in (("residue", a), ("llvm", b)):
            for frame in frames:
                print(f"  {name:<8} {frame[0]} {frame[1]}:{frame[2]}")
        limit -= 1
        if limit == 0:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", required=True)
    parser.add_argument("--cost", required=True, help="the program of cost.cpp")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slow", type=int, default=100)
    parser.add_argument("--counts", default="1 10 100 1000 10000")
    parser.add_argument("--referee", type=int, default=20, help="ask gdb for so many addresses where lines differ")
    parser.add_argument("--differences", type=int, default=0, help="show so many addresses where the answers differ")
    parser.add_argument("program")
    options = parser.parse_args()
    runner = Runner(options.cost)
    counts = [int(count) for count in options.counts.split()]
    addresses = random_addresses(options.program, max(counts), options.seed)
    for name in (".debug_info", ".text"):
        print(f"{name}: {section(options.program, name)[1] / MEGABYTE:.1f} MB")
    print(COLUMNS.format("", "addresses", "CPU s", "wall s", "peak MB", "us/address"))
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            measure(options, runner, folder, addresses[:count])
    compare(options, addresses[:1000])
    print("(wanted: 1000 addresses within 0.6 s and 64 MB)")


if __name__ == "__main__":
    main()
