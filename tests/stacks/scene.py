"""What the tests of stacks share: building programs, taking cores, running gdb and residue."""
import argparse
import contextlib
import glob
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import compare

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
EXIT_SKIPPED = 77  # for ctest's SKIP_RETURN_CODE
# /proc/PID/coredump_filter: the kernel's default, and every kind of mapping.
DEFAULT_FILTER, FULL_FILTER = 0x33, 0x7f

OPTIONS = argparse.Namespace(residue="", corpus="", keep="", pretend=False)


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise unittest.SkipTest(f"{tool} is not installed")


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: nothing in {seconds} s")
        time.sleep(0.01)


def thread_states(pid):
    states = []
    for stat in glob.glob(f"/proc/{pid}/task/*/stat"):
        with contextlib.suppress(OSError), open(stat, encoding="utf-8", errors="replace") as file:
            states.append(file.read().rpartition(")")[2].split()[0])
    return states


def run_gdb(core, program, edge=0, gdb="gdb", setup=(), folder=None):
    """Every frame of every thread by gdb; see gdb_frames.py for the shape."""
    with tempfile.TemporaryDirectory(prefix="residue-gdb-", dir=folder) as scratch:
        out = os.path.join(scratch, "frames.json")
        environment = dict(os.environ, STACKS_JOB=json.dumps({"out": out, "edge": edge}))
        environment.pop("DEBUGINFOD_URLS", None)
        command = [gdb, "-nx", "-batch", "-iex", "set auto-load off",
                   "-iex", "set debuginfod enabled off"]
        for line in setup:
            command += ["-iex", line]
        command += ["-x", os.path.join(HERE, "gdb_frames.py")]
        done = subprocess.run(command + ([program] if program else []) + ["-c", core],
                              stdin=subprocess.DEVNULL, capture_output=True, env=environment,
                              encoding="utf-8", errors="replace", timeout=150, check=False)
        if not os.path.exists(out):
            raise AssertionError(f"gdb gave no frames: {done.stdout[-500:]}{done.stderr[-1500:]}")
        with open(out, encoding="utf-8", errors="surrogateescape") as file:
            return json.load(file)


class StacksTestCase(unittest.TestCase):
    """A folder for each class. Programs are built in it once, cores made in folders below it."""

    maxDiff = None
    tools = ("gdb",)

    @classmethod
    def setUpClass(cls):
        need(*cls.tools)
        if OPTIONS.keep:
            cls.folder = os.path.join(os.path.abspath(OPTIONS.keep), cls.__name__)
            shutil.rmtree(cls.folder, ignore_errors=True)
            os.makedirs(cls.folder)
        else:
            folder = tempfile.TemporaryDirectory(prefix="residue-stacks-")
            cls.addClassCleanup(folder.cleanup)
            cls.folder = folder.name
        cls.cores = 0

    def setUp(self):
        started = time.monotonic()
        self.addCleanup(lambda: print(f"{time.monotonic() - started:.1f} s", file=sys.stderr,
                                      end=" "))

    def path(self, *names):
        return os.path.join(self.folder, *names)

    # Building

    def run_tool(self, *command, cwd=None):
        need(command[0])
        done = subprocess.run(command, cwd=cwd or self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8", errors="replace",
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}: {done.stderr[-2000:]}")
        return done.stdout

    def build(self, compiler, source, *flags, name=None):
        """Compiles programs/SOURCE to a file of the class's folder. Skips without the compiler."""
        out = self.path(name or os.path.splitext(source)[0])
        self.run_tool(compiler, "-I", PROGRAMS, "-o", out, os.path.join(PROGRAMS, source), *flags)
        return out

    # Cores

    def new_folder(self):
        type(self).cores += 1
        folder = self.path(f"run{self.cores}")
        os.mkdir(folder)
        return folder

    def start(self, command, cwd, **popen_options):
        def allow_cores():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
            resource.setrlimit(resource.RLIMIT_STACK,
                               (8 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))

        popen_options.setdefault("stdin", subprocess.DEVNULL)
        popen_options.setdefault("stdout", subprocess.DEVNULL)
        process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.DEVNULL,
                                   preexec_fn=allow_cores, **popen_options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        if process.poll() is None:
            process.kill()
        process.wait()

    @staticmethod
    def need_kernel_cores():
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            pattern = file.read().strip()
        if not pattern or pattern.startswith("|") or "/" in pattern:
            raise unittest.SkipTest(f"core_pattern is {pattern!r}: cores do not come here")
        if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            raise unittest.SkipTest("ulimit -H -c is 0: no kernel cores")
        return pattern.partition("%")[0]

    def crash(self, *command, quit_when=None, core_filter=None, environment=None):
        """The kernel's core of a program that crashes, or is sent SIGQUIT when `quit_when(pid)`."""
        prefix = self.need_kernel_cores()
        folder = self.new_folder()
        if core_filter is not None:
            command = ("sh", "-c", f'echo {core_filter} >/proc/self/coredump_filter; exec "$@"',
                       "sh", *command)
        process = self.start(command, folder, env=dict(os.environ, **(environment or {})))
        if quit_when:
            wait_until(lambda: quit_when(process.pid) or process.poll() is not None, 30,
                       "waiting for the program to come to rest")
            process.send_signal(signal.SIGQUIT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        found = glob.glob(os.path.join(folder, prefix + "*"))
        if not found:
            self.fail(f"{command}: no core; it ended with {process.poll()}")
        return found[0]

    def gcore(self, *command, ready, all_mappings=False, patience=30, **popen_options):
        """gdb's core of a running program, when `ready(process)`."""
        folder = self.new_folder()
        process = self.start(command, folder, **popen_options)
        wait_until(lambda: ready(process) or process.poll() is not None, patience,
                   f"waiting for {command[0]}")
        if process.poll() is not None:
            self.fail(f"{command} ended with {process.poll()}")
        return self.gcore_of(process.pid, folder, all_mappings)

    def gcore_of(self, pid, folder, all_mappings=False):
        core = os.path.join(folder, "core")
        settings = []
        if all_mappings:
            with open(f"/proc/{pid}/coredump_filter", "w", encoding="ascii") as file:
                file.write(hex(FULL_FILTER))
            settings = ["-ex", "set dump-excluded-mappings on"]
        done = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set auto-load off", "-iex",
                               "set debuginfod enabled off", *settings, "-p", str(pid), "-ex",
                               f"generate-core-file {core}"], stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8", errors="replace",
                              timeout=120, check=False)
        if "ptrace" in done.stderr and not os.path.exists(core):
            raise unittest.SkipTest("gdb may not attach to a process here: "
                                    + done.stderr.strip().splitlines()[0])
        self.assertTrue(os.path.exists(core), done.stdout + done.stderr)
        return core

    # Comparing

    def rows(self, core, *arguments):
        done = subprocess.run([OPTIONS.residue, "stacks", core, "--format", "json", "--limit", "0",
                               "--quiet", *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8", errors="surrogateescape",
                              timeout=150, check=False)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr[-1000:]}")
        try:
            return json.loads(done.stdout)
        except ValueError as error:
            self.fail(f"not JSON ({error}): {done.stdout[:500]!r} {done.stderr[-500:]!r}")

    def check(self, core, program=None, arguments=(), policy=compare.Policy(), crashed=None,
              gdb="gdb", gdb_setup=(), look=None):
        """residue's stacks must be gdb's. `look(gdb's output)` sees that gdb has what is meant.

        Without `arguments` residue gets --exe PROGRAM, as gdb does.
        """
        theirs = run_gdb(core, program, policy.edge, gdb, gdb_setup, self.folder)
        if look:
            look(theirs)
        if OPTIONS.pretend:
            ours = compare.rows_like(theirs, bool(crashed))
        else:
            ours = self.rows(core, *(arguments or (("--exe", program) if program else ())))
        report = compare.compare(theirs, ours, policy, crashed)
        if report:
            self.fail("the stacks differ\n" + "\n".join(report))
        return theirs, ours


def functions_of(thread):
    return [frame["function"] for frame in thread["frames"]]


def asleep(threads):
    """A condition: the process has that many threads and all of them sleep."""
    def condition(pid_or_process):
        pid = getattr(pid_or_process, "pid", pid_or_process)
        states = thread_states(pid)
        return len(states) == threads and all(state == "S" for state in states)
    return settled(condition)


def settled(condition, times=5):
    """`condition` held several times in a row: a thread may sleep for a moment on its way."""
    seen = 0

    def again(argument):
        nonlocal seen
        seen = seen + 1 if condition(argument) else 0
        return seen >= times
    return again


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--residue", default="", help="the program under test")
    parser.add_argument("--corpus", default="", help="dumps of other projects")
    parser.add_argument("--keep", default="", help="leave programs and cores in this folder")
    parser.add_argument("--pretend", action="store_true",
                        help="compare gdb with itself: proves the scenes without residue")
    parser.add_argument("tests", nargs="*", metavar="CLASS[.METHOD]")
    parser.parse_args(namespace=OPTIONS)
    if OPTIONS.residue:
        OPTIONS.residue = os.path.abspath(OPTIONS.residue)
    # The tests' module is __main__: its classes are found by name.
    outcome = unittest.main(module="__main__", argv=[sys.argv[0], *OPTIONS.tests], verbosity=2,
                            exit=False).result
    if not outcome.wasSuccessful():
        sys.exit(1)
    if outcome.skipped and len(outcome.skipped) >= max(1, outcome.testsRun):
        sys.exit(EXIT_SKIPPED)
    sys.exit(0 if outcome.testsRun > 0 else 1)
