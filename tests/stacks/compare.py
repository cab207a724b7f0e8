"""Compares residue's frames with gdb's, and says where they differ.

What may differ is listed in README.md and is decided in names_agree() and Policy, nowhere else.
"""
import bisect
import dataclasses
import os
import re
import subprocess

import names

TRUSTS = {"context", "cfi", "call_site", "frame_pointer", "scan"}
COLUMNS = {"tid": int, "thread": (str, type(None)), "crashed": int, "depth": int, "pc": str,
           "sp": (str, type(None)), "module": (str, type(None)), "function": (str, type(None)),
           "file": (str, type(None)), "line": (int, type(None)), "inlined": int, "trust": str,
           "offset": (int, type(None))}
CONTEXT_ROWS = 5    # shown before and after the first difference of a thread
SHOWN_THREADS = 3   # of those that differ


@dataclasses.dataclass
class Policy:
    """What of a stack is compared; the default is everything."""
    names: bool = True       # functions, files, lines, inlined frames; else physical pcs alone
    lines: bool = True
    edge: int = 0            # only this many frames at each end (and the count)
    modules: bool = True     # false: the program's file was renamed since the core was made
    trust: bool = True       # frames inferred from tail calls are marked so
    # gdb unwinds code without call frame information by reading its prologues, which is as much
    # a guess as ours. True: compare up to the first frame of gdb's in such code, and that one.
    until_guess: bool = False
    only: object = None      # a predicate on gdb's thread


class CallFrameInformation:
    """Which addresses have rules for unwinding, by readelf's listing of the files gdb read."""

    HEADER = re.compile(r"FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)")
    TEXT = re.compile(r"\s\.text\s+PROGBITS\s+([0-9a-f]+)")

    def __init__(self, text):
        self.text = text
        self.tables = {}

    @staticmethod
    def _readelf(option, file):
        return subprocess.run(["readelf", *option, file], capture_output=True, encoding="utf-8",
                              errors="replace", check=False).stdout

    def covers(self, file, pc):
        """Whether the code at `pc` (of a call: the byte before) can be unwound by rules."""
        if file is None or file not in self.text:
            return file is not None  # the vdso is no file; it has rules
        if file not in self.tables:
            start = self.TEXT.search(self._readelf(["-SW"], file))
            listing = self._readelf(["-W", "--debug-dump=frames"], file)
            ranges = [(int(low, 16), int(high, 16)) for low, high in self.HEADER.findall(listing)]
            self.tables[file] = self.text[file] - int(start[1], 16), sorted(ranges)
        bias, ranges = self.tables[file]
        position = bisect.bisect_right(ranges, (pc - bias, 1 << 64)) - 1
        return position >= 0 and ranges[position][0] <= pc - bias < ranges[position][1]


class Aliases:
    """Names of one address, by the symbol tables of the files that gdb read.

    Where two symbols have one address, which of them gdb shows depends on the order of its own
    memory; either name is right.
    """

    def __init__(self, files):
        self.files = files
        self.tables = {}

    def _table(self, file):
        if file not in self.tables:
            addresses, table = {}, {}
            for option in ([], ["-D"]):
                done = subprocess.run(["nm", "-C", "--without-symbol-versions", *option, file],
                                      capture_output=True, encoding="utf-8", errors="replace",
                                      check=False)
                for line in done.stdout.splitlines():
                    fields = line.split(" ", 2)
                    if len(fields) == 3 and fields[0]:
                        name = names.comparable(fields[2], True)
                        addresses.setdefault(fields[0], set()).add(name)
                        table.setdefault(name, set()).add(fields[0])
            self.tables[file] = addresses, table
        return self.tables[file]

    def same(self, one, other):
        for file in self.files:
            _, table = self._table(file)
            if table.get(one, set()) & table.get(other, set()):
                return True
        return False


NO_ALIASES = Aliases([])


def names_agree(gdb_frame, residue_name, aliases=NO_ALIASES):
    name = gdb_frame["function"]
    if gdb_frame["kind"] == "sigtramp":
        # gdb's Python has the symbol's name, its backtrace prints words instead.
        return residue_name in (name, "<signal handler called>")
    # gdb makes up names for the entries of procedure linkage tables; residue does not yet.
    if residue_name is None and name is not None and name.endswith("@plt"):
        return True
    wanted = names.comparable(name, gdb_frame["symbol"])
    if wanted is None or residue_name is None:
        return wanted is residue_name
    got = names.tight(names.without_clone(residue_name))
    if got == wanted:
        return True
    if wanted == "operator()" and got.endswith("::operator()"):
        return True  # gdb leaves out the scope of some lambdas
    if gdb_frame["symbol"] and names.without_number(got) == wanted:
        return True
    return gdb_frame["symbol"] and aliases.same(wanted, got)


def modules_agree(gdb_module, residue_module):
    """Base names; the dump has the file's own name where the linker's map has a link's."""
    if gdb_module is None or "system-supplied DSO" in gdb_module:
        return True
    return residue_module in (os.path.basename(gdb_module),
                              os.path.basename(os.path.realpath(gdb_module)))


def base(path):
    return os.path.basename(path) if path else None


def frame_differences(gdb_frame, row, policy, aliases):
    """In words, the fields of one frame that differ."""
    found = []

    def check(what, agree, gdb_value, residue_value):
        if not agree:
            found.append(f"{what}: gdb {gdb_value}, residue {residue_value}")

    pc, kind = gdb_frame["pc"], gdb_frame["kind"]
    check("pc", int(row["pc"], 16) == pc, hex(pc), row["pc"])
    # A frame that a tail call replaced has no stack of its own.
    if gdb_frame["sp"] is not None and row["sp"] is not None and kind != "tailcall":
        check("sp", int(row["sp"], 16) == gdb_frame["sp"], hex(gdb_frame["sp"]), row["sp"])
    if not policy.names:
        return found
    check("function", names_agree(gdb_frame, row["function"], aliases), gdb_frame["function"],
          row["function"])
    check("inlined", bool(row["inlined"]) == (kind == "inline"), int(kind == "inline"),
          row["inlined"])
    if policy.modules:
        check("module", modules_agree(gdb_frame["module"], row["module"]), gdb_frame["module"],
              row["module"])
    if policy.trust:
        check("trust", (row["trust"] == "call_site") == (kind == "tailcall"), kind, row["trust"])
    if policy.lines:
        check("file", base(row["file"]) == base(gdb_frame["file"]), gdb_frame["file"],
              row["file"])
        # gdb has line 0 where the compiler says that no line is responsible.
        check("line", (row["line"] or 0) == (gdb_frame["line"] or 0), gdb_frame["line"],
              row["line"])
    # Another name for the address may begin elsewhere: then the offsets count from there.
    if gdb_frame["offset"] is not None and row["offset"] is not None and not found:
        check("offset", row["offset"] == gdb_frame["offset"], gdb_frame["offset"], row["offset"])
    return found


def contract_errors(rows):
    """What in residue's rows is not as the command line promises."""
    errors = []
    depths, last = {}, None
    for number, row in enumerate(rows):
        for column, kind in COLUMNS.items():
            if column not in row:
                errors.append(f"row {number} has no {column!r}")
            elif not isinstance(row[column], kind):
                errors.append(f"row {number}: {column} is {row[column]!r}")
        if errors:
            return errors
        tid = row["tid"]
        if tid in depths and tid != last:
            errors.append(f"row {number}: thread {tid} appears twice")
        if row["depth"] != depths.get(tid, 0):
            errors.append(f"row {number}: depth {row['depth']}, not {depths.get(tid, 0)}")
        if row["trust"] not in TRUSTS:
            errors.append(f"row {number}: trust {row['trust']!r}")
        if row["inlined"] not in (0, 1) or row["crashed"] not in (0, 1):
            errors.append(f"row {number}: a flag is neither 0 nor 1")
        if not row["pc"].startswith("0x"):
            errors.append(f"row {number}: pc {row['pc']!r}")
        if row["file"] and not row["function"]:
            errors.append(f"row {number}: a file but no function")
        if number and rows[number - 1]["inlined"] and rows[number - 1]["tid"] == tid:
            before = rows[number - 1]
            if (before["pc"], before["sp"]) != (row["pc"], row["sp"]):
                errors.append(f"row {number}: pc or sp is not that of the frame inlined into it")
        depths[tid], last = row["depth"] + 1, tid
    return errors


def by_thread(rows):
    threads = {}
    for row in rows:
        threads.setdefault(row["tid"], []).append(row)
    return threads


def certain_frames(frames, covered):
    """How many of gdb's frames were found by rules: all to the first in code without them."""
    after_call = False
    for position, frame in enumerate(frames):
        if frame["kind"] == "sigtramp":
            after_call = False  # the kernel's frame has rules of its own; an interrupted pc follows
            continue
        if not covered(frame["module"], frame["pc"] - after_call):
            return position + 1
        if frame["kind"] != "inline":
            after_call = True
    return len(frames)


def select(gdb_thread, rows, policy, covered):
    """(gdb's frames, residue's rows, differences of the counts) as far as they are compared."""
    frames, count, notes = gdb_thread["frames"], gdb_thread["count"], []
    if policy.until_guess:
        count = certain_frames(frames, covered)
        frames, rows = frames[:count], rows[:count]
    if not policy.names:
        frames = [frame for frame in frames if frame["kind"] in ("normal", "sigtramp")]
        rows = [row for row in rows if not row["inlined"] and row["trust"] != "call_site"]
        count = len(frames)
    if len(rows) != count:
        notes.append(f"gdb has {count} frames ({gdb_thread['stop']}), residue has {len(rows)}")
    if policy.edge and len(rows) > 2 * policy.edge:
        rows = rows[:policy.edge] + rows[-policy.edge:]
    return frames, rows, notes


def compare_thread(gdb_thread, rows, policy, aliases, covered):
    """[] or the report of one thread."""
    frames, rows, notes = select(gdb_thread, rows, policy, covered)
    differing = {}
    for position, (frame, row) in enumerate(zip(frames, rows)):
        found = frame_differences(frame, row, policy, aliases)
        if found:
            differing[position] = found
    for position in range(min(len(frames), len(rows)), max(len(frames), len(rows))):
        differing[position] = ["only one has this frame"]
    if not differing and not notes:
        return []
    first = min(differing, default=len(frames) - 1)
    report = [f"thread {gdb_thread['tid']}: {len(differing)} frames differ"]
    report += ["  " + note for note in notes]
    for position in list(differing)[:CONTEXT_ROWS]:
        report.append(f"  #{position} " + "; ".join(differing[position]))
    return report + side_by_side(frames, rows, differing, first)


def side_by_side(frames, rows, differing, first):
    def gdb_text(frame):
        mark = "" if frame["kind"] == "normal" else f" [{frame['kind']}]"
        return (f"{frame['pc']:#x} {frame['function'] or '??'}{mark} "
                f"{base(frame['file']) or '-'}:{frame['line'] or '-'}")

    def residue_text(row):
        mark = " [inline]" if row["inlined"] else f" [{row['trust']}]"
        return (f"{row['pc']} {row['function'] or '??'}{mark} "
                f"{base(row['file']) or '-'}:{row['line'] or '-'}")

    low, high = max(0, first - CONTEXT_ROWS), first + CONTEXT_ROWS + 1
    left = [gdb_text(frame) for frame in frames[low:high]]
    right = [residue_text(row) for row in rows[low:high]]
    width = min(90, max(map(len, left), default=3))
    lines = [f"      {'gdb':{width}} | residue"]
    for offset in range(max(len(left), len(right))):
        mark = "!" if low + offset in differing else " "
        one = left[offset] if offset < len(left) else ""
        other = right[offset] if offset < len(right) else ""
        lines.append(f"  {mark} {low + offset:4} {one:{width}} | {other}")
    return lines


def compare(gdb_output, rows, policy=Policy(), crashed=None):
    """Lines that say how residue's rows differ from gdb's frames; none if they agree.

    `crashed`: None, or whether the first thread must be the one that crashed.
    """
    report = contract_errors(rows)[:10]
    if report:
        return ["the rows are not as promised:"] + report
    threads = by_thread(rows)
    gdb_threads = gdb_output["threads"]
    wanted = [thread["tid"] for thread in gdb_threads]
    if list(threads) != wanted:
        report.append(f"gdb has the threads {wanted[:20]}, residue {list(threads)[:20]}")
    if crashed is not None:
        marked = sorted({row["tid"] for row in rows if row["crashed"]})
        if marked != (wanted[:1] if crashed else []):
            report.append(f"marked as crashed: {marked}; the first thread is {wanted[0]}")
    aliases = Aliases(gdb_output["objfiles"])
    covered = CallFrameInformation(gdb_output.get("text", {})).covers
    compared, bad = 0, []
    for gdb_thread in gdb_threads:
        if policy.only and not policy.only(gdb_thread):
            continue
        compared += 1
        found = compare_thread(gdb_thread, threads.get(gdb_thread["tid"], []), policy, aliases,
                               covered)
        if found:
            bad.append(found)
    if not compared:
        report.append("no thread was compared")
    if bad:
        report.append(f"{len(bad)} of {compared} threads differ")
    for found in bad[:SHOWN_THREADS]:
        report += found
    return report


def rows_like(gdb_output, crashed=False):
    """The rows that agree with gdb's frames: what a perfect residue would print."""
    rows = []
    for position, thread in enumerate(gdb_output["threads"]):
        frames = thread["frames"]
        left_out = thread["count"] - len(frames)
        if left_out:  # only the ends were described
            middle = len(frames) // 2
            frames = frames[:middle] + [frames[middle]] * left_out + frames[middle:]
        for depth, frame in enumerate(frames):
            trust = {"tailcall": "call_site"}.get(frame["kind"], "cfi")
            if depth == 0:
                trust = "context"
            rows.append({
                "tid": thread["tid"], "thread": "", "crashed": int(crashed and position == 0),
                "depth": depth, "pc": hex(frame["pc"]),
                "sp": None if frame["sp"] is None else hex(frame["sp"]),
                "module": base(frame["module"]),
                "function": names.comparable(frame["function"], frame["symbol"]),
                "file": frame["file"], "line": frame["line"] or None,
                "inlined": int(frame["kind"] == "inline"), "trust": trust,
                "offset": frame["offset"]})
    return rows
