"""Reads the memory of an ELF core: a second, independent reader for the tests.

Only what the tests need: 64-bit little-endian cores, PT_LOAD segments as far as they are in the
file. Memory that is not in the file raises KeyError.
"""
import bisect
import mmap
import struct

PT_LOAD = 1
PT_NOTE = 4
WORD = struct.Struct("<Q")


def program_headers(data):
    """(type, file offset, address, bytes in the file) of each program header."""
    offset, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for i in range(count):
        kind, _, place, address, _, in_file = struct.unpack_from("<IIQQQQ", data, offset + i * size)
        yield kind, place, address, in_file


class CoreMemory:
    def __init__(self, path):
        with open(path, "rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._segments = sorted((address, in_file, place)
                                for kind, place, address, in_file in program_headers(self._data)
                                if kind == PT_LOAD and in_file > 0)
        self._starts = [segment[0] for segment in self._segments]

    def close(self):
        self._data.close()

    def place(self, address, count):
        """Where `count` bytes of memory lie in the file."""
        i = bisect.bisect_right(self._starts, address) - 1
        if i >= 0:
            start, in_file, place = self._segments[i]
            if address + count <= start + in_file:
                return place + address - start
        raise KeyError(f"{address:#x} is not in the core")

    def read(self, address, count):
        at = self.place(address, count)
        return self._data[at:at + count]

    def word(self, address):
        return WORD.unpack(self.read(address, 8))[0]

    def words(self, address, count):
        """(address, value) of the words in `count` bytes."""
        for i, (value,) in enumerate(WORD.iter_unpack(self.read(address, count & ~7))):
            yield address + 8 * i, value

    def words_around(self, address, reach):
        """The words of the segment of `address`, at most `reach` bytes away."""
        i = bisect.bisect_right(self._starts, address) - 1
        start, in_file, _ = self._segments[i]
        begin, end = max(start, address - reach), min(start + in_file, address + reach)
        return self.words(begin, end - begin)

    def notes(self):
        """(type, description) of each note."""
        for kind, place, _, in_file in program_headers(self._data):
            end = place + in_file
            while kind == PT_NOTE and place + 12 <= end:
                name_size, size, note = struct.unpack_from("<III", self._data, place)
                place += 12 + (name_size + 3 & ~3)
                yield note, self._data[place:place + size]
                place += size + 3 & ~3
