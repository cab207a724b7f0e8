"""The examples of docs/sql.md: what they are run on, and what the document says of them.

An example is a block ```sql and the block that follows it, its output: ```text for the table that residue prints, ```json
for rows with many columns (as `--format json | jq .`, texts cut). A word behind ```sql says what it is run on:

    (none)   the database of five snapshots; it must run over a single core as well
    db       the database only: it compares snapshots
    damaged  a core in which a buffer was written beyond its end

    python3 tests/e2e/sql_docs.py --residue FILE --service FILE [--folder DIR]

runs every example and puts the outputs into docs/sql.md.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from collections import namedtuple

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

from core_memory import CoreMemory  # noqa: E402
from service import Service  # noqa: E402

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "sql.md")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
REQUESTS = 2000
LONGEST_TEXT = 100

Example = namedtuple("Example", "where sql kind output line span")
BLOCK = re.compile(r"^```sql(?: (\w+))?\n(.*?)^```\n(?:\s*^```(text|json)\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def read_document():
    with open(DOCUMENT, encoding="utf-8") as file:
        return file.read()


def examples_of(document):
    for match in BLOCK.finditer(document):
        where, sql, kind, output = match.groups()
        line = document.count("\n", 0, match.start()) + 1
        yield Example(where or "", sql, kind, output, line, match.span())


def columns_of_table(text):
    """Names in the first line of a table: two spaces at least lie between them."""
    return re.split(r"  +", text.split("\n", 1)[0].strip())


def columns_printed(example):
    """The columns that the document shows."""
    if example.kind == "json":
        rows = json.loads(example.output)
        return list(rows[0]) if rows else []
    return columns_of_table(example.output or "")


def rows_printed(example):
    if example.kind == "json":
        return len(json.loads(example.output))
    return max(len((example.output or "").rstrip("\n").split("\n")) - 2, 0)


def overflow_a_buffer(core, damaged, address, size):
    """A copy of the core in which what follows the `size` bytes at `address` is overwritten, as strcpy() would."""
    memory = CoreMemory(core)
    place = memory.place(address, size + 16)
    memory.close()
    subprocess.run(["cp", "--sparse=always", core, damaged], check=True)
    with open(damaged, "r+b") as file:
        file.seek(place + size)
        file.write(b"u" * 12)


class Workload:
    """Cores of leaky_service at the end of five phases, a database with all of them, and a damaged core."""

    def __init__(self, residue, service, folder):
        self.residue, self.folder = residue, folder
        with Service(service, folder, REQUESTS, phases=len(DAYS), stack_bytes=256 * 1024,
                     environment={"MALLOC_ARENA_MAX": "4"}) as process:
            for i, day in enumerate(DAYS):
                if i > 0:
                    process.next_phase()
                os.rename(process.gcore("core"), os.path.join(folder, day + ".core"))
        for day in DAYS:
            self.run("analyze", day + ".core", "--db", "week.db", "--label", day, "--quiet")
        row, = json.loads(self.run("query", "friday.core", "SELECT address, size FROM chunk WHERE size BETWEEN 4088 AND 4100 "
                                                           "AND state = 'used' AND reach = 'leaked' LIMIT 1",
                                   "--format", "json").stdout)
        overflow_a_buffer(os.path.join(folder, "friday.core"), os.path.join(folder, "damaged.core"),
                          int(row["address"], 16), row["size"])

    def run(self, *arguments):
        done = subprocess.run([self.residue, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"residue {arguments}: exit code {done.returncode}: {done.stderr}")
        return done

    @staticmethod
    def sources(example):
        """Files that the example must run on; the first is the one whose output is printed."""
        return {"": ("week.db", "friday.core"), "db": ("week.db",), "damaged": ("damaged.core",)}[example.where]

    def output(self, example):
        source = self.sources(example)[0]
        if example.kind != "json":
            return self.run("query", source, example.sql, "--quiet").stdout
        rows = json.loads(self.run("query", source, example.sql, "--quiet", "--format", "json").stdout)
        for row in rows:
            for key, value in row.items():
                if isinstance(value, str) and len(value) > LONGEST_TEXT:
                    row[key] = value[:LONGEST_TEXT - 1] + "…"
        return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def update(workload):
    document = read_document()
    parts, at = [], 0
    for example in examples_of(document):
        kind = example.kind or "text"
        first, last = example.span
        head = document[first:last].split("\n```\n", 1)[0]
        lines = workload.output(example._replace(kind=kind)).rstrip("\n").split("\n")
        output = "\n".join(line.rstrip() for line in lines)
        parts += [document[at:first], head, f"\n```\n```{kind}\n", output, "\n```\n"]
        at = last
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write("".join(parts) + document[at:])


def main():
    parser = argparse.ArgumentParser(description="Runs the examples of docs/sql.md and writes their outputs into it.")
    parser.add_argument("--residue", required=True)
    parser.add_argument("--service", required=True, help="leaky_service")
    parser.add_argument("--folder", required=True, help="for the cores: 500 MB or less, sparse")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    update(Workload(os.path.abspath(options.residue), os.path.abspath(options.service), options.folder))


if __name__ == "__main__":
    main()
