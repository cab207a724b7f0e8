#!/usr/bin/env python3
"""The leak verdict against LeakSanitizer's and Valgrind's, block by block; see README.md.

    verdict_test.py --residue BIN --program BIN [--lsan-program BIN] --plugin LIB THEME…
    verdict_test.py … --table [THEME…]      the figures of docs/leak-verdict.md, as Markdown
"""
import argparse
import collections
import subprocess
import sys

sys.dont_write_bytecode = True

import differences  # noqa: E402
import looks  # noqa: E402

EXIT_SKIPPED = 77
WITNESS_LOOKS = 3
TOOLS = ("LeakSanitizer", "Valgrind")

Seen = collections.namedtuple("Seen", "classes blocks strangers missing")


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residue", required=True)
    parser.add_argument("--program", required=True, help="verdict_programs")
    parser.add_argument("--lsan-program", default="", help="the same with -fsanitize=leak")
    parser.add_argument("--plugin", required=True, help="the library its theme `plugin` loads")
    parser.add_argument("--table", action="store_true", help="print Markdown instead of checking")
    parser.add_argument("themes", nargs="*", help="default: all")
    return parser.parse_args(arguments)


def all_themes(program):
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()


def look(options, theme):
    """All three looks; tools that are missing are named in `missing`."""
    arguments = [theme, options.plugin]
    residue, blocks, strangers = looks.look_with_residue(options.residue, options.program, arguments)
    classes, missing = {"residue": residue}, []
    for tool, look_with, program in (
            ("LeakSanitizer", looks.look_with_lsan, options.lsan_program),
            ("Valgrind", looks.look_with_valgrind, options.program)):
        try:
            classes[tool] = look_with(program, arguments)
        except looks.CannotLook as reason:
            missing.append(str(reason))
    return Seen(classes, blocks, strangers, missing)


# ---- What is to be expected. -------------------------------------------------------------------

def members_of_cycles(blocks):
    cycles = collections.defaultdict(list)
    for block in blocks.values():
        if block.expected.startswith("cycle:"):
            cycles[block.expected].append(block.name)
    return cycles


def expected_class(theme, block, tool):
    """Of a block that is in no cycle."""
    if tool == "residue":
        return block.expected
    listed = differences.DIFFERENCES.get((theme, block.name), {})
    if tool in listed:
        return listed[tool][0]
    return differences.SAME[block.expected][TOOLS.index(tool)]


def head_and_rest(tool):
    if tool == "residue":
        return "leaked", "indirect"
    return tuple(differences.SAME[c][TOOLS.index(tool)] for c in ("leaked", "indirect"))


def check_cycle(theme, cycle, names, tool, classes):
    head, rest = head_and_rest(tool)
    found = collections.Counter(classes[name] for name in names)
    heads = differences.CYCLE_HEADS[tool]
    wanted = collections.Counter({head: heads, rest: len(names) - heads})
    if +found == +wanted:
        return []
    return [f"{theme}: {tool}: {cycle} should be {dict(+wanted)}, is {dict(found)}"]


def check(theme, seen):
    """What is wrong, as texts."""
    wrong = []
    for tool, classes in seen.classes.items():
        if classes.keys() != seen.blocks.keys():
            wrong.append(f"{theme}: {tool} saw other blocks: {classes.keys() ^ seen.blocks.keys()}")
            continue
        for name, block in seen.blocks.items():
            if block.expected.startswith("cycle:"):
                continue
            expected = expected_class(theme, block, tool)
            if classes[name] != expected:
                wrong.append(f"{theme}: {tool} says {name} is {classes[name]}, not {expected}")
        for cycle, names in members_of_cycles(seen.blocks).items():
            wrong += check_cycle(theme, cycle, names, tool, classes)
    for stranger in seen.strangers:
        wrong.append(f"{theme}: residue calls {stranger.address:#x} ({stranger.size} bytes) "
                     f"{stranger.reach}, of which the program says nothing")
    return wrong


def check_differences_are_real(theme, blocks):
    wrong = []
    for (of_theme, name), tools in differences.DIFFERENCES.items():
        if of_theme != theme:
            continue
        if name not in blocks:
            wrong.append(f"{theme}: differences.py lists {name}, which is no block")
            continue
        for tool, (its_class, reason) in tools.items():
            if reason not in differences.REASONS:
                wrong.append(f"{theme}: differences.py has no reason {reason}")
            if its_class == differences.SAME[blocks[name].expected][TOOLS.index(tool)]:
                wrong.append(f"{theme}: differences.py lists {name}, which is no difference")
    return wrong


# ---- The table for people. ---------------------------------------------------------------------

def count(classes, names):
    return collections.Counter(classes[name] for name in names)


def print_table(rows):
    pairs = collections.Counter()
    print("| theme | blocks | residue | LeakSanitizer | Valgrind |\n|---|---|---|---|---|")
    for theme, seen in rows:
        cells = []
        for tool in ("residue", *TOOLS):
            counted = count(seen.classes[tool], seen.blocks) if tool in seen.classes else {"-": 0}
            cells.append(", ".join(f"{n} {name}" for name, n in sorted(counted.items())))
        print(f"| {theme} | {len(seen.blocks)} | {' | '.join(cells)} |")
        for name in seen.blocks:
            pairs[tuple(seen.classes.get(t, {}).get(name, "-") for t in ("residue", *TOOLS))] += 1
    print("\n| residue | LeakSanitizer | Valgrind | blocks |\n|---|---|---|---|")
    for triple, number in sorted(pairs.items()):
        print(f"| {' | '.join(triple)} | {number} |")


def look_until_sure(options, theme):
    """What is seen and what is wrong with it. A number on the stack may look like a pointer into a large
    block to Valgrind or LeakSanitizer, in one run of a dozen; such a verdict is no difference unless it
    comes again. residue gets no second chance."""
    for _ in range(WITNESS_LOOKS):
        seen = look(options, theme)
        wrong = check(theme, seen) + check_differences_are_real(theme, seen.blocks)
        by_witness = tuple(f"{theme}: {tool} says" for tool in TOOLS)
        if not wrong or not all(text.startswith(by_witness) for text in wrong):
            break
        print("looked again: " + "; ".join(wrong))
    return seen, wrong


def main(arguments):
    options = parse_arguments(arguments)
    themes = options.themes or all_themes(options.program)
    wrong, missing, rows = [], set(), []
    for theme in themes:
        try:
            seen, problems = look_until_sure(options, theme)
        except looks.CannotLook as reason:
            print(f"SKIP: {reason}")
            return EXIT_SKIPPED
        except looks.LookFailed as reason:
            wrong.append(f"{theme}: {reason}")
            continue
        rows.append((theme, seen))
        missing.update(seen.missing)
        wrong += problems
        if not options.table:
            print(f"{theme}: {len(seen.blocks)} blocks by {', '.join(seen.classes)}")
    if options.table:
        print_table(rows)
        return 0
    for text in wrong:
        print(f"FAIL {text}")
    for text in sorted(missing):
        print(f"SKIP: {text}")
    if wrong:
        return 1
    return EXIT_SKIPPED if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
