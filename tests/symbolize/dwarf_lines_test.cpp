// Line programs: every operation of the standard (DWARF 5, 6.2.5), and what gdb makes of rows.
#include <gtest/gtest.h>

#include "dwarf_builder.h"
#include "symbolize/dwarf/line_table.h"
#include "symbolize/dwarf/module_dwarf.h"

namespace residue::dwarf {
namespace {

using test::Bytes;
using test::Info;
using test::Lines;
using test::Shape;

// A unit whose line table is `section`, and that table's rows.
class Table {
 public:
  Table(const Shape& shape, const std::string& section) {
    Info info(shape);
    info.begin_unit();
    // DW_TAG_compile_unit with DW_AT_stmt_list (sec_offset) and DW_AT_comp_dir
    info.entry(0x11, {{0x10, 0x17, 0}, {0x1b, 0x08, 0, "/build"}});
    info.end_unit();
    file_ = test::make_elf(shape, {{".debug_info", info.bytes().data()},
                                   {".debug_abbrev", info.abbreviations()},
                                   {".debug_line", section}});
    dwarf_ = std::make_unique<ModuleDwarf>(*file_, nullptr, ModuleDwarf::SplitFinder());
    unit_ = dwarf_->main().unit(dwarf_->main().units().at(0));
    table_ = LineTable::of(*unit_, &damage_);
  }

  std::vector<uint32_t> lines(const std::vector<uint64_t>& addresses) const {
    std::vector<uint32_t> found;
    for (const LineRow& row : table_->rows(addresses)) found.push_back(row.line);
    return found;
  }
  const std::optional<LineTable>& table() const { return table_; }
  const std::string& damage() const { return damage_; }

 private:
  std::unique_ptr<SymbolFile> file_;
  std::unique_ptr<ModuleDwarf> dwarf_;
  const Unit* unit_ = nullptr;
  std::string damage_;
  std::optional<LineTable> table_;
};

using Found = std::vector<uint32_t>;

TEST(DwarfLines, RunsEveryOperation) {
  const Shape shape;
  Lines lines(shape);
  Bytes& program = lines.program();
  lines.set_address(0x1000);
  program.u8(3).sleb(9).u8(1);                                // advance_line to 10, copy
  program.u8(2).uleb(0x10).u8(3).sleb(-3).u8(1);              // advance_pc, line 7
  program.u8(8).u8(1);                                        // const_add_pc: (255 - 13) / 14 = 17
  program.u8(9).u16(0x100).u8(3).sleb(1).u8(1);               // fixed_advance_pc, line 8
  program.u8(13 + 14 * 2 + 5 + 4);                            // special: address + 2, line + 4
  program.u8(5).uleb(33).u8(7).u8(10).u8(11).u8(12).uleb(1);  // column, block, prologue, isa
  program.u8(2).uleb(4).u8(3).sleb(1).u8(1);                  // line 13 with column 33
  program.u8(0).uleb(2).u8(4).uleb(7);                        // discriminator
  program.u8(0).uleb(4).u8(0x80).raw("abc");                  // an operation of some vendor
  program.u8(2).uleb(4);
  lines.end_sequence();
  const Table table(shape, lines.finish("/build"));
  ASSERT_TRUE(table.table());
  EXPECT_EQ(table.lines({0xfff, 0x1000, 0x100f, 0x1010, 0x1020, 0x1021, 0x1120, 0x1121, 0x1122,
                         0x1123, 0x1126, 0x1127, 0x112a, 0x112b}),
            (Found{0, 10, 10, 7, 7, 7, 7, 8, 8, 12, 12, 13, 13, 0}));
  const std::vector<uint64_t> last = {0x1127};
  EXPECT_EQ(table.table()->rows(last)[0].column, 33U);
}

TEST(DwarfLines, ScalesByTheInstructionLength) {
  const Shape shape{4, false, 4, true};
  Lines lines(shape, 4);
  lines.set_address(0x1000).row(1, 10).advance(8).row(1, 20);
  lines.program().u8(13 + 14 * 1 + 5 + 1);  // one instruction, line + 1
  lines.advance(4).end_sequence();
  const Table table(shape, lines.finish(""));
  EXPECT_EQ(table.lines({0x1007, 0x1008, 0x100b, 0x100c, 0x100f, 0x1010}),
            (Found{10, 20, 20, 21, 21, 0}));
}

// VLIW: three operations to a bundle of 16 bytes (as on Itanium).
TEST(DwarfLines, CountsOperationsOfWideInstructions) {
  const Shape shape{4, false, 8, false};
  Lines lines(shape, 16, 3);
  lines.set_address(0x1000).row(1, 10);
  lines.program().u8(2).uleb(2);  // still the first bundle
  lines.row(1, 11);
  lines.program().u8(2).uleb(1);  // the second one
  lines.row(1, 12);
  lines.program().u8(2).uleb(3);
  lines.end_sequence();
  const Table table(shape, lines.finish(""));
  EXPECT_EQ(table.lines({0x1000, 0x100f, 0x1010, 0x101f, 0x1020}), (Found{11, 11, 12, 12, 0}));
}

// What gdb does with several rows at one address, line 0 and rows that begin no statement.
TEST(DwarfLines, ChoosesRowsAsGdbDoes) {
  const Shape shape;
  Lines lines(shape);
  lines.set_address(0x1000).row(0, 10).row(0, 11).advance(0x10);
  lines.row(0, 20);
  lines.program().u8(6);  // negate_stmt: no statement begins
  lines.row(0, 21).advance(0x10);
  lines.row(0, 30).advance(0x10);
  lines.row(0, 0).advance(0x10);
  lines.end_sequence();
  const Table table(shape, lines.finish(""));
  EXPECT_EQ(table.lines({0x1000}), Found{11}) << "the last row of an address";
  EXPECT_EQ(table.lines({0x1010}), Found{20}) << "but a statement before that begins none";
  EXPECT_EQ(table.lines({0x1020}), Found{30}) << "a row without statement where there is no other";
  EXPECT_EQ(table.lines({0x1030}), Found{30}) << "line 0 says nothing";
}

// Inlined code of another file between two rows of one line: as GCC 12 writes it for a call through
// an element of a std::array.
TEST(DwarfLines, ReturnsToALineAfterAnotherFilesRows) {
  const Shape shape;
  Lines lines(shape);
  lines.set_address(0x1000).row(0, 67).row(1, 60);
  lines.program().u8(6).u8(0).uleb(2).u8(4).uleb(1);  // negate_stmt, discriminator
  lines.row(0, 67).advance(4);                        // at a statement's address: left out
  lines.row(0, 67).advance(4);
  lines.end_sequence();
  const Table table(shape, lines.finish(""));
  EXPECT_EQ(table.lines({0x1000}), Found{60});
  EXPECT_EQ(table.lines({0x1004}), Found{67});
}

TEST(DwarfLines, PassesOverDroppedCodeAndKeepsSequencesApart) {
  const Shape shape;
  Lines lines(shape);
  for (const uint64_t dead : {uint64_t{0}, ~uint64_t{0}, ~uint64_t{1}}) {
    lines.set_address(dead).row(0, 99).advance(0x8000).end_sequence();
  }
  lines.set_address(0x3000).row(0, 30).advance(0x10).end_sequence();
  lines.set_address(0x1000).row(0, 10).advance(0x10).end_sequence();
  const Table table(shape, lines.finish(""));
  EXPECT_EQ(table.lines({0x500, 0x1000, 0x1010, 0x2fff, 0x3000, 0x300f, 0x3010}),
            (Found{0, 10, 0, 0, 30, 30, 0}));
}

TEST(DwarfLines, JoinsPathsAndKeepsTheNameThatWasGiven) {
  for (const unsigned version : {2U, 3U, 4U, 5U}) {
    const Shape shape{version, false, 8, false};
    Lines lines(shape);
    const Table table(shape, lines.finish("/build"));
    ASSERT_TRUE(table.table()) << table.damage();
    const unsigned first = Lines::first_file(shape);
    const SourcePath a = table.table()->file(first);
    EXPECT_EQ(a.path, "/build/src/a.c");
    EXPECT_EQ(a.path.substr(a.directory), "src/a.c");
    const SourcePath b = table.table()->file(first + 1);
    EXPECT_EQ(b.path, "/build/b.c");
    EXPECT_EQ(b.path.substr(b.directory), "b.c");
    EXPECT_EQ(table.table()->file(first + 2).path, "");
    EXPECT_EQ(table.table()->file(~uint64_t{0}).path, "");
  }
}

TEST(DwarfLines, SaysWhatIsWrongWithAHeader) {
  const Shape shape;
  const std::string good = Lines(shape).finish("/build");
  struct {
    size_t at;
    char value;
    const char* message;
  } const damages[] = {
      {4, 9, "a line table of version 9"},
      {8, 0x7f, "the line table's header is cut off"},        // header_length
      {12 + 4, 0, "the line table's header makes no sense"},  // line_range
      {12 + 5, 0, "the line table's header makes no sense"},  // opcode_base
      {0, 0x7f, "the line table is cut off"},                 // unit_length
  };
  for (const auto& damage : damages) {
    std::string bytes = good;
    bytes[damage.at] = damage.value;
    EXPECT_EQ(Table(shape, bytes).damage(), damage.message) << damage.at;
  }
  EXPECT_EQ(Table(shape, good).damage(), "");
}

// Programs that would take for ever, or a lot of memory, if they were believed.
TEST(DwarfLines, EndsHostilePrograms) {
  const Shape shape;
  Lines lines(shape);
  lines.set_address(0x1000).row(0, 10);
  lines.program().u8(2).uleb(~uint64_t{0}).u8(1);  // wraps
  lines.program().u8(0).uleb(~uint64_t{0}).u8(1);  // endless operation
  const Table table(shape, lines.finish(""));
  EXPECT_EQ(table.lines({0x1000, 0x2000}).size(), 2U);

  Bytes files(shape);
  const size_t length = files.begin_length();
  files.u16(5).u8(8).u8(0).u32(40).u8(1).u8(1).u8(1).u8(0xfb).u8(14).u8(1);
  files.u8(0).uleb(0);                           // no directories
  files.u8(1).uleb(2).uleb(0x21).uleb(1 << 30);  // a billion files of no bytes
  files.raw(std::string(64, '\0'));
  files.end_length(length);
  EXPECT_EQ(Table(shape, files.data()).damage(), "the line table's lists of files are damaged");
}

}  // namespace
}  // namespace residue::dwarf
