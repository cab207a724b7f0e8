// Where debug files are found, with files that gcc, objcopy, strip and dwz made.
#include "symbolize/debug_files.h"

#include <algorithm>

#include "symbolize/symbol_report.h"
#include "symbolize/symbol_table.h"
#include "tests/symbolize/built_files.h"

namespace residue {
namespace {

using testing::image_with_module;

constexpr uint64_t kBias = 0x7f5500000000;

class DebugFilesTest : public testing::BuiltFiles {
 protected:
  void SetUp() override {
    REQUIRE_TOOL("gcc");
    REQUIRE_TOOL("objcopy");
    REQUIRE_TOOL("strip");
    write_text("a.c",
               "static __attribute__((noinline)) int hidden(int x) { return x * 3; }\n"
               "int exported(int x) { return hidden(x) + 1; }\n");
    run("mkdir bin other symbols && gcc -g -O1 -shared -fPIC a.c -o whole.so && "
        "gcc -g -O2 -DX -shared -fPIC -Wl,--build-id=0x1234567890 a.c -o other.so");
  }
  // bin/lib.so: the library as it is installed; `debug` gets what was taken out of it.
  void split(const std::string& debug, const std::string& flags = "") const {
    run("objcopy --only-keep-debug whole.so '" + debug + "' && strip " + flags +
        " -o bin/lib.so whole.so");
  }
  std::string by_id(const std::string& id) const {
    return ".build-id/" + id.substr(0, 2) + "/" + id.substr(2);
  }
  Image image() const { return image_with_module(path("bin/lib.so"), "/lib/lib.so", kBias, true); }

  static const SymbolFinding* finding(const std::vector<SymbolFinding>& all, const char* what,
                                      const char* state) {
    const auto it = std::find_if(all.begin(), all.end(), [&](const SymbolFinding& f) {
      return f.what == what && f.state == state;
    });
    return it == all.end() ? nullptr : &*it;
  }
};

TEST_F(DebugFilesTest, AreTheBinaryItselfIfItWasNotStripped) {
  run("cp whole.so bin/lib.so");
  const Image dump = image();
  const DebugFiles files(dump, {});
  EXPECT_EQ(files.of(ModuleId(0)).debug, files.of(ModuleId(0)).binary);
  EXPECT_EQ(SymbolTable(files).level(ModuleId(0)), SymbolLevel::kFull);
}

TEST_F(DebugFilesTest, AreFoundByBuildIdInTheSymbolDirectories) {
  split("lib.debug");
  const std::string id = build_id_of("whole.so");
  run("mkdir -p symbols/.build-id/" + id.substr(0, 2) + " && mv lib.debug symbols/" + by_id(id) +
      ".debug");
  const Image dump = image();
  const DebugFiles without(dump, {});
  EXPECT_EQ(without.of(ModuleId(0)).debug, nullptr);
  EXPECT_NE(finding(without.findings(ModuleId(0)), "debug", "missing"), nullptr);
  FileSearch search;
  search.symbols = {path("symbols")};
  const DebugFiles files(dump, search);
  ASSERT_NE(files.of(ModuleId(0)).debug, nullptr);
  EXPECT_EQ(files.of(ModuleId(0)).debug->path(), path("symbols/") + by_id(id) + ".debug");
}

TEST_F(DebugFilesTest, OfAnotherBuildAreReportedAndNotUsed) {
  split("lib.debug");
  const std::string id = build_id_of("whole.so");
  run("mkdir -p symbols/.build-id/" + id.substr(0, 2) + " && cp other.so symbols/" + by_id(id) +
      ".debug");
  const Image dump = image();
  FileSearch search;
  search.symbols = {path("symbols")};
  const DebugFiles files(dump, search);
  EXPECT_EQ(files.of(ModuleId(0)).debug, nullptr);
  const auto findings = files.findings(ModuleId(0));
  const auto* mismatch = finding(findings, "debug", "mismatch");
  ASSERT_NE(mismatch, nullptr);
  EXPECT_NE(mismatch->reason.find("1234567890"), std::string::npos) << mismatch->reason;
  EXPECT_NE(mismatch->reason.find(id), std::string::npos) << mismatch->reason;
}

TEST_F(DebugFilesTest, AreFoundByLinkBesideAndInDotDebugAndInTheDebugRoot) {
  for (const char* place :
       {"bin/", "bin/.debug/", "symbols/", "symbols/lib/", "root/usr/lib/debug/lib/"}) {
    split("lib.debug");
    run("objcopy --add-gnu-debuglink=lib.debug bin/lib.so && mkdir -p " + std::string(place) +
        " && mv lib.debug " + place);
    const Image dump = image();
    FileSearch search;
    search.sysroot = path("root");
    search.symbols = {path("symbols")};
    const DebugFiles files(dump, search);
    ASSERT_NE(files.of(ModuleId(0)).debug, nullptr) << place;
    EXPECT_TRUE(files.of(ModuleId(0)).debug->has(".debug_info"));
    EXPECT_EQ(files.of(ModuleId(0)).debug->path(), path(place) + "lib.debug");
    run("rm " + std::string(place) + "lib.debug");
  }
}

// Neither file has a build-id: the checksum in the link decides.
TEST_F(DebugFilesTest, WithoutBuildIdAreComparedByChecksum) {
  run("gcc -g -O1 -shared -fPIC -Wl,--build-id=none a.c -o whole.so");
  split("lib.debug");
  run("objcopy --add-gnu-debuglink=lib.debug bin/lib.so && cp lib.debug bin/");
  const Image dump = image();
  {
    const DebugFiles files(dump, {});
    ASSERT_NE(files.of(ModuleId(0)).debug, nullptr);
    EXPECT_EQ(files.of(ModuleId(0)).debug->path(), path("bin/lib.debug"));
  }
  run("printf x >> bin/lib.debug");
  const DebugFiles files(dump, {});
  EXPECT_EQ(files.of(ModuleId(0)).debug, nullptr);
  const auto findings = files.findings(ModuleId(0));
  const auto* mismatch = finding(findings, "debug", "mismatch");
  ASSERT_NE(mismatch, nullptr);
  EXPECT_NE(mismatch->reason.find("CRC"), std::string::npos) << mismatch->reason;
}

TEST_F(DebugFilesTest, AreFoundByNameAndInDebuginfodsCache) {
  split("lib.debug");
  const std::string id = build_id_of("whole.so");
  const Image dump = image();
  run("mkdir -p cache/" + id + " && cp lib.debug cache/" + id +
      "/debuginfo && cp lib.debug bin/lib.so.debug");
  FileSearch search;
  search.debuginfod_cache = path("cache");
  EXPECT_EQ(DebugFiles(dump, search).of(ModuleId(0)).debug->path(),
            path("cache/" + id + "/debuginfo"));
  EXPECT_EQ(DebugFiles(dump, {}).of(ModuleId(0)).debug->path(), path("bin/lib.so.debug"));
}

TEST_F(DebugFilesTest, OfEuStripAreRead) {
  REQUIRE_TOOL("eu-strip");
  run("eu-strip -o bin/lib.so -f bin/lib.debug whole.so");
  const Image dump = image();
  const DebugFiles files(dump, {});
  ASSERT_NE(files.of(ModuleId(0)).debug, nullptr);
  EXPECT_TRUE(files.of(ModuleId(0)).debug->has(".debug_info"));
}

// gdb's manual, "MiniDebugInfo", makes it in the same steps.
TEST_F(DebugFilesTest, MiniSymbolTablesNameHiddenFunctions) {
  REQUIRE_TOOL("xz");
  run("nm whole.so --format=posix --defined-only | awk '$2 == \"t\" {print $1}' > keep && "
      "objcopy --only-keep-debug whole.so mini && objcopy -S --remove-section .gdb_index "
      "--remove-section .comment --keep-symbols=keep mini && xz -k mini && strip -o bin/lib.so "
      "whole.so && objcopy --add-section .gnu_debugdata=mini.xz bin/lib.so");
  const std::string text = run("nm whole.so | sed -n 's/ t hidden//p'");
  const Address hidden(std::stoull(text, nullptr, 16) + kBias);
  const Image dump = image();
  const DebugFiles files(dump, {});
  ASSERT_NE(files.of(ModuleId(0)).mini, nullptr);
  const SymbolTable symbols(files);
  const auto found = symbols.find_function(hidden + ByteCount(1));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "hidden");
  EXPECT_EQ(found->address, hidden.value());
  EXPECT_EQ(symbols.level(ModuleId(0)), SymbolLevel::kPartial);
}

TEST_F(DebugFilesTest, DamagedMiniSymbolTablesAreReported) {
  run("strip -o bin/lib.so whole.so && printf 'not xz at all' > bad && "
      "objcopy --add-section .gnu_debugdata=bad bin/lib.so");
  const Image dump = image();
  const DebugFiles files(dump, {});
  EXPECT_EQ(files.of(ModuleId(0)).mini, nullptr);
  EXPECT_NE(finding(files.findings(ModuleId(0)), "debugdata", "damaged"), nullptr);
}

TEST_F(DebugFilesTest, CommonFilesOfDwzAreFoundByPathAndBuildId) {
  REQUIRE_TOOL("dwz");
  // dwz joins only what is in several files and large enough.
  std::string source = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n";
  write_text("b.c", source + "int b(FILE* f) { return fputs(\"b\", f); }\n");
  write_text("c.c", source + "int c(FILE* f) { return fputs(\"c\", f); }\n");
  run("gcc -g -gdwarf-4 -shared -fPIC b.c -o bin/lib.so && gcc -g -gdwarf-4 -shared -fPIC c.c -o "
      "bin/c.so && "
      "dwz -m bin/common.debug -M common.debug bin/lib.so bin/c.so");
  ASSERT_NE(run("readelf -SW bin/lib.so").find(".gnu_debugaltlink"), std::string::npos);
  const Image dump = image();
  {
    const DebugFiles files(dump, {});
    ASSERT_NE(files.of(ModuleId(0)).alternate, nullptr);
    EXPECT_EQ(files.of(ModuleId(0)).alternate->path(), path("bin/common.debug"));
  }
  const std::string id = build_id_of("bin/common.debug");
  run("mkdir -p symbols/.build-id/" + id.substr(0, 2) + " && mv bin/common.debug symbols/" +
      by_id(id) + ".debug");
  FileSearch search;
  search.symbols = {path("symbols")};
  EXPECT_NE(DebugFiles(dump, search).of(ModuleId(0)).alternate, nullptr);
  EXPECT_EQ(DebugFiles(dump, {}).of(ModuleId(0)).alternate, nullptr);
  run("cp other.so bin/common.debug");
  const DebugFiles files(dump, {});
  EXPECT_EQ(files.of(ModuleId(0)).alternate, nullptr);
  EXPECT_NE(finding(files.findings(ModuleId(0)), "alternate", "mismatch"), nullptr);
  const auto report = report_symbols(files);
  const auto row = std::find_if(report.rows.begin(), report.rows.end(), [](const auto& r) {
    return r.finding.what == "alternate" && r.finding.state == "missing";
  });
  ASSERT_NE(row, report.rows.end());
  EXPECT_EQ(row->finding.remedy, "debuginfod-find debuginfo " + id);
}

TEST_F(DebugFilesTest, SplitUnitsAreFoundAndMissed) {
  run("cd bin && gcc -g -gsplit-dwarf -shared -fPIC ../a.c -o lib.so");
  const std::string dwo = run("cd bin && ls *.dwo");
  const std::string name = dwo.substr(0, dwo.find('\n'));
  const Image dump = image();
  const auto rows = [&](const FileSearch& search) {
    const DebugFiles files(dump, search);
    return report_symbols(files).rows;
  };
  const auto has = [](const std::vector<SymbolReport::Row>& all, const char* what,
                      const char* state) {
    return std::any_of(all.begin(), all.end(), [&](const auto& r) {
      return r.finding.what == what && r.finding.state == state;
    });
  };
  EXPECT_TRUE(has(rows({}), "dwo", "found"));
  run("mv bin/" + name + " symbols/");
  EXPECT_TRUE(has(rows({}), "dwo", "missing"));
  FileSearch search;
  search.symbols = {path("symbols")};
  EXPECT_TRUE(has(rows(search), "dwo", "found"));
  EXPECT_FALSE(has(rows(search), "dwo", "missing"));
  if (!testing::has_tool("dwp")) GTEST_SKIP() << "the tool 'dwp' is not installed";
  run("dwp -o bin/lib.so.dwp symbols/" + name);
  EXPECT_TRUE(has(rows({}), "dwp", "found"));
  EXPECT_FALSE(has(rows({}), "dwo", "missing"));
}

// No build-id in the dump: nothing on disk is believed unless the user names it and it fits.
TEST_F(DebugFilesTest, WithoutBuildIdInTheDumpAFileMustBeNamedAndFit) {
  run("gcc -g -O1 -shared -fPIC -Wl,--build-id=none a.c -o bin/lib.so");
  Image dump = image_with_module(path("bin/lib.so"), path("bin/lib.so"), kBias, false);
  EXPECT_EQ(DebugFiles(dump, {}).of(ModuleId(0)).binary, nullptr);
  FileSearch search;
  search.symbols = {path("bin")};
  {
    const DebugFiles files(dump, search);
    ASSERT_NE(files.of(ModuleId(0)).binary, nullptr);
    EXPECT_TRUE(files.of(ModuleId(0)).unconfirmed);
    EXPECT_NE(finding(files.findings(ModuleId(0)), "binary", "found")->reason.find("unconfirmed"),
              std::string::npos);
  }
  run("cp other.so symbols/lib.so");
  search.symbols = {path("symbols")};
  const DebugFiles files(dump, search);
  EXPECT_EQ(files.of(ModuleId(0)).binary, nullptr);
  EXPECT_NE(finding(files.findings(ModuleId(0)), "binary", "mismatch"), nullptr);
}

TEST_F(DebugFilesTest, SurviveAnyDamage) {
  split("lib.debug");
  run("objcopy --add-gnu-debuglink=lib.debug bin/lib.so");
  const auto good = bytes_of("bin/lib.so");
  const auto debug = bytes_of("lib.debug");
  for (size_t i = 0; i < good.size(); i += 211) {
    auto bad = good;
    for (size_t k = i; k < std::min(bad.size(), i + 8); ++k) bad[k] = std::byte{0xff};
    Image dump = image();
    dump.modules[0].file = bad;
    directory_.write("bin/lib.debug", std::span(debug).first(debug.size() * i / good.size()));
    const DebugFiles files(dump, {});
    const SymbolTable symbols(files);
    (void)symbols.find_function(Address(kBias + 0x1100));
    (void)report_symbols(files);
  }
}

}  // namespace
}  // namespace residue
