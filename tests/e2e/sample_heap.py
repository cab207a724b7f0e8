"""The heap of leaky_service as residue sees it, and as the core's bytes say it is.

Which request an object belongs to is read from the object itself (samples/leaky_service/model.h
has the layouts); only the address of a chunk, and what it is called, come from residue.
"""
from collections import namedtuple

MEBIBYTE = 1 << 20
PAGE = 4096
LEAKS = {"leaked", "stale", "indirect"}

SQL = ("SELECT c.address, c.size, c.reach, c.cluster, t.name AS type, t.module, t.confidence, "
       "o.kind AS owner_kind, o.name AS owner, o.module AS owner_module, o.thread "
       "FROM chunk c LEFT JOIN type t ON t.snapshot = c.snapshot AND t.id = c.type "
       "LEFT JOIN owner o ON o.snapshot = c.snapshot AND o.id = c.owner "
       "WHERE c.state = 'used' ORDER BY c.address")

Chunk = namedtuple("Chunk", "address size reach cluster type module confidence owner_kind owner "
                            "owner_module thread")


def usable_sizes(requested):
    """What glibc may hand out: the request (8 mod 16 throughout), or 16 more if the rest of a
    free chunk would be too small for a chunk."""
    return (requested, requested + 16)


def mmapped_size(requested):
    """Usable bytes of a block that malloc mapped for itself (glibc, sysmalloc_mmap)."""
    chunk = (requested + 8 + 15) & ~15
    return ((chunk + 8 + PAGE - 1) & ~(PAGE - 1)) - 16


class Heap:
    def __init__(self, rows, memory):
        self.memory = memory
        self.chunks = {}
        for row in rows:
            numbers = {key: int(row[key]) for key in ("address", "size")}
            chunk = Chunk(**{**row, **numbers})
            self.chunks[chunk.address] = chunk

    def of_type(self, name):
        return [chunk for chunk in self.chunks.values() if chunk.type == name]

    def of_size(self, requested):
        return [chunk for chunk in self.chunks.values() if chunk.size in usable_sizes(requested)]

    def of_exact_size(self, size):
        return [chunk for chunk in self.chunks.values() if chunk.size == size]

    def starting_with(self, requested, text):
        return [chunk for chunk in self.of_size(requested)
                if self.memory.read(chunk.address, len(text)) == text]

    def leaks(self):
        return [chunk for chunk in self.chunks.values() if chunk.reach in LEAKS]

    def word_of(self, chunk, offset):
        return self.memory.word(chunk.address + offset)

    # ---- The kinds of samples/README.md, each with the request it belongs to. ----

    def sessions(self):
        return [(self.word_of(chunk, 8), chunk) for chunk in self.of_type("service::Session")]

    def session_parts(self, session):
        """The name's text, the items' array and the Request; None for one that is no chunk."""
        return [self.chunks.get(self.word_of(session, offset)) for offset in (24, 56, 80)]

    def publishers(self):
        return [(self.word_of(chunk, 16), chunk) for chunk in self.of_type("service::Publisher")]

    def subscribers(self):
        return [(self.word_of(chunk, 16), chunk) for chunk in self.of_type("service::Subscriber")]

    def spans(self):
        return [(self.word_of(chunk, 48), chunk) for chunk in self.of_type("telemetry::Span")]

    def uploads(self):
        found = []
        for chunk in self.starting_with(4088, b"upload of request "):
            text = self.memory.read(chunk.address, 64).partition(b"\0")[0]
            found.append((int(text.rpartition(b" ")[2]), chunk))
        return found

    def thread_buffers(self):
        found = []
        for chunk in self.of_size(20008):
            content = self.memory.read(chunk.address, 20008)
            if content == content[:1] * 20008:
                found.append((content[:1].decode("ascii", "replace"), chunk))
        return found

    def geo_shards(self):
        return [(self.memory.read(chunk.address, 1)[0], chunk)
                for chunk in self.of_exact_size(mmapped_size(512 * 1024))]

    def planned_leaks(self, requests):
        """{address: (kind, chunk)} of everything the sample leaked, whatever residue says."""
        planned = {}

        def add(kind, chunks):
            planned.update((chunk.address, (kind, chunk)) for chunk in chunks if chunk)

        for number, chunk in self.sessions():
            if number % 4 == 0 and number <= requests:
                add("session", [chunk, *self.session_parts(chunk)])
        for kind, objects in (("cycle", self.publishers() + self.subscribers()),
                              ("upload", self.uploads()), ("span", self.spans()),
                              ("thread_buffer", self.thread_buffers()),
                              ("geo_shard", self.geo_shards())):
            add(kind, (chunk for _, chunk in objects))
        return planned

    # ---- Leftovers: the one excuse for a leak that was not found. ----

    def leftover_in_a_block(self, chunk):
        """A word that nobody wrote since malloc handed it out, and that points at `chunk`.

        Looked for in stdio's buffers (4096 bytes, used from the front) and in the last 16 bytes
        of live blocks. Returns its address, or None.
        """
        begin, end = chunk.address, chunk.address + chunk.size
        for holder in self.chunks.values():
            if holder.reach in LEAKS or holder.address == chunk.address:
                continue
            stdio = holder.size in usable_sizes(4096 + 8) or (holder.owner or "").startswith("_IO_")
            first = 0 if stdio else holder.size - 16
            for at, value in self.memory.words(holder.address + first, holder.size - first):
                if begin <= value < end:
                    return at
        return None

    def points_at(self, holder, chunk):
        return any(chunk.address <= value < chunk.address + chunk.size
                   for _, value in self.memory.words(holder.address, holder.size))
