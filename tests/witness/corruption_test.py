#!/usr/bin/env python3
"""Damages malloc's bookkeeping in a real core, one word at a time, and looks what is still found.

    corruption_test.py --residue BIN --witness LIB --work DIR [--count N] [--seed S] [--env N=V]
                       [--kind TEXT] [--verbose] --at WHEN -- COMMAND…

The true chunks are those of the undamaged core: every heap of it must be verified, and every live
block that malloc_witness wrote down must be one of them. Then, N times: one byte or word of a
chunk header, a link, an arena, a heap_info, a thread cache or mp_ is overwritten in the file,
residue analyses it, and the word is put back. Always:

  * residue ends with 0, within --patience seconds;
  * at least 95 % of the chunks that were not written to are found, with their size and state;
  * a wrong answer is not silent: some heap is not verified, or damage is reported (but for a size
    that ends exactly at another chunk: the heap is then a sound one);
  * no reachable block is called leaked.
"""
import argparse
import collections
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it
sys.path.insert(0, os.path.join(HERE, "../e2e"))

import run_witness  # noqa: E402
import witness_checks  # noqa: E402
from core_memory import CoreMemory  # noqa: E402
from frozen_process import FrozenProcess, WitnessError  # noqa: E402
from heap_fields import Chunk, UnknownLayout, heap_fields  # noqa: E402

SQL = ("SELECT 'chunk' AS kind, c.address AS a, c.size AS b, c.state AS c, c.reach AS d, "
       "h.name AS e FROM chunk c JOIN heap h ON h.snapshot = c.snapshot AND h.id = c.heap "
       "UNION ALL SELECT 'heap', address, verified, allocator, problem, name FROM heap "
       "UNION ALL SELECT 'diagnostic', bytes, 0, severity, message, place FROM diagnostic")
LEAKS = ("leaked", "stale", "indirect")
FOUND_AT_LEAST = 0.95
WORD = 1 << 64

Answer = collections.namedtuple("Answer", "chunks heaps diagnostics")
Outcome = collections.namedtuple("Outcome", "kind how found lost wrong told false_leaks seconds")


def ask(residue, core, patience):
    done = subprocess.run([residue, "query", core, SQL, "--format", "tsv", "--quiet"],
                          capture_output=True, text=True, timeout=patience, check=False)
    if done.returncode != 0:
        raise WitnessError(f"residue ended with {done.returncode}: {done.stderr[-300:]}")
    chunks, heaps, diagnostics = {}, [], []
    for row in witness_checks.rows_of(done.stdout):
        if row["kind"] == "chunk":
            chunks[int(row["a"])] = Chunk(int(row["b"]), row["c"], row["d"], row["e"])
        elif row["kind"] == "heap":
            heaps.append(row)
        else:
            diagnostics.append(row)
    return Answer(chunks, heaps, diagnostics)


def malloc_only(answer):
    foreign = {heap["e"] for heap in answer.heaps
               if heap["c"] in witness_checks.FOREIGN_ALLOCATORS}
    return {a: chunk for a, chunk in answer.chunks.items() if chunk.heap not in foreign}


def new_value(choice, old, neighbour):
    """How a word comes to be damaged, in words, and what it is then."""
    def byte():
        at = 8 * choice.randrange(8)
        return old ^ (choice.randrange(1, 256) << at)

    def low_byte():
        return old ^ choice.randrange(1, 256)

    ways = {"a byte": byte, "its low byte": low_byte,
            "a random word": lambda: choice.randrange(WORD),
            "text": lambda: int.from_bytes(choice.choices(range(0x20, 0x7f), k=8), "little"),
            "zero": lambda: 0,
            "a small number": lambda: choice.randrange(4096),
            "a near miss": lambda: old + choice.choice((-32, -16, -8, -1, 1, 8, 16, 32, 4096)),
            "another field's value": lambda: neighbour}
    how = choice.choice(list(ways))
    return how, ways[how]() % WORD


class Damager:
    """A core that is damaged in place, one word at a time; context managers put it back."""

    def __init__(self, path):
        self.memory = CoreMemory(path)
        self.file = os.open(path, os.O_RDWR)

    def write(self, address, value):
        os.pwrite(self.file, value.to_bytes(8, "little"), self.memory.place(address, 8))

    def close(self):
        os.close(self.file)
        self.memory.close()


def judge(kind, how, field, truth, answer, seconds):
    chunks = malloc_only(answer)
    untouched = [a for a in truth if a not in field.touches]
    lost = [a for a in untouched if a not in chunks]
    wrong = [a for a in untouched if a in chunks
             and (chunks[a].state, chunks[a].size) != (truth[a].state, truth[a].size)]
    invented = [a for a in chunks if a not in truth]
    false_leaks = [a for a in untouched if a in chunks and chunks[a].reach in LEAKS
                   and truth[a].reach == "reachable"]
    unverified = any(heap["b"] != "1" for heap in answer.heaps)
    damage = any(row["c"] != "note" for row in answer.diagnostics)
    told = unverified or damage or not (lost or wrong or invented)
    found = 1 - (len(lost) + len(wrong)) / len(untouched)
    return Outcome(kind, how, found, lost, wrong, told, false_leaks, seconds)


def is_sound(field, value, old, truth):
    """A size that ends exactly where another chunk begins: a heap that malloc could have left."""
    return (field.kind.startswith("size of") and value & 7 == old & 7
            and value > old and field.address + 8 + (value & ~7) in truth)


def damage_once(options, damager, core, truth, fields, choice):
    kind = choice.choice(sorted(fields))
    field = choice.choice(fields[kind])
    other = choice.choice(fields[choice.choice(sorted(fields))])
    old = damager.memory.word(field.address)
    how, value = new_value(choice, old, damager.memory.word(other.address))
    if value == old:
        return None
    damager.write(field.address, value)
    started = time.monotonic()
    label = f"{kind} at {field.address:#x}: {old:#x} -> {value:#x} ({how})"
    try:
        answer = ask(options.residue, core, options.patience)
    except (WitnessError, subprocess.TimeoutExpired) as error:
        print(f"  FAIL {label}: {error}", flush=True)
        return Outcome(kind, how, 0, [], [], False, [], time.monotonic() - started)
    finally:
        damager.write(field.address, old)
    outcome = judge(kind, how, field, truth, answer, time.monotonic() - started)
    if is_sound(field, value, old, truth):
        outcome = outcome._replace(told=True)
    if options.verbose or outcome.found < FOUND_AT_LEAST or not outcome.told \
            or outcome.false_leaks:
        print(f"  {label}: {100 * outcome.found:.2f} % found, {len(outcome.lost)} lost, "
              f"{len(outcome.wrong)} wrong, {len(outcome.false_leaks)} false leaks"
              f"{'' if outcome.told else ', SILENT'}", flush=True)
    if options.verbose > 1:
        for row in answer.diagnostics:
            print(f"      {row['c']} {row['e']}: {row['d']}")
        for name, addresses in (("lost", outcome.lost), ("wrong", outcome.wrong),
                                ("false leak", outcome.false_leaks)):
            for a in addresses[:4]:
                print(f"      {name} {a:#x} {truth[a]} {answer.chunks.get(a)}")
    return outcome


def report(outcomes):
    by_kind = collections.defaultdict(list)
    for outcome in outcomes:
        by_kind[outcome.kind].append(outcome)
    print(f"  {'damaged':32} times  found: mean   least  silent  false leaks")
    for kind, rows in sorted(by_kind.items()) + [("all", outcomes)]:
        mean = sum(row.found for row in rows) / len(rows)
        least = min(row.found for row in rows)
        print(f"  {kind:32} {len(rows):5}  {100 * mean:11.3f} {100 * least:7.2f}  "
              f"{sum(not row.told for row in rows):6}  "
              f"{sum(len(row.false_leaks) for row in rows):11}")
    print(f"  slowest: {max(row.seconds for row in outcomes):.2f} s")


def truth_of(options, core, header, blocks):
    """The undamaged core's chunks, which the witness must confirm."""
    answer = ask(options.residue, core, options.patience)
    chunks = malloc_only(answer)
    unverified = [heap["e"] for heap in answer.heaps if heap["b"] != "1"]
    missing = [a for a in blocks if a not in chunks or chunks[a].state != "used"]
    extra = [a for a, chunk in chunks.items()
             if chunk.state == "used" and chunk.reach != "system" and a not in blocks]
    if unverified or missing or len(extra) > witness_checks.UNRECORDED_ALLOWED:
        raise WitnessError(f"the undamaged core is not understood: {unverified} not verified, "
                           f"{len(missing)} live blocks missing, {len(extra)} unknown to the "
                           f"witness, of {header['live']}")
    arenas = {heap["e"]: int(heap["a"]) for heap in answer.heaps
              if heap["c"] == "glibc" and heap["e"] != "mmapped"}
    return chunks, arenas


def run(options, work):
    os.makedirs(work, exist_ok=True)
    with FrozenProcess(options, options.witness, work, options.command) as process:
        core = process.take_core(options.core)
    header, blocks = witness_checks.read_truth(process.truth)
    truth, arenas = truth_of(options, core, header, blocks)
    damager = Damager(core)
    fields = heap_fields(damager.memory, truth, arenas)
    fields = {kind: rows for kind, rows in fields.items() if options.kind in kind}
    print(f"  {len(truth)} chunks in {len(arenas)} arenas, {header['live']} live blocks; seed "
          f"{options.seed}", flush=True)
    choice = random.Random(options.seed)
    outcomes = []
    for _ in range(100 * options.count):
        if len(outcomes) == options.count:
            break
        outcome = damage_once(options, damager, core, truth, fields, choice)
        if outcome is not None:
            outcomes.append(outcome)
    damager.close()
    report(outcomes)
    if not options.keep:
        os.unlink(core)
    return all(row.found >= FOUND_AT_LEAST and row.told and not row.false_leaks
               for row in outcomes) and len(outcomes) == options.count


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residue", required=True, help="the analyser")
    parser.add_argument("--witness", required=True, help="libmalloc_witness.so")
    parser.add_argument("--work", required=True, help="folder for the core")
    parser.add_argument("--count", type=int, default=100, help="how many damages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="", help="only fields whose kind has this in its name")
    parser.add_argument("--patience", type=float, default=20, metavar="SECONDS")
    parser.add_argument("--verbose", action="count", default=0)
    parser.add_argument("--keep", action="store_true", help="keep the core")
    run_witness.add_run_options(parser)
    parser.add_argument("command", nargs="+")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse_arguments(arguments)
    options.residue = os.path.abspath(options.residue)
    try:
        return 0 if run(options, os.path.abspath(options.work)) else 1
    except UnknownLayout as reason:
        print(f"SKIP: {reason}")
        return 77
    except WitnessError as error:
        print(f"  FAIL {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
