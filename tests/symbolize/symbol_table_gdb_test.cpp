// Which symbol is shown for an address: the same as `gdb -ex 'info symbol ADDRESS'`.
#include <map>
#include <sstream>

#include "symbolize/symbol_table.h"
#include "tests/symbolize/built_files.h"

namespace residue {
namespace {

using testing::image_with_module;

class SymbolTableGdbTest : public testing::BuiltFiles {
 protected:
  void SetUp() override {
    REQUIRE_TOOL("gdb");
    REQUIRE_TOOL("gcc");
  }

  // gdb's answers for addresses of a file that is not running: "name+offset", "" for none.
  std::map<uint64_t, std::string> ask_gdb(const std::string& file,
                                          const std::vector<uint64_t>& addresses) const {
    std::string script;
    for (const uint64_t a : addresses) {
      script += "echo @" + std::to_string(a) + ":\\n\ninfo symbol " + std::to_string(a) + "\n";
    }
    write_text("script", script);
    std::istringstream lines(
        run("gdb -q -batch -nx -iex 'set demangle-style none' -iex 'set debug-file-directory "
            "/nonexistent' -x script '" +
            file + "' 2>/dev/null"));
    std::map<uint64_t, std::string> answers;
    uint64_t at = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with('@')) at = std::stoull(line.substr(1));
      const size_t section = line.rfind(" in section ");
      if (line.starts_with("No symbol")) answers[at] = "";
      if (section == std::string::npos) continue;
      // gdb makes up symbols for the linkage table.
      if (line.find(" in section .plt") != std::string::npos) continue;
      line.resize(section);
      const size_t plus = line.find(" + ");
      answers[at] = plus == std::string::npos ? line + "+0"
                                              : line.substr(0, plus) + "+" + line.substr(plus + 3);
    }
    return answers;
  }

  // Every `step`th address of the executable segments.
  void compare(const std::string& file, uint64_t step) const {
    const Image image = image_with_module(file, file, 0, true);
    FileSearch nowhere;
    nowhere.sysroot = "/nonexistent";
    const DebugFiles files(image, nowhere);
    const SymbolTable symbols(files);
    std::vector<uint64_t> addresses;
    for (const Segment& segment : image.modules[0].segments) {
      if (!segment.permissions.execute) continue;
      for (uint64_t a = segment.range.base.value(); a < segment.range.end().value(); a += step) {
        addresses.push_back(a);
      }
    }
    const auto expected = ask_gdb(file, addresses);
    ASSERT_GT(expected.size(), addresses.size() / 2);
    size_t named = 0;
    for (const auto& [a, name] : expected) {
      const auto found = symbols.find_function(Address(a));
      std::string ours;
      if (found) ours = std::string(found->name) + "+" + std::to_string(a - found->address);
      EXPECT_EQ(ours, name) << std::hex << a;
      if (!name.empty()) ++named;
    }
    EXPECT_GT(named, 0U);
  }
};

// Aliases of every binding, labels without size inside and behind functions, an indirect function.
TEST_F(SymbolTableGdbTest, AgreesOnAliasesAndLabels) {
  write_text("a.s", R"(
  .text
  .globl zeta, alpha
  .weak weak_alias
  .type zeta,@function
  .type alpha,@function
  .type weak_alias,@function
  .type zz_local,@function
zz_local:
zeta:
alpha:
weak_alias:
  .fill 24,1,0x90
inner_label:
  .fill 8,1,0x90
  .size zeta,.-zeta
  .size alpha,.-alpha
  .size weak_alias,.-weak_alias
  .size zz_local,.-zz_local
  .fill 16,1,0x90
assembly_routine:
  .fill 40,1,0x90
another:
  .fill 8,1,0x90
  .globl outer, nested
  .type outer,@function
outer:
  .fill 16,1,0x90
  .type nested,@function
nested:
  .fill 8,1,0x90
  .size nested,.-nested
  .fill 24,1,0x90
  .size outer,.-outer
  .globl resolver, indirect
  .type resolver,@function
  .type indirect,@gnu_indirect_function
resolver:
indirect:
  ret
  .size resolver,.-resolver
  .size indirect,.-indirect
  .fill 15,1,0x90
data_in_text:
  .quad 1
  .type data_in_text,@object
  .size data_in_text,8
  .fill 8,1,0x90
)");
  run("gcc -c a.s -o a.o && gcc -shared -nostdlib a.o -o a.so");
  compare(path("a.so"), 1);
  run("strip a.so");
  compare(path("a.so"), 1);
}

TEST_F(SymbolTableGdbTest, AgreesOnAProgramOf32Bits) {
  write_text("x.c",
             "static int f(int x) { return x; } int g(int x) { return f(x); }\n"
             "void _start(void) { g(1); }\n");
  if (std::system(
          ("cd '" + path("") + "' && gcc -m32 -O0 -nostdlib x.c -o x 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "gcc cannot make programs of 32 bits";
  }
  compare(path("x"), 1);
}

// The machine's own libraries: exported names only, with versions and hand-written assembly.
TEST_F(SymbolTableGdbTest, AgreesOnTheCLibrary) {
  const std::string libc = run("gcc -print-file-name=libc.so.6 | tr -d '\\n'");
  if (!libc.starts_with('/')) GTEST_SKIP() << "no libc.so.6 of its own";
  compare(libc, 331);
}

TEST_F(SymbolTableGdbTest, AgreesOnTheCppLibrary) {
  const std::string library = run("realpath $(gcc -print-file-name=libstdc++.so.6) | tr -d '\\n'");
  if (!library.starts_with('/')) GTEST_SKIP() << "no libstdc++.so.6";
  compare(library, 997);
}

// Other machines, linked by lld without any library; readelf is the witness.
TEST_F(SymbolTableGdbTest, AgreesOnOtherMachines) {
  REQUIRE_TOOL("clang-19");
  REQUIRE_TOOL("ld.lld-19");
  REQUIRE_TOOL("readelf");
  write_text("x.c",
             "int data[4]; static __attribute__((noinline)) int f(int x) { return x * data[1]; }\n"
             "int g(int x) { return f(x) + f(x + 1); }\nvoid _start(void) { g(1); }\n");
  for (const char* target :
       {"armv7-linux-gnueabihf -mthumb", "armv7-linux-gnueabihf -marm", "aarch64-linux-gnu",
        "aarch64_be-linux-gnu", "riscv64-linux-gnu -mno-relax", "powerpc64le-linux-gnu",
        "mips-linux-gnu", "mips64el-linux-gnuabi64", "i386-linux-gnu"}) {
    const std::string command = std::string("clang-19 --target=") + target +
                                " -O1 -ffreestanding -c x.c -o x.o && ld.lld-19 x.o -o x";
    run(command);
    if (HasFailure()) return;
    const Image image = image_with_module(path("x"), "x", 0, true);
    const DebugFiles files(image, {});
    const SymbolTable symbols(files);
    std::istringstream lines(run("readelf -sW x | awk '$4 == \"FUNC\" {print $2, $3, $NF}'"));
    size_t seen = 0;
    std::string value, size, name;
    while (lines >> value >> size >> name) {
      ++seen;
      const uint64_t start = std::stoull(value, nullptr, 16) & ~uint64_t{1};
      const auto found = symbols.find_function(Address(start + std::stoull(size) - 1));
      ASSERT_TRUE(found) << target << " " << name;
      EXPECT_EQ(found->name, name) << target;
      EXPECT_EQ(found->address, start) << target;
      EXPECT_EQ(found->size, std::stoull(size)) << target;
    }
    EXPECT_GE(seen, 3U) << target;
    std::istringstream object(run("readelf -sW x | awk '$NF == \"data\" {print $2}'"));
    object >> value;
    // No bytes of .bss are in the file: the region ends before them.
    Image with_bss = image_with_module(path("x"), "x", 0, true);
    for (Region& region : with_bss.regions) {
      for (const Segment& segment : with_bss.modules[0].segments) {
        if (segment.range.base == region.range.base) region.range.size = segment.range.size;
      }
    }
    const DebugFiles bss_files(with_bss, {});
    const auto data =
        SymbolTable(bss_files).find_data(Address(std::stoull(value, nullptr, 16) + 5));
    ASSERT_TRUE(data) << target;
    EXPECT_EQ(data->name, "data");
    EXPECT_EQ(data->size, 16U);
  }
}

}  // namespace
}  // namespace residue
