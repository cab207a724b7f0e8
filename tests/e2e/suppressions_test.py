#!/usr/bin/env python3
"""Suppressions on a real program, against LeakSanitizer's verdict on the same program."""
import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import PATIENCE, need_program  # noqa: E402

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads/known_leaks.cpp")


class KnownLeaks(support.TestCase):
    """Not run itself: builds the program and takes cores of it."""

    @classmethod
    def build(cls, name, *flags):
        program = os.path.join(cls.folder, name)
        done = subprocess.run(["g++", "-g", SOURCE, *flags, "-o", program], capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"g++ {' '.join(flags)}: {done.stderr[:200]}")
        return program

    @classmethod
    def core_of(cls, program):
        with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            assert process.stdout.readline() == "READY\n"
            subprocess.run(["gcore", "-o", program + ".core", str(process.pid)],
                           capture_output=True, timeout=PATIENCE, check=False)
            process.stdin.close()
        core, = glob.glob(program + ".core.*")
        return core

    def totals(self, core, *options):
        row, = self.json("analyze", core, *options)
        return row["leaked_count"], row["leaked_bytes"]

    def used(self, core, *options):
        """(matched blocks, their bytes) for each pattern that matched."""
        done = self.residue("query", core, "SELECT pattern, count, bytes FROM suppression "
                            "WHERE count > 0", "--format", "csv", *options)
        return {row["pattern"]: (int(row["count"]), int(row["bytes"]))
                for row in support.rows_of_csv(done.stdout)}


class LeakSanitizerTest(KnownLeaks):
    """The same rules, by function for LeakSanitizer and by type for us: the same leaks left."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        need_program("g++")
        super().setUpClass()
        cls.witness = cls.build("witness", "-O1", "-fno-omit-frame-pointer", "-fsanitize=leak")
        cls.core = cls.core_of(cls.build("plain", "-O1"))

    def lsan(self, functions):
        """(count, bytes) left, and (count, bytes) by function."""
        rules = self.write("lsan.supp", "".join(f"leak:{f}\n" for f in functions).encode())
        options = f"suppressions={rules}:print_suppressions=1"
        done = subprocess.run([self.witness], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE, check=False,
                              env={**os.environ, "LSAN_OPTIONS": options})
        if "ptrace" in done.stderr:
            self.skipTest("LeakSanitizer cannot stop its program here")
        left = re.search(r"SUMMARY: .*: (\d+) byte\(s\) leaked in (\d+) allocation", done.stderr)
        used = re.findall(r"^ +(\d+) +(\d+) (\w+)$", done.stderr, re.MULTILINE)
        self.assertTrue(left or used, done.stderr)
        return ((int(left[2]), int(left[1])) if left else (0, 0),
                {name: (int(count), int(size)) for count, size, name in used})

    def assert_same(self, pairs):
        """pairs: LeakSanitizer's function, and the lines that name the same blocks for us."""
        left, used = self.lsan([function for function, _ in pairs])
        rules = self.write("ours.supp", "".join(f"{line}\n" for _, line in pairs).encode())
        self.assertEqual(self.totals(self.core, "--suppressions", rules), left)
        ours = self.used(self.core, "--suppressions", rules)
        self.assertEqual([ours[line.split(":", 1)[1]] for _, line in pairs
                          if line.split(":", 1)[1] in ours],
                         [used[function] for function, _ in pairs if function in used])

    def test_without_rules(self):
        left, used = self.lsan(["matches_nothing"])
        self.assertEqual(used, {})
        self.assertEqual(self.totals(self.core), left)

    def test_one_rule(self):
        for name in ("Session", "Request", "Audit", "Config"):
            with self.subTest(type=name):
                self.assert_same([(f"make_{name.lower()}", f"leak-type:^{name}$")])

    def test_two_rules_in_either_order(self):
        names = ("Session", "Request", "Audit", "Config")
        for first in names:
            for second in names:
                if first == second:
                    continue
                with self.subTest(first=first, second=second):
                    self.assert_same([(f"make_{name.lower()}", f"leak-type:^{name}$")
                                      for name in (first, second)])

    def test_a_rule_for_everything(self):
        self.assert_same([("main", "leak:*")])

    def test_sizes(self):
        left, _ = self.lsan(["make_buffer"])
        rules = self.write("sizes.supp", b"leak-size:4000-\nleak-size:120\nleak-size:408\n")
        self.assertEqual(self.totals(self.core, "--suppressions", rules), left)

    def test_files_add_up(self):
        left, _ = self.lsan(["make_session", "make_audit"])
        first = self.write("first.supp", b"leak-type:^Session$\n")
        second = self.write("second.supp", b"# audits\nleak:Audit\n")
        self.assertEqual(self.totals(self.core, "--suppressions", first, "--suppressions", second),
                         left)

    def test_the_module_hides_all_that_has_a_type(self):
        left, _ = self.lsan(["make_session", "make_audit", "make_request", "make_config"])
        rules = self.write("module.supp", b"leak-module:^plain$\n")
        self.assertEqual(self.totals(self.core, "--suppressions", rules), left)

    def test_a_database_keeps_what_was_suppressed(self):
        rules = self.write("db.supp", b"\n# known\nleak-type:^Session$\nleak:nothing\n")
        database = self.path("suppressed.db")
        self.residue("analyze", self.core, "--db", database, "--suppressions", rules)
        self.assertEqual(self.json("leaks", database),
                         self.json("leaks", self.core, "--suppressions", rules))
        rows = self.query(database, "SELECT file, line, kind, pattern FROM suppression")
        self.assertEqual([list(row.values()) for row in rows],
                         [[rules, "3", "leak-type", "^Session$"], [rules, "4", "leak", "nothing"]])
        sums, = self.query(database, "SELECT sum(chunks) AS chunks, sum(bytes) AS bytes FROM "
                                     "cluster WHERE suppressed = 0 AND verdict = 'leaked'")
        used, = self.query(database, "SELECT suppressed_count AS chunks, suppressed_bytes AS bytes "
                                     "FROM suppression WHERE id = 0")
        self.assertEqual(sums, used)
        self.refused("leaks", database, "--suppressions", rules, expect=support.EXIT_USAGE,
                     names="is a database")

    def test_tables_say_what_was_suppressed(self):
        rules = self.write("table.supp", b"leak-type:^Session$\n")
        for command in ("analyze", "leaks"):
            out = self.residue(command, self.core, "--suppressions", rules).stdout
            self.assertIn("Suppressions used:", out)
            self.assertRegex(out, r"\n +10 +560 .*leak-type:\^Session\$")
            self.assertNotIn("× {Session", out)
        self.assertNotIn("Suppressions used", self.residue("leaks", self.core).stdout)

    def test_a_malformed_line_is_wrong_usage(self):
        rules = self.write("bad.supp", b"leak:fine\nleek:wrong\n")
        for arguments in (["analyze", self.core], ["leaks", self.core],
                          ["query", self.core, "SELECT 1"]):
            self.refused(*arguments, "--suppressions", rules, expect=support.EXIT_USAGE,
                         names=("bad.supp:2", "leek"))
        self.refused("leaks", self.core, "--suppressions", self.path("missing.supp"),
                     expect=support.EXIT_USAGE, names="missing.supp")

    def test_leaks_are_one_line_a_shape(self):
        out = self.residue("leaks", self.core).stdout
        for line in ("8 × {Session, 120 bytes, Request} = 2.0 kB",  # 8 * (56 + 120 + 72) = 1984
                     "3 × {Audit} sharing {408 bytes, Config} = 776 B",  # 3 * 88 + 408 + 104
                     "2 × {Audit, 120 bytes, Request, Session} = 672 B",  # 2 * (88 + 248)
                     "1 × {5 × Request} = 360 B",
                     "6 × {4008 bytes} = 24.0 kB"):
            self.assertIn(line, out)


class EmbeddedSuppressionsTest(KnownLeaks):
    """__lsan_default_suppressions() of the dumped program."""

    TEXT = r'-DEMBEDDED_TEXT="# known\nleak-type:^Session$\nleak-type:^Audit$\n"'

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        need_program("g++")
        super().setUpClass()

    def check(self, name, *flags, kind=1):
        core = self.core_of(self.build(name, self.TEXT, f"-DEMBEDDED={kind}", *flags))
        self.assertEqual(self.used(core), {"^Session$": (10, 560), "^Audit$": (5, 440)})
        file, = self.query(core, "SELECT DISTINCT file FROM suppression")
        self.assertEqual(file["file"], f"{name}:__lsan_default_suppressions")
        self.assertEqual(self.used(core, "--no-embedded-suppressions"), {})
        self.assertEqual(self.totals(core, "--no-embedded-suppressions")[0], 48)

    def test_a_literal(self):
        for level in ("-O0", "-O1", "-O2"):
            with self.subTest(level=level):
                self.check("literal" + level, level)

    def test_a_literal_in_a_program_at_a_fixed_address(self):
        self.check("fixed", "-O1", "-fno-pie", "-no-pie")

    def test_a_global_that_holds_it(self):
        for level in ("-O0", "-O2"):
            with self.subTest(level=level):
                self.check("global" + level, level, kind=2)

    def test_clang_s_code(self):
        if shutil.which("clang++") is None:
            self.skipTest("clang++ is not installed")
        for level in ("-O0", "-O2"):
            with self.subTest(level=level):
                program = self.path("clang" + level)
                done = subprocess.run(["clang++", "-g", SOURCE, self.TEXT, "-DEMBEDDED=1", level,
                                       "-o", program], capture_output=True, timeout=PATIENCE,
                                      check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(set(self.used(self.core_of(program))), {"^Session$", "^Audit$"})

    def test_a_computed_text_is_left_alone_and_said_to_be(self):
        core = self.core_of(self.build("computed", self.TEXT, "-DEMBEDDED=3", "-O1"))
        self.assertEqual(self.used(core), {})
        notes = self.query(core, "SELECT severity, message FROM diagnostic WHERE stage = "
                                 "'suppressions'")
        self.assertEqual([note["severity"] for note in notes], ["note"])
        self.assertIn("ignored", notes[0]["message"])

    def test_malformed_lines_of_it_are_warnings(self):
        text = r'-DEMBEDDED_TEXT="leek:x\nleak-type:^Session$\n"'
        core = self.core_of(self.build("malformed", text, "-DEMBEDDED=1", "-O1"))
        done = self.residue("query", core, "SELECT pattern FROM suppression", "--format", "csv")
        self.assertEqual(support.rows_of_csv(done.stdout), [{"pattern": "^Session$"}])
        self.assertIn("malformed:__lsan_default_suppressions:1: unknown kind 'leek'", done.stderr)


if __name__ == "__main__":
    support.main()
