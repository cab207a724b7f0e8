// From a pc to its FDE: with .eh_frame_hdr, with one that lies, without one.
#include "symbolize/unwind/cfi_table.h"

#include <gtest/gtest.h>

#include "tests/symbolize/unwind/cfi_builder.h"

namespace residue {
namespace {

using testing::Bytes;
using testing::CfiBuilder;
using testing::fixed;
using testing::operator+;

constexpr uint64_t kBase = 0x100000, kHeader = kBase + 0x1000, kFrame = kBase + 0x2000;
constexpr unsigned kFunctions = 20;

uint64_t begin_of(unsigned n) { return kBase + 0x4000 + n * 0x100; }

// Twenty functions of 0x80 bytes at every 0x100, each with its CFA at r7 + 8 * (n + 2).
class TableFixture : public ::testing::Test {
 protected:
  TableFixture() : builder_(kFrame) {
    const uint64_t cie = builder_.cie();
    for (unsigned n = 0; n < kFunctions; ++n) {
      const auto offset = static_cast<uint8_t>(8 * (n + 2));
      pairs_.emplace_back(begin_of(n), builder_.fde(cie, begin_of(n), 0x80, {0x0e, offset}));
    }
    builder_.terminator();
  }

  // Writes header and section into an image and opens them.
  CfiTable open(const Bytes& header) {
    memory_.add(kHeader, testing::to_bytes(header), {true, false, false});
    memory_.add(kFrame, testing::to_bytes(builder_.bytes()), {true, false, false});
    bytes_.emplace(memory_.image());
    CfiSection section;
    section.bytes = &*bytes_;
    section.bases.module = AddressRange{Address(kBase), ByteCount(0x100000)};
    section.bases.bias = kBase;
    return CfiTable::of_header(section, {Address(kHeader), ByteCount(header.size())},
                               kFrame + builder_.bytes().size());
  }

  static void expect_all(const CfiTable& table) {
    for (unsigned n = 0; n < kFunctions; ++n) {
      for (const uint64_t pc : {begin_of(n), begin_of(n) + 0x7f}) {
        const auto fde = table.find(pc);
        ASSERT_TRUE(fde) << n;
        EXPECT_EQ(fde->begin, begin_of(n));
        EXPECT_EQ(fde->end, begin_of(n) + 0x80);
      }
      EXPECT_FALSE(table.find(begin_of(n) + 0x80)) << n;
      EXPECT_FALSE(table.find(begin_of(n) - 1)) << n;
    }
    EXPECT_FALSE(table.find(0));
    EXPECT_FALSE(table.find(~uint64_t{0}));
  }

  CfiBuilder builder_;
  std::vector<std::pair<uint64_t, uint64_t>> pairs_;
  testing::MemoryImage memory_;
  std::optional<CfiBytes> bytes_;
};

TEST_F(TableFixture, SearchesTheTableOfTheHeader) {
  const CfiTable table = open(testing::search_table(kHeader, kFrame, pairs_));
  EXPECT_TRUE(table.has_search_table());
  expect_all(table);
  EXPECT_EQ(table.problem(), "");
}

TEST_F(TableFixture, SearchesTablesOfOtherEncodings) {
  // absptr count and pairs, relocated.
  Bytes header{1, 0x1b, 0x04, 0x00};
  header = header + fixed(static_cast<uint32_t>(kFrame - (kHeader + 4)));
  header = header + fixed(uint64_t{kFunctions});
  for (const auto& [begin, fde] : pairs_) header = header + fixed(begin) + fixed(fde);
  const CfiTable table = open(header);
  EXPECT_TRUE(table.has_search_table());
  expect_all(table);
  EXPECT_EQ(table.problem(), "");
}

TEST_F(TableFixture, ReadsTheSectionWhereTheHeaderHasNoTable) {
  Bytes header{1, 0x1b, 0xff, 0xff};
  header = header + fixed(static_cast<uint32_t>(kFrame - (kHeader + 4)));
  const CfiTable table = open(header);
  EXPECT_FALSE(table.has_search_table());
  expect_all(table);
  EXPECT_EQ(table.problem(), "");
}

TEST_F(TableFixture, ReadsTheSectionWhereTheTableIsNotSorted) {
  auto pairs = pairs_;
  std::swap(pairs[3], pairs[10]);
  const CfiTable table = open(testing::search_table(kHeader, kFrame, pairs));
  for (unsigned n = 0; n < kFunctions; ++n) {
    const auto fde = table.find(begin_of(n));
    // A search that does not meet the damage may miss; none may answer wrongly.
    if (fde) {
      EXPECT_EQ(fde->begin, begin_of(n)) << n;
    }
  }
  EXPECT_NE(table.problem(), "");
}

TEST_F(TableFixture, ReadsTheSectionWhereTheTableContradictsIt) {
  auto pairs = pairs_;
  for (auto& [begin, fde] : pairs) fde += 4;
  const CfiTable table = open(testing::search_table(kHeader, kFrame, pairs));
  expect_all(table);
  EXPECT_NE(table.problem(), "");
}

TEST_F(TableFixture, ReadsTheSectionWhereTheTableIsCut) {
  Bytes header = testing::search_table(kHeader, kFrame, pairs_);
  header.resize(header.size() - 8);
  const CfiTable table = open(header);
  EXPECT_FALSE(table.has_search_table());
  expect_all(table);
  EXPECT_NE(table.problem(), "");
}

TEST_F(TableFixture, KnowsNothingWithoutAHeader) {
  for (const Bytes& header : {Bytes{2, 0x1b, 0x03, 0x3b, 0, 0, 0, 0}, Bytes{1, 0x1b}, Bytes{},
                              Bytes{1, 0x1b, 0x03, 0x3b, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0}}) {
    testing::MemoryImage memory;
    memory.add(kHeader, testing::to_bytes(header), {true, false, false});
    const CfiBytes bytes(memory.image());
    CfiSection section;
    section.bytes = &bytes;
    const CfiTable table = CfiTable::of_header(
        section, {Address(kHeader), ByteCount(header.size())}, kHeader + 0x1000);
    EXPECT_FALSE(table.find(begin_of(0)));
    EXPECT_NE(table.problem(), "");
  }
}

TEST_F(TableFixture, SearchesASectionOfAFile) {
  const auto data = testing::to_bytes(builder_.bytes());
  const CfiBytes bytes(data, kFrame);
  CfiSection section;
  section.bytes = &bytes;
  section.start = kFrame;
  section.end = kFrame + data.size();
  expect_all(CfiTable::of_section(section));
}

TEST_F(TableFixture, GoesOnBehindATerminatorInASection) {
  const uint64_t cie = builder_.cie();
  builder_.fde(cie, kBase, 0x10, {});
  const auto data = testing::to_bytes(builder_.bytes());
  const CfiBytes bytes(data, kFrame);
  CfiSection section;
  section.bytes = &bytes;
  section.start = kFrame;
  section.end = kFrame + data.size();
  const CfiTable table = CfiTable::of_section(section);
  ASSERT_TRUE(table.find(kBase));
  EXPECT_TRUE(table.find(begin_of(0)));
}

TEST_F(TableFixture, KeepsTheEntriesBeforeADamagedOne) {
  Bytes damaged = builder_.bytes();
  const size_t at = pairs_[10].second - kFrame;
  for (size_t i = 0; i < 4; ++i) damaged[at + i] = 0x7e;
  const auto data = testing::to_bytes(damaged);
  const CfiBytes bytes(data, kFrame);
  CfiSection section;
  section.bytes = &bytes;
  section.start = kFrame;
  section.end = kFrame + data.size();
  const CfiTable table = CfiTable::of_section(section);
  EXPECT_TRUE(table.find(begin_of(9)));
  EXPECT_FALSE(table.find(begin_of(10)));
  EXPECT_NE(table.problem(), "");
}

TEST(CfiBytes, JoinsPagesThatLieApart) {
  testing::MemoryImage memory;
  memory.add(0x1000, testing::to_bytes({1, 2, 3, 4}), {true, false, false});
  memory.add(0x1004, testing::to_bytes({5, 6, 7, 8}), {true, false, false});
  const CfiBytes bytes(memory.image());
  const auto view = bytes.view(0x1002, 4);
  ASSERT_EQ(view.size(), 4U);
  EXPECT_EQ(view[0], std::byte{3});
  EXPECT_EQ(view[3], std::byte{6});
  EXPECT_EQ(bytes.view(0x1006, 100).size(), 2U);
  EXPECT_TRUE(bytes.view(0x2000, 1).empty());
}

}  // namespace
}  // namespace residue
