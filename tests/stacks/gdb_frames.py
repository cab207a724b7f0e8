"""Runs inside gdb: writes every thread's frames, as gdb knows them, to a file as JSON.

    STACKS_JOB='{"out": "frames.json", "edge": 0}' gdb -nx -batch -x gdb_frames.py PROGRAM CORE

`edge` > 0 keeps only that many frames at each end of a stack ("count" is always the whole). The
output is {"threads": [{"tid", "count", "stop", "frames": […]}], "objfiles": [paths], "text": {path:
address of its .text}}; the fields of a frame are those of describe() below.
"""
import collections
import json
import os
import re

import gdb

KINDS = {gdb.NORMAL_FRAME: "normal", gdb.INLINE_FRAME: "inline", gdb.TAILCALL_FRAME: "tailcall",
         gdb.SIGTRAMP_FRAME: "sigtramp"}
SECTION = re.compile(r"\s*(0x[0-9a-f]+) - (0x[0-9a-f]+) is (\S+)(?: in (.*))?$")
OFFSET = re.compile(r"^.*? \+ (\d+) in section ")


class Sections:
    """Which file an address belongs to, by gdb's own list of the sections it has mapped."""

    def __init__(self):
        self.ranges = []
        self.text = {}  # where each file's .text is
        program = gdb.current_progspace().filename
        listing = gdb.execute("info files", to_string=True)
        # The core's own segments come first; what follows "Local exec file" is of object files.
        for line in listing.partition("Local exec file:")[2].splitlines():
            found = SECTION.match(line)
            if found:
                file = found[4] or program
                self.ranges.append((int(found[1], 16), int(found[2], 16), file))
                if found[3] == ".text":
                    self.text[file] = int(found[1], 16)

    def file_of(self, pc):
        for start, end, name in self.ranges:
            if start <= pc < end:
                return name
        return None


class Describer:
    def __init__(self):
        self.sections = Sections()
        self.offsets = {}  # of symbols without debug information, by pc

    def describe(self, frame):
        """The frame as data; `symbol` says whether its name is from a symbol table only."""
        kind = KINDS.get(frame.type(), "other")
        function = frame.function()
        sal = frame.find_sal()
        pc = frame.pc()
        return {
            "level": frame.level(), "kind": kind, "pc": pc, "sp": self.stack_pointer(frame),
            "function": frame.name(), "symbol": function is None,
            "file": sal.symtab.filename if sal.symtab else None,
            "line": sal.line if sal.symtab else None,
            "module": self.sections.file_of(pc),
            "offset": self.offset(frame, function, kind, pc),
        }

    @staticmethod
    def stack_pointer(frame):
        try:
            word = frame.read_register("sp")
            return int(word) & ((1 << 8 * word.type.sizeof) - 1)
        except (gdb.error, ValueError):
            return None

    def offset(self, frame, function, kind, pc):
        """Bytes from the start of the physical function to pc; None where gdb does not say."""
        if kind != "normal":
            return None
        if function is not None:
            start = int(function.value().address)
            return pc - start if pc >= start else None
        if pc not in self.offsets:
            found = OFFSET.match(gdb.execute(f"info symbol {pc:#x}", to_string=True))
            self.offsets[pc] = int(found[1]) if found and frame.name() else None
        return self.offsets[pc]


def walk(describer, edge):
    """Frames of the selected thread: (described frames, how many there are, why no more)."""
    first, last, count = [], collections.deque(maxlen=edge or None), 0
    stop = "?"
    frame = gdb.newest_frame()
    while frame is not None:
        if not edge or count < edge:
            first.append(describer.describe(frame))
        else:
            last.append(frame)
        count += 1
        try:
            older = frame.older()
        except gdb.error as error:
            stop = str(error)
            break
        if older is None:
            stop = gdb.frame_stop_reason_string(frame.unwind_stop_reason())
        frame = older
    return first + [describer.describe(frame) for frame in last], count, stop


def thread_stacks(describer, edge):
    stacks = []
    for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num):
        thread.switch()
        frames, count, stop = walk(describer, edge)
        stacks.append({"tid": thread.ptid[1] or thread.ptid[0], "count": count, "stop": stop,
                       "frames": frames})
    return stacks


def main():
    job = json.loads(os.environ["STACKS_JOB"])
    # As far as the program's entry point, however deep.
    for setting in ("backtrace limit unlimited", "backtrace past-main on", "width 0",
                    "height 0"):
        gdb.execute("set " + setting, to_string=True)
    describer = Describer()
    stacks = thread_stacks(describer, job["edge"])
    objfiles = [objfile.filename for objfile in gdb.objfiles() if os.path.exists(objfile.filename)]
    with open(job["out"], "w", encoding="utf-8", errors="surrogateescape") as out:
        json.dump({"threads": stacks, "objfiles": objfiles, "text": describer.sections.text}, out)


main()
