"""residue's stacks against gdb's on programs of Debian, taken while they run or wait.

    debian_test.py --residue build/residue [--keep FOLDER] [CLASS[.METHOD]…]
"""
import os
import re
import subprocess
import time

import scene
from compare import Policy
from scene import StacksTestCase, asleep, need, settled, thread_states


def after(seconds):
    end = time.monotonic() + seconds
    return lambda process: time.monotonic() > end


def threads_at_least(count, seconds=0.5):
    """That many threads, and some time for them to be at work."""
    seen = []

    def condition(process):
        if len(thread_states(process.pid)) >= count:
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] > seconds
    return condition


class DebianTestCase(StacksTestCase):
    """Their functions have names only where libraries export them; libc has all its symbols."""

    def check_program(self, *command, ready, named=(), until_guess=False, **popen_options):
        need(command[0])
        core = self.gcore(*command, ready=ready, **popen_options)

        def look(theirs):
            functions = {frame["function"] for thread in theirs["threads"]
                         for frame in thread["frames"]}
            for name in named:
                self.assertTrue(any(function and re.search(name, function)
                                    for function in functions), f"{name}: {sorted(map(str, functions))}")
        program = os.path.realpath(self.program_of(command[0]))
        self.check(core, program, crashed=False, look=look,
                   policy=Policy(until_guess=until_guess))

    @staticmethod
    def program_of(name):
        return subprocess.run(["which", name], capture_output=True, encoding="utf-8",
                              check=True).stdout.strip()


class PythonTest(DebianTestCase):
    SCRIPT = """
import queue, select, socket, threading, time
def deeper(depth, end):
    return sorted([2, 1], key=lambda _: deeper(depth - 1, end)) if depth else end()
places = [lambda: time.sleep(999), threading.Lock, queue.Queue().get,
          socket.create_server(("127.0.0.1", 0)).accept, lambda: select.select([], [], [])]
places[1] = threading.Semaphore(0).acquire
for number, place in enumerate(places):
    threading.Thread(target=deeper, args=(number + 2, place), daemon=True).start()
deeper(9, lambda: time.sleep(999))
"""

    def test_threads(self):
        self.check_program("/usr/bin/python3", "-I", "-c", self.SCRIPT, ready=asleep(6),
                           named=("PyObject_Call", "Py_BytesMain", "start_thread"))


class PerlTest(DebianTestCase):
    def test_sort_and_recursion(self):
        self.check_program(
            "perl", "-e", "sub f { my $n = shift; sleep 999 unless $n; "
            "my @sorted = sort { f($n - 1); 0 } 1, 2 } f(7)",
            ready=asleep(1), named=("Perl_runops_standard", "Perl_pp_sort", "nanosleep"))


class BashTest(DebianTestCase):
    def test_functions(self):
        self.check_program("bash", "--norc", "-c", 'f() { if (($1)); then f $(($1 - 1)); else '
                           'read -r line; fi; }; f 12', ready=asleep(1),
                           stdin=subprocess.PIPE, named=("execute_command", "read_builtin"))


class SqliteTest(DebianTestCase):
    def test_a_long_query(self):
        self.check_program("sqlite3", ":memory:", "with recursive c(x) as (select 1 union all "
                           "select x + 1 from c) select count(*) from c;", ready=after(0.5),
                           named=("sqlite3_step",))


class CppcheckTest(DebianTestCase):
    def test_at_work(self):
        with open(self.path("source.cpp"), "w", encoding="ascii") as source:
            for number in range(2000):
                source.write(f"int f{number}(int n, int* p) {{\n  if (n > {number}) {{ int* q = p; "
                             f"for (int i = 0; i < n; ++i) {{ q[i] = n / (i - 1); }} }}\n"
                             f"  return n ? f{number}(n - 1, p) + *p : 0;\n}}\n")
        self.check_program("cppcheck", "--enable=all", self.path("source.cpp"), ready=after(0.7),
                           named=("__libc_start_main",))


class XzTest(DebianTestCase):
    def test_two_threads(self):
        with open("/dev/zero", "rb") as zeros:
            self.check_program("xz", "-T2", "-c", "--block-size=4MiB", stdin=zeros,
                               ready=threads_at_least(3), named=("lzma_code", "start_thread"))


class GdbTest(DebianTestCase):
    def test_at_its_prompt(self):
        self.check_program("gdb", "-nx", "-q", stdin=subprocess.PIPE, ready=settled(
            lambda process: len(thread_states(process.pid)) >= 2
            and set(thread_states(process.pid)) == {"S"}, 20), named=("start_thread", "poll"))


class NodeTest(DebianTestCase):
    def test_idle(self):
        self.check_program("node", "-e", "setInterval(() => {}, 100000)",
                           ready=settled(lambda process: len(thread_states(process.pid)) >= 6
                                         and set(thread_states(process.pid)) == {"S"}, 30),
                           named=("uv_run", "start_thread"))

    def test_in_a_native_call_of_a_script(self):
        # Code that V8 generates has no call frame information: certain only up to there.
        self.check_program("node", "-e", "const f = n => n ? [1].map(() => f(n - 1)) : Atomics.wait("
                           "new Int32Array(new SharedArrayBuffer(4)), 0, 0); f(5)",
                           ready=settled(lambda process: len(thread_states(process.pid)) >= 6
                                         and set(thread_states(process.pid)) == {"S"}, 30),
                           named=("AtomicsWait|FutexEmulation",), until_guess=True)


class JavaTest(DebianTestCase):
    def test_waiting_for_input(self):
        keystore = self.path("none")
        self.check_program("keytool", "-J-Xmx32m", "-J-XX:+UseSerialGC", "-genkeypair", "-keystore", keystore, stdin=subprocess.PIPE,
                           ready=settled(lambda process: len(thread_states(process.pid)) >= 6
                                         and set(thread_states(process.pid)) == {"S"}, 30),
                           named=("start_thread",), until_guess=True)


if __name__ == "__main__":
    scene.main()
