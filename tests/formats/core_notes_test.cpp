#include "formats/elf/core_notes.h"

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/core_builder.h"
#include "tests/support/dump_file.h"

namespace residue::elf {
namespace {

using testing::ByteWriter;
using testing::CoreBuilder;
using testing::pattern;
using testing::poke;

struct ReadNotes {
  CoreNotes notes;
  Diagnostics diagnostics;
};

ReadNotes read_all(const std::vector<std::byte>& core, const CoreBuilder::Layout& layout) {
  ReadNotes read;
  const auto bytes = std::span(core).subspan(layout.notes, layout.notes_size);
  read_core_notes(bytes, read_header(core).value(), FileOffset(layout.notes), &read.notes,
                  read.diagnostics);
  return read;
}

ReadNotes read_all(CoreBuilder core) {
  const auto bytes = core.build();
  return read_all(bytes, core.layout());
}

size_t note_of_type(const CoreBuilder::Layout& layout, uint32_t type) {
  for (size_t i = 0; i < layout.note_types.size(); ++i) {
    if (layout.note_types[i] == type) return layout.note_headers[i];
  }
  throw std::runtime_error("no such note");
}

CoreBuilder with_files() {
  CoreBuilder core;
  core.add_thread(5, {}).add_prpsinfo(5, "name", "name arg");
  core.add_auxv(testing::kAuxEntry, 0x401000);
  core.add_file_mapping(0x400000, 0x401000, 0, "/bin/a");
  core.add_file_mapping(0x401000, 0x403000, 0x1000, "/bin/a");
  core.add_file_mapping(0x7f0000000000, 0x7f0000001000, 0x5000, "/lib/b.so (deleted)");
  return core;
}

TEST(CoreNotes, HoldProcessAndAuxiliaryVector) {
  const auto read = read_all(with_files());
  EXPECT_EQ(read.notes.pid, 5U);
  EXPECT_EQ(read.notes.name, "name");
  EXPECT_EQ(read.notes.command_line, "name arg");
  EXPECT_EQ(read.notes.auxv.at(testing::kAuxEntry), 0x401000U);
  EXPECT_FALSE(read.diagnostics.has_damage()) << testing::to_text(read.diagnostics);
}

TEST(CoreNotes, HoldMappedFilesWithOffsetsInBytes) {
  const auto read = read_all(with_files());
  ASSERT_EQ(read.notes.files.size(), 3U);
  EXPECT_EQ(read.notes.files[1].range, (AddressRange{Address(0x401000), ByteCount(0x2000)}));
  EXPECT_EQ(read.notes.files[1].file_offset, 0x1000U);
  EXPECT_EQ(read.notes.files[1].path, "/bin/a");
  EXPECT_EQ(read.notes.files[2].file_offset, 0x5000U);
  EXPECT_EQ(read.notes.files[2].path.rfind("/lib/b.so", 0), 0U);
}

TEST(CoreNotes, MultiplyFileOffsetsByThePageSizeOfTheNote) {
  CoreBuilder core;
  core.add_thread(1, {}).file_page_size(65536);
  core.add_file_mapping(0x100000, 0x110000, 0x20000, "/data/large-pages.bin");
  const auto read = read_all(core);
  ASSERT_EQ(read.notes.files.size(), 1U);
  EXPECT_EQ(read.notes.files[0].file_offset, 0x20000U);
}

TEST(CoreNotes, TakeNamesThatFillTheirFields) {
  const std::string name(15, 'n'), arguments(79, 'a');
  const auto read = read_all(CoreBuilder().add_prpsinfo(5, name, arguments));
  EXPECT_EQ(read.notes.name, name);
  EXPECT_EQ(read.notes.command_line, arguments);
}

// No NUL at all: the fields end where they end.
TEST(CoreNotes, TakeNamesWithoutANul) {
  CoreBuilder core;
  core.add_prpsinfo(5, "n", "a");
  auto bytes = core.build();
  const size_t descriptor = note_of_type(core.layout(), testing::kNotePrpsinfo) + 20;
  for (size_t i = 40; i < 136; ++i)
    bytes[descriptor + i] = static_cast<std::byte>(i < 56 ? 'n' : 'a');
  const auto read = read_all(bytes, core.layout());
  EXPECT_EQ(read.notes.name, std::string(16, 'n'));
  EXPECT_EQ(read.notes.command_line, std::string(80, 'a'));
}

TEST(CoreNotes, OfTheWrongSizeAreDamageAndLeftOut) {
  for (const size_t size : {0U, 4U, 111U, 335U}) {
    CoreBuilder core;
    core.add_thread(5, {}).add_note(testing::kNotePrstatus, "CORE", pattern(size, 1));
    const auto read = read_all(core);
    EXPECT_EQ(read.notes.threads.size(), 1U) << size;
    EXPECT_TRUE(read.diagnostics.has_damage()) << size;
  }
  for (const size_t size : {0U, 40U, 135U}) {
    CoreBuilder core;
    core.add_thread(5, {}).add_note(testing::kNotePrpsinfo, "CORE", pattern(size, 1));
    EXPECT_TRUE(read_all(core).diagnostics.has_damage()) << size;
  }
}

TEST(CoreNotes, AfterADamagedOneAreStillRead) {
  CoreBuilder core;
  core.add_note(testing::kNotePrstatus, "CORE", pattern(3, 1));
  const auto damaged_only = read_all(core);
  EXPECT_TRUE(damaged_only.notes.threads.empty());
  core.add_thread(5, {});  // builders put extra notes last: damage follows
  core.add_note(testing::kNoteAuxv, "CORE", ByteWriter().u64(6).u64(4096).u64(0).u64(0).take());
  const auto read = read_all(core);
  EXPECT_EQ(read.notes.threads.size(), 1U);
  EXPECT_EQ(read.notes.auxv.at(6), 4096U);
}

TEST(CoreNotes, ALyingCountOfFilesIsDamage) {
  for (const uint64_t count :
       {uint64_t{4}, uint64_t{1000}, uint64_t{1} << 32, (~uint64_t{0} / 24) + 2, ~uint64_t{0}}) {
    auto core = with_files();
    const auto read = read_all(core.lie_file_count(count));
    EXPECT_TRUE(read.diagnostics.has_damage()) << count;
    EXPECT_LE(read.notes.files.size(), 3U) << count;
    EXPECT_EQ(read.notes.threads.size(), 1U) << count;
  }
}

TEST(CoreNotes, FilesThatEndBeforeTheyStartAreDamage) {
  CoreBuilder core;
  core.add_thread(5, {}).add_file_mapping(0x403000, 0x401000, 0, "/bin/backwards");
  core.add_file_mapping(0x600000, 0x601000, 0, "/bin/good");
  const auto read = read_all(core);
  EXPECT_TRUE(read.diagnostics.has_damage());
  for (const auto& file : read.notes.files) EXPECT_NE(file.path, "/bin/backwards");
}

// A count that is too high takes bytes of the paths for addresses.
TEST(CoreNotes, FilesWithoutAPathAreNotKept) {
  const auto read = read_all(with_files().lie_file_count(4));
  for (const auto& file : read.notes.files) EXPECT_NE(file.path, "");
}

TEST(CoreNotes, AnAuxiliaryVectorMayLackItsEnd) {
  CoreBuilder core;
  core.add_note(testing::kNoteAuxv, "CORE", ByteWriter().u64(9).u64(0x1234).u64(6).take());
  EXPECT_EQ(read_all(core).notes.auxv.at(9), 0x1234U);
}

TEST(CoreNotes, SiginfoWithoutAThreadIsNobodys) {
  CoreBuilder core;
  core.add_note(testing::kNoteSiginfo, "CORE", pattern(128, 1));
  core.add_note(testing::kNoteXstate, "LINUX", pattern(832, 1));
  EXPECT_TRUE(read_all(core).notes.threads.empty());
}

}  // namespace
}  // namespace residue::elf
