#!/usr/bin/env python3
"""Compressed and sparse dumps, as the tools write them."""
import bz2
import json
import os
import pty
import random
import resource
import struct
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

from core_memory import program_headers  # noqa: E402
from service import need_program  # noqa: E402
from small_core import SmallCoreTest, read_bytes  # noqa: E402
import support  # noqa: E402
from support import EXIT_INPUT, EXIT_INTERNAL  # noqa: E402

# What a user would type, and what residue calls it.
TOOLS = {
    "zst": ("zstd", ["zstd", "-q", "-c"]),
    "zst.long": ("zstd", ["zstd", "-q", "-c", "--long=27", "-T2"]),
    "lz4": ("lz4", ["lz4", "-q", "-c"]),
    "lz4.size": ("lz4", ["lz4", "-q", "-c", "--content-size"]),
    "lz4.legacy": ("lz4", ["lz4", "-q", "-c", "-l"]),
    "xz": ("xz", ["xz", "-1", "-c"]),
    "xz.blocks": ("xz", ["xz", "-1", "-c", "--block-size=100000", "-T2"]),
    "gz": ("gzip", ["gzip", "-1", "-c"]),
    "bz2": ("bzip2", ["bzip2", "-1", "-c"]),
}


class ToolsTest(SmallCoreTest):
    """What the tools pack, residue reads as the plain core."""

    @classmethod
    def setUpClass(cls):
        for _, (tool, *_) in TOOLS.values():
            need_program(tool)
        super().setUpClass()

    def pack(self, name, source=None):
        """The core (or `source`) packed; from a pipe, so that no tool knows the size before."""
        path = self.path(f"core.{name}")
        with open(path, "wb") as target:
            subprocess.run([*TOOLS[name][1], source or self.core], stdout=target, check=True)
        return path

    def facts(self, path):
        """All that residue says of a dump, but for the dump's name and size."""
        row, = self.json("analyze", path)
        row.pop("source")
        lines = [line for line in self.json("info", path)
                 if line["name"] not in ("file", "compressed", "written")]
        return row, lines

    def test_is_read_as_the_plain_core(self):
        plain = self.facts(self.core)
        self.assertGreater(plain[0]["used_count"], 200)
        chunks = "SELECT address, size, reach, type FROM chunk"
        for name, (packing, _) in TOOLS.items():
            with self.subTest(name=name):
                path = self.pack(name)
                self.assertEqual(self.facts(path), plain)
                lines = {line["name"]: line["value"] for line in self.json("info", path)}
                self.assertTrue(lines["compressed"].startswith(packing + ", "), lines["compressed"])
                self.assertEqual(self.query(path, chunks), self.query(self.core, chunks))
                row, = self.query(path, "SELECT source, source_bytes FROM snapshot")
                self.assertEqual(row["source"], path)
                self.assertEqual(int(row["source_bytes"]), os.path.getsize(path))

    def test_several_files_in_one(self):
        plain = self.facts(self.core)
        whole = read_bytes(self.core)
        halves = [self.write("half.0", whole[:700001]), self.write("half.1", whole[700001:])]
        for name in TOOLS:
            with self.subTest(name=name):
                packed = b"".join(read_bytes(self.pack(name, half)) for half in halves)
                self.assertEqual(self.facts(self.write("halves", packed)), plain)

    def test_files_of_pzstd(self):
        need_program("pzstd")
        path = self.path("core.pzst")
        subprocess.run(["pzstd", "-q", "-p", "3", self.core, "-o", path], check=True)
        self.assertEqual(self.facts(path), self.facts(self.core))

    def test_cut_files_are_read_as_far_as_they_go(self):
        """The law of DamagedCoreTest, through every kind of compression."""
        for name, (packing, _) in TOOLS.items():
            packed = read_bytes(self.pack(name))
            for part in (0.3, 0.95):
                with self.subTest(name=name, part=part):
                    path = self.write("cut", packed[:int(len(packed) * part)])
                    done = self.residue("analyze", path, "--format", "json",
                                        expect=(0, EXIT_INPUT))
                    self.assertIn("the file ends inside the compressed data", done.stderr)
                    if done.returncode == 0:
                        row, = json.loads(done.stdout)
                        self.assertEqual(row["complete"], 0)
                        self.assertIn(f"damage: compressed file offset 0x{os.path.getsize(path):x}:"
                                      f" {packing}: ", done.stderr)
                    else:
                        self.assertIn(f"is {packing}-compressed", done.stderr)
                    self.residue("analyze", path, "--strict", expect=EXIT_INPUT)

    def test_no_room_is_no_fault_of_the_dump(self):
        path = self.pack("zst")
        missing = self.path("missing")
        done = self.refused("analyze", path, expect=EXIT_INTERNAL, names=(path, missing, "TMPDIR"),
                            env={**os.environ, "TMPDIR": missing})
        self.assertIn("no temporary file can be made", done.stderr)

    def test_nothing_is_left_behind(self):
        folder = self.path("temporary")
        os.mkdir(folder)
        self.residue("analyze", self.pack("xz"), env={**os.environ, "TMPDIR": folder})
        self.residue("analyze", self.write("text.bz2", bz2.compress(b"no dump\n")),
                     env={**os.environ, "TMPDIR": folder}, expect=EXIT_INPUT)
        self.assertEqual(os.listdir(folder), [])


class BarTest(SmallCoreTest):
    """The progress bar: on a terminal, when it takes over a second, unless it is not wanted."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Noise unpacks slowly: some 15 MB a second. It stands behind the end of the core.
        noise = bz2.compress(random.Random(5).randbytes(1 << 20))
        cls.slow = os.path.join(cls.folder, "slow.bz2")
        with open(cls.slow, "wb") as file:
            file.write(bz2.compress(read_bytes(cls.core)) + 60 * noise)

    def on_terminal(self, *arguments):
        """What residue writes to stderr, when that is a terminal."""
        master, slave = pty.openpty()
        with subprocess.Popen([support.RESIDUE, *arguments], stderr=slave,
                              stdout=subprocess.DEVNULL) as process:
            os.close(slave)
            text = b""
            try:
                while piece := os.read(master, 65536):
                    text += piece
            except OSError:  # how a terminal ends on Linux
                pass
        os.close(master)
        self.assertEqual(process.returncode, 0)
        return text.decode()

    def test_a_bar_is_drawn_and_cleared(self):
        text = self.on_terminal("info", self.slow)
        bars = [line for line in text.split("\r\x1b[K") if "unpacking" in line]
        self.assertGreater(len(bars), 1, text)
        self.assertRegex(bars[0], r"^slow\.bz2: unpacking \[=*> *\] +\d+ %$")
        self.assertTrue(text.endswith("\r\x1b[K"), text)

    def test_not_if_it_is_not_wanted(self):
        self.assertEqual(self.on_terminal("info", self.slow, "--no-progress"), "")
        self.assertEqual(self.on_terminal("info", self.slow, "--quiet"), "")

    def test_not_if_there_is_no_terminal(self):
        self.assertEqual(self.residue("info", self.slow).stderr, "")


class SparseTest(SmallCoreTest):
    """A core of 100 GB that holds a few MB: what it takes is what those take."""

    BASE = 0x100000000000  # free in every process here: the kernel maps far above, programs below
    SIZE = 100 << 30

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sparse = os.path.join(cls.folder, "sparse")

    def leaked(self, path):
        return {int(row["address"]) for row in
                self.query(path, "SELECT address FROM chunk WHERE reach = 'leaked'")}

    def make(self, pointers):
        """The core with 100 GB of writable memory more, which points at `pointers`.

        One pointer stands before a hole, one behind, the others far apart."""
        whole = read_bytes(self.core)
        headers = list(program_headers(whole))
        old, = struct.unpack_from("<Q", whole, 32)
        memory = (len(whole) + 4095) & ~4095
        table = memory + self.SIZE
        elf = bytearray(whole[:64])
        struct.pack_into("<Q", elf, 32, table)
        struct.pack_into("<H", elf, 56, len(headers) + 1)
        load = struct.pack("<IIQQQQQQ", 1, 6, memory, self.BASE, 0, self.SIZE, self.SIZE, 4096)
        with open(self.sparse, "wb") as file:
            file.write(whole)
            file.seek(0)
            file.write(elf)
            for i, pointer in enumerate(pointers):
                file.seek(memory + i * (10 << 30) + (4096 - 8 if i % 2 == 0 else 8192))
                file.write(struct.pack("<Q", pointer))
            file.seek(table)
            file.write(whole[old:old + 56 * len(headers)] + load)
        if os.stat(self.sparse).st_blocks * 512 > 1 << 30:
            raise unittest.SkipTest("the file system has no sparse files")

    def measured(self, *arguments):
        """CPU seconds, the largest resident set in MB, MB written to disk."""
        process = subprocess.Popen([support.RESIDUE, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024,
                usage.ru_oublock * 512 / 1e6)

    def test_holes_are_not_read_and_data_is(self):
        leaked = sorted(self.leaked(self.core))
        self.assertGreater(len(leaked), 8)
        chosen = leaked[:8]
        self.make(chosen)
        # A hole of 10 GB takes seconds of CPU time to touch, and as much memory as it is large.
        seconds, megabytes, _ = self.measured("analyze", self.sparse)
        self.assertLess(seconds, 5)
        self.assertLess(megabytes, 500)
        reach = {int(row["address"]): row["reach"] for row in self.query(
            self.sparse, "SELECT address, reach FROM chunk WHERE address IN (%s)" %
            ",".join(map(str, chosen)))}
        self.assertEqual(reach, dict.fromkeys(chosen, "reachable"))
        self.assertLess(self.leaked(self.sparse), set(leaked))
        referrers = self.residue("explain", self.sparse, hex(chosen[1])).stdout
        self.assertIn(hex(self.BASE + (10 << 30) + 8192), referrers)

    def test_every_byte_is_accounted_for(self):
        self.make([])
        row, = self.query(self.sparse, "SELECT (SELECT sum(bytes) FROM account) AS accounted,"
                                       " (SELECT sum(size) FROM region) AS mapped")
        self.assertEqual(row["accounted"], row["mapped"])
        before, = self.query(self.core, "SELECT sum(bytes) AS accounted FROM account")
        self.assertEqual(int(row["accounted"]), int(before["accounted"]) + self.SIZE)

    def test_compressed_it_unpacks_to_what_its_data_takes(self):
        """16 GB of zeros behind the core."""
        need_program("zstd")
        whole = read_bytes(self.core)
        frame = self.path("zeros.zst")
        with open(self.path("zeros"), "wb") as zeros:
            zeros.truncate(1 << 30)
        subprocess.run(["zstd", "-q", "-1", self.path("zeros"), "-o", frame], check=True)
        with open(self.path("core.zst"), "wb") as packed:
            packed.write(subprocess.run(["zstd", "-q", "-c"], input=whole, capture_output=True,
                                        check=True).stdout)
            packed.write(16 * read_bytes(frame))
        lines = {line["name"]: line["value"] for line in self.json("info", self.path("core.zst"))}
        self.assertIn("17.2 GB unpacked", lines["compressed"])
        _, megabytes, written = self.measured("info", self.path("core.zst"))
        self.assertLess(megabytes, 500)
        self.assertLess(written, 500)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    support.main()
