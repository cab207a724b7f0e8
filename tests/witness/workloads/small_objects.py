"""A few thousand objects, a third of them freed again; then SIGUSR2."""
import os
import signal
import threading

kept = [{"number": i, "text": str(i) * (i % 40), "list": [i] * (i % 9)} for i in range(3000)]
del kept[::3]
thread = threading.Thread(target=lambda: kept.extend(bytes(i) for i in range(600)))
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGUSR2)
