#!/usr/bin/env python3
"""What keeps what, against a program that knows it by construction (workloads/retained_heap.cpp)."""
import os
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import Service, need_program  # noqa: E402

COUNT = 1000  # sessions, and items of the list


class RetainedTest(support.TestCase):
    """A core by gdb of the program while it waits."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        with Service(os.environ["RETAINED_HEAP"], cls.folder, COUNT) as program:
            cls.core = program.gcore("core")
            cls.truth = dict(program.truth)
        cls.database = os.path.join(cls.folder, "snapshots.db")
        done = support.run_residue("analyze", cls.core, "--db", cls.database)
        assert done.returncode == 0, cls.describe(done)
        cls.summary = done.stdout

    def retainer(self, name, kind="global"):
        rows = self.query(self.core, "SELECT * FROM retainers WHERE "
                                     f"kind = '{kind}' AND name = '{name}'")
        self.assertEqual(len(rows), 1, rows)
        return rows[0]

    def number(self, sql, source=None):
        rows = self.query(source or self.core, sql)
        self.assertEqual(len(rows), 1, rows)
        return int(next(iter(rows[0].values())))

    def test_a_map_keeps_its_nodes_and_what_hangs_on_them(self):
        row = self.retainer("shop::sessions")
        self.assertEqual(int(row["retained_bytes"]), self.truth["sessions.bytes"])
        self.assertEqual(int(row["retained_count"]), 4 * COUNT)
        self.assertEqual(row["module"], "retained_heap")
        self.assertEqual(row["file"].rpartition("/")[2], "retained_heap.cpp")

    def test_what_two_variables_share_neither_keeps(self):
        self.assertEqual(int(self.retainer("shop::left")["retained_bytes"]),
                         self.truth["left.bytes"])
        self.assertEqual(int(self.retainer("shop::right")["retained_bytes"]),
                         self.truth["right.bytes"])
        self.assertEqual(int(self.retainer("shop::left")["direct_count"]), 2)
        shared = self.query(self.core, "SELECT retained_bytes, held_by FROM retainers WHERE "
                                       "kind = 'object' AND held_by LIKE '%shop::left%'")
        self.assertEqual(shared, [{"retained_bytes": str(self.truth["shared.bytes"]),
                                   "held_by": "global shop::left, global shop::right"}])

    def test_payloads_of_a_list_and_a_table_belong_to_neither(self):
        self.assertEqual(int(self.retainer("shop::list")["retained_bytes"]),
                         self.truth["list.bytes"])
        self.assertEqual(int(self.retainer("shop::payload_table")["retained_bytes"]),
                         self.truth["table.bytes"])

    def test_each_node_of_a_list_keeps_the_ones_behind_it(self):
        # The last node keeps itself, the first all of them: 1 + 2 + … + COUNT times a node.
        each = self.truth["list.bytes"] // COUNT
        self.assertEqual(self.number(
            "WITH RECURSIVE node(address, retained) AS ("
            "  SELECT address, retained FROM chunk WHERE retained = "
            f"   {self.truth['list.bytes']} AND size = {each} "
            "  UNION ALL SELECT c.address, c.retained FROM node JOIN chunk c "
            f"   ON c.dominator = node.address AND c.size = {each}) "
            "SELECT sum(retained) FROM node", self.database),
            each * COUNT * (COUNT + 1) // 2)

    def test_a_local_variable_keeps_its_buffer(self):
        row = self.retainer("local_buffer in shop::run", "local")
        self.assertEqual(int(row["retained_bytes"]), self.truth["local.bytes"])

    def test_a_type_keeps_what_its_objects_own(self):
        row = self.retainer("shop::Session", "type")
        self.assertEqual(int(row["direct_count"]), COUNT)
        self.assertEqual(int(row["retained_count"]), 3 * COUNT)

    def test_a_leaked_object_retains_what_was_lost_with_it(self):
        self.assertEqual(self.number("SELECT sum(retained) FROM chunk WHERE reach = 'leaked' AND "
                                     "dominator IS NULL AND type IS NOT NULL"),
                         self.truth["lost.bytes"])

    def test_owners_and_objects_add_up_to_all_that_is_alive(self):
        kept = self.number("SELECT sum(retained_bytes) FROM retainers WHERE kind <> 'type'")
        # The allocator's own chunks nobody keeps, but they are in use.
        used = self.number("SELECT sum(size) FROM chunk WHERE reach IN ('reachable', 'interior') "
                           "OR (reach = 'system' AND owner IS NOT NULL)")
        self.assertEqual(kept, used)

    def test_every_used_chunk_has_a_retained_size_of_at_least_its_own(self):
        self.assertEqual(self.number("SELECT count(*) FROM chunk WHERE state = 'used' AND "
                                     "(retained IS NULL OR retained < size)"), 0)
        self.assertEqual(self.number("SELECT count(*) FROM chunk WHERE state <> 'used' AND "
                                     "retained IS NOT NULL"), 0)

    def test_a_dominator_retains_more_than_what_it_dominates(self):
        self.assertEqual(self.number(
            "SELECT count(*) FROM chunk c JOIN chunk d ON d.snapshot = c.snapshot AND "
            "d.address = c.dominator WHERE d.retained < c.retained + d.size", self.database), 0)
        self.assertGreater(self.number("SELECT count(*) FROM chunk WHERE dominator IS NOT NULL",
                                       self.database), 2 * COUNT)

    def test_database_and_dump_agree(self):
        for table, key in (("chunk", "address"), ("retainers", "id"), ("suspect", "id")):
            with self.subTest(table=table):
                rows = self.query(self.core, f"SELECT * FROM {table} ORDER BY {key}")
                self.assertGreater(len(rows), 0)
                self.assertEqual(rows, self.query(self.database,
                                                  f"SELECT * FROM {table} ORDER BY {key}"))

    def test_the_map_is_suspected_and_it_is_said_to_be_a_guess(self):
        rows = self.query(self.core, "SELECT * FROM suspect WHERE name = 'global shop::sessions'")
        self.assertEqual(len(rows), 1, rows)
        row = rows[0]
        self.assertEqual(row["confidence"], "guess")
        live = self.number("SELECT sum(retained_bytes) FROM retainers WHERE kind <> 'type'")
        self.assertAlmostEqual(float(row["share"]), 100 * self.truth["sessions.bytes"] / live,
                               places=3)
        self.assertIn("guess", row["evidence"])
        self.assertIn("global shop::sessions of retained_heap", self.summary)

    def test_diagnostics_are_those_of_a_whole_analysis(self):
        rows = self.query(self.core, "SELECT count(*) AS n FROM diagnostic WHERE "
                                     "stage = 'retention'")
        self.assertEqual(rows, [{"n": "0"}])

    def test_it_can_be_left_out(self):
        database = self.path("without.db")
        done = self.residue("analyze", self.core, "--db", database, "--no-retained")
        self.assertNotIn("Kept alive", done.stdout)
        self.assertEqual(self.number("SELECT count(*) FROM chunk WHERE retained IS NOT NULL OR "
                                     "dominator IS NOT NULL", database), 0)
        self.assertEqual(self.number("SELECT count(*) FROM diagnostic WHERE stage = 'retention'",
                                     database), 1)

    def test_explain_shows_neighbours_retained_size_and_dominators(self):
        session = self.number("SELECT c.address FROM chunk c JOIN type t ON t.id = c.type AND "
                              "t.snapshot = c.snapshot WHERE t.name = 'shop::Session' AND "
                              "c.reach = 'reachable' AND c.retained > 0 LIMIT 1")
        lines = {}
        for row in self.json("explain", self.core, hex(session)):
            lines.setdefault(row["topic"], []).append(row["text"])
        self.assertEqual(len(lines["neighbour"]), 2)
        retained = self.number(f"SELECT retained FROM chunk WHERE address = {session}")
        self.assertTrue(lines["retained"][0].startswith(f"{retained} bytes"), lines["retained"])
        self.assertEqual(lines["dominator"][0], "global shop::sessions in retained_heap")
        # Its node in the map is the nearest.
        node = self.number(f"SELECT dominator FROM chunk WHERE address = {session}")
        self.assertIn(hex(node), lines["dominator"][-1])


if __name__ == "__main__":
    support.main()
