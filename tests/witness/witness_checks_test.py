#!/usr/bin/env python3
"""The comparison itself is tested: each check must fail on the fault it is there for."""
import sys
import unittest

sys.dont_write_bytecode = True

from witness_checks import Block, Chunk, Judged, check_slack, chunks_of, compare, rows_of  # noqa: E402

HEADER = {"uordblks": "1000", "fordblks": "200"}
HEAPS = "id\tallocator\tname\tuordblks\tfordblks\tverified\n" \
        "1\tglibc\tmain\t600\t200\t1\n" \
        "2\tglibc\tthread\t400\t0\t1\n" \
        "3\tglibc\tmmapped\t\t\t1\n"
TRUTH = {0x1010: Block(24, False, 24), 0x1030: Block(0, False, 24), 0x1050: Block(40, True, 40),
         0x1080: Block(100, True, 104), 0x10f0: Block(24, True, 24)}
# 0x10f0 is lost, but a word behind the requested ones of some block still points at it.
JUDGED = Judged({0x1010, 0x1030, 0x1080}, {0x1010, 0x1030, 0x1080, 0x10f0},
                {0x10f0: (0x10e4, 0)})
CHUNKS = {0x1010: Chunk(24, "used", "reachable"), 0x1030: Chunk(24, "used", "interior"),
          0x1050: Chunk(40, "used", "leaked"), 0x1080: Chunk(104, "used", "reachable"),
          0x10f0: Chunk(24, "used", "reachable"),
          0x2010: Chunk(648, "used", "system"), 0x3010: Chunk(24, "cached", ""),
          0x4010: Chunk(4000, "free", "")}


def failed(chunks=None, heaps=HEAPS, truth=None):
    merged = {**CHUNKS, **(chunks or {})}
    merged = {address: chunk for address, chunk in merged.items() if chunk is not None}
    checks = compare(HEADER, truth or TRUTH, JUDGED, merged, rows_of(heaps), True)
    return [check.name for check in checks if not check.passed]


class Comparison(unittest.TestCase):
    def test_passes_a_correct_answer(self):
        self.assertEqual(failed(), [])

    def test_missing_live_block_fails_recall(self):
        self.assertEqual(failed({0x1030: None}), ["recall"])

    def test_live_block_called_cached_fails_recall(self):
        self.assertEqual(failed({0x1010: Chunk(24, "cached", "")}), ["recall"])

    def test_a_few_unrecorded_chunks_are_listed_and_allowed(self):
        self.assertEqual(failed({0x5010: Chunk(24, "used", "reachable")}), [])

    def test_free_chunks_called_used_fail(self):
        extra = {0x5010 + 32 * i: Chunk(24, "used", "leaked") for i in range(5)}
        self.assertEqual(failed(extra), ["no false used"])

    def test_chunk_smaller_than_the_request_fails(self):
        self.assertEqual(failed({0x1010: Chunk(16, "used", "reachable")}), ["size >= requested"])

    def test_reachable_block_called_leaked_fails(self):
        for reach in ("leaked", "stale", "indirect"):
            self.assertEqual(failed({0x1010: Chunk(24, "used", reach)}),
                             ["reachable block called leaked"])

    def test_missed_planted_leak_fails(self):
        self.assertEqual(failed({0x1050: Chunk(40, "used", "reachable")}), ["planted leaks found"])

    def test_the_word_that_hides_a_leak_is_traced_to_its_block(self):
        figures = check_slack(TRUTH, JUDGED).figures
        self.assertIn("1 planted: 1 by a word in such bytes, 0 because", figures)
        self.assertIn("100/104: 1", figures)

    def test_wrong_counters_fail(self):
        self.assertEqual(failed(heaps=HEAPS.replace("600", "616")), ["uordblks"])
        self.assertEqual(failed(heaps=HEAPS.replace("200", "184")), ["fordblks"])

    def test_unverified_heap_fails(self):
        self.assertEqual(failed(heaps=HEAPS.replace("400\t0\t1", "400\t0\t0")),
                         ["every heap is verified"])

    def test_no_heap_at_all_fails(self):
        self.assertIn("every heap is verified", failed(heaps=HEAPS.splitlines()[0] + "\n"))

    def test_chunks_of_other_allocators_are_left_out(self):
        rows = rows_of("address\tsize\tstate\treach\theap\n16\t24\tused\tleaked\t7\n"
                       "32\t24\tfree\t\t1\n")
        heaps = rows_of("id\tallocator\n1\tglibc\n7\tpymalloc\n")
        self.assertEqual(chunks_of(rows, heaps), {32: Chunk(24, "free", "")})


if __name__ == "__main__":
    unittest.main()
