#!/usr/bin/env python3
"""SQL over a dump finds out only what the statement reads; what it shows is the same as after a whole analysis."""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from small_core import SmallCoreTest  # noqa: E402
from support import EXIT_INPUT, EXIT_USAGE, run_residue  # noqa: E402

# Only in a database: when it was written, and the compressed forms of virtual tables.
OF_THE_DATABASE = {("snapshot", "imported_at")}
STORED_FORMS = ("_block",)
# Tables that insist on two snapshots; over a dump there is one.
OF_PAIRS = ("chunk_diff", "growth", "diff_by_name")
# What SQLite itself brings along.
FOREIGN = ("sqlite_", "pragma_", "json_", "fts", "rtree", "geopoly", "dbstat", "bytecode", "tables_used", "completion")


def columns_of_schema(test, database):
    """(table, column) of all tables, views and virtual tables that a connection of residue's has."""
    names = test.query(database, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') UNION "
                                 "SELECT name FROM pragma_module_list")
    columns = []
    for name in [row["name"] for row in names]:
        if name.startswith(FOREIGN) or name.endswith(STORED_FORMS):
            continue
        rows = test.query(database, f"SELECT name FROM pragma_table_xinfo('{name}') WHERE hidden <> 1")
        columns += [(name, row["name"]) for row in rows]
    return columns


class DemandTest(SmallCoreTest):
    """Every column alone, compared with a database that holds the same dump, analysed in full."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.database = os.path.join(cls.folder, "whole.db")
        done = run_residue("analyze", cls.core, "--db", cls.database, "--quiet")
        assert done.returncode == 0, cls.describe(done)

    def assert_same(self, statements):
        def both(sql):
            return sql, [run_residue("query", source, sql, "--format", "csv") for source in (self.core, self.database)]

        with ThreadPoolExecutor(2) as pool:
            for sql, (dump, stored) in pool.map(both, statements):
                with self.subTest(sql=sql):
                    self.assertEqual(stored.returncode, 0, self.describe(stored))
                    self.assertEqual(dump.returncode, 0, self.describe(dump))
                    if dump.stdout != stored.stdout:
                        self.fail(f"{sql}: over the dump\n{dump.stdout[:400]}\nstored\n{stored.stdout[:400]}")

    def test_every_column_alone(self):
        columns = [pair for pair in columns_of_schema(self, self.database) if pair not in OF_THE_DATABASE]
        self.assertIn(("chunk", "reach"), columns)
        self.assertIn(("suspect", "share"), columns)
        self.assertIn(("diff", "bytes_delta"), columns)
        of = {table: f'"{table}"' for table, _ in columns}
        of.update({table: f"{table} WHERE from_snapshot = 1 AND to_snapshot = 1" for table in OF_PAIRS})
        self.assert_same([f'SELECT "{column}" FROM {of[table]}' for table, column in columns])
        self.assert_same([f"SELECT count(*) FROM {of[table]}" for table in sorted(of)])

    def test_the_tables_are_not_empty(self):
        # Else the test above would compare nothing.
        for table in ("frame", "heap", "chunk", "type", "owner", "cluster", "usage", "retainers", "suspect", "account"):
            count, = self.query(self.database, f"SELECT count(*) AS n FROM {table}")
            self.assertGreater(int(count["n"]), 0, table)

    def test_columns_that_only_a_join_compares(self):
        self.assert_same([
            "SELECT count(*) FROM chunk JOIN cluster USING (snapshot)",
            "SELECT count(*) FROM chunk a JOIN chunk b USING (address, reach)",
            "SELECT count(*) FROM owner NATURAL JOIN retainers",
            "SELECT count(*) FROM usage_by_type JOIN type ON type.name = key",
            "SELECT t.name FROM chunk c JOIN type t ON (t.snapshot, t.id) = (c.snapshot, c.type) WHERE c.reach IN "
            "(SELECT verdict FROM cluster) ORDER BY c.address",
            "SELECT EXISTS (SELECT 1 FROM suspect), (SELECT count(*) FROM retainers)",
            "WITH RECURSIVE up(a) AS (SELECT max(address) FROM chunk WHERE dominator NOT NULL UNION SELECT dominator "
            "FROM chunk, up WHERE address = a) SELECT a FROM up",
        ])

    def test_wrong_sql_is_refused_before_the_dump_is_read(self):
        # A dump that cannot be read at all would be another exit code.
        broken = self.write("broken.core", b"not a dump")
        self.refused("query", broken, "SELECT 1", expect=EXIT_INPUT)
        for sql in ("SELECT oops FROM chunk", "SELEC 1", "DELETE FROM usage", ""):
            self.residue("query", broken, sql, expect=EXIT_USAGE)


if __name__ == "__main__":
    support.main()
