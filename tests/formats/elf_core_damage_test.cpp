// The damage table of ELF cores: one good core, spoilt in every way that has a name. Whatever
// happens, either nothing comes out and the message says why, or an Image that keeps its laws.
#include <unistd.h>

#include <functional>
#include <random>

#include "formats/base/text.h"
#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"
#include "tests/support/sample_core.h"
#include "tests/support/seed_cores.h"

namespace residue {
namespace {

using testing::broken_laws;
using testing::CoreBuilder;
using testing::kReadable;
using testing::kWritable;
using testing::open_bytes;
using testing::OpenedDump;
using testing::pattern;
using testing::peek;
using testing::poke;
using testing::SampleCore;

constexpr uint32_t kRw = kReadable | kWritable;
constexpr uint64_t kPage = 0x1000;
const std::vector<std::string> kNoBrokenLaws;

// Field offsets of the ELF64 headers (gABI).
constexpr size_t kHeaderSize = 64, kPhentSize = 56;
constexpr size_t kPhoff = 32, kShoff = 40, kPhentsize = 54, kPhnum = 56, kShentsize = 58;
constexpr size_t kShnum = 60;
constexpr size_t kOffset = 8, kVaddr = 16, kFilesz = 32, kMemsz = 40;

// Returns whether anything was lost, as far as the reader says.
bool expect_lawful(const OpenedDump& opened, const std::string& what) {
  if (!opened.image) {
    EXPECT_FALSE(opened.image.error().message.empty()) << what;
    EXPECT_NE(opened.image.error().code, ErrorCode::kInternal) << what;
    return true;
  }
  EXPECT_EQ(broken_laws(*opened.image), kNoBrokenLaws) << what;
  return !opened.image->complete || opened.diagnostics.has_damage();
}

class ElfCoreDamage : public ::testing::Test {
 protected:
  ElfCoreDamage() : good_(sample_.core.build()), layout_(sample_.core.layout()) {}

  // File offset of the program header of the `i`th load.
  size_t load_header(size_t i) const { return kHeaderSize + (i + 1) * kPhentSize; }
  size_t loads() const { return static_cast<size_t>(layout_.program_header_count) - 1; }

  void expect_cut_is_noticed(size_t size) const {
    const auto opened = open_bytes(std::span(good_).first(size));
    const std::string what = "cut at " + std::to_string(size);
    expect_lawful(opened, what);
    if (!opened.image) return;
    EXPECT_FALSE(opened.image->complete) << what;
    EXPECT_TRUE(opened.diagnostics.has_damage()) << what;
  }

  SampleCore sample_;
  std::vector<std::byte> good_;
  CoreBuilder::Layout layout_;
};

TEST_F(ElfCoreDamage, TheGoodCoreIsGood) {
  const auto opened = open_bytes(good_);
  ASSERT_TRUE(opened.image);
  EXPECT_FALSE(expect_lawful(opened, "good"));
}

TEST_F(ElfCoreDamage, CutsInHeadersAndNotesAreNoticed) {
  const size_t end = layout_.notes + layout_.notes_size;
  for (size_t size = 0; size <= end; ++size) expect_cut_is_noticed(size);
}

TEST_F(ElfCoreDamage, CutsAtRecordBoundariesAreNoticed) {
  for (const uint64_t boundary : layout_.boundaries) {
    for (const uint64_t size : {boundary - 1, boundary, boundary + 1}) {
      if (size < good_.size()) expect_cut_is_noticed(size);
    }
  }
}

TEST_F(ElfCoreDamage, CutsInMemoryAreNoticed) {
  for (size_t size = layout_.memory; size < good_.size(); size += 509) expect_cut_is_noticed(size);
  expect_cut_is_noticed(good_.size() - 1);
}

TEST_F(ElfCoreDamage, ACutCoreKeepsWhatItStillHas) {
  const size_t size = layout_.memory + 5 * kPage + 0x123;
  const auto opened = open_bytes(std::span(good_).first(size));
  ASSERT_TRUE(opened.image);
  const Image& image = *opened.image;
  EXPECT_EQ(image.threads.size(), 2U);
  EXPECT_EQ(image.pid, SampleCore::kPid);
  const auto whole = open_bytes(good_);
  uint64_t mapped = 0, expected = 0, bytes = 0;
  for (const Region& r : image.regions) mapped += r.range.size.value(), bytes += r.bytes.size();
  for (const Region& r : whole.image->regions) expected += r.range.size.value();
  EXPECT_EQ(mapped, expected);  // lost memory is absent, not forgotten
  EXPECT_EQ(bytes, size - layout_.memory);
}

std::vector<Diagnostic> with_message(const OpenedDump& opened, const std::string& text) {
  std::vector<Diagnostic> found;
  for (const Diagnostic& d : opened.diagnostics.items()) {
    if (d.message.find(text) != std::string::npos) found.push_back(d);
  }
  return found;
}

// Where the memory that the file no longer holds was: ranges that touch are one.
TEST_F(ElfCoreDamage, ACutCoreSaysWhatIsLost) {
  // The first module's headers are there, a page and a half of its data is not.
  const size_t size = layout_.memory + kPage + kPage / 2;
  const auto opened = open_bytes(std::span(good_).first(size));
  ASSERT_TRUE(opened.image);
  const auto sum = with_message(opened, "the file ends here");
  ASSERT_EQ(sum.size(), 1U);
  EXPECT_EQ(sum[0].bytes, good_.size() - size);
  EXPECT_EQ(sum[0].place, "file offset " + hex(size));
  const auto lost = with_message(opened, "the file ends before these bytes");
  ASSERT_FALSE(lost.empty());
  // The program's relro, data and bss follow its headers in the file.
  const uint64_t relro = SampleCore::kProgram + testing::ModuleBuilder::kRelro;
  EXPECT_EQ(lost[0].place, "addresses " + hex(relro + kPage / 2) + "-" +
                               hex(SampleCore::kProgram + testing::ModuleBuilder::kEnd));
  EXPECT_EQ(lost[0].bytes, 2 * kPage + kPage / 2);
  uint64_t bytes = 0;
  for (const Diagnostic& d : lost) bytes += d.bytes;
  EXPECT_EQ(bytes, sum[0].bytes);
}

// More ranges than anybody reads: the rest in one line, and no byte left out.
TEST(ElfCoreLoss, OfManyRangesEndsInASum) {
  constexpr uint64_t kCount = 50;
  CoreBuilder core;
  for (uint64_t i = 0; i < kCount; ++i) {
    core.add_load(0x10000 + 2 * i * kPage, kRw, pattern(kPage, i));
  }
  const auto bytes = core.build();
  const auto opened = open_bytes(std::span(bytes).first(core.layout().memory));
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.diagnostics.dropped(), 0U);
  uint64_t said = 0;
  for (const Diagnostic& d : with_message(opened, "the file ends before")) said += d.bytes;
  EXPECT_EQ(said, kCount * kPage);
  const auto rest = with_message(opened, "more ranges in here");
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].place.substr(rest[0].place.find('-') + 1),
            hex(0x10000 + 2 * (kCount - 1) * kPage + kPage));
}

struct Lie {
  const char* name;
  std::function<void(SampleCore&)> tell;
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

class ElfCoreLie : public ::testing::TestWithParam<Lie> {};

TEST_P(ElfCoreLie, IsDamageOrAnError) {
  SampleCore sample;
  GetParam().tell(sample);
  EXPECT_TRUE(expect_lawful(open_bytes(sample.core.build()), GetParam().name));
}

constexpr uint64_t kTop = ~uint64_t{0};

INSTANTIATE_TEST_SUITE_P(
    Table, ElfCoreLie,
    ::testing::Values(
        Lie{"phnum_too_many", [](SampleCore& s) { s.core.lie_phnum(60000); }},
        Lie{"phnum_extended_without_sections", [](SampleCore& s) { s.core.lie_phnum(0xffff); }},
        Lie{"phnum_zero", [](SampleCore& s) { s.core.lie_phnum(0); }},
        Lie{"phentsize_zero", [](SampleCore& s) { s.core.lie_phentsize(0); }},
        Lie{"phentsize_small", [](SampleCore& s) { s.core.lie_phentsize(55); }},
        Lie{"phentsize_huge", [](SampleCore& s) { s.core.lie_phentsize(0xffff); }},
        Lie{"phoff_behind_the_end", [](SampleCore& s) { s.core.lie_phoff(1 << 30); }},
        Lie{"phoff_top", [](SampleCore& s) { s.core.lie_phoff(kTop); }},
        Lie{"phoff_almost_top", [](SampleCore& s) { s.core.lie_phoff(kTop - 63); }},
        Lie{"offset_behind_the_end", [](SampleCore& s) { s.core.lie_offset(1 << 30); }},
        Lie{"offset_top", [](SampleCore& s) { s.core.lie_offset(kTop); }},
        Lie{"offset_almost_top", [](SampleCore& s) { s.core.lie_offset(kTop - 0xfff); }},
        Lie{"filesz_above_memsz", [](SampleCore& s) { s.core.lie_memory_size(0x800); }},
        Lie{"filesz_top", [](SampleCore& s) { s.core.lie_file_size(kTop); }},
        Lie{"memsz_wraps", [](SampleCore& s) { s.core.lie_memory_size(kTop); }},
        Lie{"filesz_and_memsz_top",
            [](SampleCore& s) { s.core.lie_file_size(kTop).lie_memory_size(kTop); }},
        Lie{"load_over_another",
            [](SampleCore& s) { s.core.add_load(SampleCore::kHeap, kRw, pattern(kPage, 50)); }},
        Lie{"load_over_many",
            [](SampleCore& s) {
              s.core.add_load(SampleCore::kProgram - kPage, kRw, pattern(0x20 * kPage, 51));
            }},
        Lie{"load_over_half",
            [](SampleCore& s) {
              s.core.add_load(SampleCore::kHeap + kPage, kRw, pattern(4 * kPage, 52));
            }},
        Lie{"load_of_everything",
            [](SampleCore& s) { s.core.add_load(0, kRw, pattern(kPage, 53), kTop); }},
        Lie{"load_past_the_top",
            [](SampleCore& s) { s.core.add_load(kTop - 0xfff, kRw, pattern(2 * kPage, 54)); }},
        Lie{"file_count_huge", [](SampleCore& s) { s.core.lie_file_count(kTop); }},
        Lie{"file_count_overflows", [](SampleCore& s) { s.core.lie_file_count(kTop / 24 + 2); }},
        Lie{"file_count_one_more", [](SampleCore& s) { s.core.lie_file_count(13); }}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

// Page sizes in NT_FILE that multiply offsets out of range, or by nothing.
TEST_F(ElfCoreDamage, OddPageSizesOfMappedFilesAreSurvived) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{3}, uint64_t{1} << 63, kTop}) {
    SampleCore sample;
    sample.core.file_page_size(size);
    expect_lawful(open_bytes(sample.core.build()), "page size " + std::to_string(size));
  }
}

TEST_F(ElfCoreDamage, MappingsOfFilesMayOverlapLoadsAndEachOther) {
  SampleCore sample;
  sample.core.add_file_mapping(SampleCore::kHeap, SampleCore::kHeap + kPage, 0, "/over/heap");
  sample.core.add_file_mapping(SampleCore::kHeap - kPage, SampleCore::kHeap + 3 * kPage, 0, "/a");
  sample.core.add_file_mapping(0, kTop, 0, "/everything");
  sample.core.add_file_mapping(kTop - 10, kTop, kTop - kPage + 1, "/top");
  sample.core.add_file_mapping(SampleCore::kLibrary + 1, SampleCore::kLibrary + 3, 0, "/inside");
  expect_lawful(open_bytes(sample.core.build()), "overlapping mappings");
}

TEST_F(ElfCoreDamage, ExtendedNumberingThatLiesIsNoticed) {
  SampleCore sample;
  auto bytes = sample.core.extended_numbering().build();
  const size_t count_at = bytes.size() - 64 + 44;
  ASSERT_EQ(peek<uint32_t>(bytes, count_at), sample.core.layout().program_header_count);
  for (const uint32_t count : {0xffffffffU, 0x7fffffffU, 0x10000U}) {
    poke<uint32_t>(&bytes, count_at, count);
    EXPECT_TRUE(expect_lawful(open_bytes(bytes), "count " + std::to_string(count)));
  }
  poke<uint32_t>(&bytes, count_at, 0);
  EXPECT_TRUE(expect_lawful(open_bytes(bytes), "count 0"));
  for (const uint64_t offset : {kTop, kTop - 63, uint64_t{bytes.size() - 10}}) {
    poke<uint64_t>(&bytes, kShoff, offset);
    EXPECT_TRUE(expect_lawful(open_bytes(bytes), "section headers at " + std::to_string(offset)));
  }
}

TEST_F(ElfCoreDamage, NoteSizesThatLieAreNoticed) {
  for (const uint64_t note : layout_.note_headers) {
    for (const size_t field : {0U, 4U}) {
      for (const uint32_t size : {0xffffffffU, 0xfffffffdU, 0xfffffff0U, 0x80000000U, 0x10000U}) {
        auto bytes = good_;
        poke<uint32_t>(&bytes, note + field, size);
        EXPECT_TRUE(expect_lawful(open_bytes(bytes), "note at " + std::to_string(note)));
      }
    }
  }
}

// The values that break arithmetic, in every field of every program header.
TEST_F(ElfCoreDamage, ExtremesInProgramHeadersAreSurvived) {
  const uint64_t extremes[] = {0,
                               1,
                               0xfff,
                               0x1001,
                               good_.size() - 1,
                               good_.size(),
                               1U << 31,
                               uint64_t{1} << 47,
                               uint64_t{1} << 63,
                               kTop - 0xfff,
                               kTop};
  for (size_t i = 0; i <= loads(); ++i) {
    for (const size_t field : {kOffset, kVaddr, kFilesz, kMemsz}) {
      for (const uint64_t value : extremes) {
        auto bytes = good_;
        poke<uint64_t>(&bytes, kHeaderSize + i * kPhentSize + field, value);
        expect_lawful(open_bytes(bytes), "header " + std::to_string(i) + " field " +
                                             std::to_string(field) + " = " + std::to_string(value));
      }
    }
  }
}

TEST_F(ElfCoreDamage, ExtremesInTheFileHeaderAreSurvived) {
  for (const size_t field : {kPhentsize, kPhnum, kShentsize, kShnum}) {
    for (const unsigned value : {0U, 1U, 55U, 57U, 0x7fffU, 0xfffeU, 0xffffU}) {
      auto bytes = good_;
      poke(&bytes, field, static_cast<uint16_t>(value));
      expect_lawful(open_bytes(bytes), "field " + std::to_string(field));
    }
  }
  for (const size_t field : {kPhoff, kShoff}) {
    for (const uint64_t value :
         {uint64_t{1}, good_.size() - 8, uint64_t{1} << 63, kTop - 7, kTop}) {
      auto bytes = good_;
      poke<uint64_t>(&bytes, field, value);
      expect_lawful(open_bytes(bytes), "field " + std::to_string(field));
    }
  }
}

TEST_F(ElfCoreDamage, EveryBitOfTheHeadersMayBeWrong) {
  const size_t end = layout_.notes;
  for (size_t at = 0; at < end; ++at) {
    for (const unsigned bit : {0U, 4U, 7U}) {
      auto bytes = good_;
      bytes[at] ^= std::byte(1U << bit);
      expect_lawful(open_bytes(bytes), "bit " + std::to_string(bit) + " at " + std::to_string(at));
    }
  }
}

// Several wrong bytes at once: in the headers, the notes, and the module headers in memory. The
// seeds are fixed, so that a failure names a case that can be repeated.
TEST_F(ElfCoreDamage, RandomBytesAreSurvived) {
  const size_t end = layout_.memory + kPage;
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    auto bytes = good_;
    for (size_t n = 1 + random() % 8; n != 0; --n) {
      bytes[random() % end] = std::byte(random() & 0xff);
    }
    expect_lawful(open_bytes(bytes), "seed " + std::to_string(seed));
  }
}

// Damage in the module's pages: its ELF header, program headers, notes and dynamic section.
TEST_F(ElfCoreDamage, ModuleHeadersMayBeWrong) {
  const size_t module = layout_.memory;
  for (size_t at = 0; at < 0x280; ++at) {
    for (const std::byte value : {std::byte{0x00}, std::byte{0x7f}, std::byte{0xff}}) {
      auto bytes = good_;
      if (bytes[module + at] == value) continue;
      bytes[module + at] = value;
      expect_lawful(open_bytes(bytes), "module byte " + std::to_string(at));
    }
  }
}

// Every small core of every machine and system, cut everywhere and with every byte wrong.
TEST(ElfCoreSeeds, MayBeCutAnywhere) {
  for (const auto& [name, bytes] : testing::seed_cores()) {
    const size_t step = bytes.size() > 8192 ? 37 : 3;
    for (size_t size = 0; size < bytes.size(); size += step) {
      expect_lawful(open_bytes(std::span(bytes).first(size)),
                    name + " cut at " + std::to_string(size));
    }
  }
}

TEST(ElfCoreSeeds, MayHaveAnyByteWrong) {
  for (const auto& [name, bytes] : testing::seed_cores()) {
    // Small ones whole, of larger ones every third byte of what is not memory.
    const size_t end = std::min<size_t>(bytes.size(), 2048);
    for (size_t at = 0; at<end; at += bytes.size()> 8192 ? 3 : 1) {
      auto wrong = bytes;
      wrong[at] ^= std::byte{0xff};
      expect_lawful(open_bytes(wrong), name + " byte " + std::to_string(at));
    }
  }
}

// As many threads, mappings or notes as fit: work stays in proportion to the file.
TEST(ElfCoreSize, ManyOverlappingLoadsAreReadInReasonableTime) {
  CoreBuilder core;
  core.add_thread(1, {});
  for (uint64_t i = 0; i < 20000; ++i) {
    core.add_load(0x10000000 + (i * 7919 % 20000) * 0x1000, kRw, {}, 0x100000);
  }
  ::alarm(60);
  expect_lawful(open_bytes(core.build()), "overlapping loads");
  ::alarm(0);
}

TEST(ElfCoreSize, ManyMappingsOfManyFilesAreReadInReasonableTime) {
  CoreBuilder core;
  core.add_thread(1, {});
  for (uint64_t i = 0; i < 20000; ++i) {
    const uint64_t start = 0x10000000 + i * 0x2000;
    core.add_file_mapping(start, start + 0x1000, 0, "/lib/file" + std::to_string(i));
    core.add_load(start, kRw, {}, 0x1000);
  }
  ::alarm(60);
  const auto opened = open_bytes(core.build());
  ::alarm(0);
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.image->regions.size(), 20000U);
}

// Modules whose headers are not dumped, as many as a megabyte of notes can name.
TEST(ElfCoreSize, ManyModulesAreReadInReasonableTime) {
  CoreBuilder core;
  core.add_thread(1, {});
  for (uint64_t i = 0; i < 20000; ++i) {
    const uint64_t start = 0x10000000 + i * 0x2000;
    core.add_file_mapping(start, start + 0x1000, 0, "/lib/" + std::to_string(i) + ".so");
  }
  ::alarm(60);
  const auto opened = open_bytes(core.build());
  ::alarm(0);
  ASSERT_TRUE(opened.image);
  EXPECT_EQ(opened.image->modules.size(), 20000U);
  // What is said of all of them is said kMaxEach times.
  EXPECT_LE(opened.diagnostics.items().size(), 10 * Diagnostics::kMaxEach);
}

}  // namespace
}  // namespace residue
