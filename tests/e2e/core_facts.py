"""What residue must say of any core of leaky_service: mixed into the classes of sample_test.py."""
import re
import resource
import sys
from collections import Counter

from core_memory import CoreMemory
from sample_heap import LEAKS, MEBIBYTE, SQL, Heap, usable_sizes


class CoreFacts:
    """What must hold of any core of the sample. Needs core, truth, workers and memory."""

    @classmethod
    def adopt(cls, core, service):
        """Takes the core for the one that all tests of the class look at."""
        cls.core = core
        cls.truth = dict(service.truth)
        cls.memory = CoreMemory(core)
        cls.addClassCleanup(cls.memory.close)
        cls.heap_of_core = None

    @property
    def heap(self):
        cls = type(self)
        if cls.heap_of_core is None:
            cls.heap_of_core = Heap(self.query(self.core, SQL), self.memory)
        return cls.heap_of_core

    def assert_numbers(self, found, expected):
        """The same request numbers, each once."""
        numbers = Counter(number for number, _ in found)
        expected = Counter(expected)
        self.assertEqual(numbers, expected,
                         f"missing {sorted(expected - numbers)[:10]}, "
                         f"unexpected {sorted(numbers - expected)[:10]}")

    def assert_leaked(self, chunks):
        """Every chunk is a leak, or the core holds a leftover pointer that excuses it."""
        wrong = [chunk for chunk in chunks if chunk.reach not in LEAKS]
        excused = []
        for chunk in wrong:
            place = self.leftover(chunk)
            if place is not None:
                print(f"\n  note: {chunk.address:#x} ({chunk.size} bytes) is {chunk.reach}: "
                      f"{place}", file=sys.stderr)
                excused.append(chunk)
        for holder in excused:  # grows: what an excused chunk points at is excused as well
            excused += [chunk for chunk in wrong
                        if chunk not in excused and self.heap.points_at(holder, chunk)]
        self.assertEqual([f"{chunk.address:#x} ({chunk.size} bytes, {chunk.reach}, owner "
                          f"{chunk.owner!r})" for chunk in wrong if chunk not in excused], [],
                         "leaked by the sample, but not so reported")

    def leftover(self, chunk):
        """What keeps a chunk that should be leaked, in words, or None if nothing may."""
        place = self.heap.leftover_in_a_block(chunk)
        if place is not None:
            return f"leftover at {place:#x}, memory that was handed out and never written"
        # glibc keeps the stacks of threads that have ended, for the next to start.
        for row in self.json("explain", self.core, hex(chunk.address)):
            places = re.findall(r"at (0x[0-9a-f]+)", row["text"]) if row["topic"] == "referrer" \
                else []
            for place in (int(text, 16) for text in places):
                if self.is_stack_of_ended_thread(place) \
                        and 0 <= self.memory.word(place) - chunk.address < chunk.size:
                    return f"leftover at {place:#x}, on the stack of a thread that has ended"
        return None

    def is_stack_of_ended_thread(self, address):
        rows = self.query(self.core, "SELECT start, size FROM region WHERE kind = 'anonymous' AND "
                                     f"{address} >= start AND {address} < start + size")
        return [int(row["size"]) for row in rows] == [resource.getrlimit(resource.RLIMIT_STACK)[0]]

    def requests(self, period):
        return range(period, self.truth["requests"] + 1, period)

    def cluster_rows(self, condition):
        return self.query(self.core, f"SELECT * FROM cluster WHERE {condition}")

    # ---- heaps ----

    def test_every_heap_is_verified(self):
        heaps = self.query(self.core, "SELECT * FROM heap")
        self.assertGreaterEqual(len(heaps), 2)
        self.assertEqual([heap for heap in heaps if heap["verified"] != "1"], [])

    def test_heaps_and_chunks_agree(self):
        chunks = self.query(self.core, "SELECT heap, count(*) AS n, sum(size) AS bytes FROM chunk "
                                       "WHERE state = 'used' GROUP BY heap ORDER BY heap")
        heaps = self.query(self.core, "SELECT id, used_count AS n, used_bytes AS bytes FROM heap "
                                      "WHERE used_count > 0 ORDER BY id")
        self.assertEqual([list(row.values()) for row in chunks],
                         [list(row.values()) for row in heaps])

    def test_every_byte_is_accounted_for_once(self):
        row, = self.query(self.core, "SELECT (SELECT sum(bytes) FROM account) AS account, "
                                     "(SELECT sum(size) FROM region) AS regions")
        self.assertEqual(row["account"], row["regions"])

    # ---- leaks, kind by kind ----

    def leaked_sessions(self):
        """By the requests' numbers: whatever residue says of them."""
        return [found for found in self.heap.sessions() if found[0] % 4 == 0]

    def test_sessions_of_every_fourth_request_are_leaked(self):
        sessions = self.leaked_sessions()
        self.assert_numbers(sessions, self.requests(4))
        self.assertEqual(len(sessions), self.truth["leak.session.objects"])
        self.assert_leaked([chunk for _, chunk in sessions])
        self.assertEqual({chunk.module for _, chunk in sessions}, {"leaky_service"})
        self.assertEqual({chunk.confidence for _, chunk in sessions}, {"exact"})

    def test_sessions_alive_are_not_leaked(self):
        alive = [found for found in self.heap.sessions() if found[0] % 4 != 0]
        self.assertEqual(len(alive), self.truth["live.session.objects"])
        self.assertEqual({chunk.reach for _, chunk in alive}, {"reachable"})

    def test_a_leaked_session_takes_its_parts_along(self):
        in_all = []
        elsewhere = 0
        for number, session in self.leaked_sessions():
            parts = self.heap.session_parts(session)
            self.assertNotIn(None, parts, f"a part of session {number} is not a used chunk")
            for part, requested in zip(parts, (56, 120, 24)):
                self.assertIn(part.size, usable_sizes(requested))
                if part.reach in LEAKS and session.reach in LEAKS:
                    elsewhere += part.cluster != session.cluster
            in_all += [session, *parts]
        # A leftover pointer in another leaked block may claim a few.
        self.assertLessEqual(elsewhere, 4)
        self.assert_leaked(in_all)
        slack = sum(chunk.size for chunk in in_all) - self.truth["leak.session.bytes"]
        self.assertEqual(slack % 16, 0)
        self.assertLessEqual(0, slack)

    def test_session_clusters_count_instances(self):
        rows = self.cluster_rows("type = 'service::Session'")
        leaked = [session for _, session in self.leaked_sessions() if session.reach in LEAKS]
        chunks = {chunk.address for session in leaked
                  for chunk in [session, *self.heap.session_parts(session)]
                  if chunk.reach in LEAKS}
        self.assertEqual(sum(int(row["count"]) for row in rows), len(leaked))
        self.assertEqual(sum(int(row["chunks"]) for row in rows), len(chunks))
        self.assertEqual({row["module"] for row in rows}, {"leaky_service"})

    def test_sessions_are_one_line_for_people(self):
        row = max(self.cluster_rows("type = 'service::Session'"),
                  key=lambda found: int(found["count"]))
        count, each = int(row["count"]), int(row["bytes_each"])
        # A leftover pointer may make a few of them look different.
        self.assertGreaterEqual(count, self.truth["leak.session.objects"] - 4)
        # 288 bytes of four blocks, and now and then malloc's 16 more.
        self.assertLessEqual(288, each)
        self.assertLess(each, 288 + 16)
        # The average is rounded, and leaves out what other leaked blocks lead to as well.
        self.assertLess(abs(int(row["bytes"]) - count * each), count + 4 * (288 + 16))
        self.assertRegex(row["shape"],
                         r"^\{service::Session, 120.* bytes, 56.* bytes of text, 24.* bytes\}$")
        lines = self.residue("leaks", self.core).stdout.splitlines()
        self.assertEqual(sum(f"{count:,} × {row['shape']} = " in line for line in lines), 1)

    def test_cycles_are_leaked_and_counted_once_a_pair(self):
        publishers, subscribers = self.heap.publishers(), self.heap.subscribers()
        self.assert_numbers(publishers, self.requests(16))
        self.assert_numbers(subscribers, self.requests(16))
        self.assert_leaked([chunk for _, chunk in publishers + subscribers])
        rows = self.cluster_rows("type IN ('service::Publisher', 'service::Subscriber')")
        leaked = [chunk for _, chunk in publishers + subscribers if chunk.reach in LEAKS]
        self.assertEqual(sum(int(row["chunks"]) for row in rows), len(leaked))
        self.assertEqual(sum(int(row["count"]) for row in rows), len(leaked) // 2)

    def test_cycles_are_one_shape(self):
        # Two rows may differ in the verdict: dead memory may point at some of them.
        rows = self.cluster_rows("type IN ('service::Publisher', 'service::Subscriber')")
        self.assertEqual(len({row["shape"] for row in rows}), 1, [row["shape"] for row in rows])
        self.assertEqual(len({row["verdict"] for row in rows}), len(rows))

    def test_uploads_are_leaked_and_have_no_class(self):
        uploads = self.heap.uploads()
        self.assert_numbers(uploads, self.requests(20))
        self.assert_leaked([chunk for _, chunk in uploads])
        self.assertNotIn("exact", {chunk.confidence for _, chunk in uploads})
        self.assertEqual({chunk.module for _, chunk in uploads}, {""})

    def test_spans_are_leaked_and_belong_to_the_library(self):
        spans = [found for found in self.heap.spans() if found[0] % 25 == 0]
        self.assert_numbers(spans, self.requests(25))
        self.assert_leaked([chunk for _, chunk in spans])
        self.assertEqual({chunk.module for _, chunk in spans}, {"libtelemetry.so"})
        rows = self.cluster_rows("type = 'telemetry::Span'")
        leaked = sum(1 for _, chunk in spans if chunk.reach in LEAKS)
        self.assertEqual(sum(int(row["count"]) for row in rows), leaked)
        self.assertEqual({row["module"] for row in rows}, {"libtelemetry.so"})

    def test_buffers_of_ended_threads_are_leaked(self):
        buffers = self.heap.thread_buffers()
        self.assert_numbers(buffers, "ABCDEFGH" * self.truth["phase"])
        self.assert_leaked([chunk for _, chunk in buffers])

    def test_mmapped_geo_shards_are_leaked(self):
        shards = self.heap.geo_shards()
        self.assert_numbers(shards, [phase + 1 for phase in range(1, self.truth["phase"] + 1)])
        self.assert_leaked([chunk for _, chunk in shards])

    def test_unequal_buffers_are_not_one_cluster(self):
        upload_clusters = {chunk.cluster for _, chunk in self.heap.uploads()}
        buffer_clusters = {chunk.cluster for _, chunk in self.heap.thread_buffers()}
        self.assertEqual((upload_clusters & buffer_clusters) - {""}, set())

    def test_the_planned_leaks_are_all_the_leaks(self):
        planned = self.heap.planned_leaks(self.truth["requests"])
        self.assertEqual(len(planned), self.truth["leak.total.chunks"])
        extra = [f"{chunk.address:#x} ({chunk.size} bytes, {chunk.reach}, type {chunk.type!r})"
                 for chunk in self.heap.leaks() if chunk.address not in planned]
        self.assertEqual(extra, [], "reported as leaked, but not leaked by the sample")
        self.assert_leaked([chunk for _, chunk in planned.values()])

    def test_leaked_bytes_are_those_asked_for_and_malloc_s_rounding(self):
        planned = [chunk for _, chunk in self.heap.planned_leaks(self.truth["requests"]).values()]
        # A block mapped for itself is rounded to pages: 4080 bytes more than the shard's 512 KiB.
        rounding = 4080 * self.truth["leak.geo_shard.objects"]
        slack = sum(chunk.size for chunk in planned) - self.truth["leak.total.bytes"] - rounding
        self.assertEqual(slack % 16, 0)
        self.assertLessEqual(0, slack)
        self.assertLessEqual(slack, 16 * len(planned) // 10, "too many blocks of 16 bytes more")

    def test_clusters_add_up_to_the_leaked_chunks(self):
        rows = self.query(self.core, "SELECT (SELECT sum(chunks) FROM cluster) AS chunks, "
                                     "(SELECT sum(bytes) FROM cluster) AS bytes")
        leaks = self.heap.leaks()
        self.assertEqual((int(rows[0]["chunks"]), int(rows[0]["bytes"])),
                         (len(leaks), sum(chunk.size for chunk in leaks)))

    # ---- what is alive ----

    def test_the_dma_window_is_found_at_its_aligned_address(self):
        windows = [chunk for chunk in self.heap.chunks.values() if chunk.size >= 256 * 1024
                   and chunk.address % MEBIBYTE == 0
                   and self.memory.read(chunk.address, 256 * 1024) == b"d" * (256 * 1024)]
        self.assertEqual(len(windows), 1)
        self.assertEqual(windows[0].reach, "reachable")

    def test_worker_buffers_are_reachable(self):
        buffers = self.heap.starting_with(16376, b"r" * 64)
        self.assertEqual(len(buffers), self.truth["live.request_buffer.objects"])
        self.assertEqual({chunk.reach for chunk in buffers}, {"reachable"})

    def test_worker_buffers_are_owned_by_their_thread_s_stack(self):
        buffers = self.heap.starting_with(16376, b"r" * 64)
        self.assertEqual({chunk.owner_kind for chunk in buffers} - {"local", "thread"}, set(),
                         f"owners: {[chunk.owner for chunk in buffers]}")
        self.assertEqual(sorted(int(chunk.thread) for chunk in buffers), sorted(self.workers))


class OwnerFacts:
    """What symbols add."""

    def assert_owned(self, name, module, chunks, requested):
        owned = [chunk for chunk in self.heap.chunks.values() if chunk.owner == name]
        # A leaked block may hang on one of them by a pointer that nobody wrote since malloc.
        planned = self.heap.planned_leaks(self.truth["requests"])
        stray = [chunk for chunk in owned if chunk.address in planned]
        self.assert_leaked(stray)
        owned = [chunk for chunk in owned if chunk not in stray]
        self.assertEqual(len(owned), chunks)
        self.assertEqual({chunk.reach for chunk in owned}, {"reachable"})
        self.assertEqual({(chunk.owner_kind, chunk.owner_module) for chunk in owned},
                         {("global", module)})
        slack = sum(chunk.size for chunk in owned) - requested
        self.assertTrue(0 <= slack <= 16 * chunks and slack % 16 == 0, f"{slack} bytes more")

    def test_the_cache_is_owned_by_its_global(self):
        self.assert_owned("service::response_cache", "leaky_service",
                          self.truth["live.cache_entry.chunks"] +
                          self.truth["live.cache_buckets.chunks"],
                          self.truth["live.cache_entry.bytes"] +
                          self.truth["live.cache_buckets.bytes"])

    def test_live_sessions_are_owned_by_their_global(self):
        self.assert_owned("service::active_sessions", "leaky_service",
                          self.truth["live.session.chunks"] +
                          self.truth["live.session_slots.chunks"],
                          self.truth["live.session.bytes"] +
                          self.truth["live.session_slots.bytes"])

    def test_the_exporter_is_owned_by_the_library_s_global(self):
        self.assert_owned("telemetry::(anonymous namespace)::exporter", "libtelemetry.so",
                          self.truth["live.exporter.chunks"], self.truth["live.exporter.bytes"])

    def test_mmapped_blocks_are_owned_by_their_globals(self):
        owners = {chunk.owner: chunk for chunk in self.heap.chunks.values()}
        self.assertGreaterEqual(owners["service::geo_table"].size, 1024 * 1024)
        self.assertEqual(owners["service::dma_window"].address % MEBIBYTE, 0)
