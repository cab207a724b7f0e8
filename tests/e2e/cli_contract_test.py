#!/usr/bin/env python3
"""The contract of residue's command line: exit codes, messages, formats."""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from small_core import SmallCoreTest, read_bytes  # noqa: E402
from support import EXIT_DONE, EXIT_INPUT, EXIT_INTERNAL, EXIT_USAGE  # noqa: E402

COMMANDS = ("analyze", "info", "leaks", "explain", "diff", "query", "symbols")


class UsageTest(support.TestCase):
    """What is wrong with the command line itself: exit code 2, one line, nothing on stdout."""

    def test_no_arguments(self):
        self.refused(expect=EXIT_USAGE)

    def test_unknown_command(self):
        self.refused("frobnicate", expect=EXIT_USAGE, names="frobnicate")
        self.refused("help", "frobnicate", expect=EXIT_USAGE, names="frobnicate")

    def test_unknown_option(self):
        self.refused("analyze", "--frobnicate", "x", expect=EXIT_USAGE, names="--frobnicate")
        self.refused("--frobnicate", expect=EXIT_USAGE, names="--frobnicate")

    def test_options_are_not_abbreviated(self):
        self.refused("analyze", "--form", "json", "x", expect=EXIT_USAGE, names="--form")

    def test_option_of_another_command(self):
        self.refused("info", "x", "--by", "type", expect=EXIT_USAGE, names="--by")

    def test_option_without_its_value(self):
        self.refused("analyze", "x", "--db", expect=EXIT_USAGE, names="db")

    def test_too_few_arguments(self):
        for arguments in (["analyze"], ["info"], ["leaks"], ["explain", "x"], ["diff", "x", "1"],
                          ["query", "x"], ["symbols"]):
            with self.subTest(arguments=arguments):
                self.refused(*arguments, expect=EXIT_USAGE, names=("too few", arguments[0]))

    def test_too_many_arguments(self):
        for arguments in (["info", "x", "y"], ["leaks", "x", "y"], ["explain", "x", "1", "2"],
                          ["diff", "x", "1", "2", "3"], ["query", "x", "y", "z"],
                          ["symbols", "x", "y"]):
            with self.subTest(arguments=arguments):
                self.refused(*arguments, expect=EXIT_USAGE, names=("too many", arguments[0]))

    def test_bad_values(self):
        self.refused("info", "x", "--format", "xml", expect=EXIT_USAGE, names="xml")
        self.refused("analyze", "x", "--limit", "many", expect=EXIT_USAGE, names="many")
        self.refused("analyze", "x", "--limit", "-1", expect=EXIT_USAGE, names="limit")
        self.refused("explain", "x", "0xzz", expect=EXIT_USAGE, names="0xzz")
        self.refused("explain", "x", "0x10000000000000000", expect=EXIT_USAGE, names="0x1000000")
        self.refused("explain", "x", "", expect=EXIT_USAGE)

    def test_a_label_for_several_dumps(self):
        self.refused("analyze", "x", "y", "--db", self.path("never.db"), "--label", "monday",
                     expect=EXIT_USAGE, names="--label")
        self.assertFalse(os.path.exists(self.path("never.db")))

    def test_help_of_every_command(self):
        overview = self.residue("help").stdout
        self.assertEqual(self.residue("--help").stdout, overview)
        for command in COMMANDS:
            with self.subTest(command=command):
                self.assertIn(f"residue {command} ", overview)
                text = self.residue("help", command).stdout
                self.assertIn(f"Usage: residue {command} ", text)
                self.assertEqual(self.residue(command, "--help").stdout, text)

    def test_help_lists_the_exit_codes(self):
        self.assertRegex(self.residue("help").stdout, r"(?is)exit codes:.*0.*2.*3.*4")

    def test_version(self):
        self.assertRegex(self.residue("--version").stdout, r"\Aresidue \d+\.\d+\.\d+\n\Z")


class UnreadableInputTest(support.TestCase):
    """What is no dump: exit code 3, the file's name and the reason."""

    def assert_refused(self, path, *reasons):
        for arguments in (["analyze", path], ["info", path], ["leaks", path],
                          ["explain", path, "0x10"], ["query", path, "SELECT 1"], ["symbols", path]):
            with self.subTest(command=arguments[0]):
                done = self.refused(*arguments, expect=EXIT_INPUT, names=reasons, timeout=5)
                self.assertTrue(done.stderr.startswith(f"residue: {path}: "), self.describe(done))

    def test_missing_file(self):
        self.assert_refused(self.path("missing"), "No such file")

    def test_missing_file_with_a_snapshot(self):
        path = self.path("missing.db")
        done = self.refused("leaks", path + "@1", expect=EXIT_INPUT, names="o such file")
        self.assertNotIn("not a database", done.stderr)

    def test_missing_database(self):
        self.refused("diff", self.path("missing.db"), "1", "2", expect=EXIT_INPUT,
                     names=("missing.db: ", "o such file"))
        self.assertFalse(os.path.exists(self.path("missing.db")))

    def test_empty_file(self):
        self.assert_refused(self.write("empty", b""), "empty")

    def test_text_file(self):
        self.assert_refused(self.write("notes.txt", b"not a dump\n" * 100), "text")

    def test_short_files(self):
        for size in (1, 3, 4, 15, 16, 63):
            with self.subTest(size=size):
                self.assert_refused(self.write(f"short{size}", read_bytes(support.SERVICE)[:size]))

    def test_random_bytes(self):
        self.assert_refused(self.write("random", os.urandom(5000)))

    def test_program_and_library(self):
        self.assert_refused(support.SERVICE, "program", "not a core")
        library = os.path.join(os.path.dirname(support.SERVICE), "libtelemetry.so")
        self.assert_refused(library, "library", "not a core")

    def test_object_file(self):
        header = bytearray(read_bytes(support.SERVICE))
        header[16:18] = (1).to_bytes(2, "little")  # e_type = ET_REL
        self.assert_refused(self.write("object.o", bytes(header)), "object", "not a core")

    def test_directory(self):
        self.assert_refused(self.folder, "directory")

    def test_fifo(self):
        os.mkfifo(self.path("fifo"))
        self.assert_refused(self.path("fifo"), "not a regular file")

    def test_device(self):
        self.assert_refused("/dev/null", "not a regular file")

    def test_link_to_nowhere(self):
        os.symlink("nowhere", self.path("link"))
        self.assert_refused(self.path("link"), "No such file")

    def test_control_characters_of_a_name_are_not_printed(self):
        path = self.path("evil\x1b[31m\nname")
        done = self.residue("analyze", path, expect=EXIT_INPUT)
        self.assertNotIn("\x1b", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, self.describe(done))

    def test_foreign_database(self):
        path = self.path("foreign.db")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t (x)")
            connection.commit()
        self.refused("query", path, "SELECT 1", expect=EXIT_INPUT, names="foreign.db: ")
        self.refused("diff", path, "1", "2", expect=EXIT_INPUT, names="foreign.db: ")


class OutputTest(SmallCoreTest):
    """Formats, and where the output goes."""

    ADDRESSES = (("chunk", "address"), ("region", "start"), ("module", "base"),
                 ("heap", "address"), ("cluster", "head"), ("thread", "fault_address"))

    def test_json_has_hexadecimal_addresses(self):
        for table, column in self.ADDRESSES:
            with self.subTest(column=f"{table}.{column}"):
                rows = self.json("query", self.core, f"SELECT {column} FROM {table} LIMIT 20")
                self.assertGreater(len(rows), 0)
                for row in rows:
                    if row[column] is not None:
                        self.assertRegex(row[column], r"\A0x[0-9a-f]+\Z")

    def test_csv_and_tsv_have_integers_for_addresses(self):
        for name, separator in (("csv", ","), ("tsv", "\t")):
            lines = self.residue("query", self.core, "SELECT address, size FROM chunk LIMIT 3",
                                 "--format", name).stdout.splitlines()
            self.assertEqual(lines[0], separator.join(("address", "size")))
            self.assertEqual(len(lines), 4)
            for line in lines[1:]:
                self.assertRegex(line, rf"\A\d+{separator}\d+\Z")

    def test_formats_agree(self):
        sql = "SELECT id, name, base, size FROM module ORDER BY id"
        from_csv = self.query(self.core, sql)
        from_json = self.json("query", self.core, sql)
        self.assertEqual([(row["name"], int(row["base"])) for row in from_csv],
                         [(row["name"], int(row["base"], 16)) for row in from_json])

    def test_header_stands_where_there_is_no_row(self):
        for name, expected in (("csv", "address,size\n"), ("tsv", "address\tsize\n"),
                               ("json", "[]\n")):
            done = self.residue("query", self.core, "SELECT address, size FROM chunk WHERE 0",
                                "--format", name)
            self.assertEqual(done.stdout, expected)

    def test_null_is_empty(self):
        sql = "SELECT 1 AS a, NULL AS b, 2 AS c"
        self.assertEqual(self.residue("query", self.core, sql, "--format", "csv").stdout,
                         "a,b,c\n1,,2\n")
        self.assertEqual(self.residue("query", self.core, sql, "--format", "tsv").stdout,
                         "a\tb\tc\n1\t\t2\n")
        self.assertEqual(self.json("query", self.core, sql), [{"a": 1, "b": None, "c": 2}])

    def test_awkward_values_stay_valid(self):
        sql = ("SELECT char(34, 10, 9, 1, 92) AS a, cast(x'ff41' AS TEXT) AS b, 9e999 AS c, "
               "x'00ff' AS d, 'x,y' AS e, 'ä€😀' AS f")
        row, = self.json("query", self.core, sql)
        self.assertEqual((row["a"], row["e"], row["f"]), ('"\n\t\x01\\', "x,y", "ä€😀"))
        row, = support.rows_of_csv(self.residue("query", self.core, sql, "--format", "csv").stdout)
        self.assertEqual((row["a"], row["e"], row["f"]), ('"\n\t\x01\\', "x,y", "ä€😀"))
        lines = self.residue("query", self.core, sql, "--format", "tsv").stdout.splitlines()
        self.assertEqual([line.count("\t") for line in lines], [5, 5])

    def test_every_command_speaks_json(self):
        address = self.query(self.core, "SELECT address FROM chunk LIMIT 1")[0]["address"]
        for arguments in (["analyze", self.core], ["info", self.core], ["leaks", self.core],
                          ["explain", self.core, address], ["query", self.core, "SELECT 1"],
                          ["symbols", self.core]):
            with self.subTest(command=arguments[0]):
                rows = self.json(*arguments)
                self.assertIsInstance(rows, list)
                self.assertGreater(len(rows), 0)
                self.assertIsInstance(rows[0], dict)

    def test_several_statements_are_one_json_document(self):
        self.json("query", self.core, "SELECT 1 AS a; SELECT 2 AS b")

    def test_options_stand_before_and_after_the_command(self):
        sql = "SELECT count(*) AS n FROM chunk"
        after = self.residue("query", self.core, sql, "--format", "json", "--quiet")
        before = self.residue("--format", "json", "--quiet", "query", self.core, sql)
        between = self.residue("query", "--format=json", self.core, "--quiet", sql)
        self.assertEqual({before.stdout, between.stdout}, {after.stdout})
        self.assertEqual(len(json.loads(after.stdout)), 1)

    def test_a_good_dump_leaves_stderr_empty(self):
        for arguments in (["analyze", self.core], ["info", self.core], ["leaks", self.core],
                          ["symbols", self.core]):
            self.assertEqual(self.residue(*arguments).stderr, "")

    def test_quiet_analyze_prints_nothing(self):
        done = self.residue("analyze", self.core, "--quiet", "--db", self.path("quiet.db"))
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    def test_no_colour_codes_without_a_terminal(self):
        self.assertNotIn("\x1b", self.residue("analyze", self.core).stdout)

    def test_limit(self):
        self.assertEqual(len(self.json("leaks", self.core, "--limit", "2")), 2)
        self.assertGreater(len(self.json("leaks", self.core, "--limit", "0")), 2)

    def test_a_closed_pipe_is_no_crash(self):
        sql = "SELECT a.address, b.address FROM chunk a, chunk b"
        for name in ("table", "json", "csv", "tsv"):
            with self.subTest(format=name):
                process = subprocess.Popen([support.RESIDUE, "query", self.core, sql, "--format",
                                            name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           text=True)
                process.stdout.readline()
                process.stdout.close()
                messages = process.stderr.read()
                process.stderr.close()
                self.assertIn(process.wait(30), (EXIT_DONE, EXIT_INTERNAL, -signal.SIGPIPE),
                              messages)
                self.assertNotIn("internal error", messages)

    def test_a_full_output_device_is_reported(self):
        with open("/dev/full", "wb") as full:
            done = self.residue("info", self.core, expect=EXIT_INTERNAL, stdout=full)
        self.assertIn("standard output", done.stderr)


if __name__ == "__main__":
    support.main()
