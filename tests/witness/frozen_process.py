"""Runs a program under malloc_witness until it has stopped itself, and takes a core of it."""
import contextlib
import glob
import os
import resource
import signal
import subprocess
import time


class WitnessError(Exception):
    """The program could not be brought to a stop, or no core could be taken."""


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise WitnessError(f"{what}: nothing in {seconds} s")
        time.sleep(0.02)


def contents(path):
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read()
    return b""


class FrozenProcess:
    """A context manager: on entry the program has frozen and every thread of it is stopped.

    `options` has the fields of the command line (see run_witness.py). The folder `work` gets
    truth, truth.ready, stdout, stderr and the core. On exit everything started here is killed.
    """

    def __init__(self, options, witness, work, command):
        self.witness = os.path.abspath(witness)
        self.options = options
        self.work = work
        self.command = command
        self.truth = os.path.join(work, "truth")
        self.pid = None
        self.program = None

    def __enter__(self):
        for stale in glob.glob(self.truth + "*") + glob.glob(os.path.join(self.work, "core*")):
            os.unlink(stale)
        self._start()
        try:
            self._wait_for_freeze()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_):
        self._kill()

    def _environment(self):
        environment = dict(os.environ)
        environment.update(pair.split("=", 1) for pair in self.options.env)
        environment["LD_PRELOAD"] = self.witness
        environment["RESIDUE_WITNESS_OUT"] = self.truth
        environment["RESIDUE_WITNESS_AT"] = self.options.at
        if self.options.drop:
            environment["RESIDUE_WITNESS_DROP"] = str(self.options.drop)
        if self.options.exe:
            environment["RESIDUE_WITNESS_EXE"] = self.options.exe
        return environment

    def _start(self):
        def allow_cores():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

        with open(os.path.join(self.work, "stdout"), "wb") as out, \
                open(os.path.join(self.work, "stderr"), "wb") as err:
            # The pipe stays open, so that a program which waits for input keeps waiting.
            self.program = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=out, stderr=err,
                env=self._environment(), cwd=self.work, start_new_session=True,
                preexec_fn=allow_cores)
        with contextlib.suppress(BrokenPipeError):
            self.program.stdin.write(b"\n" * self.options.lines)
            self.program.stdin.flush()

    def _ended(self):
        return self.program.poll() is not None

    def _frozen_or_ended(self):
        return os.path.exists(self.truth + ".ready") or self._ended()

    def _wait_for_freeze(self):
        options = self.options
        if options.signal_when:
            text = options.signal_when.encode()
            out = os.path.join(self.work, "stdout")
            wait_until(lambda: text in contents(out) or self._ended(), options.timeout,
                       f"waiting for {options.signal_when!r}")
            time.sleep(0.1)  # let the program's threads come to rest
        elif options.signal_after:
            time.sleep(options.signal_after)
        if (options.signal_when or options.signal_after) and not self._ended():
            self.program.send_signal(signal.SIGUSR2)
        wait_until(self._frozen_or_ended, options.timeout, "waiting for the freeze")
        if not os.path.exists(self.truth + ".ready"):
            raise WitnessError(f"the program ended ({self.program.returncode}) before it froze: "
                               + contents(os.path.join(self.work, "stderr")).decode()[-300:])
        for line in contents(self.truth).decode().splitlines():
            if line.startswith("# pid="):
                self.pid = int(line[6:])
        # The freezing thread keeps everybody out of malloc, but threads that only compute run on,
        # and would look different to the judge and in the core.
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(self._all_stopped, 10, "waiting for the threads to stop")

    def _all_stopped(self):
        states = []
        for stat in glob.glob(f"/proc/{self.pid}/task/*/stat"):
            states.append(contents(stat).decode().rpartition(")")[2].split()[0])
        return bool(states) and all(state in "TtZ" for state in states)

    def take_core(self, kind):
        return self._gcore() if kind == "gcore" else self._kernel_core()

    def _gcore(self):
        prefix = os.path.join(self.work, "core")
        done = subprocess.run(["gcore", "-o", prefix, str(self.pid)], capture_output=True,
                              text=True, check=False)
        core = f"{prefix}.{self.pid}"
        if not os.path.exists(core):
            raise WitnessError(f"gcore wrote nothing: {done.stdout}{done.stderr}")
        return core

    def _kernel_core(self):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            pattern = file.read().strip()
        if pattern.startswith("|") or "/" in pattern:
            raise WitnessError(f"core_pattern is {pattern!r}: cores do not come to the work folder")
        os.kill(self.pid, signal.SIGABRT)
        os.kill(self.pid, signal.SIGCONT)  # a stopped process does not die of SIGABRT
        gone = f"/proc/{self.pid}/task"
        wait_until(lambda: self._ended() or not os.path.exists(gone), 60, "waiting for the core")
        cores = glob.glob(os.path.join(self.work, pattern.partition("%")[0] + "*"))
        if not cores:
            raise WitnessError("the kernel wrote no core")
        return cores[0]

    def _kill(self):
        for pid, kill in ((self.program.pid, os.killpg), (self.pid, os.kill)):
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    kill(pid, signal.SIGKILL)
        self.program.stdin.close()
        self.program.wait()
