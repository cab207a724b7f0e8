#!/usr/bin/env python3
"""residue trend and the table `trend`: of a service that grows by known steps, and against Python's
own statistics."""
import contextlib
import itertools
import json
import os
import random
import re
import sqlite3
import statistics
import sys
from datetime import datetime, timedelta, timezone

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import support  # noqa: E402
from service import Service, need_program  # noqa: E402
from small_core import SmallCoreTest  # noqa: E402
from support import EXIT_INPUT, EXIT_USAGE  # noqa: E402

START = datetime(2024, 2, 28, 22, 0, tzinfo=timezone.utc)  # a leap day is on the way
UTF8 = {"LC_ALL": "C.UTF-8"}
ASCII = {"LC_ALL": "C"}


def iso(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class GrowingServiceTest(support.TestCase):
    """Six cores of one service, ten minutes apart by their files' times."""

    REQUESTS = 400
    PHASES = 6
    MINUTES = 10

    @classmethod
    def setUpClass(cls):
        need_program("gcore")
        super().setUpClass()
        cls.database = os.path.join(cls.folder, "service.db")
        cls.truths = []
        with Service(support.SERVICE, cls.folder, cls.REQUESTS, phases=cls.PHASES,
                     stack_bytes=256 * 1024, environment={"MALLOC_ARENA_MAX": "1"}) as service:
            cls.pid = service.pid
            for phase in range(cls.PHASES):
                if phase > 0:
                    service.next_phase()
                cls.truths.append(service.truth)
                core = service.gcore(f"phase{phase}")
                when = (START + timedelta(minutes=cls.MINUTES * phase)).timestamp()
                os.utime(core, (when, when))
                done = support.run_residue("analyze", core, "--db", cls.database, "--quiet")
                assert done.returncode == 0, done.stderr

    def row(self, dimension, key, measure):
        rows = self.query(self.database, f"SELECT * FROM trend WHERE dimension = '{dimension}' AND "
                                         f"key = '{key}' AND measure = '{measure}'")
        self.assertEqual(len(rows), 1)
        return rows[0]

    def test_leaked_objects_per_step(self):
        for key, name in (("service::Session", "leak.session.objects"),
                          ("telemetry::Span", "leak.span.objects"),
                          ("service::Publisher", "leak.cycle.objects")):
            with self.subTest(key=key):
                row = self.row("type", key, "leaked_count")
                counts = [truth[name] for truth in self.truths]
                self.assertEqual(json.loads(row["series"]), counts)
                steps = {b - a for a, b in itertools.pairwise(counts)}
                self.assertEqual(len(steps), 1, "the service leaks evenly")
                per_hour = steps.pop() * 60 / self.MINUTES
                self.assertAlmostEqual(float(row["slope"]), per_hour, places=6)
                self.assertAlmostEqual(float(row["slope_least_squares"]), per_hour, places=6)
                self.assertAlmostEqual(float(row["r2"]), 1, places=9)
                self.assertEqual((row["unit"], row["verdict"], row["monotonic"], row["warm_up"]),
                                 ("per hour", "growing", "1", "0"))

    def test_all_leaks_per_step(self):
        row = self.row("total", "leaked", "leaked_count")
        self.assertEqual(json.loads(row["series"]),
                         [truth["leak.total.chunks"] for truth in self.truths])

    def test_what_stays_is_not_growing(self):
        rows = self.query(self.database, "SELECT key, verdict FROM trend WHERE dimension = 'owner'")
        verdicts = {row["key"]: row["verdict"] for row in rows}
        self.assertEqual(verdicts["service::response_cache"], "growing")
        for key in ("service::active_sessions", "service::geo_table", "service::dma_window"):
            self.assertEqual(verdicts[key], "flat", key)

    def test_the_command_shows_it(self):
        done = self.residue("trend", self.database, "--by", "type", "--measure", "leaked_bytes",
                            env={**os.environ, **UTF8})
        first = done.stdout.splitlines()[0]
        self.assertRegex(first, rf"^leaky_service, pid {self.pid}\b.*: 6 snapshots from "
                                rf"{iso(START)} to {iso(START + timedelta(minutes=50))}$")
        lines = [line for line in done.stdout.splitlines() if line.endswith("service::Session")]
        # 88 bytes each, a quarter of the requests, six steps an hour.
        rate = 88 * self.REQUESTS / 4 * 6
        self.assertEqual(len(lines), 1, done.stdout)
        self.assertRegex(lines[0], rf"^▁▂▄▅▇█ +\+{rate / 1000:.1f} kB/h +1\.00 +8\.8 kB -> +"
                                   r"52\.8 kB +growing \(likely\) ")


class TrendDatabase(SmallCoreTest):
    """Databases whose usage is written here, not by residue."""

    def made(self, name, snapshots):
        """snapshots: (process, pid, executable, taken_at, {(dimension, key): value})."""
        path = self.new_database(name)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema "
                                                           "WHERE type = 'table'")}
            split = "usage_row" in tables
            for table in tables - {"sqlite_sequence"}:
                connection.execute(f'DELETE FROM "{table}"')
            numbers = {}
            for number, (process, pid, executable, taken_at, usage) in enumerate(snapshots, 1):
                connection.execute(
                    "INSERT INTO snapshot (id, process, pid, executable, taken_at, chunk_count) "
                    "VALUES (?, ?, ?, ?, ?, 0)", (number, process, pid, executable, taken_at))
                for key, value in usage.items():
                    if not split:
                        connection.execute("INSERT INTO usage VALUES (?, ?, ?, 1, ?, 0, 0)",
                                           (number, *key, value))
                        continue
                    if key not in numbers:
                        numbers[key] = len(numbers) + 1
                        connection.execute("INSERT INTO usage_key (id, dimension, key) VALUES "
                                           "(?, ?, ?)", (numbers[key], *key))
                    connection.execute(
                        "INSERT INTO usage_row (snapshot, key, used_count, used_bytes, "
                        "leaked_count, leaked_bytes) VALUES (?, ?, 1, ?, 0, 0)",
                        (number, numbers[key], value))
            connection.commit()
        return path


class StatisticsTest(TrendDatabase):
    """Slopes and fits of random series are those that Python's statistics finds."""

    def check(self, name, times, count):
        generator = random.Random(name)
        series = {}
        for i in range(count):
            # Straight lines in noise, so that nothing is taken for a warm-up.
            start, slope = generator.randrange(10**9), generator.randrange(10**6)
            noise = generator.choice((0, 10**3, 10**5))
            series[f"key {i}"] = [start + slope * j + round(generator.gauss(0, noise))
                                  for j in range(len(times))]
        database = self.made(f"{name}.db", [
            ("p", 1, "/bin/program", iso(when),
             {("type", key): values[j] for key, values in series.items()})
            for j, when in enumerate(times)])
        hours = [(when - times[0]) / timedelta(hours=1) for when in times]
        rows = self.query(database, "SELECT * FROM trend")
        self.assertEqual(len(rows), count)
        checked = 0
        for row in rows:
            values = series[row["key"]]
            self.assertEqual(json.loads(row["series"]), values)
            ups = sum(b > a for a, b in itertools.pairwise(values))
            downs = sum(b < a for a, b in itertools.pairwise(values))
            self.assertEqual(int(row["monotonic"]), int(downs == 0 and ups > 0))
            self.assertAlmostEqual(float(row["steps_up"]), ups / (len(values) - 1))
            self.assertEqual((int(row["lowest"]), int(row["highest"])), (min(values), max(values)))
            left_out = int(row["warm_up"])
            at, rest = hours[left_out:], values[left_out:]
            line = statistics.linear_regression(at, rest)
            self.assertClose(row["slope_least_squares"], line.slope)
            self.assertClose(row["r2"], statistics.correlation(at, rest) ** 2)
            slopes = [(rest[j] - rest[i]) / (at[j] - at[i])
                      for i, j in itertools.combinations(range(len(at)), 2)]
            self.assertClose(row["slope"], statistics.median(slopes))
            checked += left_out == 0
        self.assertGreater(checked, count * 0.8, "too many lines were taken for warm-ups")

    def assertClose(self, found, expected):
        self.assertLess(abs(float(found) - expected), 1e-6 * abs(expected) + 1e-6)

    def test_even_times(self):
        self.check("even", [START + timedelta(hours=i) for i in range(24)], 40)

    def test_uneven_times(self):
        generator = random.Random(7)
        times = itertools.accumulate((generator.randrange(1, 90000) for _ in range(40)),
                                     lambda when, s: when + timedelta(seconds=s), initial=START)
        self.check("uneven", list(times), 40)

    def test_three_snapshots(self):
        self.check("three", [START + timedelta(minutes=7 * i) for i in range(3)], 20)


class TrendCommandTest(TrendDatabase):
    """What `residue trend` shows, of which processes, in which order."""

    HOURS = 10

    def several(self):
        def snapshots(process, pid, executable, count, usage):
            return [(process, pid, executable, iso(START + timedelta(hours=i)), usage(i))
                    for i in range(count)]

        warm = [0, 60, 90, 100, 100, 100, 100, 100, 100, 100]
        return self.made(f"{self.id().rpartition('.')[2]}.db", [
            *snapshots("aa", 1, "/bin/slow", self.HOURS, lambda i: {
                ("heap", "main"): 1000 + i, ("type", "Same"): 1000, ("type", "Little"): 10 + i}),
            *snapshots("bb", 2, "/bin/quick", self.HOURS, lambda i: {
                ("heap", "main"): 1000 + 1000000 * i, ("type", "Leak"): 5000000 + 1000000 * i,
                ("type", "Warm"): 1000 * warm[i], ("type", "Same"): 1000,
                ("type", "Jitter"): 9000000 + 2000000 * i + (-5000000 if i == 5 else 0)}),
            *snapshots("cc", 3, "/bin/rare", 2, lambda i: {("type", "Leak"): i}),
            ("dd", 4, "/bin/quick", iso(START + timedelta(hours=20)), {("type", "Leak"): 7}),
            ("ee", 5, "/bin/quick", iso(START + timedelta(hours=40)), {("type", "Leak"): 9}),
        ])

    def trend(self, *arguments, environment=UTF8):
        return self.residue("trend", *arguments, env={**os.environ, **environment}).stdout

    def test_sections(self):
        text = self.trend(self.several())
        headings = re.findall(r"^(\w+), pid (\d+), process (\w+): (\d+) snapshots", text, re.M)
        self.assertEqual(headings, [("quick", "2", "bb", "10"), ("slow", "1", "aa", "10")])
        self.assertIn("Skipped, with fewer than 3 snapshots: rare, pid 3 (2); quick, pid 4 (1); "
                      "quick, pid 5 (1)\n", text)

    def test_monotonic_growth_comes_first(self):
        text = self.trend(self.several(), "--process", "bb", "--by", "type")
        lines = text.splitlines()[5:]
        self.assertEqual([line.split()[-1] for line in lines[:3]], ["Leak", "Jitter", "Warm"], text)
        self.assertRegex(lines[0], r"\+1\.0 MB/h +1\.00 +5\.0 MB -> +14\.0 MB +growing \(strong\)")
        self.assertRegex(lines[2], r"^▁▅█┊███████ +0 B/h +0 B -> +100 kB + warm-up \(likely\), warm-up 3 +Warm$")
        self.assertEqual(lines[3], "(1 flat)")

    def test_without_utf8(self):
        text = self.trend(self.several(), "--process", "2", "--by", "type", environment=ASCII)
        self.assertRegex(text, r"(?m)^_=#\|####### ")
        self.assertTrue(text.isascii(), text)

    def test_limit(self):
        text = self.trend(self.several(), "--process", "bb", "--by", "type", "--limit", "1")
        self.assertIn("\n(2 more, 1 flat)\n", text)

    def test_runs_of_an_executable(self):
        database = self.several()
        text = self.trend(database, "--executable", "quick")
        self.assertRegex(text, r"\Aquick: 3 runs from 2024-02-29T07:00:00Z to 2024-03-01T14:00:00Z")
        rows = self.json("trend", database, "--executable", "/bin/quick")
        series = {row["key"]: row["series"] for row in rows}
        self.assertEqual(series["Leak"], "[14000000,7,9]")

    def test_formats_have_the_rows_of_the_table(self):
        database = self.several()
        rows = self.json("trend", database, "--process", "bb", "--by", "type")
        self.assertEqual({row["key"] for row in rows}, {"Leak", "Warm", "Same", "Jitter"})
        self.assertEqual(rows[0]["slope"], 1e6)
        stored = self.query(database, "SELECT * FROM trend WHERE process = 'bb' AND key = 'Leak'")
        csv_rows = support.rows_of_csv(self.trend(database, "--process", "bb", "--by", "type",
                                                  "--format", "csv"))
        self.assertEqual(csv_rows[0], stored[0])
        # Keys of aa, bb and cc; two of them have heaps and so a total.
        self.assertEqual(len(self.json("trend", database, "--measure", "leaked_count")),
                         3 + 5 + 1 + 2)

    def test_equal_times(self):
        database = self.made("equal.db", [
            ("p", 1, "/bin/program", iso(START), {("type", "Leak"): 100 * i}) for i in range(5)])
        text = self.trend(database)
        self.assertIn("slopes are per snapshot", text)
        self.assertIn("+100 B/snapshot", text)

    def test_what_is_refused(self):
        database = self.several()
        for arguments, names in ((("--measure", "weight"), "unknown measure 'weight'"),
                                 (("--process", "zz"), "no snapshot of 'zz'"),
                                 (("--executable", "none"), "no snapshot of 'none'"),
                                 (("--by", "colour"), "'colour'"),
                                 (("--process", "bb", "--executable", "quick"), "exclude")):
            with self.subTest(arguments=arguments):
                self.refused("trend", database, *arguments, expect=EXIT_USAGE, names=names)
        self.refused("trend", self.path("missing.db"), expect=EXIT_INPUT, names="missing.db")
        self.refused("trend", self.core, expect=EXIT_INPUT, names=os.path.basename(self.core))


if __name__ == "__main__":
    support.main()
