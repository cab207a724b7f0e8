#include "symbolize/symbol_table.h"

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/module_builder.h"

namespace residue {
namespace {

using testing::CoreBuilder;
using testing::image_of;
using testing::ModuleBuilder;
using testing::TempDir;

constexpr uint64_t kBase = 0x7ffff7c00000;
constexpr uint64_t kData = ModuleBuilder::kData, kBss = ModuleBuilder::kBss;

class SymbolTableTest : public ::testing::Test {
 protected:
  SymbolTableTest() {
    module_.dynamic_symbol({"exported", kData + 0x100, 16, false});
    module_.dynamic_symbol({"exported_bss", kBss + 0x40, 8, false});
    module_.dynamic_symbol({"function", ModuleBuilder::kText + 0x10, 32, true});
  }

  Image image(ModuleBuilder::Placement placement = {}) {
    CoreBuilder core;
    core.add_thread(1, {}).add_prpsinfo(1, "p", "p");
    module_.place(&core, kBase, path_, placement);
    return image_of(core.build());
  }

  static std::string name_at(const SymbolTable& symbols, uint64_t vaddr) {
    const auto found = symbols.find_data(Address(kBase + vaddr));
    return found ? std::string(found->name) : "";
  }

  const TempDir directory_;
  ModuleBuilder module_{6};
  std::string path_ = "/nonexistent/libx.so";
};

// No file anywhere: the dynamic symbols that ld.so mapped are in the dump.
TEST_F(SymbolTableTest, ComeFromTheDumpsOwnPages) {
  for (const auto hash : {ModuleBuilder::Hash::kGnu, ModuleBuilder::Hash::kSysv}) {
    for (const bool relocated : {true, false}) {
      module_.hash(hash);
      const Image dump = image({.relocated = relocated});
      const DebugFiles files(dump, {});
      const SymbolTable symbols(files);
      const auto found = symbols.find_data(Address(kBase + kData + 0x100));
      ASSERT_TRUE(found.has_value()) << "hash " << static_cast<int>(hash) << " " << relocated;
      EXPECT_EQ(found->name, "exported");
      EXPECT_EQ(found->address, kBase + kData + 0x100);
      EXPECT_EQ(found->size, 16U);
      EXPECT_EQ(name_at(symbols, kBss + 0x47), "exported_bss");
    }
  }
}

TEST_F(SymbolTableTest, CoverTheirBytesAndNoOthers) {
  const Image dump = image();
  const DebugFiles files(dump, {});
  const SymbolTable symbols(files);
  EXPECT_EQ(name_at(symbols, kData + 0x10f), "exported");
  EXPECT_EQ(name_at(symbols, kData + 0x110), "");
  EXPECT_EQ(name_at(symbols, kData + 0xff), "");
  EXPECT_FALSE(symbols.find_data(Address(0)).has_value());
  EXPECT_FALSE(symbols.find_data(Address(~uint64_t{0})).has_value());
}

TEST_F(SymbolTableTest, PreferTheFilesFullTable) {
  module_.full_symbol({"hidden", kData + 0x200, 24, false});
  module_.full_symbol({"exported", kData + 0x100, 16, false});
  path_ = directory_.write("libx.so", module_.build());
  const Image dump = image();
  ASSERT_FALSE(dump.modules.at(0).file.empty());
  const DebugFiles files(dump, {});
  const SymbolTable symbols(files);
  EXPECT_EQ(name_at(symbols, kData + 0x208), "hidden");
  EXPECT_EQ(name_at(symbols, kData + 0x100), "exported");
  EXPECT_EQ(symbols.level(ModuleId(0)), SymbolLevel::kPartial);
}

TEST_F(SymbolTableTest, OfAStrippedFileAreItsDynamicOnes) {
  path_ = directory_.write("libx.so", module_.build());
  const Image dump = image({.data_in_dump = false});  // no dynamic section in the dump
  ASSERT_FALSE(dump.modules.at(0).file.empty());
  const DebugFiles files(dump, {});
  const SymbolTable symbols(files);
  EXPECT_EQ(name_at(symbols, kData + 0x100), "exported");
  EXPECT_EQ(name_at(symbols, kBss + 0x40), "exported_bss");
}

TEST_F(SymbolTableTest, OfAnotherBuildAreNotBelieved) {
  ModuleBuilder other(7);
  other.dynamic_symbol({"stranger", kData + 0x100, 16, false});
  other.full_symbol({"stranger", kData + 0x100, 16, false});
  path_ = directory_.write("libx.so", other.build());
  const Image dump = image();
  const DebugFiles files(dump, {});
  const SymbolTable symbols(files);
  EXPECT_EQ(name_at(symbols, kData + 0x100), "exported");
}

TEST_F(SymbolTableTest, AreNoneWithoutTableOrHash) {
  module_.hash(ModuleBuilder::Hash::kNone);
  const Image dump = image({.headers_in_dump = true, .data_in_dump = false});
  const DebugFiles files(dump, {});
  const SymbolTable symbols(files);
  EXPECT_EQ(name_at(symbols, kData + 0x100), "");
  EXPECT_EQ(symbols.level(ModuleId(0)), SymbolLevel::kNone);
}

// Every byte of the file's headers and tables turned around, one at a time: no answer may crash or
// point outside.
TEST_F(SymbolTableTest, SurviveDamagedFiles) {
  module_.full_symbol({"hidden", kData + 0x200, 24, false});
  const auto good = module_.build();
  std::vector<size_t> places;
  for (size_t i = 0; i < 0x240; ++i) places.push_back(i);
  for (size_t i = 0x5000; i < good.size(); ++i) places.push_back(i);
  for (const size_t place : places) {
    auto bad = good;
    bad[place] ^= std::byte{0xff};
    path_ = directory_.write("libx.so", bad);
    const Image dump = image();
    const DebugFiles files(dump, {});
    const SymbolTable symbols(files);
    for (const uint64_t vaddr : {kData + 0x100, kData + 0x208, kBss + 0x40}) {
      (void)name_at(symbols, vaddr);
    }
  }
}

TEST_F(SymbolTableTest, SurviveDamagedTablesInTheDump) {
  for (const auto hash : {ModuleBuilder::Hash::kGnu, ModuleBuilder::Hash::kSysv}) {
    module_.hash(hash);
    CoreBuilder core;
    core.add_thread(1, {}).add_prpsinfo(1, "p", "p");
    module_.place(&core, kBase, path_);
    const auto good = core.build();
    const size_t memory = core.layout().memory;
    std::vector<size_t> places;
    for (size_t i = 0; i < 0x400; ++i) places.push_back(memory + i);  // headers, tables
    for (size_t i = 0; i < size_t{16} * 9; ++i)
      places.push_back(memory + 0x1000 + i);  // dynamic section
    for (const size_t place : places) {
      for (const unsigned flip : {0xffU, 0x80U}) {
        auto bad = good;
        bad[place] ^= std::byte(flip);
        auto opened = testing::open_bytes(bad);
        ASSERT_TRUE(opened.image) << place;
        const DebugFiles files(*opened.image, {});
        const SymbolTable symbols(files);
        for (const uint64_t vaddr : {kData + 0x100, kBss + 0x40}) (void)name_at(symbols, vaddr);
      }
    }
  }
}

TEST(SymbolLevel, HasTheNamesOfTheSchema) {
  EXPECT_STREQ(to_string(SymbolLevel::kNone), "none");
  EXPECT_STREQ(to_string(SymbolLevel::kPartial), "partial");
  EXPECT_STREQ(to_string(SymbolLevel::kFull), "full");
}

}  // namespace
}  // namespace residue
