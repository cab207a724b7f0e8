#!/usr/bin/env python3
"""Databases of snapshots: --db, labels, reading only, and files that cannot be written."""
import contextlib
import os
import pwd
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import need_program  # noqa: E402
from small_core import CANNOT_WRITE, SmallCoreTest, read_bytes  # noqa: E402
from support import EXIT_DONE, EXIT_INPUT, EXIT_USAGE  # noqa: E402


class DatabaseTest(SmallCoreTest):
    """--db, snapshots, and what a query may do."""

    def files(self, prefix):
        return sorted(name for name in os.listdir(self.folder) if name.startswith(prefix))

    def test_the_same_dump_is_recognised(self):
        database = self.new_database("twice.db")
        done = self.residue("analyze", self.core, "--db", database)
        self.assertIn("already", done.stdout)
        self.assertEqual(len(self.snapshots(database)), 1)
        row, = self.json("analyze", self.core, "--db", database)
        self.assertEqual(row["snapshot"], 1)
        both = self.json("analyze", self.core, self.later_core, self.core, "--db", database)
        self.assertEqual([row["snapshot"] for row in both], [1, 2, 1])

    def test_labels_name_snapshots(self):
        database = self.path("labels.db")
        self.residue("analyze", self.core, "--db", database, "--label", "monday")
        self.residue("analyze", self.later_core, "--db", database, "--label", "tuesday")
        self.assertEqual([row[:2] for row in self.snapshots(database)],
                         [(1, "monday"), (2, "tuesday")])
        self.assertEqual(self.json("leaks", database + "@monday"),
                         self.json("leaks", database + "@1"))
        self.assertEqual(self.json("diff", database, "monday", "tuesday"),
                         self.json("diff", database, "1", "2"))

    def test_a_label_of_another_snapshot_is_refused(self):
        database = self.path("label.db")
        self.residue("analyze", self.core, "--db", database, "--label", "monday", "--quiet")
        done = self.residue("analyze", self.later_core, "--db", database, "--label", "monday",
                            "--quiet", expect=EXIT_USAGE)
        self.assertIn("monday", done.stderr)
        self.assertEqual(len(self.snapshots(database)), 1)

    def test_a_snapshot_that_does_not_exist(self):
        database = self.new_database("one.db")
        for arguments in (["leaks", database + "@7"], ["leaks", database + "@noon"],
                          ["diff", database, "1", "7"], ["diff", database, "noon", "1"]):
            with self.subTest(arguments=arguments[1:]):
                self.refused(*arguments, expect=EXIT_USAGE, names=("one.db: ", "no snapshot"))

    def test_an_unknown_dimension(self):
        database = self.new_database("dimension.db")
        self.refused("diff", database, "1", "1", "--by", "colour", expect=EXIT_USAGE,
                     names="colour")

    def test_bad_sql(self):
        database = self.new_database("sql.db")
        for source in (self.core, database):
            for sql in ("SELEC 1", "SELECT nothing FROM chunk", "SELECT * FROM nothing", "", "  ",
                        "-- only a comment", "SELECT load_extension('x')", "SELECT (1"):
                with self.subTest(sql=sql, of=os.path.basename(source)):
                    self.refused("query", source, sql, expect=EXIT_USAGE)

    def test_writing_sql_is_refused(self):
        database = self.new_database("readonly.db")
        before = read_bytes(database)
        other = self.path("attached.db")
        for source in (self.core, database):
            for sql in ("DELETE FROM snapshot", "UPDATE snapshot SET label = 'x'",
                        "DROP TABLE snapshot", "CREATE TABLE t (x)", "CREATE TEMP TABLE t (x)",
                        "INSERT INTO chunk (address) VALUES (1)", "DELETE FROM chunk",
                        f"ATTACH '{other}' AS other", f"VACUUM INTO '{other}'", "VACUUM",
                        "PRAGMA user_version = 7", "PRAGMA journal_mode = DELETE",
                        "PRAGMA writable_schema = 1", "BEGIN", "REINDEX", "ANALYZE",
                        "SELECT 1; DELETE FROM snapshot"):
                with self.subTest(sql=sql, of=os.path.basename(source)):
                    done = self.residue("query", source, sql, expect=EXIT_USAGE)
                    self.assertTrue(done.stderr.startswith("residue: "), self.describe(done))
        self.assertFalse(os.path.exists(other))
        self.assertEqual(read_bytes(database), before)

    def test_reading_leaves_the_database_as_it_was(self):
        database = self.new_database("untouched.db")
        before = read_bytes(database)
        self.query(database, "SELECT count(*) FROM chunk")
        self.json("leaks", database)
        self.assertEqual(read_bytes(database), before)
        self.assertEqual(self.files("untouched"), ["untouched.db"])

    def test_a_text_file_as_database_is_refused_and_unchanged(self):
        for name, content in (("notes.txt", b"dear diary\n" * 50), ("short.txt", b"x"),
                              ("fake.db", b"SQLite format 3\0" + b"garbage" * 100)):
            with self.subTest(file=name):
                path = self.write(name, content)
                self.refused("analyze", self.core, "--db", path, "--quiet", expect=EXIT_INPUT,
                             names=f"{name}: ")
                self.assertEqual(read_bytes(path), content)
                self.assertEqual(self.files(name), [name])

    def test_a_dump_as_database_is_refused_and_unchanged(self):
        copy = shutil.copy(self.core, self.path("copy_of_core"))
        self.refused("analyze", self.core, "--db", copy, "--quiet", expect=EXIT_INPUT,
                     names="copy_of_core: ")
        self.assertEqual(read_bytes(copy), read_bytes(self.core))

    def test_a_foreign_database_is_refused_and_unchanged(self):
        path = self.path("foreign.db")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE diary (entry)")
            connection.commit()
        before = read_bytes(path)
        self.refused("analyze", self.core, "--db", path, "--quiet", expect=EXIT_INPUT,
                     names="foreign.db: ")
        self.assertEqual(read_bytes(path), before)

    def test_a_place_that_cannot_be_written(self):
        # /proc is always the kernel's here (ptrace needs it); /sys may be a plain folder in a chroot.
        for path in ("/proc/residue.db", self.path("no/such/folder.db"), self.folder):
            with self.subTest(path=path):
                self.refused("analyze", self.core, "--db", path, "--quiet", expect=CANNOT_WRITE,
                             names=f"{path}: ")

    def test_a_failed_import_leaves_no_new_database(self):
        bad = self.write("bad", b"nothing\n")
        database = self.path("nothing_stored.db")
        self.residue("analyze", bad, "--db", database, expect=EXIT_INPUT)
        self.assertEqual(self.files("nothing_stored"), [])

    def test_the_sqlite_shell_reads_it(self):
        need_program("sqlite3")
        database = self.new_database("shell.db")
        done = subprocess.run(["sqlite3", database, "SELECT key FROM usage_by_type WHERE "
                               "snapshot = 1 AND leaked_count > 0"], capture_output=True, text=True,
                              check=False)
        self.assertIn("service::Session", done.stdout, done.stderr)


class FullDiskTest(SmallCoreTest):
    """A database on a disk that is full: the import fails, what was there stays."""

    SCRIPT = """
set -e
mount -t tmpfs -o size=2m none "$disk"
"$residue" analyze "$first" --db "$disk/full.db" --quiet
dd if=/dev/zero of="$disk/filler" bs=4096 2> /dev/null || true
set +e
"$residue" analyze "$later" --db "$disk/full.db" --quiet
code=$?
"$residue" query "$disk/full.db" "SELECT count(*) AS n FROM chunk" --format csv > "$out/count"
echo $? > "$out/query_code"
cp "$disk"/full.db* "$out/"
exit $code
"""

    def test_full_disk(self):
        need_program("unshare")
        user = [] if os.geteuid() == 0 else ["--map-root-user", "--user"]
        probe = subprocess.run(["unshare", *user, "--mount", "mount", "-t", "tmpfs", "none",
                                self.folder], capture_output=True, text=True, check=False)
        if probe.returncode != 0:
            self.skipTest(f"no file system can be mounted: {probe.stderr.strip()}")
        for name in ("disk", "out"):
            os.mkdir(self.path(name))
        done = subprocess.run(
            ["unshare", *user, "--mount", "sh", "-c", self.SCRIPT], capture_output=True, text=True,
            check=False, timeout=60,
            env={**os.environ, "disk": self.path("disk"), "out": self.path("out"),
                 "residue": support.RESIDUE, "first": self.core, "later": self.later_core})
        self.assertIn(done.returncode, CANNOT_WRITE, done.stderr)
        self.assertIn("full.db: ", done.stderr)
        self.assertRegex(done.stderr, r"(?i)full|space")
        self.assertEqual(read_bytes(self.path("out/query_code")), b"0\n")
        chunks = self.snapshots(self.path("out/full.db"))
        self.assertEqual([row[0] for row in chunks], [1])
        self.assertEqual(read_bytes(self.path("out/count")), b"n\n%d\n" % chunks[0][2])

    def limited(self, database, ignore):
        """Imports with a limit on the size of files; SIGXFSZ ends it or is ignored."""
        limit = 9 * 4096  # enough for the index of the write-ahead log, not for the log

        def prepare():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN if ignore else signal.SIG_DFL)

        return support.run_residue("analyze", self.later_core, "--db", database, "--quiet",
                                   preexec_fn=prepare, restore_signals=False)

    def test_file_size_limit(self):
        database = self.new_database("limit.db")
        done = self.limited(database, ignore=True)
        self.assertIn(done.returncode, CANNOT_WRITE, self.describe(done))
        self.assertIn("limit.db: ", done.stderr)
        self.assertEqual(len(self.snapshots(database)), 1)

    def test_killed_while_writing(self):
        database = self.new_database("killed.db")
        done = self.limited(database, ignore=False)
        self.assertNotEqual(done.returncode, EXIT_DONE, self.describe(done))
        self.assertEqual(self.query(database, "SELECT max(id) AS n FROM snapshot"), [{"n": "1"}])
        self.assertEqual(len(self.snapshots(database)), 1)
        self.residue("analyze", self.later_core, "--db", database, "--quiet")
        self.assertEqual(len(self.snapshots(database)), 2)


class UnprivilegedTest(SmallCoreTest):
    """Files that the user may not read or write. As root, residue runs as `nobody`."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.as_user = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            cls.as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        # The build may stand where others may not look.
        cls.program = shutil.copy(support.RESIDUE, cls.folder)
        os.chmod(cls.program, 0o755)

    def run_as_user(self):
        return {"program": self.program, "cwd": "/", **self.as_user}

    def test_a_dump_that_may_not_be_read(self):
        path = shutil.copy(self.core, self.path("secret"))
        os.chmod(path, 0o000)
        self.refused("analyze", path, expect=EXIT_INPUT, names=(f"{path}: ", "ermission denied"),
                     **self.run_as_user())

    def test_a_database_that_may_not_be_written(self):
        os.chmod(self.core, 0o444)
        os.chmod(self.later_core, 0o444)
        folder = self.path("locked")
        os.mkdir(folder)
        database = os.path.join(folder, "locked.db")
        self.residue("analyze", self.core, "--db", database, "--quiet")
        os.chmod(database, 0o444)
        os.chmod(folder, 0o555)
        before = read_bytes(database)
        self.refused("analyze", self.later_core, "--db", database, "--quiet", expect=CANNOT_WRITE,
                     names=f"{database}: ", **self.run_as_user())
        new = os.path.join(folder, "new.db")
        self.refused("analyze", self.later_core, "--db", new, "--quiet", expect=CANNOT_WRITE,
                     names=f"{new}: ", **self.run_as_user())
        done = self.residue("query", database, "SELECT count(*) AS n FROM chunk", "--format", "csv",
                            **self.run_as_user())
        self.assertRegex(done.stdout, r"\An\n\d+\n\Z")
        self.assertEqual(read_bytes(database), before)
        self.assertEqual(os.listdir(folder), ["locked.db"])

    def test_a_writable_database_in_a_folder_that_is_not(self):
        os.chmod(self.later_core, 0o444)
        folder = self.path("tight")
        os.mkdir(folder)
        database = os.path.join(folder, "tight.db")
        self.residue("analyze", self.core, "--db", database, "--quiet")
        os.chmod(database, 0o666)
        os.chmod(folder, 0o555)
        self.refused("analyze", self.later_core, "--db", database, "--quiet", expect=CANNOT_WRITE,
                     names=f"{database}: ", **self.run_as_user())
        self.assertEqual(len(self.snapshots(database)), 1)

    def test_an_immutable_database(self):
        if os.geteuid() != 0:
            self.skipTest("only root may make a file immutable")
        need_program("chattr")
        database = self.new_database("immutable.db")
        done = subprocess.run(["chattr", "+i", database], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            self.skipTest(f"chattr +i: {done.stderr.strip()}")
        try:
            self.refused("analyze", self.later_core, "--db", database, "--quiet",
                         expect=CANNOT_WRITE, names=f"{database}: ")
            self.query(database, "SELECT count(*) FROM chunk")
        finally:
            subprocess.run(["chattr", "-i", database], check=True)
        self.assertEqual(len(self.snapshots(database)), 1)


if __name__ == "__main__":
    support.main()
