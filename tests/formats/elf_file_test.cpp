#include "formats/elf/elf_file.h"

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/core_builder.h"
#include "tests/support/module_builder.h"

namespace residue::elf {
namespace {

using testing::ByteWriter;
using testing::CoreBuilder;
using testing::ModuleBuilder;
using testing::pattern;
using testing::peek;
using testing::poke;

std::vector<std::byte> small_core() {
  return CoreBuilder()
      .add_prpsinfo(1, "a", "a")
      .add_load(0x10000, testing::kReadable, pattern(0x1000, 1), 0x2000)
      .build();
}

// A 32-bit big-endian header (52 bytes) with one program header (32 bytes), as on SPARC or MIPS.
std::vector<std::byte> big_endian_32() {
  ByteWriter out;
  const auto u16 = [&](uint16_t v) {
    out.u8(static_cast<uint8_t>(v >> 8)).u8(static_cast<uint8_t>(v));
  };
  const auto u32 = [&](uint32_t v) {
    u16(static_cast<uint16_t>(v >> 16));
    u16(static_cast<uint16_t>(v & 0xffff));
  };
  out.u8(0x7f).text("ELF").u8(1).u8(2).u8(1).pad_to(16);
  u16(4), u16(2), u32(1);           // ET_CORE, EM_SPARC
  u32(0), u32(52), u32(0), u32(0);  // entry, phoff, shoff, flags
  u16(52), u16(32), u16(1), u16(40), u16(0), u16(0);
  u32(1), u32(0x54), u32(0x8000), u32(0), u32(0x100), u32(0x200), u32(6), u32(4);
  return out.take();
}

TEST(ElfHeader, IsReadOfClass64) {
  const auto bytes = small_core();
  EXPECT_TRUE(has_magic(bytes));
  const auto header = read_header(bytes);
  ASSERT_TRUE(header) << to_string(header.error());
  EXPECT_TRUE(header->is_64);
  EXPECT_EQ(header->word(), 8U);
  EXPECT_EQ(header->order, ByteOrder::kLittle);
  EXPECT_EQ(header->type, 4);
  EXPECT_EQ(header->machine, 62);
  EXPECT_EQ(header->program_headers, 64U);
  EXPECT_EQ(header->program_header_count, 2U);
  EXPECT_EQ(header->program_header_size, 56);
}

TEST(ElfHeader, IsReadOfClass32AndBigEndian) {
  const auto bytes = big_endian_32();
  const auto header = read_header(bytes);
  ASSERT_TRUE(header) << to_string(header.error());
  EXPECT_FALSE(header->is_64);
  EXPECT_EQ(header->word(), 4U);
  EXPECT_EQ(header->order, ByteOrder::kBig);
  EXPECT_EQ(header->type, 4);
  EXPECT_EQ(header->machine, 2);
  EXPECT_EQ(header->program_headers, 52U);
  EXPECT_EQ(header->program_header_count, 1U);
  const auto headers = read_program_headers(bytes, *header);
  ASSERT_TRUE(headers);
  ASSERT_EQ(headers->items.size(), 1U);
  EXPECT_EQ(headers->items[0].type, 1U);
  EXPECT_EQ(headers->items[0].offset, 0x54U);
  EXPECT_EQ(headers->items[0].vaddr, 0x8000U);
  EXPECT_EQ(headers->items[0].file_size, 0x100U);
  EXPECT_EQ(headers->items[0].memory_size, 0x200U);
  EXPECT_EQ(headers->items[0].flags, 6U);
}

TEST(ElfHeader, IsRefusedAtEveryLengthThatIsTooShort) {
  const auto bytes = small_core();
  for (size_t n = 0; n < 64; ++n) {
    const auto header = read_header(std::span(bytes).first(n));
    ASSERT_FALSE(header) << n;
    EXPECT_FALSE(header.error().message.empty());
    if (n >= 4) {
      EXPECT_EQ(header.error().code, ErrorCode::kTruncated) << n;
    }
  }
  EXPECT_TRUE(read_header(std::span(bytes).first(64)));
}

TEST(ElfHeader, IsRefusedWithoutMagicClassOrOrder) {
  for (const size_t offset : {0U, 1U, 2U, 3U}) {
    auto bytes = small_core();
    bytes[offset] ^= std::byte{0x20};
    EXPECT_FALSE(has_magic(bytes));
    EXPECT_FALSE(read_header(bytes));
  }
  for (const size_t offset : {4U, 5U}) {
    for (const unsigned value : {0U, 3U, 255U}) {
      auto bytes = small_core();
      bytes[offset] = std::byte(value);
      EXPECT_FALSE(read_header(bytes)) << offset << " " << value;
    }
  }
}

TEST(ProgramHeaders, AreReadInFileOrder) {
  const auto bytes = small_core();
  const auto headers = read_program_headers(bytes, read_header(bytes).value());
  ASSERT_TRUE(headers);
  EXPECT_EQ(headers->missing, 0U);
  ASSERT_EQ(headers->items.size(), 2U);
  EXPECT_EQ(headers->items[0].type, 4U);
  EXPECT_EQ(headers->items[1].type, 1U);
  EXPECT_EQ(headers->items[1].flags, testing::kReadable);
  EXPECT_EQ(headers->items[1].vaddr, 0x10000U);
  EXPECT_EQ(headers->items[1].offset, 0x1000U);
  EXPECT_EQ(headers->items[1].file_size, 0x1000U);
  EXPECT_EQ(headers->items[1].memory_size, 0x2000U);
}

TEST(ProgramHeaders, BehindTheEndAreCountedAsMissing) {
  const auto bytes = small_core();
  const auto header = read_header(bytes).value();
  for (size_t n = 64; n < 64 + 2 * 56; ++n) {
    const auto headers = read_program_headers(std::span(bytes).first(n), header);
    if (!headers) continue;
    EXPECT_EQ(headers->items.size(), (n - 64) / 56) << n;
    EXPECT_EQ(headers->missing, 2 - (n - 64) / 56) << n;
  }
}

// The gABI has entries of e_phentsize bytes, which may be more than today's 56.
TEST(ProgramHeaders, StandAsFarApartAsTheHeaderSays) {
  auto bytes = CoreBuilder().lie_phentsize(64).build();
  const auto narrow = CoreBuilder().build();
  bytes.resize(64);
  for (size_t i = 0; i < 2; ++i) {
    const auto entry = std::span(narrow).subspan(64, 56);
    bytes.insert(bytes.end(), entry.begin(), entry.end());
    bytes.resize(bytes.size() + 8, std::byte{0xee});
  }
  poke<uint16_t>(&bytes, 56, 2);
  const auto headers = read_program_headers(bytes, read_header(bytes).value());
  ASSERT_TRUE(headers);
  ASSERT_EQ(headers->items.size(), 2U);
  EXPECT_EQ(headers->items[1].type, 4U);
  EXPECT_EQ(headers->items[1].offset, headers->items[0].offset);
}

TEST(ProgramHeaders, OfAnImpossibleSizeAreNotRead) {
  for (const unsigned size : {1U, 8U, 32U, 55U}) {
    const auto bytes = CoreBuilder().lie_phentsize(static_cast<uint16_t>(size)).build();
    const auto header = read_header(bytes);
    if (!header) continue;
    const auto headers = read_program_headers(bytes, *header);
    EXPECT_TRUE(!headers || headers->items.empty()) << size;
  }
}

TEST(ProgramHeaders, CountsOf65535AreInSectionHeaderZero) {
  const auto bytes = CoreBuilder()
                         .add_load(0x10000, 4, pattern(0x1000, 1))
                         .add_load(0x20000, 4, pattern(0x1000, 2))
                         .extended_numbering()
                         .build();
  ASSERT_EQ(peek<uint16_t>(bytes, 56), 0xffff);
  const auto header = read_header(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->program_header_count, 3U);
}

TEST(SectionHeaders, AreReadFromAFile) {
  const auto bytes = ModuleBuilder(1).full_symbol({"x", ModuleBuilder::kData, 8, false}).build();
  const auto sections = read_section_headers(bytes, read_header(bytes).value());
  ASSERT_EQ(sections.size(), 12U);
  EXPECT_EQ(sections[0].type, 0U);
  EXPECT_EQ(sections[2].type, 11U);
  EXPECT_EQ(sections[2].link, 3U);
  EXPECT_EQ(sections[9].type, 2U);
  EXPECT_EQ(sections[9].size, 48U);
  EXPECT_EQ(sections[9].entry_size, 24U);
  EXPECT_EQ(sections[8].type, 8U);
  EXPECT_EQ(sections[8].address, ModuleBuilder::kBss);
}

TEST(SectionHeaders, OfACutTableAreThoseThatAreThere) {
  const auto bytes = ModuleBuilder(1).build();
  const auto header = read_header(bytes).value();
  EXPECT_TRUE(read_section_headers(std::span(bytes).first(0x1000), header).empty());
  EXPECT_EQ(read_section_headers(std::span(bytes).first(bytes.size() - 1), header).size(),
            header.section_count - 1);
}

std::vector<std::byte> note(uint32_t type, const std::string& name,
                            const std::vector<std::byte>& descriptor) {
  ByteWriter out;
  out.u32(static_cast<uint32_t>(name.size() + 1)).u32(static_cast<uint32_t>(descriptor.size()));
  out.u32(type).c_string(name).align(4).bytes(descriptor).align(4);
  return out.take();
}

std::vector<std::byte> operator+(std::vector<std::byte> a, const std::vector<std::byte>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Notes, AreReadWithTheirPadding) {
  const auto bytes =
      note(7, "CORE", pattern(5, 1)) + note(8, "LINUX", pattern(4, 2)) + note(9, "", pattern(0, 3));
  std::optional<Error> damage;
  const auto notes = read_notes(bytes, ByteOrder::kLittle, FileOffset(0x400), &damage);
  EXPECT_FALSE(damage.has_value());
  ASSERT_EQ(notes.size(), 3U);
  EXPECT_EQ(notes[0].type, 7U);
  EXPECT_EQ(notes[0].name, "CORE");
  EXPECT_EQ(notes[0].descriptor.size(), 5U);
  EXPECT_EQ(notes[0].offset, FileOffset(0x400 + 20));
  EXPECT_EQ(notes[1].name, "LINUX");
  EXPECT_EQ(notes[1].descriptor.data(), bytes.data() + 28 + 20);
  EXPECT_EQ(notes[2].type, 9U);
  EXPECT_TRUE(notes[2].descriptor.empty());
}

TEST(Notes, BeforeADamagedOneAreKept) {
  const auto first = note(7, "CORE", pattern(8, 1));
  const auto bytes = first + note(8, "CORE", pattern(8, 2));
  for (size_t n = first.size() + 1; n < bytes.size(); ++n) {
    std::optional<Error> damage;
    const auto notes =
        read_notes(std::span(bytes).first(n), ByteOrder::kLittle, FileOffset(0x400), &damage);
    ASSERT_EQ(notes.size(), 1U) << n;
    ASSERT_TRUE(damage.has_value()) << n;
    EXPECT_EQ(damage->code, ErrorCode::kTruncated);
    ASSERT_TRUE(damage->offset.has_value());
    EXPECT_GE(damage->offset->value(), 0x400 + first.size());
    EXPECT_LE(damage->offset->value(), 0x400 + n);
  }
}

TEST(Notes, WithHugeSizesAreDamage) {
  for (const size_t field : {0U, 4U}) {
    for (const uint32_t size : {0xffffffffU, 0xfffffffdU, 0x80000000U, 0x7ffffff0U, 1000U}) {
      auto bytes = note(7, "CORE", pattern(8, 1)) + note(8, "CORE", pattern(8, 2));
      poke<uint32_t>(&bytes, field, size);
      std::optional<Error> damage;
      const auto notes = read_notes(bytes, ByteOrder::kLittle, FileOffset(0), &damage);
      EXPECT_TRUE(notes.empty());
      EXPECT_TRUE(damage.has_value()) << field << " " << size;
    }
  }
}

TEST(Notes, MayLackTheNulOfTheirName) {
  ByteWriter out;
  out.u32(4).u32(0).u32(3).text("ABCD");
  std::optional<Error> damage;
  const auto notes = read_notes(out.data(), ByteOrder::kLittle, FileOffset(0), &damage);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0].name, "ABCD");
}

TEST(BuildId, IsTheDescriptorOfTheGnuNote) {
  const auto id = ByteWriter().u8(0xde).u8(0xad).u8(0x00).u8(0x01).take();
  EXPECT_EQ(find_build_id(note(1, "GNU", pattern(16, 1)) + note(3, "GNU", id), ByteOrder::kLittle),
            "dead0001");
  EXPECT_EQ(find_build_id(note(3, "CORE", id), ByteOrder::kLittle), "");
  EXPECT_EQ(find_build_id(note(1, "GNU", id), ByteOrder::kLittle), "");
  EXPECT_EQ(find_build_id({}, ByteOrder::kLittle), "");
}

TEST(BuildId, OfAFileIsFoundThroughItsHeaders) {
  const ModuleBuilder module(5);
  const auto bytes = module.build();
  EXPECT_EQ(file_build_id(bytes), module.build_id_text());
  EXPECT_EQ(file_build_id(ModuleBuilder(5).build_id({}).build()), "");
  EXPECT_EQ(file_build_id(testing::as_bytes("#!/bin/sh\n")), "");
  EXPECT_EQ(file_build_id({}), "");
  for (size_t n = 0; n < 0x300; ++n) (void)file_build_id(std::span(bytes).first(n));
}

}  // namespace
}  // namespace residue::elf
