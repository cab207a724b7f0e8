#!/usr/bin/env python3
"""Compares look-ups with gdb: functions, inlined frames, files and lines of every few bytes of code.

    dwarf_gdb_test.py LOOK_UP SOURCE FOLDER

compiles SOURCE in many ways, and asks gdb and LOOK_UP (dwarf_look_up) the same. Compilers and tools that are missing
are named; without gdb and g++ the test is skipped (77).
"""

import json
import os
import re
import shutil
import subprocess
import sys

CLANG = next((name for name in ("clang++-19", "clang++-14", "clang++") if shutil.which(name)), "clang++")
WAYS = [
    ("gcc-dwarf5", ["g++", "-O2"]),
    ("gcc-dwarf4", ["g++", "-O2", "-gdwarf-4", "-ffunction-sections", "-Wl,--gc-sections"]),
    # Version 2 has no ranges, so GCC describes cold parts as functions of their own, with made-up names.
    ("gcc-dwarf2", ["g++", "-O2", "-gdwarf-2", "-gstrict-dwarf", "-fno-reorder-blocks-and-partition"]),
    ("gcc-dwarf64", ["g++", "-O2", "-gdwarf64"]),
    ("gcc-unoptimised", ["g++", "-O0"]),
    ("gcc-types", ["g++", "-O2", "-gdwarf-4", "-fdebug-types-section"]),
    ("gcc-lto", ["g++", "-O2", "-flto"]),
    ("gcc-zlib", ["g++", "-O2", "-gz=zlib"]),
    ("gcc-split5", ["g++", "-O2", "-gdwarf-5", "-gsplit-dwarf"]),
    ("gcc-split4", ["g++", "-O2", "-gdwarf-4", "-gsplit-dwarf"]),
    ("clang", [CLANG, "-O2", "-g"]),
    ("clang-split", [CLANG, "-O2", "-g", "-gsplit-dwarf"]),
]
ASK_GDB = """
import gdb, json
answers = []
for line in open({addresses!r}):
    address = int(line, 16)
    names, block = [], gdb.block_for_pc(address)
    while block is not None and not block.is_static and not block.is_global:
        if block.function is not None:
            names.append(block.function.print_name)
        block = block.superblock
    place = gdb.find_pc_line(address)
    answers.append((names, place.symtab.filename if place.symtab else None, place.line))
json.dump(answers, open({answers!r}, "w"))
"""


def without_parameters(name):
    """As gdb's `bt` shows it: gdb's Python gives names with parameters."""
    for tail in (" const", " volatile", " &", " &&"):
        name = name.removesuffix(tail)
    if not name.endswith(")") or name.endswith("operator()"):
        return name
    depth = 0
    for at in range(len(name) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(name[at], 0)
        if depth == 0:
            return name[:at]
    return name


def code_of(program):
    """Every fifth address of the .text section."""
    text = subprocess.run(["readelf", "-SW", program], capture_output=True, text=True, check=True).stdout
    start, size = re.search(r" \.text +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", text).groups()
    return range(int(start, 16), int(start, 16) + int(size, 16), 5)


def look_up(tool, program, addresses, *more):
    answer = subprocess.run([tool, program, *more], input="\n".join(map(hex, addresses)), capture_output=True, text=True,
                            check=True)
    found = []
    for line in answer.stdout.splitlines():
        if "\t" in line:
            found[-1].append(line.split("\t"))
        else:
            found.append([])
    return found, answer.stderr


def ask_gdb(program, addresses):
    files = {"addresses": program + ".addresses", "answers": program + ".answers"}
    with open(files["addresses"], "w", encoding="utf-8") as out:
        out.write("\n".join(map(hex, addresses)))
    with open(program + ".py", "w", encoding="utf-8") as out:
        out.write(ASK_GDB.format(**files))
    subprocess.run(["gdb", "-batch", "-nx", "-x", program + ".py", program], capture_output=True, check=True)
    with open(files["answers"], encoding="utf-8") as answers:
        return json.load(answers)


def difference(mine, gdb):
    """What differs at one address, or None."""
    names, file, line = gdb
    functions = [frame[0] for frame in mine if frame[0]]
    # What encloses a nested function is not one of its frames.
    expected = [without_parameters(name) for name in names][: len(functions) or None]
    if any(name.startswith("_Z") for name in expected):
        return None  # gdb 13 cannot read some of clang 19's names
    if functions != expected:
        return f"functions {functions}, gdb {expected}"
    place = (mine[0][1][int(mine[0][2]):], int(mine[0][3])) if mine else ("", 0)
    if file is not None and not (place[0].endswith(file) or mine[0][1].endswith(file)):
        return f"file {place[0]}, gdb {file}"
    return None if place[1] == line else f"line {place[1]}, gdb {line}"


def compare(way, tool, program):
    addresses = code_of(program)
    mine, said = look_up(tool, program, addresses)
    gdb = ask_gdb(program, addresses)
    wrong = [(hex(a), difference(m, g)) for a, m, g in zip(addresses, mine, gdb) if difference(m, g)]
    # gdb goes through each file's rows on its own, which now and then gives a neighbouring line.
    lines = sum(problem.startswith(("line", "file")) for _, problem in wrong)
    bad = len(wrong) > lines or lines > len(addresses) // 100 or said or not any(mine)
    print(f"{way}: {len(addresses)} addresses, {sum(map(len, mine))} frames, {len(wrong)} differ, {lines} in the line only")
    for address, problem in wrong[:5]:
        print(f"    {address}: {problem}")
    if said:
        print("    " + said)
    return not bad


def compare_dwz(tool, first, second):
    """dwz moves what two programs share to a third file; the answers must stay the same."""
    before = [look_up(tool, program, code_of(program))[0] for program in (first, second)]
    common = os.path.join(os.path.dirname(first), "common.debug")
    subprocess.run(["dwz", "-m", common, first, second], check=True)
    same = [look_up(tool, p, code_of(p), common)[0] == b for p, b in zip((first, second), before)]
    lost, said = look_up(tool, first, code_of(first))
    print(f"dwz: same answers {same}, without the common file: {said.strip()}")
    return all(same) and "dwz" in said and len(lost) == len(before[0])


def main(tool, source, folder):
    if not shutil.which("gdb") or not shutil.which("g++"):
        print("skipped: gdb or g++ is missing")
        return 77
    os.makedirs(folder, exist_ok=True)
    good, programs = True, {}
    for way, command in WAYS:
        program = os.path.join(folder, way)
        if not shutil.which(command[0]):
            print(f"{way}: skipped, {command[0]} is missing")
            continue
        # In the folder: that is where split units go.
        subprocess.run([command[0], "-g", *command[1:], "-std=c++17", "-o", program, source], cwd=folder, check=True)
        programs[way] = program
        good = compare(way, tool, program) and good
    if shutil.which("dwz"):
        pair = [os.path.join(folder, f"dwz-{i}") for i in (1, 2)]
        for path, way in zip(pair, ("gcc-dwarf4", "gcc-types")):
            shutil.copy(programs[way], path)
        good = compare_dwz(tool, *pair) and good
    else:
        print("dwz: skipped, it is missing")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
