"""Three looks at one theme of verdict_programs: LeakSanitizer's, Valgrind's and residue's.

Each returns {name of a block: class}, and the blocks are those the program itself told of, so that
the C library's and the tools' own blocks do not matter. The classes are each tool's own words:

  LeakSanitizer   direct, indirect; a block it does not list is reachable
  Valgrind        definitely, indirectly, possibly, reachable
  residue         reachable, interior, stale, leaked, indirect, system
"""
import collections
import contextlib
import csv
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 60  # seconds for anything

Block = collections.namedtuple("Block", "name address size expected")
# A block residue calls a leak although the program never told of it; see Residue.
Stranger = collections.namedtuple("Stranger", "address size reach")


class CannotLook(Exception):
    """The tool is not there or does not work on this machine."""


class LookFailed(Exception):
    """The tool works, but not on this program."""


def read_blocks(output):
    """The blocks a program told of, by name."""
    blocks = {}
    for line in output.splitlines():
        if line.startswith("block "):
            _, name, address, size, expected = line.split()
            if name in blocks:
                raise LookFailed(f"two blocks are called {name}")
            blocks[name] = Block(name, int(address, 16), int(size), expected)
    if not blocks:
        raise LookFailed(f"the program told of no block: {output[-500:]}")
    return blocks


def run(command, **environment):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
                          errors="replace", timeout=PATIENCE, check=False,
                          env={**os.environ, **environment})
    return done


# ---- LeakSanitizer. ----------------------------------------------------------------------------

LSAN_GROUP = re.compile(r"^(Direct|Indirect) leak of ")
LSAN_OBJECT = re.compile(r"^(0x[0-9a-f]+) \((\d+) bytes\)$")


def parse_lsan(report):
    """{address: 'direct' or 'indirect'} of a report made with report_objects=1."""
    leaks, kind = {}, None
    for line in report.splitlines():
        if group := LSAN_GROUP.match(line):
            kind = group.group(1).lower()
        elif found := LSAN_OBJECT.match(line):
            leaks[int(found.group(1), 16)] = kind
    return leaks


def look_with_lsan(program, arguments):
    if not program:
        raise CannotLook("LeakSanitizer: the compiler has no -fsanitize=leak")
    done = run([program, *arguments], LSAN_OPTIONS="report_objects=1:use_unaligned=0:color=never")
    if "LeakSanitizer has encountered a fatal error" in done.stderr:
        raise CannotLook("LeakSanitizer cannot stop the program here (ptrace)")
    if done.returncode != 0:
        raise LookFailed(f"LeakSanitizer: exit code {done.returncode}: {done.stderr[-1000:]}")
    blocks = read_blocks(done.stdout)
    leaks = parse_lsan(done.stderr)
    return {name: leaks.get(block.address, "reachable") for name, block in blocks.items()}


# ---- Valgrind. ---------------------------------------------------------------------------------

VALGRIND_RECORD = re.compile(
    r"(definitely|indirectly|possibly) lost in loss record|still (reachable) in loss record")
VALGRIND_BLOCK = re.compile(r"^0x([0-9A-F]+)\[\d+\](?: \(found via heuristic \w+\))?$")


def parse_valgrind(log):
    """{address: kind} of what the monitor's `block_list` printed.

    The blocks of a record follow its stack; the indented lines repeat those that hang on them.
    """
    kinds, kind = {}, None
    for line in log.splitlines():
        line = re.sub(r"^==\d+== ?", "", line)
        if record := VALGRIND_RECORD.search(line):
            kind = record.group(1) or record.group(2)
        elif found := VALGRIND_BLOCK.match(line):
            kinds[int(found.group(1), 16)] = kind
    return kinds


def look_with_valgrind(program, arguments):
    if not shutil.which("valgrind"):
        raise CannotLook("valgrind is not installed")
    with tempfile.TemporaryDirectory(prefix="residue-verdict-") as folder:
        log = os.path.join(folder, "log")
        done = run(["valgrind", "--leak-check=no", f"--log-file={log}", program, *arguments])
        with open(log, encoding="utf-8", errors="replace") as file:
            report = file.read()
    if "ready" in done.stdout.split("\n"):
        raise CannotLook("the programs were built without valgrind/valgrind.h")
    if done.returncode != 0:
        raise LookFailed(f"valgrind: exit code {done.returncode}: {report[-1000:]}{done.stderr}")
    blocks = read_blocks(done.stdout)
    kinds = parse_valgrind(report)
    # Every block is in one loss record: a report without it was not understood.
    return {name: kinds.get(block.address, "not listed") for name, block in blocks.items()}


# ---- residue, on a core of the same program. ---------------------------------------------------

LEAKS = ("leaked", "stale", "indirect")


def read_until_ready(process):
    output, deadline = b"", time.monotonic() + PATIENCE
    while not output.endswith(b"ready\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise LookFailed("the program did not get ready")
        part = os.read(process.stdout.fileno(), 65536)
        if not part:
            raise LookFailed(f"the program ended: {process.stderr.read()[-500:]}")
        output += part
    return output.decode()


@contextlib.contextmanager
def core_of(program, arguments, folder):
    """The core of a program that waits at its snapshot, and what the program told."""
    if not shutil.which("gcore"):
        raise CannotLook("gcore is not installed")
    with subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        try:
            output = read_until_ready(process)
            done = run(["gcore", "-o", os.path.join(folder, "core"), str(process.pid)])
        finally:
            process.send_signal(signal.SIGKILL)
    core = os.path.join(folder, f"core.{process.pid}")
    if not os.path.exists(core):
        raise CannotLook(f"gcore wrote nothing: {done.stdout}{done.stderr}")
    yield core, output


def query(residue, core, sql):
    done = run([residue, "query", core, sql, "--format", "tsv", "--quiet"])
    if done.returncode != 0:
        raise LookFailed(f"residue: exit code {done.returncode}: {done.stderr[-1000:]}")
    return list(csv.DictReader(done.stdout.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def look_with_residue(residue, program, arguments):
    """The classes, the blocks themselves, and what residue calls leaks besides them."""
    with tempfile.TemporaryDirectory(prefix="residue-verdict-") as folder, \
            core_of(program, arguments, folder) as (core, output):
        blocks = read_blocks(output)
        rows = query(residue, core, "SELECT address, size, reach FROM chunk WHERE state = 'used'")
    chunks = {int(row["address"]): row for row in rows}
    classes = {}
    for name, block in blocks.items():
        row = chunks.get(block.address)
        if row is None:
            classes[name] = "no chunk"
        elif int(row["size"]) < block.size:
            classes[name] = f"too small ({row['size']} < {block.size})"
        else:
            classes[name] = row["reach"]
    told = {block.address for block in blocks.values()}
    strangers = [Stranger(address, int(row["size"]), row["reach"])
                 for address, row in chunks.items() if row["reach"] in LEAKS and address not in told]
    return classes, blocks, strangers
