#include "symbolize/symbol_file.h"

#include <algorithm>
#include <thread>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/module_builder.h"
#include "tests/symbolize/built_files.h"

namespace residue {
namespace {

using testing::ByteWriter;

class SymbolFileTest : public testing::BuiltFiles {
 protected:
  void SetUp() override {
    REQUIRE_TOOL("gcc");
    REQUIRE_TOOL("objcopy");
    write_text("x.c",
               "struct s { int a; long b; } v; int f(int x) { static int k; return x + k++; }\n"
               "int main(void) { return f(v.a); }\n");
    run("gcc -g -O0 x.c -o plain");
  }

  // The section as objcopy gives it, uncompressed.
  std::vector<std::byte> witness(const std::string& section) const {
    run("objcopy -O binary --only-section=" + section + " --set-section-flags " + section +
        "=alloc plain section.bin");
    return bytes_of("section.bin");
  }

  void expect_equal_sections(const std::string& file) const {
    const auto opened = SymbolFile::open(path(file));
    ASSERT_TRUE(opened) << to_string(opened.error());
    for (const char* name : {".debug_info", ".debug_str", ".debug_line", ".debug_abbrev"}) {
      const auto expected = witness(name);
      ASSERT_FALSE(expected.empty()) << name;
      const auto got = (*opened)->section(name);
      EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin(), expected.end()))
          << file << " " << name << ": " << got.size() << " bytes instead of " << expected.size()
          << "; " << (*opened)->problem();
      EXPECT_TRUE((*opened)->has(name));
    }
    EXPECT_EQ((*opened)->problem(), "");
  }
};

TEST_F(SymbolFileTest, GivesSectionsAsTheCompilerWroteThem) { expect_equal_sections("plain"); }

TEST_F(SymbolFileTest, UnpacksZlib) {
  run("objcopy --compress-debug-sections=zlib plain packed");
  expect_equal_sections("packed");
}

TEST_F(SymbolFileTest, UnpacksTheOldZdebugSections) {
  run("objcopy --compress-debug-sections=zlib-gnu plain packed");
  ASSERT_NE(run("readelf -SW packed").find(".zdebug_"), std::string::npos);
  expect_equal_sections("packed");
}

TEST_F(SymbolFileTest, UnpacksZstd) {
  if (std::system(("cd '" + path("") +
                   "' && objcopy --compress-debug-sections=zstd plain packed 2>/dev/null")
                      .c_str()) != 0) {
    GTEST_SKIP() << "objcopy cannot write zstd";
  }
  expect_equal_sections("packed");
}

TEST_F(SymbolFileTest, UnpacksOnceForAllThreads) {
  run("objcopy --compress-debug-sections=zlib plain packed");
  const auto file = SymbolFile::open(path("packed"));
  ASSERT_TRUE(file);
  std::vector<const std::byte*> seen(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < seen.size(); ++i) {
    threads.emplace_back([&, i] { seen[i] = (*file)->section(".debug_str").data(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), seen[0]), 8);
  EXPECT_NE(seen[0], nullptr);
}

TEST_F(SymbolFileTest, KnowsWhereSectionsAreLoadedAndWhatHasNoBytes) {
  run("objcopy --only-keep-debug plain debug");
  const auto whole = SymbolFile::open(path("plain"));
  const auto debug = SymbolFile::open(path("debug"));
  ASSERT_TRUE(whole && debug);
  const std::string text = run("readelf -SW plain | sed -n 's/.* \\.text  *PROGBITS *//p'");
  const uint64_t address = std::stoull(text, nullptr, 16);
  EXPECT_EQ((*whole)->section_address(".text"), address);
  EXPECT_EQ((*debug)->section_address(".text"), address);
  EXPECT_TRUE((*whole)->has(".text"));
  EXPECT_FALSE((*debug)->has(".text"));
  EXPECT_TRUE((*debug)->section(".text").empty());
  EXPECT_EQ((*whole)->section_address(".debug_info"), std::nullopt);
  EXPECT_EQ((*whole)->section_address(".nothing"), std::nullopt);
  EXPECT_EQ((*whole)->build_id(), build_id_of("plain"));
  EXPECT_EQ((*debug)->build_id(), (*whole)->build_id());
}

TEST_F(SymbolFileTest, ReleasedPagesComeBack) {
  const auto file = SymbolFile::open(path("plain"));
  ASSERT_TRUE(file);
  const auto span = (*file)->section(".debug_str");
  const std::vector<std::byte> before(span.begin(), span.end());
  (*file)->release(".debug_str");
  (*file)->release(".nothing");
  EXPECT_TRUE(std::equal(before.begin(), before.end(), span.begin(), span.end()));
}

// Bytes that somebody else keeps may be on the heap: giving those pages back would clear them.
TEST_F(SymbolFileTest, NeverReleasesBytesOfOthers) {
  auto bytes = bytes_of("plain");
  bytes.reserve(bytes.size() + 65536);
  const auto copy = bytes;
  const auto file = SymbolFile::of_bytes(bytes, "plain");
  ASSERT_TRUE(file);
  for (const auto& section : (*file)->sections()) {
    (void)(*file)->section(section.name);
    (*file)->release(section.name);
  }
  EXPECT_EQ(bytes, copy);
}

// Cut anywhere, the file opens as long as its header is there, and says what is lost.
TEST_F(SymbolFileTest, OpensCutFiles) {
  const auto bytes = bytes_of("plain");
  for (size_t size = 64; size < bytes.size(); size += 997) {
    auto file =
        SymbolFile::of_memory(std::vector(bytes.begin(), bytes.begin() + ssize_t(size)), "");
    ASSERT_TRUE(file) << size;
    EXPECT_NE((*file)->problem(), "") << size;
    for (const auto& section : (*file)->sections()) (void)(*file)->section(section.name);
  }
  EXPECT_FALSE(SymbolFile::of_memory(std::vector(bytes.begin(), bytes.begin() + 63), ""));
}

// The section table whole, a section's bytes not: what is there is given, and the loss is said.
TEST_F(SymbolFileTest, GivesTheStartOfASectionThatLeavesTheFile) {
  auto bytes = bytes_of("plain");
  auto file = SymbolFile::of_memory(bytes, "");
  ASSERT_TRUE(file);
  const auto& sections = (*file)->sections();
  const auto it = std::find_if(sections.begin(), sections.end(),
                               [](const auto& s) { return s.name == ".debug_str"; });
  ASSERT_NE(it, sections.end());
  const uint64_t headers = (*file)->header().section_headers;
  const auto index = static_cast<uint64_t>(it - sections.begin());
  const size_t size_at = headers + index * 64 + 32;  // sh_size of Elf64_Shdr
  for (int i = 0; i < 8; ++i) bytes[size_at + size_t(i)] = std::byte{0x7f};
  auto lying = SymbolFile::of_memory(bytes, "");
  ASSERT_TRUE(lying);
  EXPECT_EQ((*lying)->section(".debug_str").size(), bytes.size() - it->header.offset);
  EXPECT_NE((*lying)->problem().find(".debug_str is cut off"), std::string::npos)
      << (*lying)->problem();
}

// ch_size says terabytes, or another size than the data yields, or the data is damaged.
TEST_F(SymbolFileTest, RefusesWhatCompressedSectionsCannotHold) {
  run("objcopy --compress-debug-sections=zlib plain packed");
  const auto good = bytes_of("packed");
  auto file = SymbolFile::of_memory(good, "");
  ASSERT_TRUE(file);
  uint64_t offset = 0;
  uint64_t unpacked = 0;
  for (const auto& section : (*file)->sections()) {
    if (section.name == ".debug_info") offset = section.header.offset;
  }
  ASSERT_NE(offset, 0U);
  unpacked = (*file)->section(".debug_info").size();
  struct Case {
    uint64_t size;
    const char* message;
  };
  for (const Case& c :
       {Case{uint64_t{1} << 44, "more than is unpacked"}, Case{uint64_t{1} << 30, "cannot yield"},
        Case{unpacked + 1, "instead of"}}) {
    auto bad = good;
    const auto size = ByteWriter().u64(c.size).take();
    std::copy(size.begin(), size.end(), bad.begin() + ssize_t(offset) + 8);
    auto lying = SymbolFile::of_memory(bad, "");
    ASSERT_TRUE(lying);
    EXPECT_TRUE((*lying)->section(".debug_info").empty()) << c.size;
    EXPECT_NE((*lying)->problem().find(c.message), std::string::npos) << (*lying)->problem();
  }
  auto bad = good;
  bad[offset + 40] ^= std::byte{0xff};
  auto damaged = SymbolFile::of_memory(bad, "");
  ASSERT_TRUE(damaged);
  EXPECT_TRUE((*damaged)->section(".debug_info").empty());
  EXPECT_NE((*damaged)->problem().find(".debug_info cannot be unpacked"), std::string::npos);
}

TEST(SymbolFile, RefusesWhatIsNoProgram) {
  EXPECT_EQ(SymbolFile::open("/nonexistent").error().code, ErrorCode::kIo);
  EXPECT_EQ(SymbolFile::open("/dev/null").error().code, ErrorCode::kIo);
  const std::vector<std::byte> text(100, std::byte{'x'});
  EXPECT_EQ(SymbolFile::of_bytes(text, "").error().code, ErrorCode::kUnsupported);
  testing::CoreBuilder core;
  core.add_thread(1, {});
  EXPECT_EQ(SymbolFile::of_memory(core.build(), "").error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace residue
