// Location lists of DWARF 2-5 and of GNU's split units of version 4.
#include <gtest/gtest.h>

#include "dwarf_builder.h"
#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/location_lists.h"
#include "symbolize/dwarf/module_dwarf.h"

namespace residue::dwarf {
namespace {

using test::Bytes;
using test::Info;
using test::Shape;

std::string expression(const Unit& unit, const Value& value, uint64_t pc) {
  const auto bytes = location_at(unit, value, pc);
  return {static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()};
}

// Each list gives the expression "a" for [0x1010, 0x1020) and "bb" for [0x3000, 0x3008).
struct Case {
  Shape shape;
  std::string list;
  std::string addresses;
  bool indexed = false;
};

void check(const Case& test) {
  const Shape& shape = test.shape;
  Info info(shape);
  info.begin_unit();
  // DW_TAG_compile_unit: low_pc, addr_base, loclists_base; DW_TAG_variable with DW_AT_location
  info.entry(0x11, {{0x11, 0x01, 0x1000}, {0x73, 0x17, 0}, {0x8c, 0x17, 12}}, true);
  const uint16_t form = shape.version < 4 ? uint16_t{0x06} : uint16_t{0x17};
  const uint64_t offset = shape.version >= 5 ? 16 : 0;
  info.entry(0x34, {{0x02, test.indexed ? uint16_t{0x22} : form, test.indexed ? 0 : offset}});
  info.end();
  info.end_unit();
  Bytes lists(shape);
  if (shape.version >= 5) {
    lists.u32(0).u16(5).u8(shape.address_size).u8(0).u32(1).u32(4);
  }
  lists.raw(test.list);
  const auto file = test::make_elf(
      shape, {{".debug_info", info.bytes().data()},
              {".debug_abbrev", info.abbreviations()},
              {".debug_addr", test.addresses},
              {shape.version >= 5 ? ".debug_loclists" : ".debug_loc", lists.data()}});
  ModuleDwarf dwarf(*file, nullptr, {});
  const Unit* unit = dwarf.main().unit(dwarf.main().units().at(0));
  ASSERT_NE(unit, nullptr);
  EntryCursor walk(*unit, unit->root_entry());
  Entry variable;
  ASSERT_TRUE(walk.next(variable));
  const auto value = unit->find(variable, 0x02);
  ASSERT_TRUE(value);
  EXPECT_EQ(expression(*unit, *value, 0x1010), "a");
  EXPECT_EQ(expression(*unit, *value, 0x101f), "a");
  EXPECT_EQ(expression(*unit, *value, 0x3000), "bb");
  EXPECT_EQ(expression(*unit, *value, 0x100f), "");
  EXPECT_EQ(expression(*unit, *value, 0x1020), "");
  EXPECT_EQ(expression(*unit, *value, 0x3008), "");
}

TEST(DwarfLocations, ReadsPairsOfOldVersions) {
  for (const unsigned version : {2U, 3U, 4U}) {
    for (const unsigned size : {4U, 8U}) {
      for (const bool big : {false, true}) {
        const Shape shape{version, false, size, big};
        Bytes list(shape);
        list.address(0x10).address(0x20).u16(1).raw("a");
        list.address(~uint64_t{0}).address(0x2800);
        list.address(0x800).address(0x808).u16(2).raw("bb");
        list.address(~uint64_t{0}).address(0);
        list.address(0x100f).address(0x1010).u16(1).raw("x");  // dropped code
        list.address(0).address(0);
        check({shape, list.data(), "", false});
      }
    }
  }
}

TEST(DwarfLocations, ReadsEveryEntryOfVersion5) {
  const Shape shape;
  Bytes addresses;
  addresses.u64(0x1000).u64(0x1010).u64(0x1020).u64(0x3000);
  const auto with = [&](const std::string& first, const std::string& second) {
    for (const bool indexed : {false, true}) {
      check({shape, first + second + std::string(1, '\0'), addresses.data(), indexed});
    }
  };
  const auto bytes = [] { return Bytes(); };
  const std::string offset_pair = bytes().u8(4).uleb(0x10).uleb(0x20).uleb(1).raw("a").data();
  const std::string views = bytes().u8(9).uleb(1).uleb(2).data();
  const std::string start_length = bytes().u8(8).u64(0x3000).uleb(8).uleb(2).raw("bb").data();
  with(views + offset_pair, start_length);
  with(bytes().u8(1).uleb(0).data() + offset_pair, start_length);
  with(bytes().u8(6).u64(0x1000).data() + offset_pair, start_length);
  with(bytes().u8(2).uleb(1).uleb(2).uleb(1).raw("a").data(),
       bytes().u8(3).uleb(3).uleb(8).uleb(2).raw("bb").data());
  with(bytes().u8(7).u64(0x1010).u64(0x1020).uleb(1).raw("a").data(), start_length);
}

TEST(DwarfLocations, TheDefaultHoldsWhereNothingElseDoes) {
  const Shape shape;
  Info info(shape);
  info.begin_unit();
  info.entry(0x11, {{0x11, 0x01, 0x1000}}, true);
  info.entry(0x34, {{0x02, 0x17, 0}});
  info.entry(0x34, {{0x02, 0x18, 0, "everywhere"}});
  info.end();
  info.end_unit();
  Bytes list;
  list.u8(5).uleb(1).raw("d").u8(4).uleb(0).uleb(8).uleb(1).raw("a").u8(0);
  const auto file = test::make_elf(shape, {{".debug_info", info.bytes().data()},
                                           {".debug_abbrev", info.abbreviations()},
                                           {".debug_loclists", list.data()}});
  ModuleDwarf dwarf(*file, nullptr, {});
  const Unit* unit = dwarf.main().unit(dwarf.main().units().at(0));
  EntryCursor walk(*unit, unit->root_entry());
  Entry variable;
  ASSERT_TRUE(walk.next(variable));
  EXPECT_EQ(expression(*unit, *unit->find(variable, 0x02), 0x1007), "a");
  EXPECT_EQ(expression(*unit, *unit->find(variable, 0x02), 0x1008), "d");
  ASSERT_TRUE(walk.next(variable));
  EXPECT_EQ(expression(*unit, *unit->find(variable, 0x02), 0x9999), "everywhere");
}

// GCC's wiki on DebugFission: lengths of four bytes, expressions with lengths of two.
TEST(DwarfLocations, ReadsGnuSplitLists) {
  const Shape shape{4, false, 8, false};
  Info skeleton(shape);
  skeleton.begin_unit();
  // GNU_dwo_name, GNU_dwo_id, GNU_addr_base, low_pc
  skeleton.entry(
      0x11,
      {{0x2130, 0x08, 0, "x.dwo"}, {0x2131, 0x07, 77}, {0x2133, 0x17, 0}, {0x11, 0x01, 0x1000}});
  skeleton.end_unit();
  Info split(shape);
  split.begin_unit();
  split.entry(0x11, {{0x2131, 0x07, 77}}, true);
  split.entry(0x34, {{0x02, 0x17, 0}});
  split.end();
  split.end_unit();
  Bytes list(shape);
  list.u8(4).u32(0x10).u32(0x20).u16(1).raw("a");             // offset pair
  list.u8(3).uleb(0).u32(8).u16(2).raw("bb");                 // start, length
  list.u8(2).uleb(1).uleb(2).u16(3).raw("ccc");               // start, end
  list.u8(1).uleb(3).u8(4).u32(0).u32(4).u16(4).raw("dddd");  // base
  list.u8(0);
  Bytes addresses;
  addresses.u64(0x3000).u64(0x4000).u64(0x4010).u64(0x5000);
  const auto main = test::make_elf(shape, {{".debug_info", skeleton.bytes().data()},
                                           {".debug_abbrev", skeleton.abbreviations()},
                                           {".debug_addr", addresses.data()}});
  const auto dwo = test::make_elf(shape, {{".debug_info.dwo", split.bytes().data()},
                                          {".debug_abbrev.dwo", split.abbreviations()},
                                          {".debug_loc.dwo", list.data()}});
  ModuleDwarf dwarf(*main, nullptr, [&](const std::string&, const std::string& name, uint64_t id) {
    EXPECT_EQ(name, "x.dwo");
    EXPECT_EQ(id, 77U);
    return dwo.get();
  });
  const Unit* unit = dwarf.full(*dwarf.main().unit(dwarf.main().units().at(0)));
  ASSERT_NE(unit, nullptr);
  EntryCursor walk(*unit, unit->root_entry());
  Entry variable;
  ASSERT_TRUE(walk.next(variable));
  const auto value = unit->find(variable, 0x02);
  EXPECT_EQ(expression(*unit, *value, 0x1010), "a");
  EXPECT_EQ(expression(*unit, *value, 0x3007), "bb");
  EXPECT_EQ(expression(*unit, *value, 0x400f), "ccc");
  EXPECT_EQ(expression(*unit, *value, 0x5003), "dddd");
  EXPECT_EQ(expression(*unit, *value, 0x5004), "");
}

}  // namespace
}  // namespace residue::dwarf
