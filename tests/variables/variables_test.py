"""Variables of programs that are built here, as residue and as gdb see them; see README.md."""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "stacks"))
import scene  # noqa: E402

PROGRAMS = os.path.join(HERE, "programs")
OPTIONS = argparse.Namespace(globals_dump="", locals_dump="", big="")


def run_gdb(case, what, files, **job):
    out = case.path("gdb.json")
    environment = dict(os.environ, VARIABLES_JOB=json.dumps({"out": out, "what": what, **job}))
    environment.pop("DEBUGINFOD_URLS", None)
    done = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set auto-load off", "-iex",
                           "set debuginfod enabled off", "-x",
                           os.path.join(HERE, "gdb_variables.py"), *files],
                          stdin=subprocess.DEVNULL, capture_output=True, env=environment,
                          encoding="utf-8", errors="replace", timeout=170, check=False)
    if not os.path.exists(out):
        raise AssertionError(f"gdb gave nothing: {done.stdout[-500:]}{done.stderr[-1500:]}")
    with open(out, encoding="utf-8", errors="surrogateescape") as file:
        rows = json.load(file)
    os.remove(out)
    return rows


def run_dump(*command, text=""):
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8",
                          errors="surrogateescape", timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stderr}")
    return [line.split("\t") for line in done.stdout.splitlines()]


def same_name(ours, row):
    """gdb names a static of a function without the function."""
    theirs = re.sub(r"\[abi:\w+\]", "", row["name"])
    if not row["function"]:
        return ours == theirs or ours.endswith("::" + theirs)
    return ours.endswith("()::" + theirs)


def without_parameters(name):
    """"ns::run(int) const::x" and "ns::run()::x" are both "ns::run::x"."""
    name = re.sub(r"\[abi:\w+\]| \[clone [^\]]*\]", "", name).replace("(anonymous namespace)", "{anon}")
    before = None
    while before != name:
        before, name = name, re.sub(r"\([^()]*\)( const)?", "", name)
    # GCC's debug information has no name for a lambda's class.
    return re.sub(r"\{lambda#\d+\}::", "", name)


class VariablesTestCase(scene.StacksTestCase):
    def build_program(self, compiler, source, *flags):
        out = self.path(os.path.splitext(source)[0] + "".join(flags).replace("/", ""))
        self.run_tool(compiler, "-o", out, os.path.join(PROGRAMS, source), "-pthread", *flags)
        return out


class GlobalsTestCase(VariablesTestCase):
    def check(self, program, alternate=None, at_least=30, functions=True, files=True):
        theirs = collections.defaultdict(list)
        for row in run_gdb(self, "globals", [program], functions=functions):
            if not row["reference"]:
                row["file"] = row["file"] if files else ""
                theirs[row["address"]].append(row)
        self.assertGreaterEqual(len(theirs), at_least, "gdb knows too few variables")
        command = [OPTIONS.globals_dump, "static", program] + ([alternate] if alternate else [])
        ours = run_dump(*command, text="\n".join(f"{a:x}" for a in theirs))
        self.assertEqual(len(ours), len(theirs))
        wrong = []
        for row in ours:
            rows = theirs[int(row[0], 16)]
            if not any(self.agrees(row, one) for one in rows):
                wrong.append(f"  ours {row[1:]}\n  gdb  {rows}")
        self.assertFalse(wrong, f"{len(wrong)} of {len(ours)} variables differ from gdb's in "
                                f"{os.path.basename(program)}:\n" + "\n".join(wrong[:10]))
        self.check_inside(ours, command)

    @staticmethod
    def agrees(ours, row):
        if len(ours) != 7:
            return False
        _, address, size, line, file, kind, name = ours
        return (int(address, 16) == row["address"] and int(size) == row["size"]
                and int(line) == row["line"] and kind == row["type"] and same_name(name, row)
                and (not row["file"] or os.path.normpath(row["file"]).endswith(
                    os.path.normpath(file).lstrip("./"))))

    def check_inside(self, ours, command):
        """The last byte of a variable is its own; the one behind it is not."""
        ends = {int(r[1], 16) + int(r[2]): r for r in ours if int(r[2]) > 1}
        last = run_dump(*command, text="\n".join(f"{end - 1:x}" for end in ends))
        for row, end in zip(last, ends):
            self.assertEqual(row[1:], ends[end][1:])
        for row in run_dump(*command, text="\n".join(f"{end:x}" for end in ends)):
            self.assertTrue(len(row) == 2 or row[0] == row[1], row)

    def check_symbol_names(self, program):
        """Names with their functions, against the demangled symbols of the ELF file."""
        symbols = {}
        for line in self.run_tool("nm", "-C", program).splitlines():
            found = re.match(r"([0-9a-f]+) [bBdDrRuV] (.*::.*)", line)
            # Templates have their return types in the symbol.
            if found and "<" not in found[2] and "guard variable" not in found[2]:
                symbols[int(found[1], 16)] = found[2]
        self.assertGreater(len(symbols), 5)
        ours = run_dump(OPTIONS.globals_dump, "static", program,
                        text="\n".join(f"{a:x}" for a in symbols))
        for row in ours:
            if len(row) == 7:
                self.assertEqual(without_parameters(row[6]),
                                 without_parameters(symbols[int(row[0], 16)]))
        self.assertGreater(sum(len(row) == 7 for row in ours), 5)


class GlobalsGccTest(GlobalsTestCase):
    def test_as_gdb(self):
        for flags in (("-O0",), ("-O2",)):
            program = self.build_program("g++", "globals.cpp", "-g", "-std=c++20", *flags)
            self.check(program, at_least=50)
            self.check_symbol_names(program)


class GlobalsGccVersionsTest(GlobalsTestCase):
    def test_as_gdb(self):
        for version in (2, 3, 4, 5):
            self.check(self.build_program("g++", "globals.cpp", f"-gdwarf-{version}", "-std=c++20"),
                       at_least=50)


class GlobalsClangTest(GlobalsTestCase):
    def test_as_gdb(self):
        for flags in (("-gdwarf-5", "-O0"), ("-gdwarf-4", "-O2")):
            self.check(self.build_program("clang++-19", "globals.cpp", "-std=c++20", *flags),
                       at_least=50)


class GlobalsSplitTest(GlobalsTestCase):
    def test_as_gdb(self):
        for compiler, version in (("g++", 4), ("g++", 5), ("clang++-19", 5)):
            self.check(self.build_program(compiler, "globals.cpp", f"-gdwarf-{version}",
                                          "-gsplit-dwarf", "-std=c++20"), at_least=50)


class GlobalsTypeUnitsTest(GlobalsTestCase):
    def test_as_gdb(self):
        for version in (4, 5):
            self.check(self.build_program("g++", "globals.cpp", f"-gdwarf-{version}",
                                          "-fdebug-types-section", "-std=c++20"), at_least=50)


class GlobalsCTest(GlobalsTestCase):
    def test_as_gdb(self):
        for compiler in ("gcc", "clang-19"):
            for flags in (("-gdwarf-3", "-O0"), ("-gdwarf-5", "-O2")):
                self.check(self.build_program(compiler, "globals.c", *flags))

    def test_32_bit(self):
        self.check(self.build_program("i686-linux-gnu-gcc", "globals.c", "-g"))


class GlobalsDwzTest(GlobalsTestCase):
    tools = ("gdb", "dwz")

    def test_as_gdb(self):
        programs = [self.build_program("g++", "globals.cpp", "-g", "-std=c++20", flag)
                    for flag in ("-O0", "-O1")]
        self.run_tool("dwz", "-m", "common.debug", *map(os.path.basename, programs))
        for program in programs:
            # gdb 13 looks up the file of what dwz moved in the table of the unit that it came from.
            self.check(program, alternate=self.path("common.debug"), at_least=50, files=False)


class GlobalsBigTest(GlobalsTestCase):
    def test_as_gdb(self):
        self.check(OPTIONS.big, functions=False)

    def test_names_of_statics(self):
        self.check_symbol_names(OPTIONS.big)


class ThreadLocalTest(GlobalsTestCase):
    def test_offsets(self):
        for flags in (("-gdwarf-5",), ("-gdwarf-4",)):
            program = self.build_program("g++", "globals.cpp", "-std=c++20", *flags)
            symbols = self.run_tool("readelf", "-sW", program)
            offsets = {name: int(value, 16) for value, name in
                       re.findall(r": ([0-9a-f]+) +\d+ TLS +\w+ +\w+ +\d+ (\w+)", symbols)}
            self.assertEqual(set(offsets), {"tl", "_ZL4tls2"})
            ours = run_dump(OPTIONS.globals_dump, "tls", program,
                            text="\n".join(f"{a:x}" for a in offsets.values()))
            names = {row[6]: (int(row[1], 16), row[5]) for row in ours}
            self.assertEqual(names, {"tl": (offsets["tl"], "int"),
                                     "tls2": (offsets["_ZL4tls2"], "Session")})


class LocalsTestCase(VariablesTestCase):
    def check(self, program, threads, at_least):
        core = self.gcore(program, ready=scene.asleep(threads))
        theirs = run_gdb(self, "locals", [program, "-c", core])
        self.assertGreaterEqual(len(theirs), at_least, "gdb knows too few variables")
        frames = {(row["tid"], row["frame"]) for row in theirs}
        ours = collections.defaultdict(list)
        for row in run_dump(OPTIONS.locals_dump, core, program):
            if (int(row[0]), int(row[1])) in frames:
                ours[int(row[0]), int(row[1]), row[6], int(row[4])].append(row)
        wrong = []
        for row in theirs:
            found = ours[row["tid"], row["frame"], row["name"], row["line"]]
            match = next((one for one in found if self.agrees(one, row)), None)
            if match is None:
                wrong.append(f"  ours {found}\n  gdb  {row}")
        known = {(r["tid"], r["frame"], r["name"], r["line"]) for r in theirs}
        wrong += [f"  gdb has none of {rows}" for key, rows in ours.items() if key not in known]
        self.assertFalse(wrong, f"{len(wrong)} of {len(theirs)} variables differ from gdb's in "
                                f"{os.path.basename(program)}:\n" + "\n".join(wrong[:10]))

    @staticmethod
    def agrees(ours, row):
        kind, place = ours[9], row["place"]
        if ours[7] != row["type"] or (ours[5] == "arg") != row["argument"]:
            return False
        if int(ours[8]) != row["size"]:
            return False
        # gdb shows a variable twice where a function was split: once as it is, once as nothing.
        if place[0] == "none" or kind == "none":
            return place[0] in ("none", "error") or row["name"] in UNKNOWN_CALLERS
        if place[0] == "reference":
            return kind in ("memory", "value")
        if place[0] == "compound":
            return kind in ("value", "implicit", "pieces")
        # A pointer to what is only described, gdb shows as 0, or refuses.
        if kind == "pointer":
            return place[0] == "error" or place[1] == 0
        return kind == place[0] and int(ours[10], 16) == place[1]


# main() was called from another module, whose call sites gdb reads too.
UNKNOWN_CALLERS = ("argc", "argv")


class LocalsGccTest(LocalsTestCase):
    def test_unoptimised(self):
        self.check(self.build_program("g++", "locals.cpp", "-g", "-O0", "-std=c++20"), 2, 70)

    def test_optimised(self):
        for version in (2, 3, 4, 5):
            self.check(self.build_program("g++", "locals.cpp", f"-gdwarf-{version}", "-O2",
                                          "-std=c++20"), 2, 60)


class LocalsClangTest(LocalsTestCase):
    def test_unoptimised(self):
        self.check(self.build_program("clang++-19", "locals.cpp", "-g", "-O0", "-std=c++20"), 2, 70)

    def test_optimised(self):
        self.check(self.build_program("clang++-19", "locals.cpp", "-g", "-O2", "-std=c++20"), 2, 60)


class LocalsSplitTest(LocalsTestCase):
    def test_as_gdb(self):
        for version in (4, 5):
            self.check(self.build_program("g++", "locals.cpp", f"-gdwarf-{version}",
                                          "-gsplit-dwarf", "-O2", "-std=c++20"), 2, 60)


class LocalsCTest(LocalsTestCase):
    def test_as_gdb(self):
        for level in ("-O0", "-O2"):
            self.check(self.build_program("gcc", "locals.c", "-g", level), 1, 30)


class ComparisonTest(unittest.TestCase):
    def test_every_difference_is_found(self):
        row = {"address": 16, "size": 4, "line": 3, "file": "a.c", "type": "int", "name": "x",
               "function": "", "reference": False}
        good = ["10", "10", "4", "3", "a.c", "int", "x"]
        self.assertTrue(GlobalsTestCase.agrees(good, row))
        for i in range(1, 7):
            bad = list(good)
            bad[i] = "7"
            self.assertFalse(GlobalsTestCase.agrees(bad, row), i)
        self.assertFalse(GlobalsTestCase.agrees(["10", "-"], row))
        local = {"name": "x", "type": "int", "size": 4, "argument": False, "place": ["memory", 256]}
        ours = ["1", "0", "0x1", "f", "3", "var", "x", "int", "4", "memory", "0x100"]
        self.assertTrue(LocalsTestCase.agrees(ours, local))
        for i, planted in ((5, "arg"), (7, "long"), (8, "8"), (9, "value"), (9, "none"),
                           (10, "0x101")):
            bad = list(ours)
            bad[i] = planted
            self.assertFalse(LocalsTestCase.agrees(bad, local), planted)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--globals-dump", required=True)
    parser.add_argument("--locals-dump", required=True)
    parser.add_argument("--big", required=True, help="a large program with debug information")
    parser.add_argument("--keep", default="", help="leave programs and cores in this folder")
    parser.add_argument("tests", nargs="*", metavar="CLASS[.METHOD]")
    parser.parse_args(namespace=OPTIONS)
    scene.OPTIONS.keep = OPTIONS.keep
    for tool in ("globals_dump", "locals_dump", "big"):
        setattr(OPTIONS, tool, os.path.abspath(getattr(OPTIONS, tool)))
    outcome = unittest.main(module="__main__", argv=[sys.argv[0], *OPTIONS.tests], verbosity=2,
                            exit=False).result
    if not outcome.wasSuccessful():
        sys.exit(1)
    if outcome.skipped and len(outcome.skipped) >= max(1, outcome.testsRun):
        sys.exit(scene.EXIT_SKIPPED)
    sys.exit(0 if outcome.testsRun > 0 else 1)


if __name__ == "__main__":
    main()
