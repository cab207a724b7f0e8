#!/usr/bin/env python3
"""Damaged dumps: analysed as far as they go, with the damage listed, or refused."""
import json
import os
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

from core_memory import PT_LOAD, PT_NOTE, program_headers  # noqa: E402
from service import Service, need_kernel_cores  # noqa: E402
from small_core import SmallCoreTest, read_bytes  # noqa: E402
import support  # noqa: E402
from support import EXIT_DONE, EXIT_INPUT  # noqa: E402


class DamagedCoreTest(SmallCoreTest):
    """A core cut anywhere: analysed as far as it goes, or refused; never a crash."""

    def cut(self, core, length):
        name = self.path(f"cut{length}")
        with open(core, "rb") as source, open(name, "wb") as target:
            target.write(source.read(length))
        return name

    def check_cut(self, core, length):
        path = self.cut(core, length)
        done = self.residue("analyze", path, "--format", "json", expect=(EXIT_DONE, EXIT_INPUT),
                            timeout=20)
        self.assertIn(f"residue: {path}: ", done.stderr, self.describe(done))
        if done.returncode == EXIT_DONE:
            row, = json.loads(done.stdout)
            self.assertEqual(row["complete"], 0, self.describe(done))
            self.assertGreater(row["diagnostics"], 0, self.describe(done))
        strict = self.residue("analyze", path, "--strict", expect=EXIT_INPUT, timeout=20)
        self.assertIn(f"residue: {path}: ", strict.stderr, self.describe(strict))
        os.unlink(path)
        return done

    def places(self, core):
        """20 places in the ELF header, the program headers, the memory and the notes."""
        headers = list(program_headers(read_bytes(core)))
        end_of_headers = 64 + 56 * len(headers)
        loads = [(place, size) for kind, place, _, size in headers if kind == PT_LOAD and size]
        notes = [(place, size) for kind, place, _, size in headers if kind == PT_NOTE]
        places = {1, 4, 20, 63, 64, 64 + 28, 64 + 56 * 5, end_of_headers - 1, end_of_headers}
        places |= {loads[0][0] + 1, loads[len(loads) // 2][0], loads[-1][0] - 1,
                   loads[-1][0] + loads[-1][1] // 2, loads[3][0] + loads[3][1] // 2}
        for place, size in notes:
            places |= {place, place + 12, place + size // 2, place + size - 1}
        # What follows is of no use to a reader: gdb adds section headers.
        end = max(place + size for place, size in loads + notes)
        places |= {end // 2, end - 1}
        return sorted(place for place in places if place < end)

    def test_cut_core_of_gdb(self):
        places = self.places(self.core)
        self.assertGreaterEqual(len(places), 18)
        for place in places:
            with self.subTest(length=place, of=os.path.getsize(self.core)):
                self.check_cut(self.core, place)

    def test_cut_in_the_memory_keeps_what_stands_before(self):
        """The kernel's order: notes first. Half of the memory is gone."""
        need_kernel_cores()
        folder = self.path("kernel")
        os.mkdir(folder)
        with Service(support.SERVICE, folder, 200, stack_bytes=256 * 1024,
                     environment={"MALLOC_ARENA_MAX": "1"}) as service:
            core = service.kernel_core("by_kernel")
        for place in self.places(core):
            with self.subTest(length=place, of=os.path.getsize(core)):
                self.check_cut(core, place)
        # The last byte belongs to the vsyscall page or the stack: the heap is all there.
        done = self.check_cut(core, os.path.getsize(core) - 1)
        row, = json.loads(done.stdout)
        whole, = self.json("analyze", core)
        self.assertEqual(row["used_count"], whole["used_count"])

    def test_a_core_without_its_notes_still_has_its_memory(self):
        notes = min(place for kind, place, _, _ in program_headers(read_bytes(self.core))
                    if kind == PT_NOTE)
        path = self.cut(self.core, notes)
        rows = self.query(path, "SELECT sum(in_dump) AS bytes FROM region")
        self.assertGreater(int(rows[0]["bytes"]), 4 << 20)

    def test_lying_headers_do_no_harm(self):
        whole = read_bytes(self.core)
        for name, at, value in (("e_phoff", 32, (1 << 63).to_bytes(8, "little")),
                                ("e_phnum", 56, b"\xfe\xff"), ("e_phentsize", 54, b"\x01\x00"),
                                ("p_offset", 64 + 56 + 8, b"\xff" * 8),
                                ("p_filesz", 64 + 56 + 32, b"\xff" * 8),
                                ("p_memsz", 64 + 56 + 40, b"\xff" * 7 + b"\x7f"),
                                ("p_vaddr", 64 + 56 + 16, b"\xff" * 8),
                                ("note p_filesz", 64 + 32, b"\xff" * 8)):
            with self.subTest(field=name):
                path = self.write("lying", whole[:at] + value + whole[at + len(value):])
                done = self.residue("analyze", path, expect=(EXIT_DONE, EXIT_INPUT), timeout=20)
                self.assertIn(f"residue: {path}: ", done.stderr, self.describe(done))

    def test_one_bad_dump_does_not_hide_the_others(self):
        bad = self.write("bad", b"nothing\n")
        done = self.residue("analyze", self.core, bad, self.later_core, "--format", "json",
                            expect=EXIT_INPUT)
        self.assertEqual([row["source"] for row in json.loads(done.stdout)],
                         [self.core, self.later_core])
        self.assertTrue(done.stderr.startswith(f"residue: {bad}: "), self.describe(done))
        database = self.path("others.db")
        self.residue("analyze", bad, self.core, self.path("missing"), self.later_core, "--db",
                     database, expect=EXIT_INPUT)
        self.assertEqual(len(self.snapshots(database)), 2)


if __name__ == "__main__":
    support.main()
