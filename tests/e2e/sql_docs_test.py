#!/usr/bin/env python3
"""docs/sql.md says what is true: its examples run, and show the columns and rows that it prints."""
import os
import re
import sys

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import sql_docs  # noqa: E402
import support  # noqa: E402
from demand_test import columns_of_schema  # noqa: E402
from service import need_program  # noqa: E402

SCHEMA = os.path.join(os.path.dirname(sql_docs.DOCUMENT), "schema.md")


class SqlDocsTest(support.TestCase):
    """Every example over a database of five snapshots and over a core of the same process."""

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        cls.workload = sql_docs.Workload(support.RESIDUE, support.SERVICE, cls.folder)
        cls.document = sql_docs.read_document()
        cls.examples = list(sql_docs.examples_of(cls.document))

    def rows(self, source, sql):
        return self.json("query", os.path.join(self.folder, source), sql, "--quiet")

    def test_there_are_examples_and_each_has_an_output(self):
        self.assertGreater(len(self.examples), 40)
        self.assertEqual(len(self.examples), self.document.count("```sql"))
        for example in self.examples:
            self.assertTrue(example.output, f"docs/sql.md:{example.line}: no output")

    def test_every_example_prints_the_columns_of_the_document(self):
        for example in self.examples:
            for source in self.workload.sources(example):
                with self.subTest(line=example.line, source=source):
                    done = self.residue("query", os.path.join(self.folder, source), example.sql, "--quiet",
                                        "--format", "tsv")
                    self.assertEqual(done.stdout.split("\n", 1)[0].split("\t"), sql_docs.columns_printed(example))

    def test_every_example_has_rows_where_the_document_has(self):
        for example in self.examples:
            source = self.workload.sources(example)[0]
            with self.subTest(line=example.line, source=source):
                found = len(self.rows(source, example.sql))
                printed = sql_docs.rows_printed(example)
                self.assertEqual(found > 0, printed > 0, f"{found} rows, and {printed} in the document")

    def test_every_table_and_column_is_described(self):
        columns = columns_of_schema(self, os.path.join(self.folder, "week.db"))
        self.assertGreater(len(columns), 200)
        with open(SCHEMA, encoding="utf-8") as file:
            schema = file.read()
        # What schema.md says of all tables it does not repeat.
        for name, sections, of_all in (("docs/sql.md", sections_of(self.document, r"^### "), ()),
                                       ("docs/schema.md", sections_of(schema, r"^(?=\*\*)"), ("snapshot", "id"))):
            missing = []
            for table, column in columns:
                if column in of_all:
                    continue
                about = [words for title, words in sections if table in title]
                if not any(column in words for words in about):
                    missing.append(f"{table}.{column}")
            self.assertEqual(missing, [], name)


def sections_of(document, beginning):
    """(words of the first line, all words) of the parts that begin like that and end before the next or a ## heading."""
    parts = re.split(f"{beginning}|^## ", document, flags=re.MULTILINE)
    return [(set(re.findall(r"\w+", part.split("\n", 1)[0])), set(re.findall(r"\w+", part))) for part in parts[1:]]


if __name__ == "__main__":
    support.main()
