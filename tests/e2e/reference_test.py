#!/usr/bin/env python3
"""The table `reference`, against the words of the core: over the core and over a database."""
import bisect
import os
import sys
from collections import Counter

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from core_memory import CoreMemory  # noqa: E402
from service import Service, need_program  # noqa: E402

REQUESTS = 2000
PAGE = 4096
ROWS = "SELECT source, target, interior, kind FROM reference"


class ReferenceTest(support.TestCase):
    """A core by gdb of the sample service, and the same stored."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        with Service(support.SERVICE, cls.folder, REQUESTS) as program:
            cls.core = program.gcore("core")
        cls.database = os.path.join(cls.folder, "snapshots.db")
        done = support.run_residue("analyze", cls.core, "--db", cls.database, "--quiet")
        assert done.returncode == 0, cls.describe(done)
        cls.memory = CoreMemory(cls.core)
        cls.chunks = {int(row["address"]): (int(row["size"]), row["state"]) for row in
                      cls.rows_of(cls.core, "SELECT address, size, state FROM chunk")}
        cls.starts = sorted(cls.chunks)
        cls.references = [(int(row["source"]), int(row["target"]), int(row["interior"]),
                           row["kind"]) for row in cls.rows_of(cls.core, ROWS)]

    @classmethod
    def tearDownClass(cls):
        cls.memory.close()
        super().tearDownClass()

    @classmethod
    def rows_of(cls, source, sql):
        done = support.run_residue("query", source, sql, "--format", "csv")
        assert done.returncode == 0, cls.describe(done)
        return support.rows_of_csv(done.stdout)

    def chunk_at(self, address):
        """The chunk whose user bytes, their end included, hold `address`."""
        i = bisect.bisect_right(self.starts, address) - 1
        if i >= 0 and address <= self.starts[i] + self.chunks[self.starts[i]][0]:
            return self.starts[i]
        return None

    def words(self, begin, end):
        """Of the whole words in [begin, end) those in the core, page by page: a chunk may reach
        from one segment into the next."""
        end -= (end - begin) % 8
        while begin < end:
            until = min(end, (begin | PAGE - 1) + 1)
            try:
                yield from self.memory.words(begin, until - begin)
            except KeyError:
                pass
            begin = until

    def pointers_of(self, start):
        """(target, leads to its start) of each word of a chunk that leads to another one."""
        for _, value in self.words(start, start + self.chunks[start][0]):
            target = self.chunk_at(value)
            if target is not None and target != start:
                yield target, value == target

    def test_live_references_are_the_words_of_used_chunks(self):
        rows = Counter((source, target) for source, target, _, kind in self.references
                       if kind in ("live", "spare"))
        words = Counter((start, target) for start, (_, state) in self.chunks.items()
                        if state == "used" for target, _ in self.pointers_of(start))
        self.assertGreater(sum(words.values()), REQUESTS)
        spare = {source for source, _, _, kind in self.references if kind == "spare"}
        # Spare capacity refers to what is in use only.
        missing = {pair for pair, n in words.items() if rows[pair] != n and not (
            pair[0] in spare and self.chunks[pair[1]][1] != "used")}
        self.assertEqual(missing, set())
        self.assertEqual(set(rows) - set(words), set())

    def test_what_leads_to_a_start_is_not_interior(self):
        starts, insides = Counter(), Counter()
        for source in {source for source, _, _, _ in self.references}:
            for target, is_start in self.pointers_of(source):
                (starts if is_start else insides)[source, target] += 1
        interior = Counter((source, target) for source, target, flag, _ in self.references if flag)
        self.assertTrue(interior)
        for pair, count in interior.items():
            self.assertLessEqual(count, insides[pair], pair)
        self.assertGreater(sum(starts.values()), REQUESTS)

    def test_dead_references_come_from_words_of_free_chunks_and_lead_to_used_ones(self):
        dead = [(source, target) for source, target, _, kind in self.references if kind == "free"]
        for source, target in dead:
            self.assertIn(self.chunks[source][1], ("free", "cached"))
            self.assertEqual(self.chunks[target][1], "used")
            self.assertIn(target, [t for t, _ in self.pointers_of(source)])
        # Of a chunk that is not large all but the first two words, which are the allocator's, and
        # the last, which may be the next header's, hold what the program left there.
        expected = Counter()
        for start, (size, state) in self.chunks.items():
            if state == "used" or size >= 1000:
                continue
            for _, value in self.words(start + 16, start + size - 8):
                target = self.chunk_at(value)
                if target is not None and self.chunks[target][1] == "used":
                    expected[start, target] += 1
        found = Counter(pair for pair in dead if self.chunks[pair[0]][0] < 1000)
        self.assertEqual(found, expected)

    def test_stored_references_are_those_of_the_core(self):
        stored = [(int(row["source"]), int(row["target"]), int(row["interior"]), row["kind"])
                  for row in self.rows_of(self.database, ROWS)]
        self.assertEqual(stored, self.references)
        count = self.rows_of(self.database, "SELECT reference_count AS n FROM snapshot")
        self.assertEqual(int(count[0]["n"]), len(stored))

    def test_lookups_give_the_rows_of_the_whole_table(self):
        sources = sorted({row[0] for row in self.references})[::97]
        targets = sorted({row[1] for row in self.references})[::97]
        for column, values in (("source", sources), ("target", targets)):
            at = ("source", "target").index(column)
            wanted = [list(map(str, row)) for row in self.references if row[at] in set(values)]
            for place in (self.core, self.database):
                sql = f"{ROWS} WHERE snapshot = 1 AND {column} IN ({','.join(map(str, values))})"
                rows = [list(row.values()) for row in self.rows_of(place, sql)]
                self.assertEqual(sorted(rows), sorted(wanted))

    def test_they_can_be_left_out(self):
        database = os.path.join(self.folder, "without.db")
        done = support.run_residue("analyze", self.core, "--db", database, "--quiet",
                                   "--references", "never")
        self.assertEqual(done.returncode, 0, self.describe(done))
        row = self.rows_of(database, "SELECT (SELECT count(*) FROM reference) AS n, reference_count"
                                     " AS known, message FROM snapshot JOIN diagnostic ON "
                                     "stage = 'store'")
        self.assertEqual(row, [{"n": "0", "known": "",
                                "message": "references are not stored: not wanted"}])
        done = support.run_residue("analyze", self.core, "--references", "sometimes")
        self.assertEqual(done.returncode, support.EXIT_USAGE, self.describe(done))


if __name__ == "__main__":
    support.main()
