"""Eight threads allocate in arenas of their own and hand objects to each other; then SIGUSR2."""
import os
import queue
import signal
import threading
import zlib

handed_over = queue.Queue()
kept = {}
arrived = threading.Barrier(9)
never = threading.Event()


def work(number):
    mine = []
    for i in range(3000):
        data = bytes([number, i % 256]) * (i % 400 + 1)
        mine.append(zlib.compress(data))
        if i % 5 == 0:
            handed_over.put((number, data))
        if i % 7 == 0 and not handed_over.empty():
            handed_over.get()
    kept[number] = mine[::2]
    arrived.wait()
    never.wait()


for number in range(8):
    threading.Thread(target=work, args=(number,), daemon=True).start()
arrived.wait()
os.kill(os.getpid(), signal.SIGUSR2)
