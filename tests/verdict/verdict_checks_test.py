#!/usr/bin/env python3
"""Tests the comparison itself: each check must fail on the fault it is for."""
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

import differences  # noqa: E402
import looks  # noqa: E402
import verdict_test  # noqa: E402

PROGRAM = CMAKE_LISTS = ""

OUTPUT = """block lost 0x1000 40 leaked
block child 0x1100 40 indirect
block kept 0x1200 40 reachable
block middle 0x1300 40 interior
block ring0 0x1400 40 cycle:A
block ring1 0x1500 40 cycle:A
"""
RIGHT = {
    "residue": "leaked indirect reachable interior indirect leaked",
    "LeakSanitizer": "direct indirect reachable reachable indirect indirect",
    "Valgrind": "definitely indirectly reachable possibly definitely indirectly",
}


def wrong(strangers=(), **changes):
    blocks = looks.read_blocks(OUTPUT)
    classes = {}
    for tool, words in {**RIGHT, **changes}.items():
        classes[tool] = dict(zip(blocks, words.split()))
    return verdict_test.check("theme", verdict_test.Seen(classes, blocks, strangers, []))


class CheckTest(unittest.TestCase):
    def test_right_answers_pass(self):
        self.assertEqual(wrong(), [])

    def test_every_wrong_class_fails(self):
        for tool, words in RIGHT.items():
            words = words.split()
            for i in range(len(words)):
                changed = words[:i] + ["other"] + words[i + 1:]
                self.assertEqual(len(wrong(**{tool: " ".join(changed)})), 1, (tool, i))

    def test_a_cycle_without_or_with_two_heads_fails(self):
        self.assertTrue(wrong(residue="leaked indirect reachable interior indirect indirect"))
        self.assertTrue(wrong(residue="leaked indirect reachable interior leaked leaked"))
        self.assertTrue(wrong(LeakSanitizer="direct indirect reachable reachable direct indirect"))

    def test_a_leak_nobody_told_of_fails(self):
        self.assertEqual(len(wrong(strangers=[looks.Stranger(0x9000, 24, "stale")])), 1)

    def test_a_block_that_a_tool_did_not_see_fails(self):
        self.assertEqual(len(wrong(Valgrind="definitely indirectly")), 1)

    def test_two_blocks_of_one_name_are_refused(self):
        with self.assertRaises(looks.LookFailed):
            looks.read_blocks(OUTPUT + OUTPUT)

    def test_silence_is_refused(self):
        with self.assertRaises(looks.LookFailed):
            looks.read_blocks("ready\n")


class ReportTest(unittest.TestCase):
    def test_lsan_objects_belong_to_the_group_above_them(self):
        report = ("Direct leak of 48 byte(s) in 1 object(s) allocated from:\n    #0 0x7 in calloc\n\n"
                  "Objects leaked above:\n0x603000000060 (48 bytes)\n0x603000000090 (48 bytes)\n\n"
                  "Indirect leak of 8 byte(s) in 1 object(s) allocated from:\n\n"
                  "Objects leaked above:\n0x603000000030 (8 bytes)\n")
        self.assertEqual(looks.parse_lsan(report), {0x603000000060: "direct",
                                                    0x603000000090: "direct",
                                                    0x603000000030: "indirect"})

    def test_valgrind_blocks_belong_to_the_record_above_them(self):
        log = ("==7== 48 bytes in 1 blocks are indirectly lost in loss record 1 of 4\n"
               "==7==    at 0x48465EF: calloc (in vgpreload)\n==7== 0x4A430B0[48]\n"
               "==7== 96 (48 direct, 48 indirect) bytes in 1 blocks are definitely lost in loss record 3 of 4\n"
               "==7== 0x4A43040[48]\n==7==   0x4A430B0[48] indirect loss record 1\n"
               "==7== 56 bytes in 1 blocks are still reachable in loss record 4 of 4\n"
               "==7== 0x4D70C80[56] (found via heuristic multipleinheritance)\n")
        self.assertEqual(looks.parse_valgrind(log), {0x4A430B0: "indirectly",
                                                     0x4A43040: "definitely",
                                                     0x4D70C80: "reachable"})


class ListTest(unittest.TestCase):
    """Every theme of the program is a test, and every listed difference one of a theme."""

    def test_themes_are_tests(self):
        themes = subprocess.run([PROGRAM], capture_output=True, text=True, check=True).stdout.split()
        with open(CMAKE_LISTS, encoding="utf-8") as file:
            listed = re.search(r"foreach\(theme IN ITEMS(.*?)\)", file.read(), re.S).group(1).split()
        self.assertEqual(sorted(listed), sorted(themes))
        self.assertLessEqual({theme for theme, _ in differences.DIFFERENCES}, set(themes))


if __name__ == "__main__":
    PROGRAM, CMAKE_LISTS = sys.argv.pop(sys.argv.index("--program") + 1), sys.argv.pop()
    sys.argv.remove("--program")
    unittest.main()
