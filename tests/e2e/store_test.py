#!/usr/bin/env python3
"""The store from outside: copies are known, --replace, forget, kills, two importers, other versions."""
import contextlib
import gzip
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from small_core import SmallCoreTest, read_bytes  # noqa: E402
from service import Service  # noqa: E402
from support import EXIT_INPUT, EXIT_USAGE  # noqa: E402


def contents(database, snapshot):
    """Every row of a snapshot in every table, by table; read without residue."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = [row[0] for row in connection.execute(
            "SELECT m.name FROM sqlite_schema m, pragma_table_xinfo(m.name) c "
            "WHERE m.type = 'table' AND c.name = 'snapshot'")]
        return {table: connection.execute(f'SELECT * FROM "{table}" WHERE snapshot = ? ORDER BY 1, 2',
                                          (snapshot,)).fetchall() for table in tables}


class StoreTest(SmallCoreTest):
    """Which dumps are the same, and what forget and --replace leave."""

    def test_copies_are_the_same_dump(self):
        database = self.new_database("copies.db")
        copy = shutil.copy(self.core, self.path("another name"))
        packed = self.path("core.gz")
        with open(self.core, "rb") as plain, gzip.open(packed, "wb", compresslevel=1) as stream:
            shutil.copyfileobj(plain, stream)
        for path in (copy, packed):
            with self.subTest(path=path):
                done = self.residue("analyze", path, "--db", database, "--label", "same")
                self.assertIn("snapshot 1 ", done.stdout)
                self.assertIn("there already", done.stdout)
                self.assertIn("it has no label", done.stdout)
        self.assertEqual(self.snapshots(database)[0][1], None)
        self.assertEqual(len(self.snapshots(database)), 1)
        # One byte of it is another: where the dump is not looked at as a whole, in its first page.
        with open(copy, "r+b") as file:
            file.seek(9)  # e_ident's padding
            file.write(b"x")
        self.residue("analyze", copy, "--db", database, "--quiet")
        self.assertEqual(len(self.snapshots(database)), 2)

    def test_dumps_of_one_process_share_its_identity(self):
        database = self.new_database("process.db")
        self.residue("analyze", self.later_core, "--db", database, "--quiet")
        with Service(support.SERVICE, self.folder, 10, stack_bytes=256 * 1024,
                     environment={"MALLOC_ARENA_MAX": "1"}) as service:
            other = service.gcore("other")
        self.residue("analyze", other, "--db", database, "--quiet")
        rows = self.query(database, "SELECT process, dump_id FROM snapshot ORDER BY id")
        self.assertEqual(rows[0]["process"], rows[1]["process"])
        self.assertNotEqual(rows[0]["process"], rows[2]["process"])
        self.assertEqual(len({row["dump_id"] for row in rows}), 3)
        for row in rows:
            self.assertRegex(row["process"], r"\A[0-9a-f]{16}\Z")
            self.assertRegex(row["dump_id"], r"\A[0-9a-f]{16}\Z")

    def test_replace_keeps_id_and_label(self):
        database = self.path("replace.db")
        self.residue("analyze", self.core, "--db", database, "--label", "monday", "--no-retained",
                     "--quiet")
        self.residue("analyze", self.later_core, "--db", database, "--quiet")
        later = contents(database, 2)
        self.assertEqual(contents(database, 1)["retainers"], [])
        done = self.residue("analyze", self.core, "--db", database, "--replace")
        self.assertIn("snapshot 1 ", done.stdout)
        self.assertIn("in place of", done.stdout)
        self.assertNotEqual(contents(database, 1)["retainers"], [])
        self.assertEqual(contents(database, 2), later)
        self.assertEqual([row[:2] for row in self.snapshots(database)], [(1, "monday"), (2, None)])
        self.refused("analyze", self.core, "--replace", expect=EXIT_USAGE, names="--db")

    def test_forget(self):
        database = self.new_database("forget.db")
        self.residue("analyze", self.later_core, "--db", database, "--label", "tuesday", "--quiet")
        before = contents(database, 1)
        row, = self.json("forget", database, "tuesday", "--dry-run")
        self.assertEqual((row["snapshot"], row["label"]), (2, "tuesday"))
        self.assertEqual(len(self.snapshots(database)), 2)
        done = self.residue("forget", database, "--keep-last", "2")
        self.assertIn("Nothing", done.stdout)
        size = os.path.getsize(database)
        done = self.residue("forget", database, "2")
        self.assertIn("tuesday", done.stdout)
        self.assertLess(os.path.getsize(database), size)
        self.assertEqual([row[0] for row in self.snapshots(database)], [1])
        self.assertEqual(contents(database, 1), before)
        self.assertEqual({len(rows) for rows in contents(database, 2).values()}, {0})
        done = self.residue("forget", database, "--older-than", "1w", "--quiet")
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(self.snapshots(database)), 1)
        os.utime(self.later_core, (time.time() - 20 * 86400,) * 2)
        self.residue("analyze", self.later_core, "--db", database, "--quiet")
        self.residue("forget", database, "--older-than", "19d", "--quiet")
        self.assertEqual([row[0] for row in self.snapshots(database)], [1])
        rows = self.json("forget", database, "--keep-last", "0")
        self.assertEqual([row["snapshot"] for row in rows], [1])
        with contextlib.closing(sqlite3.connect(database)) as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM usage_key").fetchone(), (0,))

    def test_forget_is_used_wrongly(self):
        database = self.new_database("wrong.db")
        before = read_bytes(database)
        for arguments, name in (((), "which snapshots"), (("7",), "no snapshot '7'"),
                                (("--older-than", "30"), "30"), (("--older-than", "-3d"), "-3d"),
                                (("--older-than", "5y"), "5y"), (("--keep-last", "-1"), "negative")):
            with self.subTest(arguments=arguments):
                self.refused("forget", database, *arguments, expect=EXIT_USAGE, names=name)
        self.refused("forget", self.path("none.db"), "1", expect=EXIT_INPUT, names="none.db")
        self.assertFalse(os.path.exists(self.path("none.db")))
        self.refused("forget", self.core, "1", expect=EXIT_INPUT, names="not a SQLite database")
        self.assertEqual(read_bytes(database), before)

    def test_a_newer_database_is_refused_and_unchanged(self):
        database = self.new_database("newer.db")
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA user_version = 3")
        before = read_bytes(database)
        for arguments in (("analyze", self.core, "--db", database), ("leaks", database),
                          ("forget", database, "1"), ("diff", database, "1", "1"),
                          ("query", database, "SELECT 1")):
            with self.subTest(command=arguments[0]):
                self.refused(*arguments, expect=EXIT_INPUT, names=("newer.db: ", "newer residue"))
        self.assertEqual(read_bytes(database), before)


class KilledImportTest(SmallCoreTest):
    """kill -9 while the program writes, and two that write at once."""

    def start(self, core, database):
        return subprocess.Popen([support.RESIDUE, "analyze", core, "--db", database, "--quiet",
                                 "--no-retained"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)

    def test_killed_from_the_first_write_on(self):
        database = self.new_database("killed.db")
        first = contents(database, 1)
        log = database + "-wal"
        numbers = random.Random(3)
        killed = 0
        for _ in range(12):
            with self.start(self.later_core, database) as process:
                deadline = time.monotonic() + 60
                # The log appears when the file is opened and has bytes from the first write on.
                while process.poll() is None and time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        if os.path.getsize(log) > 0:
                            break
                time.sleep(numbers.random() * 0.01)
                process.kill()
                process.communicate()
                killed += process.returncode == -signal.SIGKILL
            ids = [row[0] for row in self.snapshots(database)]
            self.assertEqual(contents(database, 1), first)
            if ids == [1, 2]:
                self.assertEqual(self.query(database, "SELECT count(*) = (SELECT chunk_count FROM "
                                            "snapshot WHERE id = 2) AS whole FROM chunk WHERE "
                                            "snapshot = 2"), [{"whole": "1"}])
                self.residue("forget", database, "2", "--quiet")
            else:
                self.assertEqual(ids, [1])
        self.assertGreater(killed, 3)
        self.residue("analyze", self.later_core, "--db", database, "--quiet")
        self.assertEqual([row[0] for row in self.snapshots(database)], [1, 2])

    def test_two_importers(self):
        for first, second, count in ((self.core, self.core, 1), (self.core, self.later_core, 2)):
            with self.subTest(count=count):
                database = self.path(f"two{count}.db")
                running = [self.start(first, database), self.start(second, database)]
                for process in running:
                    _, errors = process.communicate(timeout=120)
                    self.assertEqual(process.returncode, 0, errors)
                self.assertEqual(len(self.snapshots(database)), count)


if __name__ == "__main__":
    support.main()
