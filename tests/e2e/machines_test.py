#!/usr/bin/env python3
"""Heaps of real programs for other machines, compared with what the programs say of them.

Each machine's program is compiled here. i386 runs on the processor; the others run under qemu-user,
which writes a core when they abort. A machine whose compiler or emulator is missing is skipped.
"""
import glob
import os
import resource
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import PATIENCE, need_kernel_cores, need_program  # noqa: E402

WORKLOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workloads/known_heap.c")


def unlimited_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


class Machine(support.TestCase):
    """One machine: `triplet` of its compiler, `emulator` or None."""

    triplet = emulator = None
    link = ()
    # The heap begins at so low an address that plain numbers look like pointers into its blocks.
    low_heap = False

    @classmethod
    def setUpClass(cls):
        if cls.triplet is None:
            raise unittest.SkipTest("what the machines share")
        compiler = f"{cls.triplet}-gcc"
        need_program(compiler)
        if cls.emulator:
            need_program(cls.emulator)
            if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
                raise unittest.SkipTest("the hard limit for core files is 0")
        else:
            need_kernel_cores()
        super().setUpClass()
        program = os.path.join(cls.folder, "known_heap")
        done = subprocess.run([compiler, "-O1", "-w", "-pthread", WORKLOAD, "-o", program, *cls.link],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"{compiler} makes no program: {done.stderr[:200]}")
        emulator = [cls.emulator, "-L", f"/usr/{cls.triplet}"] if cls.emulator else []
        done = subprocess.run([*emulator, program], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, cwd=cls.folder, timeout=PATIENCE, check=False,
                              preexec_fn=unlimited_cores)
        cls.say = {"info": {}, "live": {}, "use": {}, "freed": {}, "lost": {}}
        for line in done.stdout.splitlines():
            kind, name, *number = line.split()
            key = name if kind == "info" else int(name)
            cls.say[kind][key] = int(number[0]) if number else 0
        if len(cls.say["lost"]) != 100:
            raise unittest.SkipTest(f"the program does not run here: {done.stderr[:200]}")
        # qemu-user writes its own core; the kernel may write one of the emulator too.
        pattern = "qemu_*.core" if cls.emulator else "core*"
        cores = glob.glob(os.path.join(cls.folder, pattern))
        assert len(cores) == 1, f"{pattern}: {os.listdir(cls.folder)} {done.stderr[:200]}"
        cls.core = cores[0]

    def chunks(self):
        rows = self.query(self.core, "SELECT address, size, state, reach FROM chunk")
        return {int(row["address"]): row for row in rows}

    def test_every_heap_balances(self):
        rows = self.query(self.core, "SELECT name, verified, problem FROM heap")
        self.assertIn("main_arena", [row["name"] for row in rows])
        self.assertIn("mmapped", [row["name"] for row in rows])
        self.assertEqual([row for row in rows if row["verified"] != "1"], [])

    def test_sums_are_mallinfos(self):
        rows = self.query(self.core, "SELECT name, mapped_bytes, fordblks, uordblks, used_count "
                                     "FROM heap")
        arenas = [row for row in rows if row["name"] != "mmapped"]
        mmapped, = (row for row in rows if row["name"] == "mmapped")
        found = {"arena": sum(int(row["mapped_bytes"]) for row in arenas),
                 "fordblks": sum(int(row["fordblks"]) for row in arenas),
                 "uordblks": sum(int(row["uordblks"]) for row in arenas),
                 "hblks": int(mmapped["used_count"]), "hblkhd": int(mmapped["mapped_bytes"])}
        self.assertEqual(found, self.say["info"])

    def test_blocks_are_chunks_of_their_usable_size(self):
        chunks = self.chunks()
        found = {address: int(chunks[address]["size"]) if address in chunks else None
                 for address in self.say["use"]}
        self.assertEqual(found, self.say["use"])
        states = {chunks[address]["state"] for address in [*self.say["live"], *self.say["lost"]]}
        self.assertEqual(states, {"used"})

    def test_freed_blocks_are_free_or_cached_or_part_of_a_free_chunk(self):
        chunks = self.chunks()
        used = [address for address in self.say["freed"]
                if address in chunks and chunks[address]["state"] == "used"]
        self.assertEqual(used, [])
        states = {chunks[address]["state"] for address in self.say["freed"] if address in chunks}
        self.assertEqual(states, {"free", "cached"})

    def test_lost_blocks_are_leaked_and_no_others_of_the_program(self):
        chunks = self.chunks()
        # A number in ld.so's variables may by chance be the address of a block: it is ld.so's then.
        reaches = [chunks[address]["reach"] for address in self.say["live"]]
        self.assertEqual(set(reaches) - {"system"}, {"reachable"})
        self.assertLessEqual(reaches.count("system"), 2)
        expected = {"leaked", "indirect"} | ({"interior"} if self.low_heap else set())
        kept = {address: chunks[address]["reach"] for address in self.say["lost"]
                if chunks[address]["reach"] not in expected}
        self.assertEqual(kept, {})
        found = [address for address in self.say["lost"] if chunks[address]["reach"] == "leaked"]
        self.assertGreaterEqual(len(found), 98)
        leaked = {address for address, row in chunks.items() if row["reach"] == "leaked"}
        self.assertEqual(leaked - set(self.say["lost"]), set())


class I386Test(Machine):
    triplet = "i686-linux-gnu"


class StaticI386Test(Machine):
    """malloc in a static, stripped program."""
    triplet, link = "i686-linux-gnu", ("-static", "-s")


class ArmTest(Machine):
    triplet, emulator = "arm-linux-gnueabihf", "qemu-arm"


class AArch64Test(Machine):
    triplet, emulator = "aarch64-linux-gnu", "qemu-aarch64"


class S390xTest(Machine):
    triplet, emulator = "s390x-linux-gnu", "qemu-s390x"


class PowerPcTest(Machine):
    """32-bit, big-endian, aligned to 16."""
    triplet, emulator = "powerpc-linux-gnu", "qemu-ppc"


class PowerPc64Test(Machine):
    triplet, emulator = "powerpc64-linux-gnu", "qemu-ppc64"


class MipsTest(Machine):
    """32-bit, big-endian, aligned to 8."""
    triplet, emulator = "mips-linux-gnu", "qemu-mips"


class Mips64Test(Machine):
    triplet, emulator = "mips64el-linux-gnuabi64", "qemu-mips64el"


class StaticArmTest(Machine):
    low_heap = True
    triplet, emulator, link = "arm-linux-gnueabihf", "qemu-arm", ("-static", "-s")


class StaticS390xTest(Machine):
    triplet, emulator, link = "s390x-linux-gnu", "qemu-s390x", ("-static", "-s")


if __name__ == "__main__":
    support.main()
