#!/usr/bin/env python3
"""Gates: rules that end a build, what growth is measured against, SARIF and JUnit reports."""
import contextlib
import json
import os
import sqlite3
import sys
import xml.etree.ElementTree

sys.dont_write_bytecode = True  # the tests run from the source tree and leave nothing in it

import support  # noqa: E402
from service import Service  # noqa: E402
from small_core import SmallCoreTest, read_bytes  # noqa: E402
from support import EXIT_DONE, EXIT_INPUT, EXIT_USAGE  # noqa: E402

EXIT_BREACHED = 1


class GateRuleTest(SmallCoreTest):
    """Two cores of one process: the later one has twice the leaks."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The program's own count, of the same two moments of another run.
        with Service(support.SERVICE, cls.folder, 200, phases=2) as service:
            cls.truth = [dict(service.truth)]
            service.next_phase()
            cls.truth.append(dict(service.truth))

    def run_gates(self, *arguments, expect, rules):
        options = [word for rule in rules for word in ("--fail-on", rule)]
        return self.residue(*arguments, *options, expect=expect)

    def breaches(self, done):
        return [line for line in done.stderr.splitlines() if "gate breached: " in line]

    def test_the_examples_of_the_manual(self):
        done = self.run_gates("analyze", self.core, rules=["leaked_bytes > 0"],
                              expect=EXIT_BREACHED)
        line, = self.breaches(done)
        self.assertTrue(line.startswith("residue: gate breached: leaked_bytes > 0 (found "), line)
        self.run_gates("analyze", self.core, "--db", self.path("manual.db"), "--quiet",
                       rules=["growth(type) > 1MB"], expect=EXIT_DONE)
        # One shard of 512 KiB more, nobody's type, and ten buffers and uploads of text.
        self.run_gates("analyze", self.later_core, "--db", self.path("manual.db"), "--quiet",
                       rules=["growth(type) > 1MB"], expect=EXIT_DONE)
        self.run_gates("analyze", self.later_core, "--db", self.path("manual.db"), "--quiet",
                       rules=["growth(type) > 500kB"], expect=EXIT_BREACHED)

    def test_what_leaked_is_what_the_program_lost(self):
        """The count may be more by what the threads' stale memory hides or shows: 1 % of it."""
        for core, truth in zip((self.core, self.later_core), self.truth):
            count = truth["leak.total.chunks"]
            self.run_gates("leaks", core, rules=[f"leaked_count > {count * 1.01}"],
                           expect=EXIT_DONE)
            self.run_gates("leaks", core, rules=[f"leaked_count < {count * 0.99}"],
                           expect=EXIT_DONE)
            sessions = truth["leak.session.objects"]
            self.run_gates("leaks", core, expect=EXIT_BREACHED,
                           rules=[f"leaked_count(type='service::Session') = {sessions}"])

    def test_every_command_every_outcome(self):
        database = self.path("outcomes.db")
        self.residue("analyze", self.core, self.later_core, "--db", database, "--quiet")
        sql = "SELECT 1 UNION SELECT 2"
        commands = {
            "analyze": (["analyze", self.later_core, "--quiet"], "leaked_count", "growth"),
            "analyze --db": (["analyze", self.later_core, "--db", database, "--quiet"],
                             "growth(type)", "rows"),
            "analyze --baseline": (["analyze", self.later_core, "--baseline", self.core,
                                    "--quiet"], "growth(type)", "rows"),
            "leaks": (["leaks", self.core], "leaked_bytes", "growth"),
            "leaks db": (["leaks", database], "leaked_growth(type)", "rows"),
            "diff": (["diff", database, "1", "2"], "growth(type)", "rows"),
            "trend": (["trend", database], "growth(type)", "rows"),
            "query": (["query", database, sql], "rows", "leaked_bytes"),
            "query dump": (["query", self.core, sql], "rows", "growth"),
        }
        for name, (arguments, metric, refused) in commands.items():
            for rules, expect in (([f"{metric} > 0"], EXIT_BREACHED),
                                  ([f"{metric} > 1000000000"], EXIT_DONE),
                                  ([f"{metric} > 1000000000", f"{metric} > 0"], EXIT_BREACHED),
                                  ([f"{metric} > 0", f"{refused} > 0"], EXIT_USAGE),
                                  ([f"{metric} > "], EXIT_USAGE)):
                with self.subTest(command=name, rules=rules):
                    done = self.run_gates(*arguments, rules=rules, expect=expect)
                    self.assertEqual(len(self.breaches(done)), expect == EXIT_BREACHED,
                                     self.describe(done))
        for arguments in (["info", self.core], ["stacks", self.core], ["symbols", self.core],
                          ["explain", self.core, "0x10"]):
            self.refused(*arguments, "--fail-on", "leaked_bytes > 0", expect=EXIT_USAGE,
                         names="no gates")

    def test_errors_win_over_breaches(self):
        missing = self.path("missing")
        self.run_gates("analyze", self.core, missing, "--quiet", rules=["leaked_bytes > 0"],
                       expect=EXIT_INPUT)
        half = self.write("half", read_bytes(self.core)[:-500000])
        self.run_gates("analyze", half, "--quiet", rules=["damage > 0"], expect=EXIT_BREACHED)
        self.run_gates("analyze", half, "--quiet", "--strict", rules=["damage > 0"],
                       expect=EXIT_INPUT)

    def test_suppressed_leaks_do_not_count(self):
        rules = self.write("all.supp", b"leak-type:*\nleak:*\n")
        done = self.run_gates("analyze", self.core, "--quiet", "--suppressions", rules,
                              rules=["leaked_bytes(type='service::Session') > 0"],
                              expect=EXIT_DONE)
        self.assertEqual(self.breaches(done), [])

    def test_a_rule_that_cannot_be_judged_is_no_pass(self):
        done = self.refused("analyze", self.core, "--fail-on", "growth > 0", expect=EXIT_USAGE,
                            names=("growth > 0", "--baseline"))
        self.assertEqual(done.stdout, "")
        self.run_gates("analyze", self.core, "--db", self.path("never.db"), "--quiet",
                       "--baseline", "release", rules=["growth > 0"], expect=EXIT_USAGE)
        self.assertFalse(os.path.exists(self.path("never.db")))
        self.run_gates("analyze", self.later_core, "--baseline", self.core, "--quiet",
                       rules=["growth(site) > 0"], expect=EXIT_USAGE)

    def test_the_baseline_is_said(self):
        database = self.path("said.db")
        done = self.run_gates("analyze", self.core, "--db", database, "--label", "monday",
                              rules=["growth > 0"], expect=EXIT_DONE)
        self.assertIn("there is not a baseline yet", done.stderr)
        done = self.run_gates("analyze", self.later_core, "--db", database, rules=["growth > 0"],
                              expect=EXIT_BREACHED)
        self.assertIn("compared with snapshot 1 ('monday'), the newest earlier one of the same "
                      "process", done.stderr)
        # Earlier in time, not in the order of import: the first dump has none still.
        done = self.run_gates("analyze", self.core, "--db", database, rules=["growth > 0"],
                              expect=EXIT_DONE)
        self.assertIn("there is not a baseline yet", done.stderr)
        for baseline in ("monday", "1", database + "@monday", self.core):
            with self.subTest(baseline=os.path.basename(baseline)):
                self.run_gates("analyze", self.later_core, "--db", database, "--baseline",
                               baseline, "--quiet", rules=["growth > 0"], expect=EXIT_BREACHED)

    def test_growth_is_what_plain_sql_says(self):
        database = self.path("sql.db")
        self.residue("analyze", self.core, self.later_core, "--db", database, "--quiet")
        with contextlib.closing(sqlite3.connect(database)) as connection:
            before, after = (dict(connection.execute(
                "SELECT key, used_bytes FROM usage WHERE dimension = 'type' AND snapshot = ?",
                (snapshot,))) for snapshot in (1, 2))
        deltas = {key: after.get(key, 0) - before.get(key, 0) for key in {*before, *after}}
        key, most = max(deltas.items(), key=lambda item: item[1])
        done = self.run_gates("diff", database, "1", "2", rules=[f"growth(type) >= {most}"],
                              expect=EXIT_BREACHED)
        self.assertIn(f"(found +{most} B: {key})", done.stderr)
        self.run_gates("diff", database, "1", "2", rules=[f"growth(type) > {most}"],
                       expect=EXIT_DONE)

    def test_leaks_against_a_baseline(self):
        self.assertEqual(self.json("leaks", self.core, "--baseline", self.core), [])
        grown = self.json("leaks", self.later_core, "--baseline", self.core)
        everything = self.json("leaks", self.later_core)
        self.assertTrue(grown)
        self.assertEqual(grown, [leak for leak in everything if leak in grown])
        self.assertIn("service::Session", [leak["type"] for leak in grown])


class GateReportTest(SmallCoreTest):
    """Documents that other tools read."""

    def sarif(self, *arguments, **options):
        done = self.residue(*arguments, "--format", "sarif", **options)
        log = json.loads(done.stdout)
        self.assertEqual(log["version"], "2.1.0")
        run, = log["runs"]
        return run, done

    def check_sarif(self, run):
        """What the specification asks of what we use (SARIF 2.1.0, sections in brackets)."""
        rules = run["tool"]["driver"]["rules"]  # 3.19.23
        self.assertEqual(len({rule["id"] for rule in rules}), len(rules))
        for rule in rules:
            for text in ("shortDescription", "fullDescription", "help"):  # 3.49
                self.assertTrue(rule[text]["text"])
        invocation, = run["invocations"]  # 3.20
        self.assertIsInstance(invocation["executionSuccessful"], bool)
        states = {"baselineState" in result for result in run["results"]}
        self.assertLessEqual(len(states), 1, "all results have a state, or none")
        for result in run["results"]:  # 3.27
            self.assertEqual(rules[result["ruleIndex"]]["id"], result["ruleId"])
            self.assertIn(result["level"], ("none", "note", "warning", "error"))
            self.assertTrue(result["message"]["text"])
            self.assertIn(result.get("baselineState", "new"),
                          ("new", "unchanged", "updated", "absent"))
            self.assertGreater(result.get("occurrenceCount", 1), 0)
            for value in result["partialFingerprints"].values():
                self.assertRegex(value, r"\A[0-9a-f]{16}\Z")
            for location in result.get("locations", []):
                for logical in location.get("logicalLocations", []):
                    self.assertTrue(logical["fullyQualifiedName"])
                    self.assertIn(logical["kind"], ("type", "module", "function"))
        for artifact in run["artifacts"]:  # 3.24
            self.assertNotIn(" ", artifact["location"]["uri"])

    def test_sarif_has_every_leak(self):
        run, _ = self.sarif("leaks", self.core)
        self.check_sarif(run)
        leaks = self.json("leaks", self.core)
        results = [result for result in run["results"] if result["ruleId"] == "leak"]
        self.assertEqual([result["properties"]["bytes"] for result in results],
                         [leak["bytes"] for leak in leaks])
        for result, leak in zip(results, leaks):
            self.assertEqual(result["level"], "warning")
            self.assertEqual(result["occurrenceCount"], leak["count"])
        self.assertEqual(run["invocations"][0]["exitCode"], 0)
        artifact, = run["artifacts"]
        self.assertEqual(artifact["length"], os.path.getsize(self.core))

    def test_sarif_of_a_breach(self):
        run, done = self.sarif("analyze", self.later_core, "--baseline", self.core, "--fail-on",
                               "leaked_bytes > 0", "--fail-on", "growth(type) > 10kB",
                               expect=EXIT_BREACHED)
        self.check_sarif(run)
        self.assertEqual(run["invocations"][0]["exitCode"], 1)
        self.assertTrue(run["invocations"][0]["executionSuccessful"])
        rules = [result["ruleId"] for result in run["results"]]
        self.assertEqual(rules.count("gate"), 2)
        self.assertIn("growth", rules)
        self.assertEqual({result["level"] for result in run["results"]}, {"error"})
        self.assertEqual(done.stderr.count("gate breached"), 2)

    def test_fingerprints_outlive_the_process(self):
        """Another run has other addresses."""
        def prints(core):
            run, _ = self.sarif("leaks", core)
            return {tuple(r["partialFingerprints"].values()) for r in run["results"]
                    if any("service::" in logical["name"] for location in r["locations"]
                           for logical in location["logicalLocations"])}
        with Service(support.SERVICE, self.folder, 200, phases=1, stack_bytes=256 * 1024,
                     environment={"MALLOC_ARENA_MAX": "1"}) as service:
            other = service.gcore("other")
        self.assertTrue(prints(self.core))
        self.assertEqual(prints(self.core), prints(other))

    def test_a_dump_that_cannot_be_read(self):
        missing = self.path("missing dump")
        run, _ = self.sarif("analyze", missing, self.core, expect=EXIT_INPUT)
        self.check_sarif(run)
        self.assertFalse(run["invocations"][0]["executionSuccessful"])
        self.assertEqual(run["invocations"][0]["exitCode"], EXIT_INPUT)
        notes = run["invocations"][0]["toolExecutionNotifications"]
        self.assertEqual([note["level"] for note in notes if note["level"] == "error"], ["error"])
        suites = self.junit("analyze", missing, self.core, expect=EXIT_INPUT)
        self.assertEqual([suite.get("errors") for suite in suites], ["1", "0"])

    def test_sarif_and_junit_of_a_diff(self):
        database = self.path("diff.db")
        self.residue("analyze", self.core, self.later_core, "--db", database, "--quiet")
        run, _ = self.sarif("diff", database, "1", "2")
        self.check_sarif(run)
        self.assertEqual({result["baselineState"] for result in run["results"]} - {"new"},
                         {"updated"})
        self.junit("diff", database, "1", "2")
        unchanged, _ = self.sarif("diff", database, "1", "1")
        self.assertEqual(unchanged["results"], [])

    def junit(self, *arguments, **options):
        done = self.residue(*arguments, "--format", "junit", **options)
        root = xml.etree.ElementTree.fromstring(done.stdout)
        self.assertEqual(root.tag, "testsuites")
        for suite in root:
            cases = suite.findall("testcase")
            self.assertEqual(int(suite.get("tests")), len(cases))
            for kind, tag in (("failures", "failure"), ("errors", "error"),
                              ("skipped", "skipped")):
                self.assertEqual(int(suite.get(kind)), len(suite.findall(f"testcase/{tag}")))
        for kind in ("tests", "failures", "errors", "skipped"):
            self.assertEqual(int(root.get(kind)), sum(int(suite.get(kind)) for suite in root))
        return list(root)

    def test_junit_has_a_case_for_each_rule(self):
        suites = self.junit("analyze", self.core, self.later_core, "--db", self.path("junit.db"),
                            "--fail-on", "leaked_bytes > 0", "--fail-on", "corruption > 0",
                            "--fail-on", "growth > 0", expect=EXIT_BREACHED)
        self.assertEqual([suite.get("name") for suite in suites], [self.core, self.later_core])
        names = [case.get("name") for case in suites[0].findall("testcase")]
        self.assertEqual(names, ["leaked_bytes > 0", "corruption > 0", "growth > 0"])
        self.assertEqual([len(case) for case in suites[0].findall("testcase")], [1, 0, 1])
        self.assertIsNotNone(suites[0].find("testcase/skipped"), "growth has no baseline yet")
        self.assertIn("service::Session", suites[0].find("testcase/failure").text)
        self.assertEqual(suites[1].get("failures"), "2")

    def test_junit_without_rules_has_a_case_for_each_check(self):
        suite, = self.junit("leaks", self.core)
        self.assertEqual([case.get("name") for case in suite.findall("testcase")],
                         ["leaks", "corruption", "damage", "heaps verified"])
        self.assertEqual(suite.get("failures"), "1")

    def test_hostile_names_leave_the_documents_whole(self):
        """A database that somebody else wrote may hold any bytes."""
        database = self.path("hostile.db")
        self.residue("analyze", self.core, "--db", database, "--quiet")
        texts = ["<script>&'\"]]>", "\x00\x01\x08\x0b\x1b[31m\x7f", "a\r\nb\tc", "\ufffe\uffff",
                 "\u202e\u0085\u2028", "😀" * 50, "x" * 100000, "{" * 1000, "%s%n", ""]
        with contextlib.closing(sqlite3.connect(database)) as connection:
            for i, text in enumerate(texts):
                connection.execute(
                    "INSERT INTO cluster (snapshot, id, head, count, chunks, bytes, shape, type, "
                    "module, verdict, evidence) VALUES (1, ?, 16, 1, 1, ?, ?, ?, ?, 'leaked', ?)",
                    (1000 + i, 10**9 + i, text, text, text, text))
            connection.execute(
                "INSERT INTO cluster (snapshot, id, head, count, chunks, bytes, shape, type) VALUES "
                "(1, 2000, -1, -1, -1, -1, CAST(x'fffe80c0af' AS TEXT), CAST(x'ff00' AS TEXT))")
            connection.commit()
        run, _ = self.sarif("leaks", database, "--fail-on", "leaked_shapes > 0",
                            expect=EXIT_BREACHED)
        self.assertTrue(run["results"])
        suite, = self.junit("leaks", database, "--fail-on", "leaked_shapes > 0",
                            expect=EXIT_BREACHED)
        self.assertEqual(suite.get("failures"), "1")

    def test_other_commands_refuse(self):
        for format_name in ("sarif", "junit"):
            for arguments in (["info", self.core], ["stacks", self.core], ["symbols", self.core],
                              ["query", self.core, "SELECT 1"], ["explain", self.core, "0x10"]):
                with self.subTest(command=arguments[0], format=format_name):
                    self.refused(*arguments, "--format", format_name, expect=EXIT_USAGE,
                                 names="findings")


if __name__ == "__main__":
    support.main()
