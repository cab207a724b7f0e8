#!/usr/bin/env python3
"""The loadable extension: other programs that use SQLite see the same rows as residue."""
import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import unittest
from contextlib import closing

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import need_program  # noqa: E402
from small_core import SmallCoreTest  # noqa: E402
from support import run_residue  # noqa: E402

EXTENSION = os.environ.get("RESIDUE_SQLITE", "")  # the file, with or without its .so

STATEMENTS = (
    "SELECT * FROM chunk ORDER BY snapshot, address",
    "SELECT state, reach, count(*) AS n, sum(size) AS bytes, max(retained) AS most FROM chunk GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT snapshot, count(*) AS n FROM chunk WHERE state = 'used' GROUP BY 1",
    "SELECT t.name AS name, count(*) AS n FROM chunk c JOIN type t ON t.snapshot = c.snapshot AND t.id = c.type "
    "WHERE c.snapshot = 2 GROUP BY 1 ORDER BY 1",
    "SELECT hex(address) AS a FROM chunk WHERE snapshot = 1 AND address BETWEEN (SELECT min(address) FROM chunk) + 4096 "
    "AND (SELECT max(address) FROM chunk) ORDER BY address",
    "SELECT count(*) AS n FROM chunk WHERE reach = 'nothing'",
    "SELECT key, count_delta, bytes_delta FROM diff WHERE from_snapshot = 1 AND to_snapshot = 2 AND dimension = 'type' "
    "ORDER BY 1",
)

# Prints the rows of each statement on standard input as JSON; for another Python than the tests'.
IN_PYTHON = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.enable_load_extension(True)
connection.load_extension(sys.argv[2])
print(json.dumps([connection.execute(sql).fetchall() for sql in json.load(sys.stdin)]))
"""


def python_with_extensions():
    """A Python whose sqlite3 may load extensions: not all are built like that."""
    for program in (sys.executable, "/usr/bin/python3", shutil.which("python3")):
        probe = [program, "-c", "import sqlite3; sqlite3.connect(':memory:').enable_load_extension(True)"]
        if program and os.path.exists(program) and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return program
    raise unittest.SkipTest("no Python here has sqlite3 with loadable extensions")


class ExtensionTest(SmallCoreTest):
    """sqlite3's shell and Python, on a database with two snapshots."""

    @classmethod
    def setUpClass(cls):
        if not EXTENSION:
            raise unittest.SkipTest("RESIDUE_SQLITE does not name the extension")
        need_program("sqlite3")
        super().setUpClass()
        cls.database = os.path.join(cls.folder, "two.db")
        done = run_residue("analyze", cls.core, cls.later_core, "--db", cls.database, "--quiet")
        assert done.returncode == 0, cls.describe(done)

    def shell(self, database, sql, extension=EXTENSION):
        load = ["-cmd", f".load {extension}"] if extension else []
        return subprocess.run(["sqlite3", "-batch", "-csv", "-header", *load, database, sql], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)

    def shell_rows(self, database, sql, extension=EXTENSION):
        done = self.shell(database, sql, extension)
        self.assertEqual((done.returncode, done.stderr), (0, ""), self.describe(done))
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def assert_refused(self, database, sql, *words):
        done = self.shell(database, sql)
        self.assertNotEqual(done.returncode, 0, self.describe(done))
        for word in words:
            self.assertIn(word, done.stderr)

    def test_the_shell_has_the_same_rows(self):
        for sql in STATEMENTS:
            with self.subTest(sql=sql):
                expected = self.query(self.database, sql)
                self.assertGreater(len(expected), 0)
                self.assertEqual(self.shell_rows(self.database, sql), expected)

    def test_python_has_the_same_rows(self):
        python = python_with_extensions()
        done = subprocess.run([python, "-c", IN_PYTHON, self.database, EXTENSION], input=json.dumps(STATEMENTS),
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for sql, rows in zip(STATEMENTS, json.loads(done.stdout)):
            expected = [[cell or None for cell in row.values()] for row in self.query(self.database, sql)]
            found = [[None if cell is None else str(cell) for cell in row] for row in rows]
            self.assertEqual(found, expected, sql)

    def test_everything_that_residue_adds_is_there(self):
        for what, example in (("module", "chunk"), ("function", None)):
            # SQLite makes its own pragma_NAME when they are first used.
            sql = f"SELECT DISTINCT name FROM pragma_{what}_list WHERE name NOT LIKE 'pragma_%' ORDER BY 1"
            own = {row["name"] for row in self.query(self.database, sql)}
            foreign = {row["name"] for row in self.shell_rows(self.database, sql, extension="")}
            loaded = {row["name"] for row in self.shell_rows(self.database, sql)}
            self.assertEqual(own - foreign, loaded - foreign)
            if example:
                self.assertIn(example, loaded - foreign)

    def test_loading_changes_nothing(self):
        with open(self.database, "rb") as file:
            before = file.read()
        self.shell_rows(self.database, "SELECT count(*) FROM chunk")
        self.shell(self.database, f".load {EXTENSION}\nSELECT 1")
        with open(self.database, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_foreign_databases_are_refused(self):
        self.assert_refused(":memory:", "SELECT * FROM chunk", "chunk: the main database is not one of residue's")
        other = self.path("other.db")
        with closing(sqlite3.connect(other)) as connection:
            connection.executescript("CREATE TABLE snapshot (id); CREATE TABLE chunk_block (snapshot, block, data);")
        self.assert_refused(other, "SELECT count(*) FROM chunk", "not one of residue's")
        # Its own tables are not in the way.
        self.assertEqual(self.shell_rows(other, "SELECT count(*) AS n FROM snapshot"), [{"n": "0"}])
        self.assert_refused(other, f"ATTACH '{self.database}' AS dump; SELECT count(*) FROM chunk", "not one of residue's")

    def test_a_newer_database_is_refused(self):
        newer = self.path("newer.db")
        shutil.copy(self.database, newer)
        with closing(sqlite3.connect(newer)) as connection:
            connection.execute("PRAGMA user_version = 1000")
        self.assert_refused(newer, "SELECT * FROM chunk", "newer residue", "1000")

    def test_a_damaged_block_is_an_error_that_names_it(self):
        damaged = self.path("damaged.db")
        shutil.copy(self.database, damaged)
        with closing(sqlite3.connect(damaged)) as connection, connection:
            connection.execute("UPDATE chunk_block SET data = substr(data, 1, length(data) - 5) WHERE snapshot = 2")
        self.assert_refused(damaged, "SELECT count(size) FROM chunk", "snapshot 2, chunk block 0")
        self.assertEqual(self.shell_rows(damaged, "SELECT count(*) AS n FROM chunk WHERE snapshot = 1"),
                         self.query(self.database, "SELECT count(*) AS n FROM chunk WHERE snapshot = 1"))


if __name__ == "__main__":
    support.main()
