"""Stacks of the dumps of other projects: what expected.tsv says of their frames, and gdb.

    corpus_test.py --residue build/residue --corpus ../shared/corpus [CLASS[.METHOD]…]
"""
import csv
import os
import re
import unittest

import scene
from scene import StacksTestCase, need

FRAMES = re.compile(r"\bframes? ([^;]+)")
FRAME = re.compile(r"^(?P<function>\w+)(?: (?P<file>[\w.]+):(?P<line>\d+)| (?P<pc>0x[0-9a-f]+))?$")


def expected_frames(notes):
    """`frames bar main.c:4 / foo 0x400124 / _start with .out` → matches of FRAME, or []."""
    found = FRAMES.search(notes)
    if not found:
        return []
    frames = []
    for text in re.split(r" / |, ", found[1]):
        frame = FRAME.match(re.sub(r" with \.out$", "", text.strip()))
        if not frame:
            return []
        frames.append(frame)
    return frames


def program_of(core):
    for name in (re.sub(r"\.core$", ".out", core), re.sub(r"\.core$", "", core)):
        if os.path.exists(name):
            return name
    return None


class CorpusTest(StacksTestCase):
    tools = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        table = os.path.join(scene.OPTIONS.corpus, "expected.tsv")
        if not os.path.exists(table):
            raise unittest.SkipTest(f"{scene.OPTIONS.corpus} is not there")
        with open(table, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        cls.rows_of_table = []
        for row in rows:
            core = os.path.join(scene.OPTIONS.corpus, row["file"])
            frames = expected_frames(row["notes"])
            if row["kind"] == "ELF core" and frames and program_of(core):
                cls.rows_of_table.append((row, core, program_of(core), frames))

    def test_expected_frames(self):
        self.assertGreaterEqual(len(self.rows_of_table), 7, "expected.tsv has lost its frames")
        for row, core, program, frames in self.rows_of_table:
            with self.subTest(core=row["file"]):
                if scene.OPTIONS.pretend:
                    continue
                self.check_frames(self.rows(core, "--exe", program), row, frames)

    def check_frames(self, rows, row, frames):
        crashed = [entry for entry in rows if entry["crashed"]] or rows
        tid = crashed[0]["tid"]
        stack = [entry for entry in rows if entry["tid"] == tid]
        self.assertGreaterEqual(len(stack), len(frames), stack)
        for entry, frame in zip(stack, frames):
            self.assertEqual(entry["function"], frame["function"], stack)
            if frame["file"]:
                self.assertEqual((os.path.basename(entry["file"] or ""), entry["line"]),
                                 (frame["file"], int(frame["line"])))
            if frame["pc"]:
                self.assertEqual(int(entry["pc"], 16), int(frame["pc"], 16))

    def test_as_gdb(self):
        need("gdb-multiarch")
        compared = 0
        for row, core, program, _ in self.rows_of_table:
            if row["os"] != "linux":
                continue  # Debian's gdb reads no cores of NetBSD
            with self.subTest(core=row["file"]):
                self.check(core, program, gdb="gdb-multiarch", crashed=None)
                compared += 1
        self.assertGreaterEqual(compared, 3)


class ExpectedFramesTest(unittest.TestCase):
    """The reader of the notes itself."""

    def test_forms(self):
        frames = expected_frames("ELF64; frames bar main.c:4 / foo 0x400124 / _start with .out; x")
        self.assertEqual([frame["function"] for frame in frames], ["bar", "foo", "_start"])
        self.assertEqual((frames[0]["file"], frames[0]["line"]), ("main.c", "4"))
        self.assertEqual(frames[1]["pc"], "0x400124")
        self.assertEqual(len(expected_frames("LLDB expects 21 regions; frames bar, foo, main")), 3)
        self.assertEqual(expected_frames("3 frames; no names"), [])


if __name__ == "__main__":
    scene.main()
