#!/usr/bin/env python3
"""Where the memory went, against what the kernel and malloc say of the living process."""
import collections
import os
import re
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from core_memory import CoreMemory  # noqa: E402
from service import Service, need_kernel_cores, need_program  # noqa: E402

PAGE = 4096
MALLOC_STATE = 2200  # sizeof(struct malloc_state), glibc 2.27 to 2.42
MIN_HOLE = 64 << 10  # smaller holes of a file are not looked for
Mapping = collections.namedtuple("Mapping", "start end perms name rss")


def mappings_of(pid):
    """What /proc/PID/smaps says."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            if head:
                found.append(Mapping(int(head[1], 16), int(head[2], 16), head[3], head[4], 0))
            elif line.startswith("Rss:"):
                found[-1] = found[-1]._replace(rss=int(line.split()[1]) << 10)
    return found


def size_of(mappings):
    return sum(m.end - m.start for m in mappings)


class Parts:
    """What both cores are asked."""

    def number(self, sql):
        row, = self.query(self.core, sql)
        value, = row.values()
        return int(value or 0)

    def bytes_of(self, category, condition="1"):
        return self.number(f"SELECT sum(bytes) AS n FROM memory WHERE category = '{category}' "
                           f"AND {condition}")

    def test_all_ways_of_adding_up_agree(self):
        row, = self.query(self.core, "SELECT (SELECT sum(bytes) FROM memory) AS memory, "
                          "(SELECT sum(bytes) FROM account) AS account, "
                          "(SELECT sum(size) FROM region) AS regions")
        self.assertEqual(row["memory"], row["regions"])
        self.assertEqual(row["account"], row["regions"])
        row, = self.query(self.core, "SELECT (SELECT sum(in_dump) FROM memory) AS memory, "
                          "(SELECT sum(in_dump) FROM region) AS regions")
        self.assertEqual(row["memory"], row["regions"])

    def test_all_that_is_mapped_is_in_one_row(self):
        dumped = [m for m in self.mappings if self.is_dumped(m)]
        self.assertEqual(self.number("SELECT sum(bytes) AS n FROM memory"), size_of(dumped))

    def test_each_module_has_its_mappings(self):
        for name in ("memory_parts", "libc.so.6", "libstdc++.so"):
            expected = end = 0
            for m in self.mappings:
                is_bss = not m.name and m.start == end and m.perms == "rw-p"
                if is_bss or os.path.basename(m.name).startswith(name):
                    expected += m.end - m.start
                    end = m.end
            found = self.number("SELECT sum(bytes) AS n FROM memory WHERE module LIKE "
                                f"'{name}%' AND category LIKE 'module%'")
            # The variable main_arena is malloc's.
            self.assertEqual(found + (MALLOC_STATE if name == "libc.so.6" else 0), expected)

    def test_stacks_are_as_large_as_their_threads_say(self):
        for key in [key for key in self.truth if key.startswith("stack.")]:
            tid = key.partition(".")[2]
            parts = self.query(self.core, "SELECT category, bytes FROM memory "
                               f"WHERE thread = {tid} ORDER BY 1")
            found = {part["category"]: int(part["bytes"]) for part in parts}
            self.assertEqual(found.pop("stack guard"), self.truth["guard." + tid])
            self.assertEqual(set(found), {"stack", "unused stack", "thread-local storage"})
            self.assertEqual(sum(found.values()), self.truth[key])
            self.assertLess(found["stack"], 64 << 10)  # it waits in pause()

    def test_the_stack_of_the_thread_that_ended_is_kept(self):
        rows = self.query(self.core, "SELECT count, bytes FROM memory "
                          "WHERE category = 'stack of ended threads'")
        self.assertEqual([(int(row["count"]), int(row["bytes"])) for row in rows],
                         [(1, self.truth["ended.stack"] + self.truth["ended.guard"])])

    def test_the_first_stack_is_the_kernels(self):
        stack, = (m for m in self.mappings if m.name == "[stack]")
        found = self.number("SELECT sum(bytes) AS n FROM memory WHERE category IN "
                            f"('stack', 'unused stack') AND thread = {self.pid}")
        self.assertEqual(found, stack.end - stack.start)

    def test_free_chunks_are_what_mallinfo_counts(self):
        # fordblks counts the word before each chunk as well.
        row, = self.query(self.core, "SELECT sum(count) AS n, sum(bytes) AS bytes FROM memory "
                          "WHERE category = 'free chunks'")
        self.assertEqual(int(row["bytes"]) + 8 * int(row["n"]), self.truth["fordblks"])
        self.assertEqual(self.number("SELECT sum(bytes) AS n FROM memory JOIN heap "
                                     "ON heap.id = memory.heap WHERE heap.name <> 'mmapped' "
                                     "AND category <> 'arena reserve'"),
                         self.truth["arena"] + MALLOC_STATE)  # in libc's data

    def test_sums_of_each_heap_are_those_of_its_chunks(self):
        chunks = self.query(self.core, """
            SELECT heap, CASE WHEN state <> 'used' THEN state || ' chunks'
              WHEN reach IN ('leaked', 'indirect', 'stale') THEN 'leaked chunks'
              ELSE 'live chunks' END AS category, count(*) AS n, sum(size) AS bytes
            FROM chunk GROUP BY 1, 2 ORDER BY 1, 2""")
        rows = self.query(self.core, "SELECT heap, category, count AS n, bytes FROM memory "
                          "WHERE category LIKE '% chunks' ORDER BY 1, 2")
        self.assertGreater(len(rows), 4)
        self.assertEqual(rows, chunks)

    def test_largest_free_chunk_and_whole_pages(self):
        rows = self.query(self.core, "SELECT heap, address, size FROM chunk WHERE state = 'free'")
        largest, pages = collections.Counter(), collections.Counter()
        for row in rows:
            heap, user, size = int(row["heap"]), int(row["address"]), int(row["size"])
            largest[heap] = max(largest[heap], size)
            # malloc.c's mtrim(): behind struct malloc_chunk of 48 bytes, up to the chunk's end.
            begin = (user - 16 + 48 + PAGE - 1) // PAGE * PAGE
            pages[heap] += max(0, (user + size - 8) // PAGE * PAGE - begin)
        found = self.query(self.core, "SELECT id, largest_free, free_pages FROM heap ORDER BY id")
        self.assertEqual([(int(row["largest_free"]), int(row["free_pages"])) for row in found],
                         [(largest[int(row["id"])], pages[int(row["id"])]) for row in found])

    def test_info_says_it_by_name(self):
        lines = self.json("info", self.core)
        by_name = {line["name"]: line["value"] for line in lines
                   if line["section"] == "memory by name"}
        categories = {row["category"] for row in self.query(
            self.core, "SELECT DISTINCT category FROM memory")}
        self.assertEqual(set(by_name), categories)
        self.assertRegex(by_name["free chunks"], r"arena 0x[0-9a-f]+ [0-9.]+ MB")
        self.assertRegex(by_name["unused stack"], r"thread \d+")


class GdbMemoryTest(Parts, support.TestCase):
    """A core by gdb before malloc_trim(), and the process after it."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        with Service(os.environ["MEMORY_PARTS"], cls.folder, 0) as program:
            cls.pid = program.pid
            cls.mappings = mappings_of(program.pid)
            cls.core = program.gcore("core")
            cls.truth = dict(program.truth)
            program.next_phase()
            cls.trimmed = mappings_of(program.pid)

    @staticmethod
    def is_dumped(mapping):
        return not mapping.name.startswith("[vvar")

    def heap_rss(self, mappings, heap):
        """Of the mappings that begin where this heap's do."""
        starts = {int(row["address"]) // PAGE * PAGE for row in self.query(
            self.core, f"SELECT min(address) AS address FROM chunk WHERE heap = {heap}")}
        return sum(m.rss for m in mappings if m.start in starts)

    def test_trimming_gives_back_the_whole_pages(self):
        for heap in range(4):
            top, = self.query(self.core, "SELECT address, size FROM chunk WHERE heap = "
                              f"{heap} ORDER BY address DESC LIMIT 1")
            pages = self.number(f"SELECT free_pages AS n FROM heap WHERE id = {heap}")
            in_top = (int(top["address"]) + int(top["size"]) - 8) // PAGE * PAGE \
                - (int(top["address"]) + 32 + PAGE - 1) // PAGE * PAGE
            given = self.heap_rss(self.mappings, heap) - self.heap_rss(self.trimmed, heap)
            self.assertGreater(pages - in_top, 100 * PAGE)
            # All of what is in bins was written. Of top some pages may never have been, and that of
            # a thread's arena stays.
            self.assertLessEqual(pages - in_top, given)
            self.assertLessEqual(given, pages if heap == 0 else pages - in_top)

    def test_keepcost_is_the_top_chunk(self):
        top = self.number("SELECT size + 8 AS n FROM chunk WHERE heap = 0 "
                          "ORDER BY address DESC LIMIT 1")
        self.assertEqual(top, self.truth["keepcost"])
        self.assertGreaterEqual(self.number("SELECT largest_free AS n FROM heap WHERE id = 0"),
                                self.truth["keepcost"] - 8)

    def test_duplicates_are_those_that_a_reading_of_the_core_finds(self):
        memory = CoreMemory(self.core)
        self.addCleanup(memory.close)
        texts = collections.defaultdict(list)
        for row in self.query(self.core, "SELECT c.address, c.size FROM chunk c JOIN type t "
                              "ON t.id = c.type WHERE t.origin = 'string' AND c.state = 'used' "
                              "ORDER BY 1"):
            size = int(row["size"])
            content = memory.read(int(row["address"]), size)
            text, nul, _ = content.partition(b"\0")
            if nul and (size - len(text) <= 32 or size // 2 <= len(text)):
                texts[text].append((int(row["address"]), size))
        expected = {(text[:200].decode("ascii"), len(text), chunks[0][0]):
                    (len(chunks), sum(size for _, size in chunks),
                     sum(size for _, size in chunks[1:]))
                    for text, chunks in texts.items() if len(chunks) > 1}
        self.assertLess(len(expected), 1000)
        rows = self.query(self.core, "SELECT * FROM duplicate ORDER BY id")
        self.assertEqual({(row["text"], int(row["length"]), int(row["example"])):
                          (int(row["count"]), int(row["bytes"]), int(row["wasted"]))
                          for row in rows}, expected)
        wasted = [int(row["wasted"]) for row in rows]
        self.assertEqual(wasted, sorted(wasted, reverse=True))

    def test_duplicates_that_the_program_made_are_found(self):
        rows = self.query(self.core, "SELECT text, length, count FROM duplicate")
        found = {(row["text"][:60], int(row["length"])): int(row["count"]) for row in rows}
        self.assertEqual(found[("three hundred times the same text", 33)], 300)
        for i in range(3):
            text = f"a std::string with a buffer of its own, one of {i}"
            self.assertEqual(found[(text, len(text))], 30)
        long_texts = sorted(int(row["count"]) for row in rows if row["length"] == "100000")
        self.assertEqual(long_texts, [2, 5])
        self.assertNotIn("text 100", [row["text"] for row in rows])


class KernelMemoryTest(Parts, support.TestCase):
    """A core by the kernel: all mappings, and holes where nothing was written."""

    @classmethod
    def setUpClass(cls):
        need_kernel_cores()
        super().setUpClass()
        with Service(os.environ["MEMORY_PARTS"], cls.folder, 0) as program:
            cls.pid = program.pid
            cls.truth = dict(program.truth)
            cls.mappings = mappings_of(program.pid)
            cls.core = program.kernel_core("core.kernel")

    @staticmethod
    def is_dumped(_):
        return True

    def test_reserve_of_arenas_is_their_inaccessible_tail(self):
        reserved = size_of(m for m in self.mappings if m.perms == "---p" and not m.name
                           and m.end - m.start > 16 << 20)
        self.assertEqual(self.bytes_of("arena reserve"), reserved)

    def test_memory_that_was_never_written_is_not_resident(self):
        rows = self.query(self.core, "SELECT thread, sum(rss) AS rss, count(*) AS n FROM memory "
                          "WHERE category IN ('stack', 'unused stack', 'thread-local storage') "
                          "AND rss IS NOT NULL GROUP BY 1")
        if not rows:
            self.skipTest("the file system keeps no holes")
        rss = {int(row["thread"]): int(row["rss"]) for row in rows}
        stacks = sorted(m.rss for m in self.mappings
                        if not m.name and m.end - m.start == self.truth["ended.stack"])
        for tid in (int(key[6:]) for key in self.truth if key.startswith("stack.")):
            self.assertGreaterEqual(rss[tid], stacks[0])
            self.assertLess(rss[tid], stacks[-1] + MIN_HOLE)
        anonymous, = self.query(self.core, "SELECT rss FROM memory WHERE "
                                "category = 'anonymous' AND name = '1 to 16 MiB'")
        self.assertEqual(int(anonymous["rss"]), 1 << 20)


if __name__ == "__main__":
    support.main()
