"""Runs leaky_service to the end of a phase and takes cores of it."""
import contextlib
import glob
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
import unittest

PATIENCE = 60  # seconds for anything the service does

# Bits of /proc/PID/coredump_filter (core(5)); the default is 0x33: no file-backed memory.
FULL_FILTER = 0x7F


def core_pattern():
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        return file.read().strip()


def need_kernel_cores():
    pattern = core_pattern()
    if pattern.startswith("|") or "/" in pattern:
        raise unittest.SkipTest(f"core_pattern is {pattern!r}: the kernel's cores do not come here")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise unittest.SkipTest("the hard limit for core files is 0")


def need_program(name):
    if shutil.which(name) is None:
        raise unittest.SkipTest(f"{name} is not installed")


class Service:
    """A context manager; on entry the service is parked at the end of phase 1.

    `truth` has the numbers the service printed for the phase it is parked in.
    """

    def __init__(self, program, folder, requests, phases=1, dump_filter=None, stack_bytes=None,
                 environment=()):
        self.folder = folder
        self.dump_filter = dump_filter
        self.stack_bytes = stack_bytes
        self.truth = {}
        self._process = subprocess.Popen(
            [program, str(requests), str(phases)], cwd=folder, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**os.environ, **dict(environment)},
            preexec_fn=self._prepare)
        self.pid = self._process.pid
        self._watchdog = threading.Timer(PATIENCE, self._process.kill)

    def _prepare(self):
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        if self.dump_filter is not None:
            with open("/proc/self/coredump_filter", "w", encoding="ascii") as file:
                file.write(hex(self.dump_filter))
        if self.stack_bytes is not None:  # glibc takes it for the size of threads' stacks
            resource.setrlimit(resource.RLIMIT_STACK, (self.stack_bytes, self.stack_bytes))

    def __enter__(self):
        self._watchdog.start()
        try:
            self._read_truth()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._watchdog.cancel()
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _read_truth(self):
        self.truth = {}
        for line in self._process.stdout:
            if line.startswith("READY"):
                self._wait_until_parked()
                return
            key, _, value = line.strip().partition("=")
            self.truth[key] = int(value)
        raise AssertionError(f"leaky_service ended before it was ready: {self.truth}")

    def _states(self):
        for stat in glob.glob(f"/proc/{self.pid}/task/*/stat"):
            with contextlib.suppress(OSError), open(stat, encoding="utf-8") as file:
                yield file.read().rpartition(")")[2].split()[0]

    def _wait_until_parked(self):
        """READY is printed before the main thread waits for input."""
        quiet = 0
        deadline = time.monotonic() + PATIENCE
        while quiet < 3 and time.monotonic() < deadline:
            quiet = quiet + 1 if set(self._states()) == {"S"} else 0
            time.sleep(0.01)

    def next_phase(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._read_truth()

    def worker_threads(self):
        tids = {int(name) for name in os.listdir(f"/proc/{self.pid}/task")}
        return tids - {self.pid}

    def gcore(self, name):
        prefix = os.path.join(self.folder, name)
        done = subprocess.run(["gcore", "-o", prefix, str(self.pid)], capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
        core = f"{prefix}.{self.pid}"
        if not os.path.exists(core):
            raise AssertionError(f"gcore wrote nothing: {done.stdout}{done.stderr}")
        return core

    def kernel_core(self, name):
        """Kills the service with SIGABRT."""
        os.kill(self.pid, signal.SIGABRT)
        self._process.wait(PATIENCE)
        cores = glob.glob(os.path.join(self.folder, core_pattern().partition("%")[0] + "*"))
        if len(cores) != 1:
            raise AssertionError(f"the kernel wrote {len(cores)} cores")
        path = os.path.join(self.folder, name)
        os.rename(cores[0], path)
        return path


def copy_of_service(program, folder):
    """The sample and its library, copied; the program finds the library beside itself."""
    os.makedirs(folder, exist_ok=True)
    library = os.path.join(os.path.dirname(program), "libtelemetry.so")
    for source in (program, library):
        shutil.copy2(source, folder)
    return os.path.join(folder, os.path.basename(program))
