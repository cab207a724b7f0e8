#!/usr/bin/env python3
"""Checks that the folders include only what they may, and that only cli/ prints.

    check_layering.py [ROOT]       checks the tree (default: the one this file is in); exit code 1 on a violation
    check_layering.py --self-test  plants one violation of each kind in a temporary tree; each must be found

The rules are data, below. Includes are resolved as the compiler does: a quoted name first beside the including file,
then from the root of the tree. A quoted name without a folder that ends in .inc and is in neither place is a table that
the build generates for that folder. Comments never count; strings do not count as code.
"""

import fnmatch
import os
import re
import sys
import tempfile

# folder pattern -> what a file there may include of the project. The first pattern that fits a file decides.
# Later entries of `db` are the model it stores: plain results, no analysis.
MAY_INCLUDE = [
    ("formats/*", ["formats/*"]),
    ("symbolize/*", ["symbolize/*.h", "formats/*.h"]),
    ("analyzer/*", ["analyzer/*", "symbolize/*.h", "formats/*.h"]),
    ("db/*", ["db/*", "formats/base/*", "analyzer/snapshot*.h", "analyzer/model/*.h"]),
    ("cli/*", ["cli/*", "db/*.h", "analyzer/*.h", "symbolize/*.h", "formats/*.h"]),
]
LAYERS = ["formats", "symbolize", "analyzer", "db", "cli"]

# library header -> files that may include it
LIBRARIES = [
    ("llvm/*", ["symbolize/*.cpp"]),
    ("llvm-c/*", ["symbolize/*.cpp"]),
    ("boost/program_options*", ["cli/*"]),
    ("sqlite3*.h", ["db/*"]),
    ("zstd*.h", ["formats/*", "symbolize/*.cpp", "db/*"]),
    ("zlib.h", ["formats/*", "symbolize/*.cpp"]),
    ("lzma*", ["formats/*", "symbolize/*.cpp"]),
    ("lz4*.h", ["formats/*"]),
    ("xxhash.h", ["formats/*"]),
    ("bzlib.h", ["formats/*"]),
    ("cxxabi.h", ["symbolize/*.cpp"]),
    ("iostream", ["cli/*"]),
    ("print", ["cli/*"]),
]

# C, POSIX, Linux and glibc headers; C++'s own have neither a dot nor a slash.
SYSTEM = re.compile(
    r"^(?:(?:sys|linux|asm|arpa|netinet)/[\w/.-]+"
    r"|(?:aio|alloca|assert|byteswap|complex|ctype|dirent|dlfcn|elf|endian|err|errno|execinfo|fcntl|features|fenv|float"
    r"|fnmatch|ftw|getopt|glob|gnu-versions|grp|immintrin|inttypes|iso646|langinfo|libgen|limits|link|locale|malloc"
    r"|math|mqueue|netdb|nl_types|poll|pthread|pwd|regex|sched|search|semaphore|setjmp|signal|spawn|stdalign|stdarg"
    r"|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|tar|termios|tgmath|threads|time"
    r"|uchar|ucontext|ulimit|unistd|utime|utmpx|wchar|wctype|wordexp|x86intrin|arm_neon)\.h)$"
)
STANDARD_CXX = re.compile(r"^[a-z_0-9]+$")

# Words that print. snprintf and the like only format, and are allowed everywhere.
PRINTING = re.compile(
    r"\bstd::(?:cout|cerr|clog|print|println)\b|\b(?:printf|vprintf|puts|putchar|perror)\s*\(|\b(?:stdout|stderr)\b"
)
MAY_PRINT = ["cli/*"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)
GENERATED = re.compile(r"^[a-z_0-9]+\.inc$")
# A quote after a digit or letter separates digits (1'000) or follows a prefix that no literal of ours has.
TOKEN = re.compile(
    r'(?P<raw>R"(?P<end>[^()\\\s]{0,16})\(.*?\)(?P=end)")'
    r'|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?P<char>(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+')"
    r"|(?P<comment>//[^\n]*|/\*.*?\*/)",
    re.DOTALL,
)


def blank(text):
    """The same number of lines, with nothing on them."""
    return "\n" * text.count("\n")


def without_comments(source):
    return TOKEN.sub(lambda m: blank(m.group()) or " " if m.group("comment") else m.group(), source)


def without_strings(source):
    return TOKEN.sub(lambda m: '""' + blank(m.group()), source)


def fits(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def resolve(root, including, name):
    """The path from the root of a quoted or angled include, or None if it is not a file of the project."""
    for base in (os.path.dirname(including), ""):
        path = os.path.normpath(os.path.join(base, name))
        if os.path.isfile(os.path.join(root, path)):
            return path
    return name if name.split("/")[0] in LAYERS + ["tests", "samples", "bench"] else None


def check_include(root, file, name, quoted):
    """What is wrong with `#include name` in `file`, or None."""
    path = resolve(root, file, name)
    if path is not None:
        allowed = next(may for where, may in MAY_INCLUDE if fits(file, [where]))
        if not fits(path, allowed):
            return f"{file.split('/')[0]}/ may not include {path}"
        return None
    if quoted and GENERATED.match(name):
        return None
    for header, users in LIBRARIES:
        if fits(name, [header]):
            return None if fits(file, users) else f"<{name}> belongs in {' or '.join(users)}"
    if STANDARD_CXX.match(name) or SYSTEM.match(name):
        return None
    return f"<{name}> is neither standard nor a library that this folder may use"


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_file(root, file):
    with open(os.path.join(root, file), encoding="utf-8") as stream:
        source = without_comments(stream.read())
    found = []
    for match in INCLUDE.finditer(source):
        quoted = match.group(2) is not None
        problem = check_include(root, file, match.group(2 if quoted else 1), quoted)
        if problem:
            found.append((file, line_of(source, match.end()), problem))
    if not fits(file, MAY_PRINT):
        code = without_strings(source)
        for match in PRINTING.finditer(code):
            found.append((file, line_of(code, match.start()), f"only cli/ prints: {match.group().strip('( ')}"))
    return found


def sources(root):
    for layer in LAYERS:
        for folder, _, names in sorted(os.walk(os.path.join(root, layer))):
            for name in sorted(names):
                if name.endswith((".h", ".cpp", ".inc", ".hpp", ".cc")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def check(root):
    """Every violation as (file, line, problem), and how many files were read."""
    files = list(sources(root))
    return [violation for file in files for violation in check_file(root, file)], len(files)


CLEAN = {
    "formats/base/result.h": "#include <string>\n",
    "formats/elf.cpp": '#include "formats/base/result.h"\n#include <elf.h>\n#include <lzma.h>\n#include "format_list.inc"\n',
    "symbolize/symbolizer.h": '#include "formats/base/result.h"\n',
    "symbolize/dwarf.cpp": '#include "symbolizer.h"\n#include <llvm/DebugInfo/DWARF/DWARFContext.h>\n',
    "analyzer/snapshot.h": '#include "formats/base/result.h"\n',
    "analyzer/pipeline.h": '#include "analyzer/snapshot.h"\n',
    "analyzer/allocators/glibc.cpp": '#include "analyzer/snapshot.h"\n#include "symbolize/symbolizer.h"\n',
    "db/database.cpp": '#include "analyzer/snapshot.h"\n#include <sqlite3.h>\n#include <zstd.h>\n',
    "db/database.h": "// <iostream> and printf() are for cli/\n/* #include <iostream>\n */ const int n = 1'000'000;\n",
    "analyzer/text.cpp": '#include <cstdio>\nauto s = "std::cout";\nint n = snprintf(b, 9, "printf(%d)", 1);\n',
    "cli/main.cpp": '#include "analyzer/pipeline.h"\n#include <boost/program_options.hpp>\n#include <iostream>\n',
}

# file, source, line where the violation stands
PLANTED = [
    ("formats/a.cpp", '#include "analyzer/snapshot.h"\n', 1),
    ("formats/b.cpp", "\n#include <sqlite3.h>\n", 2),
    ("formats/c.h", '#include "symbolize/symbolizer.h"\n', 1),
    ("formats/d.cpp", "#include <llvm/Object/ELF.h>\n", 1),
    ("formats/e.cpp", "#include <curl/curl.h>\n", 1),
    ("formats/f.cpp", "#include <foo.h>\n", 1),
    ("formats/g.cpp", '#include "../db/database.h"\n', 1),
    ("symbolize/a.h", "#include <llvm/Support/Error.h>\n", 1),
    ("symbolize/b.cpp", '#include "analyzer/snapshot.h"\n', 1),
    ("symbolize/c.h", "#include <zlib.h>\n", 1),
    ("analyzer/a.cpp", "#include <llvm/Support/Error.h>\n", 1),
    ("analyzer/b.cpp", '#include "db/database.h"\n', 1),
    ("analyzer/c.cpp", "#include <zstd.h>\n", 1),
    ("analyzer/d.cpp", '#include "symbolize/dwarf.cpp"\n', 1),
    ("analyzer/allocators/e.cpp", "#include <boost/program_options.hpp>\n", 1),
    ("analyzer/f.cpp", "#include <boost/container/flat_map.hpp>\n", 1),
    ("analyzer/g.cpp", "#include <iostream>\n", 1),
    ("analyzer/h.cpp", '/* a\n b */ void f() { std::printf("x"); }\n', 2),
    ("analyzer/i.cpp", 'auto a = R"x(\n")x"; void f() { fputs("x", stderr); }\n', 2),
    ("analyzer/j.cpp", "void f() { g(1'000, '\"'); puts(\"x\"); }\n", 1),
    ("db/a.cpp", '#include "analyzer/pipeline.h"\n', 1),
    ("db/b.cpp", '#include "formats/elf.cpp"\n', 1),
    ("db/c.h", '#include "cli/options.h"\n', 1),
    ("db/d.cpp", "#  include   <gtest/gtest.h>\n", 1),
    ("db/e.cpp", '#include "tests/support/dump_builder.h"\n', 1),
    ("cli/a.cpp", "#include <sqlite3.h>\n", 1),
    ("cli/b.cpp", "#include <llvm/Support/Error.h>\n", 1),
]


def write(root, file, text):
    path = os.path.join(root, file)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for file, text in CLEAN.items():
            write(root, file, text)
        failures = [f"{file}:{line}: reported, but allowed: {problem}" for file, line, problem in check(root)[0]]
        for file, text, _ in PLANTED:
            write(root, file, text)
        found = {(file, line) for file, line, _ in check(root)[0]}
        expected = {(file, line) for file, _, line in PLANTED}
        failures += [f"{file}:{line}: planted, but not found" for file, line in sorted(expected - found)]
        failures += [f"{file}:{line}: found, but not planted" for file, line in sorted(found - expected)]
    print("\n".join(failures) if failures else f"layering self-test: {len(PLANTED)} planted violations found")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    violations, files = check(root)
    if files == 0:
        print(f"layering: no sources under {os.path.normpath(root)}")
        return 1
    for file, line, problem in violations:
        print(f"{file}:{line}: {problem}")
    print(f"layering: {files} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
