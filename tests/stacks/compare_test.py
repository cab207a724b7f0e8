"""Tests of the comparison itself: equal stacks agree, and every planted difference is found."""
import copy
import unittest

import compare
import names


def frame(level, function, kind="normal", **fields):
    values = {"level": level, "kind": kind, "pc": 0x401000 + 16 * level, "sp": 0x7ffd00 + level,
              "function": function, "symbol": False, "file": "/src/a.cpp", "line": 10 + level,
              "module": "/usr/bin/program", "offset": 4 if kind == "normal" else None}
    values.update(fields)
    return values


def two_threads():
    crashed = [
        frame(0, "raise", symbol=True, file=None, line=None, module="/lib/libc.so.6"),
        frame(1, "ns::inner<int>", "inline", pc=0x401020, sp=0x7ffd02),
        frame(2, "ns::outer", pc=0x401020, sp=0x7ffd02),
        frame(3, "tail", "tailcall"),
        frame(4, "__restore_rt", "sigtramp", file=None, line=None),
        frame(5, "void ns::f<int>(int, char) [clone .cold]", symbol=True, file=None, line=None),
        frame(6, None, symbol=True, file=None, line=None),
    ]
    other = [frame(0, "poll"), frame(1, "main")]
    return {"threads": [
        {"tid": 7, "count": len(crashed), "stop": "outermost", "frames": crashed},
        {"tid": 8, "count": len(other), "stop": "outermost", "frames": other}], "objfiles": []}


class AgreementTest(unittest.TestCase):
    def setUp(self):
        self.gdb = two_threads()
        self.rows = compare.rows_like(self.gdb, crashed=True)

    def report(self, policy=compare.Policy(), crashed=True):
        return compare.compare(self.gdb, self.rows, policy, crashed)

    def assert_found(self, *words, **options):
        report = "\n".join(self.report(**options))
        for word in words:
            self.assertIn(word, report)

    def test_equal_stacks_agree(self):
        self.assertEqual(self.report(), [])

    def test_every_planted_value_is_found(self):
        planted = {"pc": "0x1", "sp": "0x1", "function": "wrong", "module": "wrong.so",
                   "file": "/src/wrong.cpp", "line": 999, "inlined": 1, "trust": "call_site",
                   "offset": 99}
        clean = copy.deepcopy(self.rows)
        for position in range(len(clean)):
            for column, value in planted.items():
                row = clean[position]
                if row[column] == value or row[column] is None and column == "offset":
                    continue
                if column == "sp" and row["trust"] == "call_site":
                    continue  # such a frame has no stack of its own
                self.rows = copy.deepcopy(clean)
                self.rows[position][column] = value
                with self.subTest(position=position, column=column):
                    self.assertTrue(self.report(), f"{column} of {position} may be anything")

    def test_a_missing_frame_is_found(self):
        for position in range(7):
            rows = compare.rows_like(self.gdb, crashed=True)
            del rows[position]
            for depth, row in enumerate(rows[:6]):
                row["depth"] = depth
            self.rows = rows
            # Without the physical frame its inlined frame is left with another's pc.
            found = ("not that of the frame inlined into it" if position == 2
                     else "7 frames (outermost), residue has 6")
            with self.subTest(position=position):
                self.assert_found(found)

    def test_a_frame_too_many_is_found(self):
        self.rows.insert(7, dict(self.rows[6], depth=7))
        self.assert_found("gdb has 7 frames", "residue has 8", "only one has this frame")

    def test_threads_must_be_the_same_in_the_same_order(self):
        self.rows = self.rows[7:] + self.rows[:7]
        self.assert_found("gdb has the threads [7, 8], residue [8, 7]")
        self.rows = compare.rows_like(self.gdb, crashed=True)[:7]
        self.assert_found("residue [7]", "1 of 2 threads differ")
        self.rows = []
        self.assert_found("residue []")

    def test_the_crashed_thread_must_be_marked(self):
        self.assert_found("marked as crashed: [7]", crashed=False)
        for row in self.rows:
            row["crashed"] = int(row["tid"] == 8)
        self.assert_found("marked as crashed: [8]")

    def test_both_sides_are_shown(self):
        self.rows[2]["function"] = "ns::wrong"
        self.assert_found("#2 function: gdb ns::outer, residue ns::wrong", "gdb ", "| residue",
                          "!    2 0x401020 ns::outer a.cpp:12")

    def test_rows_that_break_the_contract_are_refused(self):
        def without_trust(rows):
            del rows[0]["trust"]

        def line_as_text(rows):
            rows[1]["line"] = "11"

        def gap(rows):
            rows[1]["depth"] = 5

        def new_trust(rows):
            rows[1]["trust"] = "guess"

        def apart(rows):
            rows[1]["pc"] = "0x7"

        for plant in (without_trust, line_as_text, gap, new_trust, apart):
            self.rows = compare.rows_like(self.gdb, crashed=True)
            plant(self.rows)
            with self.subTest(plant=plant.__name__):
                self.assert_found("not as promised")

    def test_only_pcs_when_there_are_no_files(self):
        for row in self.rows:
            row.update(function=None, file=None, line=None, offset=None)
        self.rows = [row for row in self.rows if not row["inlined"]
                     and row["trust"] != "call_site"]
        for depth, row in enumerate(row for row in self.rows if row["tid"] == 7):
            row["depth"] = depth
        pcs_only = compare.Policy(names=False)
        self.assertEqual(self.report(pcs_only), [])
        self.rows[3]["pc"] = "0x5"
        self.assert_found("pc: gdb", policy=pcs_only)

    def test_the_ends_of_a_deep_stack(self):
        deep = [frame(level, f"f{level}") for level in range(100)]
        full = {"threads": [{"tid": 7, "count": 100, "stop": "outermost", "frames": deep}],
                "objfiles": []}
        self.rows = compare.rows_like(full, crashed=True)
        self.gdb = copy.deepcopy(full)
        self.gdb["threads"][0]["frames"] = deep[:10] + deep[-10:]
        ends = compare.Policy(edge=10)
        self.assertEqual(self.report(ends), [])
        self.rows[95]["function"] = "wrong"
        self.assert_found("gdb f95, residue wrong", policy=ends)
        self.rows = compare.rows_like(full, crashed=True)[:99]
        self.assert_found("residue has 99", policy=ends)

    def test_no_comparison_is_no_agreement(self):
        self.assert_found("no thread was compared",
                          policy=compare.Policy(only=lambda thread: False))

    def test_frames_in_code_with_rules_are_certain_and_one_more(self):
        frames = self.gdb["threads"][0]["frames"]
        without = set()

        def covered(_, pc):
            return pc not in without

        self.assertEqual(compare.certain_frames(frames, covered), 7)
        without.add(frames[0]["pc"])
        self.assertEqual(compare.certain_frames(frames, covered), 1)
        # After a call the byte before counts: the call may be a function's last instruction.
        without.add(frames[3]["pc"])
        without.remove(frames[0]["pc"])
        self.assertEqual(compare.certain_frames(frames, covered), 7)
        without.add(frames[3]["pc"] - 1)
        self.assertEqual(compare.certain_frames(frames, covered), 4)
        # Except where a signal interrupted it.
        without.clear()
        without.add(frames[5]["pc"] - 1)
        self.assertEqual(compare.certain_frames(frames, covered), 7)
        without.add(frames[5]["pc"])
        self.assertEqual(compare.certain_frames(frames, covered), 6)

    def test_beyond_the_certain_frames_nothing_is_compared(self):
        self.gdb["threads"][0]["frames"][4].update(kind="normal", module=None)
        self.gdb["text"] = {}
        self.rows = compare.rows_like(self.gdb, crashed=True)
        self.rows[5]["pc"] = "0x123"
        self.assert_found("#5 pc")
        self.assertEqual(self.report(compare.Policy(until_guess=True)), [])
        self.rows[4]["pc"] = "0x123"
        self.assert_found("#4 pc", policy=compare.Policy(until_guess=True))


class NamesTest(unittest.TestCase):
    def test_parameters_and_return_types_are_no_part_of_a_name(self):
        for printed, name in {
                "ns::f<int>(int, char) const": "ns::f<int>",
                "void ns::f<int>(int, void (*)(char))": "ns::f<int>",
                "std::pair<int, int> ns::g<std::pair<int, int> >(int)":
                    "ns::g<std::pair<int, int>>",
                "(anonymous namespace)::f(int)": "(anonymous namespace)::f",
                "ns::(anonymous namespace)::T::T()": "ns::(anonymous namespace)::T::T",
                "main::{lambda()#1}::operator()() const": "main::{lambda()#1}::operator()",
                "f(int)::{lambda(auto:1)#1}::operator()<int>(int) const":
                    "f(int)::{lambda(auto:1)#1}::operator()<int>",
                "operator new(unsigned long)": "operator new",
                "ns::T::operator bool() const": "ns::T::operator bool",
                "ns::T::operator<(ns::T const&) const": "ns::T::operator<",
                "std::ostream& operator<< <char>(std::ostream&, char)": "operator<< <char>",
                "ns::T::operator->() const": "ns::T::operator->",
                "std::function<void (int)>::operator()(int) const":
                    "std::function<void (int)>::operator()",
                "foo(int) [clone .constprop.0] [clone .cold]": "foo",
                "std::terminate()": "std::terminate",
                "memcpy": "memcpy",
        }.items():
            with self.subTest(printed=printed):
                self.assertEqual(names.comparable(printed, True), name)

    def test_names_with_debug_information_stay(self):
        for name in ("operator()", "ns::f()::<lambda()>", "ns::f<void (int)>", "_start",
                     "(anonymous namespace)::f", "operator new", "ns::T::operator unsigned long"):
            self.assertEqual(names.comparable(name, False), name)

    def test_a_lambda_whose_scope_gdb_leaves_out(self):
        gdb = frame(0, "operator()")
        self.assertTrue(compare.names_agree(gdb, "ns::f()::<lambda()>::operator()"))
        self.assertFalse(compare.names_agree(gdb, "ns::f"))

    def test_a_signal_trampoline_has_two_names(self):
        gdb = frame(0, "__restore_rt", "sigtramp")
        self.assertTrue(compare.names_agree(gdb, "<signal handler called>"))
        self.assertTrue(compare.names_agree(gdb, "__restore_rt"))
        self.assertFalse(compare.names_agree(gdb, "main"))
        self.assertFalse(compare.names_agree(gdb, None))


if __name__ == "__main__":
    unittest.main(verbosity=2)
