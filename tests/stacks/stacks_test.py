"""residue's stacks against gdb's, frame by frame, on cores of programs made for it.

    stacks_test.py --residue build/residue [--keep FOLDER] [CLASS[.METHOD]…]
"""
import ctypes.util
import http.server
import os
import re
import shutil
import threading
import unittest.mock

import scene
from compare import Policy
from scene import StacksTestCase, asleep, functions_of, need


def first(theirs):
    return functions_of(theirs["threads"][0])


class CrowdTest(StacksTestCase):
    """Two hundred threads: templates, lambdas, std::function, inlined calls, tail calls."""

    def look(self, theirs):
        threads = theirs["threads"]
        self.assertEqual(len(threads), 201)
        frames = [frame for thread in threads for frame in thread["frames"]]
        self.assertGreater(len(frames), 60 * len(threads))
        for kind in ("inline", "tailcall"):
            self.assertGreater(sum(frame["kind"] == kind for frame in frames), 1000, kind)

    def test_kernel_core(self):
        program = self.build("g++", "threads.cpp", "-O2", "-g", "-std=c++20", "-pthread",
                             name="crowd")
        core = self.crash(program, "200")
        self.check(core, program, crashed=True, look=self.look)


class SignalTest(StacksTestCase):
    """In the middle of a signal handler, whatever it interrupted."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = None

    def check_mode(self, mode, *expected, trampolines=1):
        program = self.program or self.build("gcc", "signals.c", "-O2", "-g", "-pthread",
                                             "-fno-ipa-cp", "-fno-inline-small-functions")
        type(self).program = program

        def look(theirs):
            frames = theirs["threads"][0]["frames"]
            kinds = [frame["kind"] for frame in frames]
            self.assertEqual(kinds.count("sigtramp"), trampolines)
            for function in expected:
                self.assertIn(function, first(theirs))
        self.check(self.crash(program, mode), program, look=look, crashed=True)

    def test_in_a_leaf_function(self):
        self.check_mode("leaf", "fatal", "leaf", "main")

    def test_on_an_alternative_stack(self):
        self.check_mode("altstack", "fatal_info", "leaf", "on_another_stack", "main")

    def test_two_handlers_nested(self):
        self.check_mode("nested", "fatal", "raises_another", "main", trampolines=2)

    def test_in_a_system_call(self):
        self.check_mode("syscall", "fatal", "sleep_in_a_syscall", "main")

    def test_at_the_first_instruction_of_a_function(self):
        self.check_mode("first-instruction", "fatal", "first_instruction", "main")

    def test_in_a_division(self):
        self.check_mode("divide", "fatal", "divide", "main")

    def test_after_an_overflow_of_the_stack(self):
        self.check_mode("overflow", "fatal", "overflow", "main")


class OverflowTest(StacksTestCase):
    """A stack of 8 MB used up by recursion: the ends and the number of frames."""

    def test_kernel_core(self):
        program = self.build("gcc", "overflow.c", "-O1", "-g", "-fno-optimize-sibling-calls")

        def look(theirs):
            self.assertGreater(theirs["threads"][0]["count"], 100_000)
        self.check(self.crash(program), program, policy=Policy(edge=300), crashed=True, look=look)


class FramePointerTest(StacksTestCase):
    """Optimised without frame pointers, with them, and without .eh_frame for the program."""

    def check_flags(self, *flags, source="shapes.cpp", compiler="g++", policy=Policy()):
        program = self.build(compiler, source, "-pthread", *flags)
        self.check(self.crash(program), program, crashed=True, policy=policy)

    def test_omitted(self):
        self.check_flags("-O2", "-g", "-fomit-frame-pointer")

    def test_omitted_without_debug_information(self):
        self.check_flags("-O2", "-fomit-frame-pointer")

    def test_kept(self):
        self.check_flags("-O2", "-g", "-fno-omit-frame-pointer")

    def test_unoptimised(self):
        self.check_flags("-O0", "-g")

    def test_much_optimised(self):
        self.check_flags("-O3", "-g", "-march=native")

    def test_with_debug_frame_alone(self):
        self.check_flags("-O2", "-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
                         source="shapes.c", compiler="gcc")

    def test_without_call_frame_information(self):
        self.check_flags("-O1", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables",
                         "-fno-unwind-tables", source="shapes.c", compiler="gcc")


class StrippedTest(StacksTestCase):
    """The debug information in another file, or nowhere."""

    def stripped(self, name, *strip):
        program = self.build("g++", "shapes.cpp", "-O2", "-g", "-pthread", name=name)
        debug = program + ".debug"
        self.run_tool("objcopy", "--only-keep-debug", program, debug)
        self.run_tool("strip", *strip, program)
        return program, debug

    def link(self, program, debug):
        self.run_tool("objcopy", "--add-gnu-debuglink", debug, program)

    def has_lines(self, theirs):
        files = [frame["file"] for frame in theirs["threads"][0]["frames"] if frame["file"]]
        self.assertTrue(any(file.endswith("shapes.cpp") for file in files))

    def test_link_to_a_file_beside(self):
        program, debug = self.stripped("beside")
        self.link(program, debug)
        self.check(self.crash(program), program, crashed=True, look=self.has_lines)

    def test_link_to_a_file_in_dot_debug(self):
        program, debug = self.stripped("dotted")
        self.link(program, debug)
        os.makedirs(self.path(".debug"), exist_ok=True)
        shutil.move(debug, self.path(".debug"))
        self.check(self.crash(program), program, crashed=True, look=self.has_lines)

    def test_link_without_a_build_id(self):
        program = self.build("g++", "shapes.cpp", "-O2", "-g", "-pthread", "-Wl,--build-id=none",
                             name="crc")
        debug = program + ".debug"
        self.run_tool("objcopy", "--only-keep-debug", program, debug)
        self.run_tool("strip", program)
        self.link(program, debug)
        self.check(self.crash(program), program, crashed=True, look=self.has_lines)

    def test_file_in_a_folder_of_symbols(self):
        program, debug = self.stripped("elsewhere")
        self.link(program, debug)
        folder = self.path("symbols")
        os.mkdir(folder)
        moved = shutil.move(debug, folder)
        core = self.crash(program)
        self.check(core, program, ("--exe", program, "--symbols", folder), crashed=True,
                   gdb_setup=(f"set debug-file-directory {self.global_folder(program, moved)}"
                              ":/usr/lib/debug",), look=self.has_lines)

    def test_file_by_build_id_in_a_folder_of_symbols(self):
        program, debug = self.stripped("by-id")
        folder = self.global_folder(program, debug)
        os.unlink(debug)
        self.check(self.crash(program), program, ("--exe", program, "--symbols", folder),
                   crashed=True, look=self.has_lines,
                   gdb_setup=(f"set debug-file-directory {folder}:/usr/lib/debug",))

    def test_file_from_a_debuginfod_server(self):
        if not ctypes.util.find_library("debuginfod"):
            self.skipTest("libdebuginfod is not installed")
        program, debug = self.stripped("served")
        folder = self.global_folder(program, debug)
        os.unlink(debug)
        url = self.serve_by_build_id(folder)
        core = self.crash(program)
        environment = {"DEBUGINFOD_URLS": url, "DEBUGINFOD_CACHE_PATH": self.path("cache")}
        # First from the server, then from the cache alone.
        for options in (("--debuginfod",), ()):
            with unittest.mock.patch.dict(os.environ, environment):
                self.check(core, program, ("--exe", program, *options), crashed=True,
                           look=self.has_lines,
                           gdb_setup=(f"set debug-file-directory {folder}:/usr/lib/debug",))
            environment["DEBUGINFOD_URLS"] = ""

    def serve_by_build_id(self, folder):
        """debuginfod's web API (debuginfod(8)) on the files of a folder like /usr/lib/debug."""
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                found = re.fullmatch(r"/buildid/(..)([0-9a-f]+)/debuginfo", self.path)
                path = found and os.path.join(folder, ".build-id", found[1], found[2] + ".debug")
                if not path or not os.path.exists(path):
                    self.send_error(404)
                    return
                with open(path, "rb") as file:
                    content = file.read()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def global_folder(self, program, debug):
        """A folder laid out as /usr/lib/debug, which is what gdb can be told of."""
        notes = self.run_tool("readelf", "-n", program)
        build_id = re.search(r"Build ID: ([0-9a-f]+)", notes)[1]
        folder = program + ".global"
        os.makedirs(os.path.join(folder, ".build-id", build_id[:2]))
        shutil.copy(debug, os.path.join(folder, ".build-id", build_id[:2],
                                        build_id[2:] + ".debug"))
        return folder

    def test_only_dynamic_symbols(self):
        program, debug = self.stripped("bare")
        os.unlink(debug)
        self.check(self.crash(program), program, crashed=True)

    def test_exported_symbols_only(self):
        program = self.build("g++", "shapes.cpp", "-O2", "-pthread", "-rdynamic", "-s",
                             name="exports")
        self.check(self.crash(program), program, crashed=True)

    def test_debug_information_stripped(self):
        program, debug = self.stripped("symtab", "--strip-debug")
        os.unlink(debug)
        self.check(self.crash(program), program, crashed=True)

    def test_mini_symbol_table(self):
        need("xz")
        program, debug = self.stripped("mini", "--strip-all")
        self.run_tool("objcopy", "-S", "--remove-section", ".comment", "--strip-debug", debug,
                      debug + ".mini")
        # As find-debuginfo makes it: functions alone, in an ELF file, compressed.
        self.run_tool("objcopy", "--strip-debug", "--keep-file-symbols", debug, debug + ".mini")
        self.run_tool("xz", "-f", debug + ".mini")
        self.run_tool("objcopy", "--add-section", f".gnu_debugdata={debug}.mini.xz", program)
        os.unlink(debug)

        def look(theirs):
            self.assertTrue(any(frame["function"] and "fail" in frame["function"]
                                for frame in theirs["threads"][0]["frames"]))
        self.check(self.crash(program), program, crashed=True, look=look)


class StaticTest(StacksTestCase):
    """glibc linked into the program."""

    def test_c(self):
        program = self.build("gcc", "shapes.c", "-O2", "-g", "-static", "-pthread", name="c")
        self.check(self.crash(program), program, crashed=True)

    def test_c_position_independent(self):
        program = self.build("gcc", "shapes.c", "-O2", "-g", "-static-pie", "-fPIE", "-pthread",
                             name="c-pie")
        self.check(self.crash(program), program, crashed=True)

    def test_cxx(self):
        program = self.build("g++", "shapes.cpp", "-O2", "-g", "-static", "-pthread", name="cxx")
        self.check(self.crash(program), program, crashed=True)

    def test_in_a_signal_handler(self):
        program = self.build("gcc", "signals.c", "-O2", "-g", "-static", "-pthread", name="sig")
        self.check(self.crash(program, "altstack"), program, crashed=True)

    def test_fixed_address(self):
        program = self.build("g++", "shapes.cpp", "-O2", "-g", "-no-pie", "-fno-pie", "-pthread",
                             name="fixed")
        self.check(self.crash(program), program, crashed=True)


class MuslTest(StacksTestCase):
    """musl's libc has no call frame information: stacks are certain up to their first frame in it."""

    tools = ("gdb", "musl-gcc")

    def check_program(self, name, source, *arguments, expected, flags=()):
        program = self.build("musl-gcc", source, "-O2", "-g", "-pthread", *flags, name=name)

        def look(theirs):
            names = first(theirs)
            self.assertEqual(names[:len(expected)], list(expected))
        self.check(self.crash(program, *arguments), program, crashed=True, look=look,
                   policy=Policy(until_guess=True))

    def test_dynamic(self):
        self.check_program("dynamic", "shapes.c", expected=("crash", "order"))

    def test_static(self):
        self.check_program("static", "shapes.c", expected=("crash", "order"), flags=("-static",))

    def test_to_main(self):
        self.check_program("to-main", "shapes.c", "direct",
                           expected=("crash", *10 * ("crash_below",), "main"))

    def test_static_to_main(self):
        self.check_program("static-to-main", "shapes.c", "direct", flags=("-static",),
                           expected=("crash", *10 * ("crash_below",), "main"))

    def test_in_a_signal_handler(self):
        self.check_program("signals-static", "signals.c", "trap", expected=("traps",),
                           flags=("-static",))

    def test_in_a_signal_handler_that_gdb_does_not_see(self):
        # The trampoline has no name in the dynamic libc, so gdb takes it for the code before it.
        program = self.build("musl-gcc", "signals.c", "-O2", "-g", "-pthread", name="signals")
        if scene.OPTIONS.pretend:
            self.skipTest("gdb cannot do it")
        rows = self.rows(self.crash(program, "trap"), "--exe", program)
        functions = [row["function"] for row in rows]
        self.assertEqual(functions[0], "traps")
        self.assertEqual(functions[2:4], ["leaf", "main"])


class ThirtyTwoBitTest(StacksTestCase):
    tools = ("gdb", "i686-linux-gnu-g++")

    def test_static_cxx(self):
        program = self.build("i686-linux-gnu-g++", "shapes.cpp", "-O2", "-g", "-static",
                             "-pthread", name="cxx")
        self.check(self.crash(program), program, crashed=True)

    def test_static_c(self):
        program = self.build("i686-linux-gnu-gcc", "shapes.c", "-O2", "-g", "-static", "-pthread",
                             name="c")
        self.check(self.crash(program), program, crashed=True)

    def test_dynamic_c(self):
        if not os.path.exists("/lib/ld-linux.so.2"):
            self.skipTest("libc6-i386 is not installed")
        program = self.build("i686-linux-gnu-gcc", "shapes.c", "-O2", "-g", "-pthread",
                             name="dynamic")
        self.check(self.crash(program), program, crashed=True)

    def test_in_a_signal_handler(self):
        program = self.build("i686-linux-gnu-gcc", "signals.c", "-O2", "-g", "-static",
                             "-pthread", name="signals")
        for mode in ("leaf", "altstack", "nested"):
            with self.subTest(mode=mode):
                self.check(self.crash(program, mode), program, crashed=True)


class DebugFormatTest(StacksTestCase):
    """One program, its debug information written in every way."""

    def check_flags(self, *flags, compiler="g++", name=None, after=None):
        program = self.build(compiler, "shapes.cpp", "-std=c++17", "-pthread", *flags,
                             name=name or self._testMethodName)
        if after:
            after(program)

        def look(theirs):
            files = [frame["file"] for thread in theirs["threads"] for frame in thread["frames"]
                     if frame["file"]]
            self.assertTrue(any(file.endswith("shapes.cpp") for file in files))
        self.check(self.crash(program), program, crashed=True, look=look)

    def test_dwarf_2(self):
        self.check_flags("-O2", "-gdwarf-2", "-gstrict-dwarf")

    def test_dwarf_3(self):
        self.check_flags("-O2", "-gdwarf-3")

    def test_dwarf_4(self):
        self.check_flags("-O2", "-gdwarf-4")

    def test_dwarf_4_type_units(self):
        self.check_flags("-O2", "-gdwarf-4", "-fdebug-types-section")

    def test_dwarf_5(self):
        self.check_flags("-O2", "-gdwarf-5")

    def test_dwarf_5_type_units(self):
        self.check_flags("-O2", "-gdwarf-5", "-fdebug-types-section")

    def test_dwarf_64(self):
        self.check_flags("-O2", "-gdwarf64", "-gdwarf-5")

    def test_compressed_with_zlib(self):
        self.check_flags("-O2", "-g", "-gz=zlib")

    def test_compressed_with_zlib_the_old_way(self):
        self.check_flags("-O2", "-g", after=lambda program: self.run_tool(
            "objcopy", "--compress-debug-sections=zlib-gnu", program))

    def test_compressed_with_zstd(self):
        if "zstd" not in self.run_tool("objcopy", "--help"):
            self.skipTest("objcopy knows no zstd")
        self.check_flags("-O2", "-g", after=lambda program: self.run_tool(
            "objcopy", "--compress-debug-sections=zstd", program))

    def test_split_dwarf_5(self):
        self.check_flags("-O2", "-g", "-gdwarf-5", "-gsplit-dwarf")

    def test_split_dwarf_4(self):
        self.check_flags("-O2", "-g", "-gdwarf-4", "-gsplit-dwarf")

    def pack(self, tool, program):
        """Gathers the .dwo files of a program in one beside it."""
        need(tool)
        self.run_tool(tool, "-e", program, "-o", program + ".dwp")
        gone = [file for file in os.listdir(self.folder)
                if file.startswith(os.path.basename(program)) and file.endswith(".dwo")]
        self.assertTrue(gone)
        for file in gone:
            os.unlink(self.path(file))

    # Not of DWARF 5: dwp crashes on it, llvm-dwp does not end, and gdb 13 crashes on what llvm-dwp
    # makes of clang's.
    def test_split_dwarf_4_in_a_package(self):
        self.check_flags("-O2", "-g", "-gdwarf-4", "-gsplit-dwarf",
                         after=lambda program: self.pack("dwp", program))

    def test_dwz(self):
        need("dwz")
        self.check_flags("-O2", "-g", after=lambda program: self.run_tool("dwz", program))

    def test_dwz_common_file(self):
        need("dwz")

        def share(program):
            other = program + ".other"
            shutil.copy(program, other)
            self.run_tool("dwz", "-m", program + ".common", program, other)
        self.check_flags("-O2", "-g", after=share)

    def test_lto(self):
        self.check_flags("-O2", "-g", "-flto")

    def test_lto_partitions(self):
        self.check_flags("-O2", "-g", "-flto", "-flto-partition=max", "-ffunction-sections")

    def test_little_debug_information(self):
        program = self.build("g++", "shapes.cpp", "-O2", "-g1", "-pthread", name="g1")
        self.check(self.crash(program), program, crashed=True)


class ClangTest(StacksTestCase):
    tools = ("gdb", "clang++-19")
    check_flags = DebugFormatTest.check_flags

    def test_dwarf_5(self):
        self.check_flags("-O2", "-g", compiler="clang++-19")

    def test_dwarf_4(self):
        self.check_flags("-O2", "-g", "-gdwarf-4", compiler="clang++-19")

    def test_unoptimised(self):
        self.check_flags("-O0", "-g", compiler="clang++-19")

    def test_split_dwarf(self):
        self.check_flags("-O2", "-g", "-gsplit-dwarf", "-fdebug-types-section",
                         compiler="clang++-19")

    def test_lines_only(self):
        program = self.build("clang++-19", "shapes.cpp", "-O2", "-gline-tables-only", "-pthread",
                             name="lines")
        self.check(self.crash(program), program, crashed=True)


class WildCallTest(StacksTestCase):
    """The program counter is nowhere: what called it is still found."""

    def check_mode(self, mode):
        program = self.build("gcc", "wild_call.c", "-O1", "-g", "-fno-optimize-sibling-calls",
                             name="wild-" + mode)

        def look(theirs):
            self.assertEqual(first(theirs)[0], None)
            self.assertEqual(first(theirs)[1:6], ["call_it"] * 5)
        self.check(self.crash(program, mode), program, crashed=True, look=look)

    def test_null(self):
        self.check_mode("null")

    def test_unmapped(self):
        self.check_mode("wild")

    def test_heap(self):
        self.check_mode("heap")


class LoaderTest(StacksTestCase):
    """Frames of ld.so, and of code it calls or is called from."""

    def test_constructor_of_a_library(self):
        self.build("g++", "constructor_library.cpp", "-O2", "-g", "-shared", "-fPIC",
                   name="libconstructor.so")
        program = self.build("gcc", "constructor.c", "-O2", "-g", "-L", self.folder,
                             "-lconstructor", f"-Wl,-rpath,{self.folder}", name="constructor")

        def look(theirs):
            self.assertIn("library::Registry::add", first(theirs))
        # gdb goes on behind the entry of ld.so, which has no call frame information.
        self.check(self.crash(program), program, crashed=True, look=look,
                   policy=Policy(until_guess=True))

    def check_steps(self, name, *flags):
        program = self.build("gcc", "steps.c", "-O2", "-g", "-Wl,-z,lazy", "-no-pie", *flags,
                             name=name)
        seen = set()
        for step in range(1, 13):
            with self.subTest(step=step):
                self.check(self.crash(program, str(step)), program, crashed=True,
                           look=lambda theirs: seen.update(first(theirs)))
        self.assertTrue({"random@plt", "step_into", "_dl_runtime_resolve_xsavec"} <= seen, seen)

    def test_steps_through_the_plt(self):
        self.check_steps("steps", "-fcf-protection=none")

    def test_steps_through_the_plt_for_indirect_branch_tracking(self):
        self.check_steps("steps-ibt", "-fcf-protection=full", "-Wl,-z,ibtplt")


class AbortTest(StacksTestCase):
    """abort() by way of libc and libstdc++."""

    def test_assertion(self):
        program = self.build("gcc", "assertion.c", "-O2", "-g")

        def look(theirs):
            self.assertIn("withdraw", first(theirs))
        self.check(self.crash(program), program, crashed=True, look=look)

    def test_exceptions(self):
        program = self.build("g++", "throwing.cpp", "-O2", "-g")
        for mode in ("uncaught", "unwinding", "handler", "again", "noexcept"):
            with self.subTest(mode=mode):
                self.check(self.crash(program, mode), program, crashed=True)

    def test_in_the_unwinder(self):
        program = self.build("g++", "personality.cpp", "-O2", "-g")

        def look(theirs):
            self.assertIn("_Unwind_RaiseException", first(theirs))
        self.check(self.crash(program), program, crashed=True, look=look)


class WaitingTest(StacksTestCase):
    """Every wait of libc; SIGQUIT from outside."""

    def test_kernel_core(self):
        program = self.build("gcc", "waiting.c", "-O2", "-g", "-pthread")
        core = self.crash(program, quit_when=asleep(14))
        self.check(core, program, crashed=True)


class VdsoTest(StacksTestCase):
    def test_interrupted_in_the_vdso(self):
        program = self.build("gcc", "vdso.c", "-O2", "-g")

        def look(theirs):
            self.assertIn("watch_the_clock", first(theirs))
        self.check(self.crash(program), program, crashed=True, look=look)


class KindsOfCoresTest(StacksTestCase):
    """One process: the kernel's core and gdb's, with and without the pages of files."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = None

    def crowd(self):
        if not self.program:
            type(self).program = self.build("g++", "threads.cpp", "-O2", "-g", "-std=c++20",
                                            "-pthread", name="crowd")
        return self.program

    def test_kernel_default(self):
        self.check(self.crash(self.crowd(), "20", core_filter=scene.DEFAULT_FILTER),
                   self.crowd(), crashed=True)

    def test_kernel_everything(self):
        self.check(self.crash(self.crowd(), "20", core_filter=scene.FULL_FILTER),
                   self.crowd(), crashed=True)

    def test_gcore(self):
        core = self.gcore(self.crowd(), "20", "pause", ready=asleep(21))
        self.check(core, self.crowd(), crashed=False)

    def test_gcore_everything(self):
        core = self.gcore(self.crowd(), "20", "pause", ready=asleep(21), all_mappings=True)
        self.check(core, self.crowd(), crashed=False)

    def test_executable_found_through_the_core(self):
        core = self.crash(self.crowd(), "5")
        self.check(core, self.crowd(), ("--symbols", self.folder), crashed=True)

    def check_alone(self, core, program, **options):
        self.check(core, program, ("--sysroot", "/nonexistent"), Policy(names=False), **options)

    def test_gcore_alone(self):
        core = self.gcore(self.crowd(), "20", "pause", ready=asleep(21), all_mappings=True)
        self.check_alone(core, self.crowd(), crashed=False)

    def test_kernel_core_alone(self):
        core = self.crash(self.crowd(), "20", core_filter=scene.FULL_FILTER)
        self.check_alone(core, self.crowd(), crashed=True)

    def test_signal_handler_alone(self):
        program = self.build("gcc", "signals.c", "-O2", "-g", "-pthread")
        for mode in ("leaf", "nested", "altstack"):
            with self.subTest(mode=mode):
                core = self.crash(program, mode, core_filter=scene.FULL_FILTER)
                self.check_alone(core, program, crashed=True)


if __name__ == "__main__":
    scene.main()
