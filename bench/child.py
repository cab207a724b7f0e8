"""Runs commands and says what they cost, as the kernel accounts it; used by the measure_*.py scripts."""

import os
import subprocess
import sys
import tempfile

MEGABYTE = 1e6


class Cost:
    """CPU and wall seconds and peak resident bytes of one run."""

    def __init__(self, cpu, wall, peak):
        self.cpu, self.wall, self.peak = cpu, wall, peak


class Runner:
    """Runs commands under the program `cost` (see cost.cpp)."""

    def __init__(self, cost):
        self.cost = os.path.abspath(cost)

    def run(self, command, stdin=None, stdout=None, check=True):
        """One run, input from the file named `stdin`, output into the open file `stdout` or nowhere. Stops everything
        if the command fails and `check`, or if it cannot be started."""
        with tempfile.NamedTemporaryFile("r") as figures, open(stdin or os.devnull, "rb") as source:
            result = subprocess.run([self.cost, figures.name, *command], stdin=source, stdout=stdout or subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, env=quiet_environment(), check=False)
            fields = figures.read().split()
        if len(fields) != 3 or (check and result.returncode != 0) or result.returncode == 127:
            sys.exit(f"exit code {result.returncode}: {' '.join(command)}")
        return Cost(float(fields[0]), float(fields[1]), int(fields[2]) * 1024)


def quiet_environment():
    """Nothing is to be fetched over the network in the middle of a measurement."""
    return {key: value for key, value in os.environ.items() if key != "DEBUGINFOD_URLS"}
