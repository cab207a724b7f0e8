#!/usr/bin/env python3
"""Compares our rows of call frame information with those that readelf interprets.

    readelf_rows_test.py PRINT_ROWS [FILE...]

Without files: the C library, the loader, the C++ library, whatever of them is there. Every row of every 7th function is
compared at its first and at its last address. Exit code 77 if there is no readelf.
"""

import glob
import re
import shutil
import subprocess
import sys

EVERY = 7
USUAL = [
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib64/ld-linux-x86-64.so.2",
    "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/usr/lib32/libc.so.6",
    "/lib/ld-musl-x86_64.so.1",
]
FOREIGN = "/usr/*-linux-gnu*/lib*/libc.so.6"
REGISTERS = {
    "X86-64": "rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip".split(),
    "80386": "eax ecx edx ebx esp ebp esi edi eip".split(),
    "AArch64": [f"x{n}" for n in range(31)] + ["sp"],
    "RISC-V": "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6".split(),
}
HEAD = re.compile(r"^[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)")
CIE = re.compile(r"^[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ CIE ")


def machine_of(path):
    header = subprocess.run(["readelf", "-hW", path], capture_output=True, text=True).stdout
    found = re.search(r"Machine:\s+(.*)", header)
    text = found.group(1) if found else ""
    return next((name for name in REGISTERS if name in text), None)


def functions_of(path):
    """(begin, end, columns, [(address, cfa, rules)]) of each FDE."""
    text = subprocess.run(["readelf", "--debug-dump=frames-interp", path], capture_output=True, text=True).stdout
    section, current, columns = None, None, []
    for line in text.splitlines():
        if line.startswith("Contents of the "):
            section = line.split()[3]
            continue
        head = HEAD.match(line)
        if head or CIE.match(line):
            if current:
                yield current
            current = (section, int(head.group(1), 16), int(head.group(2), 16), []) if head else None
            columns = []
        elif current and line.strip().startswith("LOC"):
            columns = line.split()[2:]
        elif current and columns and re.match(r"^[0-9a-f]{8,16} ", line):
            if "ZERO terminator" in line:
                continue
            words = re.sub(r"\b(r\d+) \(\w+\)", r"\1", line).split()
            current[3].append((int(words[0], 16), words[1], dict(zip(columns, words[2:]))))
    if current:
        yield current


def numbered(text, names):
    """readelf's register names as numbers: rsp+8 -> 7+8."""
    found = re.match(r"^([a-z]\w*?)([+-]\d+)$", text)
    return f"{names.index(found.group(1))}{found.group(2)}" if found and found.group(1) in names else text


def ours_of(tool, path, section, addresses):
    done = subprocess.run([tool, path, section], input="\n".join(f"{a:x}" for a in addresses), capture_output=True,
                          text=True, check=True)
    rows = {}
    for line in done.stdout.splitlines():
        words = line.split()
        rules = {}
        for word in words[2:]:
            name, rule = word.split("=")
            rules["ra" if name.startswith("ra/") else int(name)] = rule
        rows[int(words[0], 16)] = (words[1], rules)
    return rows


def compare(tool, path):
    """How many rows were compared, and the differences."""
    names = REGISTERS[machine_of(path)]
    wanted, all_functions = {}, list(functions_of(path))
    for section, begin, end, rows in all_functions[::EVERY]:
        # Rows at one address: the last one holds.
        for (address, cfa, rules), after in zip(rows, [r[0] for r in rows[1:]] + [end]):
            if after > address:
                for at in {address, after - 1}:
                    wanted.setdefault(section, {})[at] = (cfa, rules)
    compared, wrong = 0, []
    for section, rows in wanted.items():
        ours = ours_of(tool, path, section, sorted(rows))
        for address, (cfa, rules) in rows.items():
            our_cfa, our_rules = ours[address]
            compared += 1
            if our_cfa != numbered(cfa, names):
                wrong.append(f"{path} {section} {address:#x}: CFA {our_cfa}, readelf {cfa}")
            for name, rule in rules.items():
                number = "ra" if name == "ra" else names.index(name) if name in names else None
                if number is None:
                    continue  # vector registers
                ours_here = our_rules.get(number, "u")
                if rule in names:
                    rule = f"r{names.index(rule)}"
                if ours_here != rule:
                    wrong.append(f"{path} {section} {address:#x}: {name} is {ours_here}, readelf {rule}")
    return compared, wrong


def main():
    if shutil.which("readelf") is None:
        print("skipped: readelf is not there")
        return 77
    tool, files = sys.argv[1], sys.argv[2:] or USUAL + sorted(glob.glob(FOREIGN))
    total, wrong = 0, []
    for path in files:
        try:
            open(path, "rb").close()
        except OSError:
            continue
        if machine_of(path) is None:
            continue
        compared, differences = compare(tool, path)
        print(f"{path}: {compared} rows, {len(differences)} differences")
        total += compared
        wrong += differences
    print("\n".join(wrong[:40]))
    if total == 0:
        print("skipped: none of the files is there")
        return 77
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
