#!/usr/bin/env python3
"""Cores of real releases of glibc, each checked against what its program and mallinfo say.

RESIDUE_LIBC_RELEASES names a folder with one folder for each release, its libc6 package unpacked as
it is. The program under test is linked against every one of them, run by its loader, and dumped by
the kernel.
"""
import argparse
import csv
import glob
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

EXIT_SKIPPED = 77  # for ctest's SKIP_RETURN_CODE
PATIENCE = 120
HERE = os.path.dirname(os.path.abspath(__file__))
OPTIONS = argparse.Namespace()
LOADER = "ld-linux-x86-64.so.2"
LEAKS = {"leaked", "stale", "indirect"}


def releases():
    """Names and folders of the releases that are there: those with a loader and a libc."""
    found = {}
    for folder in sorted(glob.glob(os.path.join(OPTIONS.releases, "*"))):
        if find(folder, LOADER) and find(folder, "libc.so.6"):
            found[os.path.basename(folder)] = folder
    return found


def find(folder, name):
    for where, folders, files in os.walk(folder):
        folders.sort()
        if name in files:
            return os.path.join(where, name)
    return None


class Core:
    """One run of the program with one release: its core, its libraries put away, and its truth."""

    def __init__(self, folder, release):
        self.folder = folder
        self.sysroot = os.path.join(folder, "sysroot")
        libraries = os.path.join(folder, "libraries")
        shutil.copytree(os.path.dirname(find(release, "libc.so.6")), libraries, symlinks=True)
        program = os.path.join(folder, "program")
        linked = [os.path.join(libraries, name) for name in ("libc.so.6", "libpthread.so.0")
                  if os.path.exists(os.path.join(libraries, name))]
        subprocess.run(
            [OPTIONS.cc, "-std=gnu11", "-O1", "-w", "-DOWN_START", "-nostdlib", "-no-pie", "-fno-pie",
             "-fno-stack-protector", os.path.join(HERE, "heap_program.c"), "-o", program,
             *linked, "-Wl,--allow-shlib-undefined", "-Wl,--disable-new-dtags",
             f"-Wl,-rpath,{libraries}", f"-Wl,--dynamic-linker,{os.path.join(libraries, LOADER)}"],
            check=True, timeout=PATIENCE)
        done = subprocess.run([program], cwd=folder, stdout=subprocess.PIPE, timeout=PATIENCE,
                              check=False, text=True, preexec_fn=unlimit_cores)
        cores = glob.glob(os.path.join(folder, "core*"))
        if not cores:
            raise unittest.SkipTest(f"exit {done.returncode}, and no core came to the work folder")
        self.path, = cores
        self.read_truth(done.stdout)
        # Afterwards the files are only where --sysroot says.
        os.makedirs(self.sysroot + folder)
        for name in (libraries, program):
            os.rename(name, self.sysroot + name)

    def read_truth(self, text):
        self.blocks = {"live": {}, "leaked": {}, "freed": {}}
        for line in text.splitlines():
            word, *numbers = line.split()
            if word == "mallinfo":
                keys = ("arena", "uordblks", "fordblks", "hblks", "hblkhd")
                self.mallinfo = dict(zip(keys, map(int, numbers)))
            else:
                self.blocks[word][int(numbers[0])] = int(numbers[1])
        for again in self.blocks["live"].keys() | self.blocks["leaked"].keys():
            self.blocks["freed"].pop(again, None)  # freed, and handed out once more


def unlimit_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


def query(core, sysroot, sql):
    options = ["--sysroot", core.sysroot] if sysroot else []
    done = subprocess.run([OPTIONS.residue, "query", core.path, sql, "--format", "csv", *options],
                          capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return list(csv.DictReader(io.StringIO(done.stdout)))


class ReleasesTest(unittest.TestCase):
    maxDiff = 2000

    def test_the_heap_is_what_the_program_says(self):
        there = releases()
        self.assertTrue(there, f"no release in {OPTIONS.releases}")
        for name, release in there.items():
            with tempfile.TemporaryDirectory(prefix="residue-release-") as folder:
                core = Core(os.path.realpath(folder), release)
                for sysroot in (False, True):
                    with self.subTest(release=name, sysroot=sysroot):
                        self.compare(core, sysroot)
                        print(f"{name}, {'with' if sysroot else 'without'} its files: "
                              + ", ".join(f"{len(v)} {k}" for k, v in core.blocks.items()))

    def compare(self, core, sysroot):
        heaps = query(core, sysroot, "SELECT * FROM heap")
        self.assertEqual([h["problem"] for h in heaps if h["verified"] != "1"], [])
        self.compare_counters(core.mallinfo, heaps)
        chunks = {int(c["address"]): c for c in query(
            core, sysroot, "SELECT address, size, state, reach FROM chunk")}
        self.compare_blocks(core.blocks, chunks)

    def compare_counters(self, mallinfo, heaps):
        arenas = [h for h in heaps if h["name"] != "mmapped"]
        mapped = [h for h in heaps if h["name"] == "mmapped"]

        def total(rows, column):
            return sum(int(h[column]) for h in rows)
        self.assertEqual(
            {"arena": total(arenas, "mapped_bytes"), "uordblks": total(arenas, "uordblks"),
             "fordblks": total(arenas, "fordblks"), "hblks": total(mapped, "used_count"),
             "hblkhd": total(mapped, "mapped_bytes")}, mallinfo)

    def compare_blocks(self, blocks, chunks):
        kept = {**blocks["live"], **blocks["leaked"]}
        self.assertEqual(
            {a: size for a, size in kept.items()
             if a not in chunks or (chunks[a]["state"], int(chunks[a]["size"])) != ("used", size)},
            {}, "blocks in use that are not found, not used, or of another usable size")
        found = {a for a, c in chunks.items() if c["state"] == "used" and c["reach"] != "system"}
        self.assertEqual({a: chunks[a] for a in found - set(kept)}, {}, "used, but not allocated")
        self.assertEqual({a for a in blocks["freed"]
                          if a in chunks and chunks[a]["state"] == "used"}, set())
        self.assertEqual({a: chunks[a]["reach"] for a in blocks["live"]
                          if chunks[a]["reach"] != "reachable"}, {}, "kept, but not reachable")
        self.assertEqual({a: chunks[a]["reach"] for a in blocks["leaked"]
                          if chunks[a]["reach"] not in LEAKS}, {}, "leaked, but not called so")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--residue", required=True)
    parser.add_argument("--cc", required=True, help="a C compiler for the releases' machine")
    parser.add_argument("--releases", default="")
    parser.parse_args(namespace=OPTIONS)
    OPTIONS.releases = OPTIONS.releases or os.environ.get("RESIDUE_LIBC_RELEASES", "")
    if not OPTIONS.releases:
        print("SKIP: RESIDUE_LIBC_RELEASES names no folder of unpacked libc6 packages")
        sys.exit(EXIT_SKIPPED)
    OPTIONS.residue = os.path.abspath(OPTIONS.residue)
    unittest.main(argv=[sys.argv[0]], verbosity=2)


if __name__ == "__main__":
    main()
