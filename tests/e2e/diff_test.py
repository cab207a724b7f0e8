#!/usr/bin/env python3
"""The diff of two cores against a program that knows what it allocated in between
(workloads/known_growth.cpp)."""
import contextlib
import json
import os
import shutil
import sqlite3
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import Service, need_program  # noqa: E402

EXTRA = 300  # growth::Extra objects; a second run has more


def blocks(truth):
    """{address: usable size} as the program printed it."""
    return {int(key[len("block."):]): size for key, size in truth.items()
            if key.startswith("block.")}


def take_cores(folder, name, extra, phases, environment=()):
    """A core at the end of each phase, and what the program printed there."""
    cores = []
    with Service(os.environ["KNOWN_GROWTH"], folder, extra, phases=phases,
                 environment=environment) as program:
        for phase in range(phases):
            if phase > 0:
                program.next_phase()
            cores.append((program.gcore(f"{name}{phase}"), dict(program.truth)))
    return cores


def store(folder, name, cores):
    database = os.path.join(folder, name)
    done = support.run_residue("analyze", *cores, "--db", database, "--quiet")
    assert done.returncode == 0, support.TestCase.describe(done)
    return database


class OneProcessTest(support.TestCase):
    """Two cores of one process: the diff names exactly the known set."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        (first, before), (second, after) = take_cores(cls.folder, "core", EXTRA, 2)
        cls.before, cls.after = blocks(before), blocks(after)
        cls.truth = after
        cls.database = store(cls.folder, "snapshots.db", [first, second])

    def chunks(self, status, columns="address, size_before, size_after"):
        rows = self.query(self.database, f"SELECT {columns} FROM chunk_diff WHERE from_snapshot = "
                                         f"1 AND to_snapshot = 2 AND status = '{status}'")
        return {int(row["address"]): row for row in rows}

    def test_the_program_did_all_that_there_is_to_tell(self):
        before, after = set(self.before), set(self.after)
        self.assertGreater(len(after - before), 500)
        self.assertGreater(len(before - after), 100)
        self.assertGreater(self.truth["kept.in.place"], 50)
        self.assertGreater(self.truth["moved"], 10)
        large = [address for address in after - before if self.after[address] > 1000000]
        self.assertEqual(len(large), 3)

    def test_new_chunks_are_exactly_those_allocated_since(self):
        expected = {address: size for address, size in self.after.items()
                    if address not in self.before}
        found = {address: int(row["size_after"]) for address, row in self.chunks("new").items()}
        self.assertEqual(found, expected)

    def test_gone_chunks_are_exactly_those_freed_since(self):
        expected = {address: size for address, size in self.before.items()
                    if address not in self.after}
        found = {address: int(row["size_before"]) for address, row in self.chunks("gone").items()}
        self.assertEqual(found, expected)

    def test_resized_chunks_are_exactly_those_of_another_size(self):
        expected = {address: (size, self.after[address]) for address, size in self.before.items()
                    if self.after.get(address, size) != size}
        found = {address: (int(row["size_before"]), int(row["size_after"]))
                 for address, row in self.chunks("resized").items()}
        self.assertGreater(len(expected), 50)
        self.assertEqual(found, expected)

    def test_all_others_are_kept(self):
        expected = {address for address, size in self.before.items()
                    if self.after.get(address) == size}
        replaced = self.chunks("replaced", "address, type_before, type")
        found = set(self.chunks("kept")) | set(replaced)
        self.assertLessEqual(expected, found)
        # Only what was there before the program began to count.
        self.assertFalse((found - expected) & (set(self.before) | set(self.after)))
        self.assertEqual({(row["type_before"], row["type"]) for row in replaced.values()},
                         {("growth::First", "growth::Second")})
        self.assertEqual(len(replaced), 20)

    def test_growth_is_the_sum_of_the_chunks(self):
        row, = self.query(self.database, "SELECT sum(new_count) AS n, sum(new_bytes) AS b, "
                          "sum(gone_bytes) AS g, sum(resized_bytes) AS r FROM growth WHERE "
                          "from_snapshot = 1 AND to_snapshot = 2 AND dimension = 'heap'")
        new = [size for address, size in self.after.items() if address not in self.before]
        gone = [size for address, size in self.before.items() if address not in self.after]
        resized = sum(self.after[address] - size for address, size in self.before.items()
                      if address in self.after)
        self.assertEqual([int(row[name]) for name in "nbgr"],
                         [len(new), sum(new), sum(gone), resized])

    def test_the_report_names_the_process_and_the_totals(self):
        text = self.residue("diff", self.database, "latest-1", "latest").stdout
        self.assertIn("One process (", text)
        used = next(line for line in text.splitlines() if line.startswith("used")).split()
        self.assertEqual(int(used[3]), sum(self.after.values()) - sum(self.before.values()))
        self.assertIn("growth::Second", text)

    def test_chunks_lists_what_is_not_kept(self):
        rows = self.json("diff", self.database, "1", "2", "--chunks")
        self.assertNotIn("kept", {row["status"] for row in rows})
        self.assertEqual({int(row["address"], 16) for row in rows if row["status"] == "new"},
                         set(self.after) - set(self.before))

    def test_each_dimension_divides_what_it_says(self):
        for snapshot in (1, 2):
            for dimension, column, whole in (
                    ("region", "used_bytes", "SELECT sum(size) FROM chunk WHERE state = 'used'"),
                    ("shape", "leaked_bytes", "SELECT coalesce(sum(size), 0) FROM chunk WHERE "
                                              "reach IN ('stale', 'leaked', 'indirect')"),
                    ("allocator", "used_bytes",
                     "SELECT sum(free_bytes + cached_bytes + overhead_bytes) FROM heap WHERE 1"),
                    ("mapping", "used_bytes", "SELECT sum(size) FROM region WHERE 1")):
                with self.subTest(snapshot=snapshot, dimension=dimension):
                    row, = self.query(self.database, f"SELECT coalesce(sum({column}), 0) AS parts, "
                                      f"({whole} AND snapshot = {snapshot}) AS whole FROM usage "
                                      f"WHERE snapshot = {snapshot} AND dimension = '{dimension}'")
                    self.assertEqual(row["parts"], row["whole"])

    def test_damaged_chunks_leave_the_sums(self):
        damaged = self.path("damaged.db")
        shutil.copy(self.database, damaged)
        with contextlib.closing(sqlite3.connect(damaged)) as connection:
            (block,) = connection.execute(
                "SELECT data FROM chunk_block WHERE snapshot = 2 AND block = 0").fetchone()
            torn = bytearray(block)
            torn[len(torn) // 2] ^= 0x10
            connection.execute("UPDATE chunk_block SET data = ? WHERE snapshot = 2 AND block = 0",
                               (bytes(torn),))
            connection.commit()
        whole = self.json("diff", self.database, "1", "2")
        done = self.residue("diff", damaged, "1", "2", "--format", "json")
        rows = json.loads(done.stdout)
        self.assertIn("damaged.db: ", done.stderr)
        self.assertIn("without the chunks", done.stderr)
        sums = ("dimension", "key", "count_before", "bytes_before", "count_after", "bytes_after",
                "count_delta", "bytes_delta", "leaked_bytes_delta")
        self.assertEqual([[row[name] for name in sums] for row in rows],
                         [[row[name] for name in sums] for row in whole])
        self.assertEqual({row["new_count"] for row in rows}, {None})
        self.assertIn("By type", self.residue("diff", damaged, "1", "2").stdout)
        self.refused("diff", damaged, "1", "2", "--chunks", expect=support.EXIT_INPUT,
                     names="damaged.db: ")

    def test_formats_agree(self):
        tsv = self.residue("diff", self.database, "1", "2", "--format", "tsv").stdout
        csv = support.rows_of_csv(
            self.residue("diff", self.database, "1", "2", "--format", "csv").stdout)
        rows = self.json("diff", self.database, "1", "2")
        self.assertEqual(len(csv), len(rows))
        self.assertEqual(tsv.count("\n"), len(rows) + 1)
        self.assertEqual(tsv.split("\n", 1)[0].split("\t"), list(rows[0]))
        self.assertEqual(list(csv[0]), list(rows[0]))


class ByNameTest(support.TestCase):
    """A restart under other addresses, and another version of a library: only names compare."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        folder = os.environ["LEDGERS"]
        cls.ledgers = [os.path.join(folder, f"libledger.so.1.2.{n}") for n in (3, 4)]
        (one, cls.one), = take_cores(cls.folder, "one", EXTRA, 1)
        (two, cls.two), = take_cores(cls.folder, "two", 2 * EXTRA, 1)
        cores = [one, two]
        for i, ledger in enumerate(cls.ledgers):
            (core, _), = take_cores(cls.folder, f"ledger{i}", EXTRA, 1, {"LEDGER": ledger}.items())
            cores.append(core)
        cls.database = store(cls.folder, "snapshots.db", cores)

    def changed(self, first, second, dimension):
        rows = self.json("diff", self.database, first, second, "--by", dimension)
        return {row["key"]: (row["count_delta"], row["bytes_delta"]) for row in rows}

    def test_the_addresses_differ(self):
        self.assertFalse(set(blocks(self.one)) & set(blocks(self.two)))

    def test_only_the_known_growth_shows(self):
        grown = (EXTRA, self.two["extra.bytes"] - self.one["extra.bytes"])
        self.assertEqual(self.changed("1", "2", "type"), {"growth::Extra": grown})
        self.assertEqual(self.changed("1", "2", "heap"), {"main_arena": grown})
        size = str(grown[1] // EXTRA)
        self.assertEqual(self.changed("1", "2", "size"), {size: grown})
        self.assertEqual(self.changed("1", "2", "module"), {"known_growth": grown})

    def test_the_report_says_that_names_are_compared(self):
        text = self.residue("diff", self.database, "1", "2").stdout
        self.assertIn("Different processes (", text)
        self.assertIn("compared by name", text)
        self.assertNotIn("new_count", text)

    def test_chunks_of_different_processes_are_refused(self):
        self.refused("diff", self.database, "1", "2", "--chunks", expect=support.EXIT_USAGE,
                     names="different processes")

    def test_a_module_is_one_key_whatever_its_version(self):
        names = {row["name"] for row in self.query(
            self.database, "SELECT DISTINCT name FROM module WHERE name LIKE 'libledger%'")}
        self.assertEqual(names, {"libledger.so.1.2.3", "libledger.so.1.2.4"})
        # Version 1.2.4 holds 50 entries more, of 8 + 8 + 160 bytes: malloc gives each 184.
        self.assertEqual(self.changed("3", "4", "type"), {"ledger::Entry": (50, 50 * 184)})
        self.assertEqual(self.changed("3", "4", "module"), {"libledger.so": (50, 50 * 184)})
        self.assertEqual(self.changed("3", "4", "size"), {"184": (50, 50 * 184)})
        mapped = [key for key in self.changed("2", "3", "mapping") if "ledger" in key]
        self.assertEqual(mapped, ["libledger.so"])


if __name__ == "__main__":
    support.main()
