"""Runs inside gdb: writes what gdb knows of variables as JSON. VARIABLES_JOB says what and where to."""
import json
import os
import re
import struct

import gdb

MAX_FRAMES = 64
JOB = json.loads(os.environ["VARIABLES_JOB"])


def one_line(value):
    return " ".join(str(value).split())


def full_symtabs():
    """One symtab of each compilation unit and name."""
    gdb.execute("maint expand-symtabs")
    text = gdb.execute("maint info symtabs", to_string=True)
    found = {}
    for name in sorted(set(re.findall(r"\{ symtab (.*?) \(\(struct symtab \*\)", text))):
        try:
            lines = gdb.decode_line(f"'{name}':1")[1] or []
        except gdb.error:
            continue
        for line in lines:
            if line.symtab is not None:
                block = line.symtab.static_block()
                found[line.symtab.fullname(), block.start, block.end] = line.symtab
    return found.values()


def global_row(symbol, function):
    if not symbol.is_variable or symbol.addr_class != gdb.SYMBOL_LOC_STATIC:
        return None
    value = symbol.value()
    code = symbol.type.strip_typedefs().code
    return {"address": int(value.address), "size": symbol.type.sizeof, "line": symbol.line,
            "file": symbol.symtab.filename, "type": one_line(symbol.type),
            "name": symbol.print_name, "function": function,
            # gdb gives the address of what a reference refers to.
            "reference": code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF)}


def blocks_with_code(symtab):
    """The blocks of functions, innermost first, each with the name of its function."""
    done = set()
    for item in symtab.linetable():
        block = gdb.block_for_pc(item.pc)
        while block is not None and not block.is_static and not block.is_global:
            key = (block.start, block.end, str(block.function))
            if key in done:
                break
            done.add(key)
            holder = block
            while holder.function is None and holder.superblock is not None:
                holder = holder.superblock
            yield block, holder.function.print_name if holder.function else ""
            block = block.superblock


def all_globals():
    rows = []
    for symtab in full_symtabs():
        gdb.execute("set language " + ("c" if symtab.filename.endswith(".c") else "c++"))
        places = [(symtab.global_block(), ""), (symtab.static_block(), "")]
        if JOB["functions"]:
            places += blocks_with_code(symtab)
        for block, function in places:
            for symbol in block:
                try:
                    row = global_row(symbol, function)
                except gdb.error:
                    continue  # its address is not known to gdb (thread-local without a process)
                if row:
                    rows.append(row)
    return rows


def value_bits(value, kind):
    if kind.code == gdb.TYPE_CODE_FLT and kind.sizeof in (4, 8):
        packed = struct.pack("<d" if kind.sizeof == 8 else "<f", float(value))
        return int.from_bytes(packed, "little")
    return int(value) & ((1 << (8 * kind.sizeof)) - 1)


def place_of(symbol, frame):
    try:
        return known_place_of(symbol, frame)
    except gdb.error:
        return ["error"]


def known_place_of(symbol, frame):
    value = symbol.value(frame) if symbol.needs_frame else symbol.value()
    kind = symbol.type.strip_typedefs()
    if value.is_optimized_out:
        return ["none"]
    if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        return ["reference"]
    if value.address is not None:
        return ["memory", int(value.address)]
    try:
        return ["value", value_bits(value, kind)]
    except gdb.error:
        return ["compound"]


def frame_rows(thread, number, frame):
    block = frame.block()
    while block is not None and not block.is_static and not block.is_global:
        for symbol in block:
            # gdb counts enumerators and variables with a constant value alike.
            is_constant = symbol.is_constant and symbol.type.code != gdb.TYPE_CODE_ENUM
            if not symbol.is_argument and not symbol.is_variable and not is_constant:
                continue
            yield {"tid": thread.ptid[1], "frame": number, "pc": frame.pc(),
                   "function": frame.name() or "", "line": symbol.line, "name": symbol.print_name,
                   "argument": symbol.is_argument, "type": one_line(symbol.type),
                   "size": symbol.type.sizeof, "place": place_of(symbol, frame)}
        if block.function is not None:
            break
        block = block.superblock


def all_locals():
    """Of the frames in the program itself."""
    rows = []
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        frame = gdb.newest_frame()
        number = 0  # of the frame with registers of its own; inlined ones come before it
        while frame is not None and number < MAX_FRAMES:
            frame.select()
            if gdb.solib_name(frame.pc()) is None and frame.function() is not None:
                rows += frame_rows(thread, number, frame)
            if frame.type() != gdb.INLINE_FRAME:
                number += 1
            frame = frame.older()
    return rows


gdb.execute("set pagination off")
gdb.execute("set max-value-size unlimited")
with open(JOB["out"], "w", encoding="utf-8", errors="surrogateescape") as out:
    json.dump(all_globals() if JOB["what"] == "globals" else all_locals(), out)
