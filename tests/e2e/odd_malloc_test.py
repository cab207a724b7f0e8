#!/usr/bin/env python3
"""Unusual situations of glibc's malloc in real processes: the program says what its heap holds."""
import glob
import os
import resource
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402

PATIENCE = 60
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads/odd_malloc.c")
LEAKS = {"leaked", "stale", "indirect"}
COUNTERS = ("arena", "uordblks", "fordblks", "hblks", "hblkhd")


def unlimit_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


class OddMalloc:
    """Mixed into test classes: one run of the program in the class's situation, and its core."""

    situation = ""
    environment = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.uname().machine != "x86_64":
            raise unittest.SkipTest("the program clears registers of x86-64 only")
        program = os.path.join(cls.folder, "odd_malloc")
        subprocess.run(["cc", "-std=gnu11", "-O1", "-o", program, SOURCE, "-ldl", "-pthread"],
                       check=True, timeout=PATIENCE)
        done = subprocess.run([program, cls.situation], cwd=cls.folder, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False,
                              env={**os.environ, **cls.environment}, preexec_fn=unlimit_cores)
        cores = glob.glob(os.path.join(cls.folder, "core*"))
        if not cores:
            raise unittest.SkipTest(f"exit {done.returncode}, no core in the work folder: "
                                    + done.stderr.strip())
        cls.core, = cores
        cls.mallinfo = []
        cls.blocks = {"live": {}, "leaked": {}, "freed": {}}
        cls.requested = {}
        for line in done.stdout.splitlines():
            word, *numbers = line.split()
            numbers = [int(number) for number in numbers]
            if word == "mallinfo":
                cls.mallinfo.append(dict(zip(COUNTERS, numbers)))
            else:
                cls.blocks[word][numbers[0]] = numbers[1]
                cls.requested[numbers[0]] = numbers[2]

    def chunks(self):
        rows = self.query(self.core, "SELECT address, size, requested, state, reach FROM chunk")
        return {int(row["address"]): row for row in rows}

    def test_every_heap_is_verified(self):
        self.assertEqual(self.query(self.core, "SELECT name, problem FROM heap WHERE verified = 0"),
                         [])

    def test_the_counters_are_mallinfos(self):
        heaps = self.query(self.core, "SELECT * FROM heap")
        arenas = [heap for heap in heaps if heap["name"] != "mmapped"]
        mapped = [heap for heap in heaps if heap["name"] == "mmapped"]

        def total(rows, column):
            return sum(int(row[column]) for row in rows)
        found = (total(arenas, "mapped_bytes"), total(arenas, "uordblks"),
                 total(arenas, "fordblks"), total(mapped, "used_count"),
                 total(mapped, "mapped_bytes"))
        told = tuple(sum(info[name] for info in self.mallinfo) for name in COUNTERS)
        self.assertEqual(found, told)

    def test_every_block_is_found(self):
        chunks = self.chunks()
        kept = {**self.blocks["live"], **self.blocks["leaked"]}
        self.assertGreater(len(kept), 1000)
        self.assertEqual({address: size for address, size in kept.items()
                          if address not in chunks or chunks[address]["state"] != "used"
                          or int(chunks[address]["size"]) != size}, {})

    def test_the_verdict_is_right(self):
        chunks = self.chunks()
        wrong = {address: chunks[address]["reach"] for address in self.blocks["live"]
                 if chunks[address]["reach"] != "reachable"}
        wrong.update({address: chunks[address]["reach"] for address in self.blocks["leaked"]
                      if chunks[address]["reach"] not in LEAKS})
        self.assertEqual(wrong, {})

    def test_nothing_else_is_called_leaked(self):
        rows = self.query(self.core, "SELECT address, reach FROM chunk "
                                     "WHERE reach IN ('leaked', 'stale', 'indirect')")
        self.assertEqual([row for row in rows if int(row["address"]) not in self.blocks["leaked"]],
                         [])


class BrkFailsTest(OddMalloc, support.TestCase):
    """The main arena goes on in mappings that are listed nowhere."""

    situation = "pieces"

    def test_the_heap_really_has_pieces(self):
        rows = self.query(self.core, "SELECT count(*) AS n FROM region WHERE kind = 'heap'")
        self.assertGreater(int(rows[0]["n"]), 1)


class BrkFailsAfterForeignSbrkTest(OddMalloc, support.TestCase):
    """So it does after somebody else had taken memory in the middle of the brk heap."""

    situation = "pieces-foreign"


class SecondLibcTest(OddMalloc, support.TestCase):
    """dlmopen loads another libc: two copies of malloc, each with its own counters."""

    situation = "namespaces"

    def test_both_main_arenas_are_there(self):
        rows = self.query(self.core, "SELECT name FROM heap WHERE name = 'main_arena'")
        self.assertEqual(len(rows), 2)


class JoinedThreadsTest(OddMalloc, support.TestCase):
    """Arenas of threads that run and of threads that were joined."""

    situation = "threads"


class HugePagesTest(OddMalloc, support.TestCase):
    """HEAP_MAX_SIZE is four huge pages, and the main arena never uses brk (glibc 2.35-2.41)."""

    situation = "threads"
    environment = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"}


if __name__ == "__main__":
    support.main()
