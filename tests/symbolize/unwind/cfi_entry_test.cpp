// CIEs, FDEs, encoded pointers: every version, augmentation and encoding, from DWARF 5 and the LSB.
#include "symbolize/unwind/cfi_entry.h"

#include <gtest/gtest.h>

#include "tests/symbolize/unwind/cfi_builder.h"

namespace residue {
namespace {

using testing::Bytes;
using testing::CfiBuilder;
using testing::fixed;
using testing::operator+;
using testing::sleb;
using testing::uleb;

constexpr uint64_t kFrame = 0x10000, kBegin = 0x4000;

struct Parsed {
  explicit Parsed(const CfiBuilder& builder, bool is_debug_frame = false)
      : data(testing::to_bytes(builder.bytes())), bytes(data, kFrame) {
    section.bytes = &bytes;
    section.start = kFrame;
    section.end = kFrame + data.size();
    section.is_debug_frame = is_debug_frame;
    section.bases.data = 0x7000;
    section.bases.text = 0x8000;
    section.bases.memory = &bytes;
  }
  std::vector<std::byte> data;
  CfiBytes bytes;
  CfiSection section;
};

Result<uint64_t> pointer(uint8_t encoding, const Bytes& raw, unsigned width = 8,
                         uint64_t at = 0x20000) {
  static std::vector<std::byte> storage;
  storage = testing::to_bytes(raw);
  const auto target = testing::to_bytes(fixed(uint64_t{0x1122334455667788}));
  const CfiBytes memory(target, 0x5000);
  PointerBases bases;
  bases.width = width;
  bases.text = 0x100;
  bases.data = 0x200;
  bases.function = 0x300;
  bases.bias = 0x1000;
  bases.memory = &memory;
  ByteCursor cursor(storage, ByteOrder::kLittle, FileOffset(at));
  return read_encoded(cursor, encoding, bases);
}

TEST(EncodedPointer, ReadsEveryFormat) {
  // pcrel, so that no bias comes in: the value counts from 0x20000.
  EXPECT_EQ(*pointer(0x10, fixed(uint64_t{0x10})), 0x20010U);
  EXPECT_EQ(*pointer(0x18, fixed(~uint64_t{0})), 0x1ffffU);
  EXPECT_EQ(*pointer(0x11, uleb(300)), 0x2012cU);
  EXPECT_EQ(*pointer(0x12, fixed(uint16_t{0xffff})), 0x2ffffU);
  EXPECT_EQ(*pointer(0x13, fixed(uint32_t{0xfffffff0})), 0x10001fff0U);
  EXPECT_EQ(*pointer(0x14, fixed(uint64_t{0x10})), 0x20010U);
  EXPECT_EQ(*pointer(0x19, sleb(-16)), 0x1fff0U);
  EXPECT_EQ(*pointer(0x1a, fixed(uint16_t{0xfff0})), 0x1fff0U);
  EXPECT_EQ(*pointer(0x1b, fixed(uint32_t{0xfffffff0})), 0x1fff0U);
  EXPECT_EQ(*pointer(0x1c, fixed(~uint64_t{0})), 0x1ffffU);
}

TEST(EncodedPointer, KnowsEveryBase) {
  EXPECT_EQ(*pointer(0x03, fixed(uint32_t{0x40})), 0x1040U) << "absolute: moved by the bias";
  EXPECT_EQ(*pointer(0x23, fixed(uint32_t{0x40})), 0x140U);
  EXPECT_EQ(*pointer(0x33, fixed(uint32_t{0x40})), 0x240U);
  EXPECT_EQ(*pointer(0x43, fixed(uint32_t{0x40})), 0x340U);
  // Aligned: from the next multiple of the width.
  EXPECT_EQ(*pointer(0x50, Bytes{0, 0, 0, 0} + fixed(uint64_t{0x40}), 8, 0x20004), 0x1040U);
  EXPECT_FALSE(pointer(0x63, fixed(uint32_t{0})));
}

TEST(EncodedPointer, FollowsIndirectOnes) {
  EXPECT_EQ(*pointer(0x80 | 0x33, fixed(uint32_t{0x4e00})), 0x1122334455667788U);
  EXPECT_FALSE(pointer(0x80 | 0x33, fixed(uint32_t{0x9000}))) << "leads nowhere";
}

TEST(EncodedPointer, IsCutToTheProcessWidth) {
  EXPECT_EQ(*pointer(0x1b, fixed(uint32_t{0xffff0000}), 4, 0x1000), 0xffff1000U);
}

TEST(EncodedPointer, RefusesOmittedAndUnknownOnes) {
  EXPECT_FALSE(pointer(0xff, fixed(uint64_t{0})));
  EXPECT_FALSE(pointer(0x05, fixed(uint64_t{0})));
  EXPECT_FALSE(pointer(0x1b, {1, 2, 3}));
}

TEST(EncodedPointer, TakesTheBiasOnlyWhereTheLoaderHasNot) {
  PointerBases bases;
  bases.bias = 0x100000;
  bases.module = AddressRange{Address(0x100000), ByteCount(0x10000)};
  for (const uint64_t stored : {uint64_t{0x4000}, uint64_t{0x104000}}) {
    const auto raw = testing::to_bytes(fixed(stored));
    ByteCursor cursor(raw, ByteOrder::kLittle, FileOffset(0x100000));
    EXPECT_EQ(*read_encoded(cursor, 0x00, bases), 0x104000U);
  }
}

TEST(CfiEntry, ReadsWhatGccWrites) {
  CfiBuilder builder(kFrame);
  const uint64_t cie = builder.cie();
  const uint64_t fde = builder.fde(cie, kBegin, 0x20, {0x41});
  const Parsed parsed(builder);
  const auto read = read_fde(parsed.section, fde);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->begin, kBegin);
  EXPECT_EQ(read->end, kBegin + 0x20);
  EXPECT_EQ(read->cie.data_alignment, -8);
  EXPECT_TRUE(read->covers(kBegin + 0x1f));
  EXPECT_FALSE(read->covers(kBegin + 0x20));
}

TEST(CfiEntry, ReadsTheAugmentationsOfAllCompilers) {
  const Bytes absolute = fixed(uint64_t{kBegin}) + fixed(uint64_t{0x20});
  struct Case {
    const char* letters;
    Bytes data;
    Bytes fde;
    bool signal;
  };
  const Case cases[] = {
      {"", {}, absolute, false},
      {"z", {}, absolute + Bytes{0}, false},
      {"zR", {0x00}, absolute + Bytes{0}, false},
      {"zRS", {0x00}, absolute + Bytes{0}, true},
      {"zRB", {0x00}, absolute + Bytes{0}, false},
      {"zRG", {0x00}, absolute + Bytes{0}, false},
      {"zPLR", Bytes{0x9b, 1, 2, 3, 4, 0x1b, 0x00}, absolute + Bytes{4, 1, 2, 3, 4}, false},
      {"zPLR", Bytes{0xff, 0x1b, 0x00}, absolute + Bytes{4, 1, 2, 3, 4}, false},
      {"zRX", {0x00, 1, 2, 3}, absolute + Bytes{0}, false},  // X: known to nobody
  };
  for (const Case& c : cases) {
    CfiBuilder builder(kFrame);
    CfiBuilder::CieParts parts;
    parts.augmentation = c.letters;
    parts.augmentation_data = c.data;
    const uint64_t cie = builder.cie(parts);
    const uint64_t fde = builder.raw_fde(cie, c.fde, {0x0e, 32});
    const Parsed parsed(builder);
    const auto read = read_fde(parsed.section, fde);
    ASSERT_TRUE(read) << c.letters << ": " << to_string(read.error());
    EXPECT_EQ(read->begin, kBegin) << c.letters;
    EXPECT_EQ(read->end, kBegin + 0x20) << c.letters;
    EXPECT_EQ(read->cie.is_signal_frame, c.signal) << c.letters;
    ASSERT_GE(read->instructions.size(), 2U) << c.letters;
    EXPECT_EQ(read->instructions[0], std::byte{0x0e}) << c.letters;
    EXPECT_EQ(read->cie.instructions[0], std::byte{0x0c}) << c.letters;
  }
}

TEST(CfiEntry, ReadsGcc2Augmentation) {
  CfiBuilder builder(kFrame);
  CfiBuilder::CieParts parts;
  parts.augmentation = "eh";
  parts.after_augmentation = fixed(uint64_t{0x1234});
  parts.augmentation_data.clear();
  const uint64_t cie = builder.cie(parts);
  const uint64_t fde =
      builder.raw_fde(cie, fixed(uint64_t{kBegin}) + fixed(uint64_t{0x20}), {0x0e, 32});
  const Parsed parsed(builder);
  const auto read = read_fde(parsed.section, fde);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->begin, kBegin);
  EXPECT_EQ(read->cie.return_register, 16U);
}

TEST(CfiEntry, RefusesUnknownAugmentationOfUnknownSize) {
  CfiBuilder builder(kFrame);
  CfiBuilder::CieParts parts;
  parts.augmentation = "X";
  parts.augmentation_data.clear();
  const uint64_t cie = builder.cie(parts);
  const uint64_t fde = builder.raw_fde(cie, fixed(uint64_t{kBegin}) + fixed(uint64_t{0x20}), {});
  EXPECT_FALSE(read_fde(Parsed(builder).section, fde));
}

TEST(CfiEntry, ReadsDebugFrameOfEveryVersionAndWidth) {
  for (const uint8_t version : Bytes{1, 3, 4}) {
    for (const bool wide : {false, true}) {
      CfiBuilder builder(kFrame, true);
      if (wide) builder.use_64_bit_lengths();
      CfiBuilder::CieParts parts;
      parts.version = version;
      parts.augmentation.clear();
      parts.augmentation_data.clear();
      if (version == 4) parts.after_augmentation = {8, 0};
      if (version > 1) parts.return_register = 200;
      builder.raw(Bytes());
      const uint64_t cie = builder.cie(parts);
      const uint64_t fde = builder.fde(cie, kBegin, 0x20, {0x41});
      const Parsed parsed(builder, true);
      const auto read = read_fde(parsed.section, fde);
      ASSERT_TRUE(read) << int{version} << wide << ": " << to_string(read.error());
      EXPECT_EQ(read->begin, kBegin);
      EXPECT_EQ(read->cie.return_register, version > 1 ? 200U : 16U);
      EXPECT_EQ(read->cie.offset_size, wide ? 8U : 4U);
    }
  }
}

TEST(CfiEntry, ReadsAddressAndSegmentSizesOfVersion4) {
  CfiBuilder builder(kFrame, true);
  CfiBuilder::CieParts parts;
  parts.version = 4;
  parts.augmentation.clear();
  parts.augmentation_data.clear();
  parts.after_augmentation = {4, 2};
  const uint64_t cie = builder.cie(parts);
  const uint64_t fde =
      builder.raw_fde(cie, Bytes{9, 9} + fixed(uint32_t{kBegin}) + fixed(uint32_t{0x20}), {0x41});
  const auto read = read_fde(Parsed(builder, true).section, fde);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->begin, kBegin);
  EXPECT_EQ(read->end, kBegin + 0x20);
}

TEST(CfiEntry, ReadsEhFrameBehindA64BitLength) {
  CfiBuilder builder(kFrame);
  builder.use_64_bit_lengths();
  const uint64_t cie = builder.cie();
  const uint64_t fde = builder.fde(cie, kBegin, 0x20, {0x41});
  const auto read = read_fde(Parsed(builder).section, fde);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->begin, kBegin);
}

TEST(CfiEntry, SurvivesCutsAndLiesEverywhere) {
  CfiBuilder builder(kFrame);
  const uint64_t cie = builder.cie();
  const uint64_t fde = builder.fde(cie, kBegin, 0x20, {0x41, 0x0e, 16});
  for (size_t size = 0; size < builder.bytes().size(); ++size) {
    Parsed parsed(builder);
    parsed.section.end = kFrame + size;
    EXPECT_FALSE(read_fde(parsed.section, fde)) << size;
  }
  for (size_t at = 0; at < builder.bytes().size(); ++at) {
    for (const uint8_t value : Bytes{0x00, 0x7f, 0x80, 0xff}) {
      Bytes damaged = builder.bytes();
      damaged[at] = value;
      CfiBuilder copy(kFrame);
      copy.raw(damaged);
      const auto read = read_fde(Parsed(copy).section, fde);
      if (read) {
        EXPECT_LE(read->begin, read->end);
      }
    }
  }
}

TEST(CfiEntry, RefusesAnFdeThatNamesNoCie) {
  CfiBuilder builder(kFrame);
  const uint64_t cie = builder.cie();
  const uint64_t fde = builder.fde(cie, kBegin, 0x20, {});
  const uint64_t other = builder.fde(fde, kBegin, 0x20, {});
  EXPECT_FALSE(read_fde(Parsed(builder).section, other));
  EXPECT_FALSE(read_fde(Parsed(builder).section, cie));
}

}  // namespace
}  // namespace residue
