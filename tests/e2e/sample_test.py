#!/usr/bin/env python3
"""residue's view of leaky_service's cores against the truth the sample itself prints."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from core_facts import CoreFacts, OwnerFacts  # noqa: E402
from sample_heap import MEBIBYTE, usable_sizes  # noqa: E402
from service import (FULL_FILTER, Service, copy_of_service, need_kernel_cores,  # noqa: E402
                     need_program)

REQUESTS = 400  # a phase; a multiple of every period of the sample


class GdbCoreTest(CoreFacts, OwnerFacts, support.TestCase):
    """Two cores by gdb, default dump filter: the facts of the second, and everything that
    compares the two."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        with Service(support.SERVICE, cls.folder, REQUESTS, phases=2) as service:
            cls.first = service.gcore("first")
            cls.first_truth = dict(service.truth)
            service.next_phase()
            cls.adopt(service.gcore("second"), service)
            cls.workers = service.worker_threads()
        cls.database = os.path.join(cls.folder, "snapshots.db")
        done = support.run_residue("analyze", cls.first, cls.core, "--db", cls.database)
        assert done.returncode == 0 and done.stderr == "", cls.describe(done)

    def growth(self, key):
        return self.truth[key] - self.first_truth[key]

    def diff(self, dimension):
        rows = self.json("diff", self.database, "1", "2")
        return {row["key"]: row for row in rows if row["dimension"] == dimension}

    # ---- the database answers like the dump ----

    def assert_same_answer(self, columns, table, rest=""):
        on_dump = self.query(self.core, f"SELECT {columns} FROM {table} {rest}")
        on_database = self.query(self.database,
                                 f"SELECT {columns} FROM {table} WHERE snapshot = 2 {rest}")
        self.assertGreater(len(on_dump), 0)
        self.assertEqual(on_dump, on_database)

    def test_database_and_dump_agree_on_chunks(self):
        self.assert_same_answer("state, reach, count(*), sum(size)", "chunk", "GROUP BY 1, 2")
        self.assert_same_answer("address, size, requested, heap, state, reach, type, site, "
                                "site_group, owner, cluster, retained", "chunk",
                                "ORDER BY address")

    def test_database_and_dump_agree_on_one_address(self):
        _, session = self.heap.sessions()[0]
        for source, where in ((self.core, ""), (self.database, "snapshot = 2 AND ")):
            rows = self.query(source, "SELECT address, size FROM chunk WHERE "
                                      f"{where}address = {session.address}")
            self.assertEqual(rows, [{"address": str(session.address), "size": str(session.size)}])

    def test_database_and_dump_agree_on_clusters(self):
        self.assert_same_answer("head, count, chunks, bytes, shape, type, module, verdict, "
                                "evidence", "cluster", "ORDER BY id")

    def test_database_and_dump_agree_on_usage(self):
        for view in ("type", "owner", "module", "size", "heap"):
            with self.subTest(view=view):
                self.assert_same_answer("key, used_count, used_bytes, leaked_count, leaked_bytes",
                                        f"usage_by_{view}", "ORDER BY key")

    def test_database_and_dump_agree_on_the_rest(self):
        for table in ("module", "region", "thread", "heap", "type", "owner", "account"):
            with self.subTest(table=table):
                columns = [row["name"] for row in self.query(
                    self.database, f"SELECT name FROM pragma_table_info('{table}')")]
                self.assert_same_answer(", ".join(column for column in columns
                                                  if column != "snapshot"), table, "ORDER BY id")

    def test_leaks_of_dump_and_database_agree(self):
        self.assertEqual(self.json("leaks", self.core), self.json("leaks", self.database))
        self.assertEqual(self.json("leaks", self.first), self.json("leaks", self.database + "@1"))

    # ---- diff ----

    def test_diff_has_the_columns_of_the_contract(self):
        row = self.json("diff", self.database, "1", "2")[0]
        self.assertLessEqual({"dimension", "key", "count_before", "bytes_before", "count_after",
                              "bytes_after", "count_delta", "bytes_delta", "leaked_bytes_delta"},
                             set(row))

    def test_growth_by_type_is_the_growth_of_the_truth(self):
        types = self.diff("type")
        for name, key in (("service::Session", "session"), ("service::Publisher", "cycle"),
                          ("service::Subscriber", "cycle"), ("telemetry::Span", "span")):
            with self.subTest(type=name):
                self.assertEqual(types[name]["count_delta"], self.growth(f"leak.{key}.objects"))
        sessions = types["service::Session"]
        self.assertEqual((sessions["leaked_bytes_delta"] - sessions["bytes_delta"]) % 16, 0)
        self.assertAlmostEqual(sessions["leaked_bytes_delta"],
                               88 * self.growth("leak.session.objects"), delta=4 * 88)

    def test_growth_by_size_is_the_growth_of_the_truth(self):
        sizes = self.diff("size")
        for requested, key in ((4088, "upload"), (20008, "thread_buffer")):
            with self.subTest(kind=key):
                count = sum(sizes[str(size)]["count_delta"] for size in usable_sizes(requested)
                            if str(size) in sizes)
                self.assertEqual(count, self.growth(f"leak.{key}.objects"))
        self.assertEqual(sizes["528368"]["count_delta"], self.growth("leak.geo_shard.objects"))

    def test_growth_of_the_cache_is_visible_by_its_owner(self):
        row = self.diff("owner")["service::response_cache"]
        self.assertEqual(row["count_delta"], self.growth("live.cache_entry.chunks"))
        slack = row["bytes_delta"] - self.growth("live.cache_entry.bytes") \
            - self.growth("live.cache_buckets.bytes")
        self.assertEqual(slack % 16, 0)
        self.assertLess(abs(slack), 16 * self.growth("live.cache_entry.chunks") // 10)
        self.assertEqual(row["leaked_bytes_delta"], 0)

    def test_growth_of_all_leaks_is_the_growth_of_the_truth(self):
        rows = self.query(self.database, "SELECT snapshot, count(*) AS n FROM chunk WHERE reach "
                                         "IN ('leaked', 'stale', 'indirect') GROUP BY 1")
        counts = [int(row["n"]) for row in rows]
        self.assertEqual(len(counts), 2)
        # A leftover pointer may hide one or two in either core; the facts above say which.
        self.assertAlmostEqual(counts[1] - counts[0], self.growth("leak.total.chunks"), delta=4)

    def test_diff_shows_nothing_that_did_not_change(self):
        for row in self.json("diff", self.database, "1", "2"):
            self.assertTrue(row["count_delta"] or row["bytes_delta"] or row["leaked_bytes_delta"])

    def test_diff_of_one_dimension(self):
        rows = self.json("diff", self.database, "1", "2", "--by", "owner")
        self.assertEqual({row["dimension"] for row in rows}, {"owner"})

    # ---- explain ----

    def explain(self, address):
        lines = {}
        for row in self.json("explain", self.core, hex(address)):
            lines.setdefault(row["topic"], []).append(row["text"])
        return lines

    def test_explain_tells_a_leaked_session(self):
        session = next(chunk for _, chunk in self.heap.sessions() if chunk.reach == "leaked")
        lines = self.explain(session.address)
        self.assertIn("service::Session", lines["type"][0])
        self.assertIn("leaked", lines["reach"][0])
        self.assertIn("service::Session", lines["cluster"][0])
        self.assertIn(f"{session.address:#x}", lines["chunk"][0])
        # From inside, and in decimal, it is the same chunk.
        self.assertIn(f"{session.address:#x}", self.explain(session.address + 8)["chunk"][0])
        done = self.residue("explain", self.core, session.address)
        self.assertIn("service::Session", done.stdout)

    def test_explain_shows_the_path_to_a_cache_entry(self):
        body = next(chunk for chunk in self.heap.starting_with(200, b"b" * 199))
        path = self.explain(body.address)["path"]
        self.assertIn("service::response_cache", path[0])
        self.assertIn(f"{body.address:#x}", path[-1])
        self.assertGreaterEqual(len(path), 3, "the root, at least one node, the body")

    def test_explain_says_that_an_address_is_not_mapped(self):
        done = self.residue("explain", self.core, "0x10")
        self.assertIn("0x10 is not mapped", done.stdout)

    def test_explain_names_a_global(self):
        holder = self.query(self.core, "SELECT base FROM module WHERE name = 'leaky_service'")
        done = subprocess.run(["nm", "-C", support.SERVICE], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            self.skipTest("nm is not installed, or does not read the sample")
        offset = next(int(line.split()[0], 16) for line in done.stdout.splitlines()
                      if line.endswith(" service::dma_window"))
        address = int(holder[0]["base"]) + offset
        self.assertEqual(self.memory.word(address) % MEBIBYTE, 0)
        lines = self.explain(address)
        self.assertIn("service::dma_window", lines["symbol"][0])
        self.assertIn(f"{self.memory.word(address):#x}", lines["value"][0])


class KernelCoreTest(CoreFacts, OwnerFacts, support.TestCase):
    """The kernel's core, default dump filter: no file-backed memory but ELF headers."""

    dump_filter = None

    @classmethod
    def setUpClass(cls):
        need_kernel_cores()
        super().setUpClass()
        with Service(support.SERVICE, cls.folder, REQUESTS, dump_filter=cls.dump_filter) as service:
            cls.workers = service.worker_threads()
            cls.adopt(service.kernel_core("by_kernel"), service)

    def test_the_crashed_thread_is_known(self):
        rows = self.query(self.core, "SELECT tid, signal FROM thread WHERE crashed = 1")
        self.assertEqual([row["signal"] for row in rows], ["6"])


class KernelCoreFullFilterTest(KernelCoreTest):
    """The kernel's core with file-backed and shared memory in it."""

    dump_filter = FULL_FILTER


class FilelessCoreTest(CoreFacts, support.TestCase):
    """gdb's core with all memory in it, analysed where the program's files are gone."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        files = os.path.join(cls.folder, "files")
        program = copy_of_service(support.SERVICE, files)
        with Service(program, cls.folder, REQUESTS, dump_filter=FULL_FILTER,
                     environment={"MALLOC_ARENA_MAX": "2"}) as service:
            cls.workers = service.worker_threads()
            cls.adopt(service.gcore("full"), service)
        shutil.rmtree(files)

    def test_symbols_in_another_folder_are_used(self):
        done = self.residue("query", self.core, "SELECT name FROM owner", "--format", "tsv",
                            "--symbols", os.path.dirname(support.SERVICE))
        self.assertIn("service::response_cache", done.stdout.split("\n"))


class StrippedCoreTest(CoreFacts, support.TestCase):
    """A program and a library without symbols and debug information: types come from RTTI."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        need_program("strip")
        super().setUpClass()
        program = copy_of_service(support.SERVICE, cls.folder)
        for name in os.listdir(cls.folder):
            subprocess.run(["strip", os.path.join(cls.folder, name)], check=True)
        with Service(program, cls.folder, REQUESTS,
                     environment={"MALLOC_ARENA_MAX": "2"}) as service:
            cls.workers = service.worker_threads()
            cls.adopt(service.gcore("stripped"), service)

    def test_the_cache_is_owned_by_an_unnamed_global_of_the_program(self):
        bodies = self.heap.starting_with(200, b"b" * 199)
        self.assertEqual(len(bodies), self.truth["live.cache_entry.objects"])
        self.assertEqual({(chunk.owner_kind, chunk.owner_module) for chunk in bodies},
                         {("global", "leaky_service")})

    def test_symbols_of_the_unstripped_files_give_the_names_back(self):
        done = self.residue("query", self.core, "SELECT name FROM owner", "--format", "tsv",
                            "--symbols", os.path.dirname(support.SERVICE))
        self.assertIn("service::response_cache", done.stdout.split("\n"))


if __name__ == "__main__":
    support.main()
