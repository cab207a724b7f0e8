#!/usr/bin/env python3
"""What keeps a block and what does not: real programs, each block with one last pointer to it.

The programs are in reach/. Each names its blocks and where they lie, and waits for gcore. Leaks that
it does not name are wrong, whatever they are.
"""
import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import PATIENCE, need_program  # noqa: E402

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reach")
LEAKS = ("leaked", "indirect", "stale")


class ReachCase(support.TestCase):
    """Builds PROGRAM, runs it up to its "ready", and takes a core."""

    PROGRAM = ""
    LIBRARY = ""  # built too; its path is the program's argument
    ARGUMENTS = ()

    @classmethod
    def setUpClass(cls):
        for name in ("gcore", "gcc", "g++"):
            need_program(name)
        super().setUpClass()
        arguments = list(cls.ARGUMENTS)
        if cls.LIBRARY:
            arguments.insert(0, cls.build(cls.LIBRARY, "library.so", "-shared", "-fPIC"))
        program = cls.build(cls.PROGRAM, "program", "-pthread", "-ldl")
        with subprocess.Popen([program, *arguments], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            cls.blocks = {}
            for line in process.stdout:
                if line == "ready\n":
                    break
                name, address = line.rsplit(None, 1)
                cls.blocks[name] = int(address, 16)
            else:
                raise AssertionError(f"{cls.PROGRAM} ended early: {process.wait()}")
            prefix = os.path.join(cls.folder, "core")
            subprocess.run(["gcore", "-o", prefix, str(process.pid)], capture_output=True,
                           timeout=PATIENCE, check=True)
            cls.core = f"{prefix}.{process.pid}"
            process.kill()

    @classmethod
    def build(cls, source, name, *options):
        compiler, standard = ("gcc", "gnu11") if source.endswith(".c") else ("g++", "c++17")
        path = os.path.join(cls.folder, name)
        subprocess.run([compiler, f"-std={standard}", "-g", "-O1", "-Wall", "-Wextra", "-Werror",
                        os.path.join(SOURCES, source), "-o", path, *options],
                       timeout=PATIENCE, check=True)
        return path

    def expect(self, **classes):
        """Every block has its class: class="name, name"; and no other block is a leak."""
        rows = self.query(self.core, "SELECT address, reach, size FROM chunk "
                                     "WHERE state = 'used'")
        reach = {int(row["address"]): row["reach"] for row in rows}
        wanted = {name: kind for kind, names in classes.items() for name in names.split(", ")}
        self.assertEqual(sorted(wanted), sorted(self.blocks))
        found = {name: reach.get(self.blocks[name]) for name in wanted}
        self.assertEqual(found, wanted)
        named = set(self.blocks.values()) | self.more_leaks()
        others = [row for row in rows
                  if row["reach"] in LEAKS and int(row["address"]) not in named]
        self.assertEqual(others, [])

    def more_leaks(self):
        """Leaks that have no name."""
        return set()

    def evidence(self, name):
        row, = self.query(self.core, "SELECT evidence FROM cluster WHERE id = (SELECT cluster "
                                     f"FROM chunk WHERE address = {self.blocks[name]})")
        return row["evidence"]

    def path(self, name):
        lines = self.residue("explain", self.core, hex(self.blocks[name]), "--format", "csv")
        return [row for row in support.rows_of_csv(lines.stdout) if "path" in row.values()]


class PointersTest(ReachCase):
    PROGRAM = "pointers.c"

    def test_classes(self):
        self.expect(
            interior="inside, low tag, end of the chunk, end of the request, odd register",
            reachable="red zone",
            # What no conservative scan of aligned words sees.
            leaked="high tag, combined, packed, head, cycle",
            indirect="member, cycle too",
            stale="in a freed block, in a cached block")

    def test_the_freed_blocks_are_named(self):
        self.assertIn("a freed chunk at 0x", self.evidence("in a freed block"))
        self.assertIn("a freed chunk in a thread's cache at 0x",
                      self.evidence("in a cached block"))

    def test_the_path_begins_in_the_dead_memory(self):
        self.assertIn("a freed chunk at 0x", str(self.path("in a freed block")[0]))


class ThreadsTest(ReachCase):
    PROGRAM = "threads.c"
    LIBRARY = "tls_library.c"

    def test_classes(self):
        kinds = ("static", "dynamic", "first level", "second level")
        self.expect(reachable=", ".join(f"{kind} {i}" for kind in kinds for i in range(3)),
                    leaked="lost")

    def test_the_loaders_vectors_are_system(self):
        # One for each thread but the first, whose vector the loader has in memory of its own until
        # the late library makes it too small.
        rows = self.query(self.core, "SELECT count(*) AS n FROM chunk WHERE owner = "
                                     "(SELECT id FROM owner WHERE kind = 'system')")
        self.assertGreaterEqual(int(rows[0]["n"]), 2)


class ExceptionsTest(ReachCase):
    PROGRAM = "exceptions.cpp"

    def more_leaks(self):
        # The exception object itself, which holds the pointer to the block.
        rows = self.query(self.core, "SELECT address FROM chunk WHERE reach = 'leaked'")
        self.assertEqual(len(rows), 1)
        return {int(rows[0]["address"])}

    def test_classes(self):
        self.expect(reachable="outer, inner, waiting, handled", indirect="lost")


class ExitHandlersTest(ReachCase):
    PROGRAM = "exit_handlers.cpp"

    def test_classes(self):
        self.expect(reachable="first list, on_exit, second list, thread's list", leaked="lost")


class KernelTest(ReachCase):
    """What only the kernel points to cannot be seen in a core."""

    PROGRAM = "kernel.c"

    def test_classes(self):
        self.expect(leaked="epoll, timer, signal")


class NoLeaksTest(ReachCase):
    PROGRAM = "no_leaks.c"

    def test_classes(self):
        self.expect()

    def test_there_are_no_clusters(self):
        self.assertEqual(self.query(self.core, "SELECT id FROM cluster"), [])

    def test_the_twelve_are_cached(self):
        rows = self.query(self.core, "SELECT size, count(*) AS n FROM chunk WHERE state = 'cached' "
                                     "AND size IN (24, 280) GROUP BY size ORDER BY size")
        self.assertEqual([row["n"] for row in rows], ["6", "6"])


class LibcBlocksTest(ReachCase):
    PROGRAM = "libc_blocks.c"
    LIBRARY = "tls_library.c"

    def test_nothing_of_libcs_is_a_leak(self):
        self.expect()

    def test_the_loaders_blocks_are_system(self):
        # link_map of the loaded library and what it names: path, scope, dependencies.
        rows = self.query(self.core, "SELECT count(*) AS n FROM chunk WHERE reach = 'system'")
        self.assertGreaterEqual(int(rows[0]["n"]), 5)


class ContainersTest(ReachCase):
    PROGRAM = "containers.cpp"

    def test_classes(self):
        self.expect(
            reachable="vector 0, vector 1, full 0, full 1, full 2, full 3, static 0, thread's 0, "
                      "deque 1, local 0, slice 0, slice 1",
            stale="vector 2, vector 3, static 1, thread's 1, deque 0, deque 2, local 1")

    def test_the_container_is_named(self):
        holder = {"vector 2": "vector `(anonymous namespace)::g_vector`",
                  "static 1": "s_vector`", "thread's 1": "t_vector`", "deque 0": "g_deque`",
                  "local 1": "vector `local` of "}
        for name, text in holder.items():
            with self.subTest(name):
                self.assertIn("the spare capacity of ", str(self.path(name)[0]))
                self.assertIn(text, str(self.path(name)[0]))


class RecycledTest(ReachCase):
    PROGRAM = "recycled.cpp"

    def test_a_vector_that_is_not_constructed_yet_has_no_spare_capacity(self):
        self.expect(reachable="0, 1, 2, 3, 4, 5, 6, 7")


class ContextsTest(ReachCase):
    PROGRAM = "contexts.c"

    def test_classes(self):
        self.expect(reachable="on the thread's stack, on a suspended stack, on a running stack, "
                              "on a signal handler's stack")


class EndedThreadsTest(ReachCase):
    PROGRAM = "ended_threads.c"

    def test_classes(self):
        self.expect(stale="on the stack of an ended thread, below the stack pointer")

    def test_the_stacks_are_named(self):
        self.assertIn("the stack of a thread that has ended, at 0x",
                      self.evidence("on the stack of an ended thread"))
        self.assertRegex(self.evidence("below the stack pointer"),
                         r"the stack of thread \d+ below its stack pointer, at 0x")


if __name__ == "__main__":
    support.main()
