"""Compares what residue says of a core with what the two witnesses know of the same heap.

Everything here is plain data: dictionaries keyed by the address malloc returned.

  truth    malloc_witness: address -> Block(requested, planted, usable), and mallinfo2's counters
  judged   reach_judge: Judged(exact, usable, via), two sets of addresses something points at: by the
           bytes that were requested, and by all that are usable; and for the second the word that
           does: (its address or None for a register, how far into the block it points)
  chunks   residue: address -> Chunk(size, state, reach)
  heaps    residue: rows of the table heap, as dictionaries of strings
"""
import bisect
import collections
import csv

Block = collections.namedtuple("Block", "requested planted usable", defaults=(None,))
Chunk = collections.namedtuple("Chunk", "size state reach")
Judged = collections.namedtuple("Judged", "exact usable via", defaults=({},))
Check = collections.namedtuple("Check", "name passed figures")

LEAKS = ("leaked", "stale", "indirect")

# Allocators that sit on top of malloc (or of mmap) and hand out blocks malloc never saw.
FOREIGN_ALLOCATORS = ("pymalloc",)

# Used chunks the witness has no record of and residue does not call `system`: blocks made before
# the witness was asked (there should be none; ld.so's own early ones are not in malloc's heap).
UNRECORDED_ALLOWED = 4

PLANTED_FOUND_AT_LEAST = 99  # per cent of what can be seen in the heap alone


def read_truth(path):
    header, blocks = {}, {}
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith("# "):
                key, _, value = line[2:].strip().partition("=")
                header[key] = value
            else:
                address, requested, usable, flag = line.split()
                blocks[int(address, 16)] = Block(int(requested), flag == "planted", int(usable))
    if len(blocks) != int(header["live"]):
        raise ValueError(f"{path} is cut short")
    return header, blocks


def read_judged(path):
    exact, usable, via = set(), set(), {}
    with open(path, encoding="ascii") as file:
        for line in file:
            address, by_requested, _, by_usable, word = line.split()
            if by_requested == "reach":
                exact.add(int(address, 16))
            if by_usable == "reach":
                usable.add(int(address, 16))
                place, _, offset = word.partition("+")
                via[int(address, 16)] = (None if place.startswith("reg") else int(place, 16),
                                         int(offset))
    return Judged(exact, usable, via)


def rows_of(tsv):
    # No quoting on purpose: a tab-separated value has no quotes to strip.
    return list(csv.DictReader(tsv.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def chunks_of(rows, heaps):
    """Residue's malloc chunks by address, without those of allocators malloc knows nothing of."""
    foreign = {heap["id"] for heap in heaps if heap["allocator"] in FOREIGN_ALLOCATORS}
    return {
        int(row["address"]): Chunk(int(row["size"]), row["state"], row["reach"])
        for row in rows
        if row["heap"] not in foreign
    }


def examples(addresses, describe, limit=5):
    addresses = sorted(addresses)
    if not addresses:
        return ""
    shown = ", ".join(f"{address:#x} ({describe(address)})" for address in addresses[:limit])
    return f"; {'first ' if len(addresses) > limit else ''}{shown}"


def percent(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "none"


def check_recall(truth, chunks):
    missing = [a for a in truth if a not in chunks or chunks[a].state != "used"]

    def describe(address):
        state = chunks[address].state if address in chunks else "no chunk"
        return f"requested {truth[address].requested}, {state}"

    return Check("recall", not missing,
                 f"{len(truth) - len(missing)} of {len(truth)} live blocks are used chunks"
                 + examples(missing, describe))


def check_no_false_used(truth, chunks):
    extra = [a for a, chunk in chunks.items() if chunk.state == "used" and a not in truth]
    system = [a for a in extra if chunks[a].reach == "system"]
    unrecorded = [a for a in extra if chunks[a].reach != "system"]
    used = sum(chunk.state == "used" for chunk in chunks.values())
    return Check("no false used", len(unrecorded) <= UNRECORDED_ALLOWED,
                 f"of {used} used chunks {len(system)} are the allocator's own, "
                 f"{len(unrecorded)} are unknown to the witness"
                 + examples(unrecorded, lambda a: f"size {chunks[a].size}, {chunks[a].reach}"))


def check_sizes(truth, chunks):
    small = [a for a, block in truth.items() if a in chunks and chunks[a].size < block.requested]
    return Check("size >= requested", not small, f"{len(small)} chunks are too small" + examples(
        small, lambda a: f"size {chunks[a].size} < {truth[a].requested}"))


def check_reachable_not_leaked(truth, chunks, judged):
    wrong = [a for a in judged.exact if a in chunks and chunks[a].reach in LEAKS]
    return Check("reachable block called leaked", not wrong,
                 f"{len(wrong)} of {len(judged.exact)} reachable blocks" + examples(
                     wrong, lambda a: f"requested {truth[a].requested}, {chunks[a].reach}"))


def is_found(chunks, address):
    return address in chunks and chunks[address].reach in LEAKS


def missed_leaks(truth, chunks, judged):
    """Planted blocks that nothing in the heap points at, and that residue does not call leaks."""
    return [a for a, block in truth.items()
            if block.planted and a not in judged.usable and not is_found(chunks, a)]


def check_planted(truth, chunks, judged, least):
    planted = [a for a, block in truth.items() if block.planted]
    found = [a for a in planted if is_found(chunks, a)]
    # A program may go on holding a pointer to what it has freed; no analyser can call that a leak.
    # And where a word behind the requested ones still holds one, whoever has only the heap cannot.
    lost = [a for a in planted if a not in judged.exact]
    visible = [a for a in lost if a not in judged.usable]
    missed = missed_leaks(truth, chunks, judged)
    found_lost = [a for a in lost if is_found(chunks, a)]
    found_visible = len(visible) - len(missed)
    # A run in which nothing was planted proves nothing.
    passed = bool(planted) and 100 * found_visible >= least * len(visible)
    return Check("planted leaks found", passed,
                 f"{found_visible} of {len(visible)} ({percent(found_visible, len(visible))}) that "
                 "nothing in the heap points at; by requested sizes "
                 f"{len(found_lost)} of {len(lost)} ({percent(len(found_lost), len(lost))}); of all "
                 f"planted {len(found)} of {len(planted)} ({percent(len(found), len(planted))})"
                 + examples(missed, lambda a: f"requested {truth[a].requested}, "
                            f"{chunks[a].reach if a in chunks else 'no chunk'}"))


def holder_of(starts, truth, word):
    """The block in whose usable bytes `word` lies, or None."""
    i = bisect.bisect_right(starts, word) - 1
    if i < 0 or word >= starts[i] + truth[starts[i]].usable:
        return None
    return starts[i]


def check_slack(truth, judged):
    """Not a promise either: which words hide what only the requested sizes show to be lost."""
    starts = sorted(truth)
    hidden = [a for a in judged.usable - judged.exact if truth[a].planted]
    holders, held, pointed_at = collections.Counter(), 0, 0
    for address in hidden:
        word, offset = judged.via[address]
        holder = None if word is None else holder_of(starts, truth, word)
        if holder is not None and word >= holder + truth[holder].requested:
            holders[f"{truth[holder].requested}/{truth[holder].usable}"] += 1
            held += 1
        elif offset >= truth[address].requested:
            pointed_at += 1
    common = ", ".join(f"{sizes}: {n}" for sizes, n in holders.most_common(6)) or "none"
    return Check("hidden by bytes nobody requested", True,
                 f"{len(hidden)} planted: {held} by a word in such bytes, {pointed_at} because a word "
                 f"points to them, {len(hidden) - held - pointed_at} hang on those; words' blocks by "
                 f"requested/usable bytes: {common}")


def check_unreachable(truth, chunks, judged):
    """Not a promise of anybody's: how residue's verdicts spread over what nothing points at."""
    verdicts = collections.Counter(
        chunks[a].reach or "null" for a in truth if a not in judged.exact and a in chunks)
    spread = ", ".join(f"{name} {count}" for name, count in sorted(verdicts.items())) or "no block"
    return Check("unreachable blocks are called", True, spread)


def check_counter(header, heaps, column):
    total = sum(int(heap[column] or 0) for heap in heaps
                if heap["allocator"] not in FOREIGN_ALLOCATORS)
    return Check(column, total == int(header[column]),
                 f"residue {total}, mallinfo2 {header[column]}")


def check_verified(heaps):
    doubtful = [heap for heap in heaps if heap["verified"] != "1"]
    listed = ", ".join(f"{heap['allocator']} {heap['name']}" for heap in doubtful)
    figures = f"{len(heaps) - len(doubtful)} of {len(heaps)}" + (f"; not {listed}" if listed else "")
    return Check("every heap is verified", bool(heaps) and not doubtful, figures)


def compare(header, truth, judged, chunks, heaps, planted_asked, least=PLANTED_FOUND_AT_LEAST):
    checks = [
        check_recall(truth, chunks),
        check_no_false_used(truth, chunks),
        check_sizes(truth, chunks),
        check_reachable_not_leaked(truth, chunks, judged),
        check_unreachable(truth, chunks, judged),
        check_counter(header, heaps, "uordblks"),
        check_counter(header, heaps, "fordblks"),
        check_verified(heaps),
    ]
    if planted_asked:
        checks[4:4] = [check_planted(truth, chunks, judged, least), check_slack(truth, judged)]
    return checks
