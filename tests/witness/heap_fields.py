"""Where glibc keeps its bookkeeping in a core: what corruption_test.py damages.

Written from the declarations of malloc_state, heap_info, malloc_par and tcache_perthread_struct in
glibc 2.35 to 2.41, LP64; shares nothing with the analyser. Which chunks there are, and where the
arenas lie, is given by the caller, who has checked it against a witness.
"""
import collections
import struct

# What a field belongs to, where it lies, and the user addresses of the chunks that it is part of.
Field = collections.namedtuple("Field", "kind address touches")
Chunk = collections.namedtuple("Chunk", "size state reach heap")

NT_PRSTATUS = 1
HEAP_MAX = 64 << 20
ARENA_FIELDS = {"flags and mutex": (0,), "have_fastchunks": (8,),
                "fastbin": tuple(range(16, 96, 8)), "top": (96,), "last_remainder": (104,),
                "bin": tuple(range(112, 112 + 254 * 8, 8)), "binmap": (2144, 2152),
                "next": (2160,), "next_free": (2168,), "attached_threads": (2176,),
                "system_mem": (2184,), "max_system_mem": (2192,)}
HEAP_INFO_FIELDS = {"ar_ptr": 0, "prev": 8, "size": 16, "mprotect_size": 24}
HEAP_INFO_SIZE = 48
PARAMETERS_SIZE, SBRK_BASE = 136, 96
TCACHE_CHUNK, TCACHE_COUNTS, TCACHE_SIZE = 0x290 - 8, 128, 640
TLS_WINDOW = 4096  # below the thread pointer, in which the tcache variable lies


class UnknownLayout(Exception):
    """The heap is not of a release whose fields are listed here."""


def thread_pointers(memory):
    """fs_base of each thread: pr_reg[21] of its NT_PRSTATUS."""
    return [struct.unpack_from("<Q", note, 112 + 21 * 8)[0]
            for kind, note in memory.notes() if kind == NT_PRSTATUS and len(note) >= 336]


def chunk_fields(chunks, tops):
    for user, chunk in chunks.items():
        if user - 16 in tops:
            yield Field("top's size", user - 8, (user,))
            continue
        yield Field(f"size of a {chunk.state} chunk", user - 8, (user,))
        if chunk.state == "free":
            yield Field("prev_size", user + chunk.size - 8, ())
            yield Field("fd or bk", user, (user,))
            yield Field("fd or bk", user + 8, (user,))
        if chunk.state == "cached":
            yield Field("link or key", user, (user,))
            yield Field("link or key", user + 8, (user,))


def arena_fields(memory, arenas):
    for name, arena in arenas.items():
        if name == "main_arena" and memory.word(arena + 2160) not in arenas.values():
            raise UnknownLayout("malloc_state is not that of 2.27 to 2.42")
        prefix = "main" if name == "main_arena" else "thread"
        for field, offsets in ARENA_FIELDS.items():
            for offset in offsets:
                yield Field(f"{prefix} arena's {field}", arena + offset, ())
        if prefix == "main":
            continue
        heap = memory.word(arena + 96) & ~(HEAP_MAX - 1)
        while heap:
            for field, offset in HEAP_INFO_FIELDS.items():
                yield Field(f"heap_info.{field}", heap + offset, ())
            heap = memory.word(heap + 8)


def parameter_fields(memory, main_arena):
    """mp_ lies in the same data as main_arena and holds the start of the brk heap."""
    top = memory.word(main_arena + 96)
    start = top + (memory.word(top + 8) & ~7) - memory.word(main_arena + 2184)
    found = [at for at, value in memory.words_around(main_arena, 1 << 16) if value == start]
    if len(found) != 1:
        raise UnknownLayout(f"{len(found)} places can be mp_.sbrk_base")
    for offset in range(0, PARAMETERS_SIZE, 8):
        yield Field("mp_", found[0] - SBRK_BASE + offset, ())


def tcache_fields(memory, chunks):
    caches = set()
    for pointer in thread_pointers(memory):
        for at, value in memory.words_around(pointer, TLS_WINDOW):
            if at < pointer and value in chunks and chunks[value].size == TCACHE_CHUNK \
                    and chunks[value].reach == "system":
                yield Field("tcache pointer", at, ())
                caches.add(value)
    if not caches:
        raise UnknownLayout("no tcache of 2.30 to 2.41")
    for cache in caches:
        for offset in range(0, TCACHE_SIZE, 8):
            kind = "tcache counts" if offset < TCACHE_COUNTS else "tcache entries"
            yield Field(kind, cache + offset, (cache,))


def heap_fields(memory, chunks, arenas):
    """{kind: [Field…]}. `chunks`: user address -> Chunk; `arenas`: name -> address."""
    tops = {memory.word(arena + 96) for arena in arenas.values()}
    mmapped = {user: chunk for user, chunk in chunks.items() if chunk.heap == "mmapped"}
    arena_chunks = {user: chunk for user, chunk in chunks.items() if user not in mmapped}
    fields = collections.defaultdict(list)
    for source in (chunk_fields(arena_chunks, tops), arena_fields(memory, arenas),
                   parameter_fields(memory, arenas["main_arena"]),
                   tcache_fields(memory, arena_chunks)):
        for field in source:
            fields[field.kind].append(field)
    for user in mmapped:
        fields["mmapped header"] += [Field("mmapped header", user - 8, (user,)),
                                     Field("mmapped header", user - 16, (user,))]
    return dict(fields)
