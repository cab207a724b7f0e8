"""Small cores, quickly made, for tests that need any core rather than a certain heap."""
import contextlib
import sqlite3

import support
from service import Service, need_program

CANNOT_WRITE = (support.EXIT_INPUT, support.EXIT_INTERNAL)  # the contract leaves open which


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


class SmallCoreTest(support.TestCase):
    """With two small cores of the same process: threads' stacks are 256 KiB, one arena."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        with Service(support.SERVICE, cls.folder, 200, phases=2, stack_bytes=256 * 1024,
                     environment={"MALLOC_ARENA_MAX": "1"}) as service:
            cls.core = service.gcore("first")
            service.next_phase()
            cls.later_core = service.gcore("later")

    def snapshots(self, database):
        """(id, label, chunks) of the snapshots, read without residue; checks the file as well."""
        with contextlib.closing(sqlite3.connect(database)) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            return connection.execute(
                "SELECT id, label, chunk_count FROM snapshot ORDER BY id").fetchall()

    def new_database(self, name):
        database = self.path(name)
        self.residue("analyze", self.core, "--db", database, "--quiet")
        self.assertEqual(len(self.snapshots(database)), 1)
        return database
