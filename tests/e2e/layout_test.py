#!/usr/bin/env python3
"""Arrangements of memory that chance brings about now and then, brought about on purpose."""
import glob
import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import PATIENCE, need_program  # noqa: E402

WORKLOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads/merged_mapping.py")


class MergedMappingTest(support.TestCase):
    """A chunk that malloc mapped lies in one region with the .bss of a library before it."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        with subprocess.Popen([sys.executable, WORKLOAD], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            line = process.stdout.readline()
            if not line:
                raise unittest.SkipTest(process.stderr.read().strip())
            cls.block, cls.size = (int(text) for text in line.split())
            subprocess.run(["gcore", "-o", os.path.join(cls.folder, "merged"), str(process.pid)],
                           capture_output=True, timeout=PATIENCE, check=False)
            process.stdin.close()
        cls.core, = glob.glob(os.path.join(cls.folder, "merged.*"))

    def test_the_chunk_is_found(self):
        rows = self.query(self.core, "SELECT address, size, state FROM chunk "
                                     f"WHERE address = {self.block}")
        self.assertEqual(rows, [{"address": str(self.block), "size": str(self.size),
                                 "state": "used"}])

    def test_the_heap_is_verified(self):
        self.assertEqual(self.query(self.core, "SELECT name, problem FROM heap WHERE verified = 0"),
                         [])

    def test_every_byte_is_accounted_for_once(self):
        row, = self.query(self.core, "SELECT (SELECT sum(bytes) FROM account) AS account, "
                                     "(SELECT sum(size) FROM region) AS regions")
        self.assertEqual(row["account"], row["regions"])


if __name__ == "__main__":
    support.main()
