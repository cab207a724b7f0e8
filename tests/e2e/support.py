"""What the end-to-end tests share: the programs under test, running them, skipping by name."""
import argparse
import csv
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

EXIT_DONE, EXIT_USAGE, EXIT_INPUT, EXIT_INTERNAL = 0, 2, 3, 4
EXIT_SKIPPED = 77  # for ctest's SKIP_RETURN_CODE
CRASH_SIGNALS = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}

RESIDUE = ""  # set by main()
SERVICE = ""
PROGRAMS = ""  # folder of the programs that single tests bring along


def run_residue(*arguments, timeout=60, **popen_options):
    """Runs residue; stdout and stderr are decoded, as surrogates where they are not UTF-8."""
    popen_options.setdefault("stdin", subprocess.DEVNULL)
    popen_options.setdefault("stdout", subprocess.PIPE)
    done = subprocess.run([popen_options.pop("program", RESIDUE), *map(str, arguments)],
                          stderr=subprocess.PIPE, encoding="utf-8", errors="surrogateescape",
                          timeout=timeout, check=False, **popen_options)
    return done


def rows_of_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


class TestCase(unittest.TestCase):
    """A folder for each class, removed at its end, and assertions that show what was run."""

    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="residue-e2e-")
        cls.addClassCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)  # some tests run residue as another user
        cls.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def residue(self, *arguments, expect=EXIT_DONE, **options):
        """Runs residue and checks the exit code: a number, or several to choose from."""
        done = run_residue(*arguments, **options)
        allowed = (expect,) if isinstance(expect, int) else tuple(expect)
        self.assertIn(done.returncode, allowed, self.describe(done))
        return done

    def refused(self, *arguments, expect, names=(), **options):
        """residue must fail with `expect`, one line on stderr that holds `names`, no output."""
        done = self.residue(*arguments, expect=expect, **options)
        self.assertEqual(done.stdout or "", "", self.describe(done))
        self.assertTrue(done.stderr.startswith("residue: "), self.describe(done))
        self.assertEqual(done.stderr.count("\n"), 1, "not one line: " + self.describe(done))
        for name in (names,) if isinstance(names, str) else names:
            self.assertIn(name, done.stderr, self.describe(done))
        return done

    def query(self, source, sql):
        """Rows as dicts of texts: addresses are integers in csv, NULL is empty."""
        return rows_of_csv(self.residue("query", source, sql, "--format", "csv").stdout)

    def json(self, *arguments, **options):
        done = self.residue(*arguments, "--format", "json", **options)
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            self.fail(f"not JSON ({error}): {self.describe(done)}")

    @staticmethod
    def describe(done):
        arguments = " ".join(os.path.basename(str(word)) for word in done.args)
        return (f"\n  $ {arguments}\n  exit code {done.returncode}\n"
                f"  stdout: {(done.stdout or '')[:600]!r}\n  stderr: {done.stderr[:600]!r}")


def main():
    global RESIDUE, SERVICE, PROGRAMS
    parser = argparse.ArgumentParser()
    parser.add_argument("--residue", required=True)
    parser.add_argument("--service", required=True, help="leaky_service")
    parser.add_argument("--programs", default="", help="folder of the tests' own programs")
    parser.add_argument("tests", nargs="*", metavar="CLASS[.METHOD]")
    options = parser.parse_args()
    RESIDUE = os.path.abspath(options.residue)
    SERVICE = os.path.abspath(options.service)
    PROGRAMS = os.path.abspath(options.programs)
    # The tests' module is __main__: its classes are found by name.
    outcome = unittest.main(argv=[sys.argv[0], *options.tests], verbosity=2, exit=False).result
    if not outcome.wasSuccessful():
        sys.exit(1)
    if outcome.skipped and len(outcome.skipped) >= outcome.testsRun:
        sys.exit(EXIT_SKIPPED)
    sys.exit(0 if outcome.testsRun > 0 else 1)
