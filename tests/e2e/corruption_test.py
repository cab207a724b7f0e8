#!/usr/bin/env python3
"""Programs that ruin their heap and die of it, and programs that die in the middle of malloc().

What each program did wrong is told by the program itself, before it does it: which chunk, and the
first byte that is written wrongly. See corruption/*.c, which the build makes into programs.
"""
import os
import random
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import resource  # noqa: E402

import support  # noqa: E402
from service import core_pattern, need_kernel_cores  # noqa: E402

BUSY_CORES = int(os.environ.get("RESIDUE_BUSY_CORES", "24"))


class KernelCores(support.TestCase):
    """Runs a program in a folder of its own until it is dead, and keeps its core."""

    @classmethod
    def setUpClass(cls):
        need_kernel_cores()
        super().setUpClass()

    @staticmethod
    def program(name):
        """Beside leaky_service's folder the build puts the programs of corruption/."""
        return os.path.join(support.PROGRAMS, name)

    def run_to_death(self, name, *arguments, after=None):
        """Kills it after so many seconds, unless it dies by itself. (its lines, its core)"""
        folder = self.path(f"{name}-{'-'.join(arguments)}")
        os.makedirs(folder, exist_ok=True)

        def prepare():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
            resource.setrlimit(resource.RLIMIT_STACK, (256 * 1024, 256 * 1024))

        process = subprocess.Popen([self.program(name), *arguments], cwd=folder, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=prepare)
        if after is not None:
            self.assertEqual(process.stdout.readline(), "READY\n")
            time.sleep(after)
            process.send_signal(signal.SIGABRT)
        output, errors = process.communicate(timeout=60)
        self.assertLess(process.returncode, 0, f"{name} {arguments} survived: {output}")
        cores = [name for name in os.listdir(folder)
                 if name.startswith(core_pattern().partition("%")[0])]
        self.assertEqual(len(cores), 1, f"{cores} after {errors}")
        return output, errors, os.path.join(folder, cores[0])

    def corruption(self, core):
        rows = self.query(core, "SELECT * FROM corruption")
        for row in rows:
            for key in ("address", "suspect"):
                row[key] = int(row[key]) if row[key] else None
        return rows


class FaultyHeapTest(KernelCores):
    """Each fault is found where it is, and blamed on the chunk that the program says it misused."""

    def died(self, kind):
        output, errors, core = self.run_to_death("faulty_heap", kind)
        told = dict(line.split("=") for line in output.split())
        self.addCleanup(os.unlink, core)
        self.core = core
        self.errors = errors
        return {key: int(value, 16) for key, value in told.items()}, self.corruption(core)

    def expect(self, kind, expected_kinds, confidence=("likely",)):
        told, rows = self.died(kind)
        at = [row for row in rows if row["address"] == told["place"]]
        self.assertEqual(len(at), 1, f"of {told}: {rows}")
        self.assertIn(at[0]["kind"], expected_kinds)
        self.assertEqual(at[0]["suspect"], told["victim"], f"of {told}: {rows}")
        self.assertIn(at[0]["confidence"], confidence)
        self.assertEqual([row["address"] for row in rows
                          if row["address"] not in (None, told["place"])], [])
        self.said = [row for row in rows if row["address"] is None]
        return at[0]

    def expect_message(self, text):
        """What libc said on stderr is what residue read in the core."""
        self.assertIn(text, self.errors)
        notes = self.query(self.core, "SELECT message FROM diagnostic WHERE stage = 'glibc' AND "
                                      "place = 'abort message'")
        self.assertEqual([row["message"] for row in notes], ["libc said: " + text])

    def test_top_overrun(self):
        row = self.expect("corrupted_top", ["overflow"])
        self.assertEqual(row["found"], '4141414141414141 "AAAAAAAA"')
        self.assertIn("16 bytes beyond its end", row["message"])
        self.expect_message("malloc(): corrupted top size")

    def test_overflow_into_the_next_header(self):
        row = self.expect("overflow_into_next", ["overflow"])
        self.assertIn("21 bytes beyond its end", row["message"])
        self.assertEqual(row["suspect_type"], "(text)")

    def test_a_terminating_zero_behind_the_end(self):
        row = self.expect("lost_terminator", ["overflow"])
        self.assertIn("terminating zero", row["message"])

    def test_underflow(self):
        row = self.expect("underflow", ["underflow"])
        self.assertIn("8 bytes before its start", row["message"])

    def test_write_after_free_in_a_bin(self):
        self.expect("write_after_free_in_bin", ["use after free"])

    def test_write_behind_a_free_chunk_s_last_byte(self):
        self.expect("size_against_prev_size", ["use after free"], ["guess"])

    def test_a_double_free_that_glibc_does_not_notice(self):
        self.expect("hidden_double_free", ["cycle", "double free"])

    def test_double_frees_that_glibc_notices(self):
        for kind, text in (("double_free_in_tcache", "free(): double free detected in tcache 2"),
                           ("double_free_in_fastbin", "double free or corruption (fasttop)")):
            with self.subTest(kind=kind):
                _, rows = self.died(kind)
                self.assertEqual([(row["kind"], row["confidence"]) for row in rows],
                                 [("double free", "proved")])
                self.expect_message(text)

    def test_write_after_free_in_a_cache(self):
        told, rows = self.died("write_after_free_in_tcache")
        self.assertEqual({row["kind"] for row in rows}, {"use after free"})
        self.assertIn(told["victim"], [row["suspect"] for row in rows], rows)
        self.expect_message("malloc(): unaligned tcache chunk detected")

    def test_explain_and_analyze_speak_of_it(self):
        told, _ = self.died("overflow_into_next")
        topics = {row["topic"]: row["text"]
                  for row in self.json("explain", self.core, hex(told["victim"]))}
        self.assertIn("beyond its end", topics["corruption"])
        done = self.residue("analyze", self.core)
        self.assertIn("corruption", done.stdout, self.describe(done))


class BusyMallocTest(KernelCores):
    """Cores taken while threads are inside malloc() hold no corruption."""

    def check(self, *arguments):
        choice = random.Random(7)
        unverified = 0
        for i in range(BUSY_CORES):
            _, _, core = self.run_to_death("busy_malloc", *arguments, after=choice.uniform(0, 0.06))
            self.assertEqual(self.corruption(core), [], f"core {i}")
            rows = self.query(core, "SELECT name, problem FROM heap WHERE verified = 0")
            unverified += len(rows)
            os.unlink(core)
        return unverified

    def test_many_threads(self):
        self.check()

    def test_one_thread(self):
        """Then malloc takes no mutex, and nothing in the arena tells."""
        self.check("single")


if __name__ == "__main__":
    support.main()
