"""Gets from malloc a mapped block that lies right behind a library's .bss.

Both are private anonymous memory, so that the kernel makes one mapping of them: /proc/PID/maps and
a core show a single region that begins in a library and ends in a malloc chunk. That comes about
by chance whenever the space behind a library (2 MiB aligned ones leave some) is just large enough.
Prints the block's address and size and waits for a line on standard input.
"""
import ctypes
import mmap
import sys

SIZE = 1 << 20
RESERVED, FILL_HOLE = 0x4022, 0x104022  # private, anonymous, no reserve; MAP_FIXED_NOREPLACE

libc = ctypes.CDLL(None)
libc.mmap.restype = libc.malloc.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.malloc.argtypes = [ctypes.c_size_t]


def reserve(address, size, flags=RESERVED):
    return libc.mmap(address, size, 0, flags, -1, 0)


def regions():
    with open("/proc/self/maps", encoding="utf-8") as file:
        for line in file:
            fields = line.split(None, 5)
            begin, end = (int(text, 16) for text in fields[0].split("-"))
            yield begin, end, fields[5].strip() if len(fields) > 5 else ""


def hole_behind_a_library():
    all_regions = list(regions())
    for before, bss, after in zip(all_regions, all_regions[1:], all_regions[2:]):
        is_bss = ".so" in before[2] and bss[2] == "" and before[1] == bss[0]
        if is_bss and after[0] - bss[1] >= SIZE:
            return bss[1], after[0]
    sys.exit("no library with room behind its .bss")


def main():
    # A library loaded below a reserved stretch has room behind it when the stretch is given back.
    stretch = reserve(None, 2 * SIZE)
    ctypes.CDLL("libstdc++.so.6")
    libc.munmap(stretch, 2 * SIZE)
    begin, end = hole_behind_a_library()
    if end - begin > SIZE:
        reserve(begin + SIZE, end - begin - SIZE, FILL_HOLE)
    # The kernel takes the highest hole that is large enough: use up those above.
    for _ in range(1000):
        if reserve(None, SIZE) == begin:
            break
    else:
        sys.exit("the hole was not reached")
    libc.munmap(begin, SIZE)
    block = libc.malloc(SIZE - mmap.PAGESIZE)
    if block != begin + 16:
        sys.exit(f"malloc took {block:#x}, not the hole at {begin:#x}")
    ctypes.memset(block, ord("m"), SIZE - mmap.PAGESIZE)
    print(block, SIZE - 16, flush=True)
    sys.stdin.readline()


main()
