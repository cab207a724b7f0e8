"""Runs a command and says what it cost, as the kernel accounts it; used by the measure_*.py scripts."""

import os
import resource
import subprocess
import sys
import time


class Cost:
    """CPU and wall seconds and peak resident bytes of one run (or, of several, see best_of)."""

    def __init__(self, cpu, wall, peak):
        self.cpu, self.wall, self.peak = cpu, wall, peak


def run(command, stdin=None, stdout=None, check=True):
    """One run, its output thrown away unless `stdout` is an open file. Stops everything if it fails and `check`."""
    with open(stdin or os.devnull, "rb") as source, open(os.devnull, "wb") as nothing:
        started = time.monotonic()
        child = subprocess.Popen(command, stdin=source, stdout=stdout or nothing, stderr=nothing, env=quiet_environment())
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if check and child.returncode != 0:
        sys.exit(f"exit code {child.returncode}: {' '.join(command)}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def quiet_environment():
    """Nothing is to be fetched over the network in the middle of a measurement."""
    return {key: value for key, value in os.environ.items() if key != "DEBUGINFOD_URLS"}


def peak_floor():
    """A child's peak cannot read below this process's own: the kernel carries it over exec."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
