// DebugInfo over DWARF of every version, width, address size and byte order.
#include <gtest/gtest.h>

#include "dwarf_builder.h"
#include "dwarf_samples.h"
#include "symbolize/dwarf/debug_info.h"

namespace residue {
namespace {

using test::At;
using test::Bytes;
using test::Info;
using test::Lines;
using test::Shape;

// Numbers of the standard (DWARF 5, tables 7.3, 7.5 and 7.6).
constexpr uint16_t kUnit = 0x11, kSubprogram = 0x2e, kInlined = 0x1d, kBlock = 0x0b,
                   kNamespace = 0x39, kStructure = 0x13;
constexpr uint16_t kSiblingAt = 0x01, kName = 0x03, kStmtList = 0x10, kLow = 0x11, kHigh = 0x12,
                   kLanguage = 0x13, kDir = 0x1b, kInline = 0x20, kOrigin = 0x31,
                   kDeclaration = 0x3c, kSpecification = 0x47, kRanges = 0x55, kCallFile = 0x58,
                   kCallLine = 0x59, kStrBase = 0x72, kAddrBase = 0x73, kRangeBase = 0x74;
constexpr uint16_t kAddr = 0x01, kData1 = 0x0b, kData2 = 0x05, kData4 = 0x06, kString = 0x08,
                   kStrp = 0x0e, kRef4 = 0x13, kSecOffset = 0x17, kPresent = 0x19, kStrx = 0x1a,
                   kAddrx = 0x1b, kRnglistx = 0x23;
constexpr uint64_t kC = 0x0c, kCpp = 0x04;

std::vector<SourceFrames> look_up(const SymbolFile& file, std::vector<uint64_t> addresses) {
  DebugInfo info(file, nullptr, {});
  return info.look_up(addresses);
}

std::string text(const SourceFrames& frames) {
  std::string all;
  for (const SourceFrame& frame : frames) {
    all += frame.function + (frame.inlined ? "(inlined) " : " ") + frame.file + ":" +
           std::to_string(frame.line) + ";";
  }
  return all;
}

class EveryShape : public testing::TestWithParam<Shape> {};

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (const unsigned version : {2U, 3U, 4U, 5U}) {
    for (const bool dwarf64 : {false, true}) {
      for (const unsigned address_size : {2U, 4U, 8U}) {
        for (const bool big : {false, true}) {
          // 64-bit DWARF came with version 3.
          if (dwarf64 && version == 2) continue;
          all.push_back({version, dwarf64, address_size, big});
        }
      }
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(DwarfLookUp, EveryShape, testing::ValuesIn(shapes()),
                         [](const auto& shape) { return shape.param.name(); });

std::unique_ptr<SymbolFile> file_of(const Shape& shape) {
  return test::make_elf(shape, test::one_function(shape));
}

TEST_P(EveryShape, GivesInlinedFramesInnermostFirst) {
  const auto file = file_of(GetParam());
  ASSERT_NE(file, nullptr);
  const auto found =
      look_up(*file, {0x1035, 0x1000, 0x1025, 0x1041, 0x10ff, 0x1100, 0xfff, 0x1035});
  EXPECT_EQ(text(found[0]),
            "inner(inlined) /build/b.c:20;middle(inlined) /build/b.c:400;outer /build/src/a.c:30;");
  EXPECT_EQ(text(found[1]), "outer /build/src/a.c:10;");
  EXPECT_EQ(text(found[2]), "middle(inlined) /build/src/a.c:10;outer /build/src/a.c:30;");
  EXPECT_EQ(text(found[3]), "middle(inlined) /build/src/a.c:31;outer /build/src/a.c:30;");
  EXPECT_EQ(text(found[4]), "outer /build/src/a.c:31;");
  EXPECT_TRUE(found[5].empty()) << "one past the end";
  EXPECT_TRUE(found[6].empty()) << "before the start";
  EXPECT_EQ(text(found[7]), text(found[0])) << "the same address twice";
  // gdb prints the name as the compiler was given it.
  EXPECT_EQ(found[1][0].file.substr(found[1][0].directory), "src/a.c");
  EXPECT_EQ(found[0][0].file.substr(found[0][0].directory), "b.c");
}

// Hot and cold parts: .debug_ranges before version 5, with a base selected in the list;
// .debug_rnglists with every kind of entry since.
TEST_P(EveryShape, FollowsRangeLists) {
  const Shape shape = GetParam();
  if (shape.version < 3) GTEST_SKIP() << "version 2 has no range lists";
  Info info(shape);
  info.begin_unit();
  const uint16_t list_form =
      shape.version < 4 ? (shape.dwarf64 ? uint16_t{0x07} : kData4) : kSecOffset;
  std::vector<At> root = {{kLanguage, kData1, kC}, {kLow, kAddr, 0x2000}};
  Bytes lists(shape);
  Bytes addresses(shape);
  size_t at = 0;
  const uint64_t max = shape.address_size == 8 ? ~0ULL : (1ULL << shape.address_size * 8) - 1;
  if (shape.version < 5) {
    lists.address(0x100).address(0x110);    // relative to the unit
    lists.address(max).address(0x3000);     // base
    lists.address(0x10).address(0x20);      // relative to it
    lists.address(max).address(0);          // base of dropped code
    lists.address(0x5000).address(0x5010);  // must not match
    lists.address(0).address(0);
  } else {
    const size_t length = lists.begin_length();
    lists.u16(5).u8(shape.address_size).u8(0).u32(0);
    at = lists.size();
    lists.u8(4).uleb(0x100).uleb(0x110);                       // offset_pair to the unit
    lists.u8(5).address(0x3000).u8(4).uleb(0x10).uleb(0x20);   // base_address
    lists.u8(6).address(0x3100).address(0x3110);               // start_end
    lists.u8(7).address(0x3200).uleb(0x10);                    // start_length
    lists.u8(1).uleb(0).u8(4).uleb(0x00).uleb(0x10);           // base_addressx → 0x4000
    lists.u8(2).uleb(1).uleb(2);                               // startx_endx → 0x4100, 0x4110
    lists.u8(3).uleb(3).uleb(0x10);                            // startx_length → 0x4200
    lists.u8(5).address(max).u8(4).uleb(0x5000).uleb(0x5010);  // dropped code
    lists.u8(7).address(0).uleb(0x6000);                       // dropped code
    lists.u8(0);
    lists.end_length(length);
    const size_t table = addresses.begin_length();
    addresses.u16(5).u8(shape.address_size).u8(0);
    root.push_back({kAddrBase, kSecOffset, addresses.size()});
    addresses.address(0x4000).address(0x4100).address(0x4110).address(0x4200);
    addresses.end_length(table);
  }
  root.push_back({kRanges, list_form, at});
  info.entry(kUnit, root, true);
  info.entry(kSubprogram, {{kName, kString, 0, "parts"}, {kRanges, list_form, at}});
  info.end();
  info.end_unit();
  const auto file = test::make_elf(
      shape, {{".debug_info", info.bytes().data()},
              {".debug_abbrev", info.abbreviations()},
              {".debug_addr", addresses.data()},
              {shape.version < 5 ? ".debug_ranges" : ".debug_rnglists", lists.data()}});
  ASSERT_NE(file, nullptr);
  std::vector<uint64_t> inside = {0x2100, 0x210f, 0x3010, 0x301f};
  if (shape.version >= 5) {
    inside.insert(inside.end(), {0x3100, 0x320f, 0x4000, 0x400f, 0x4100, 0x410f, 0x4200, 0x420f});
  }
  for (const uint64_t address : inside) {
    EXPECT_EQ(text(look_up(*file, {address})[0]), "parts :0;") << std::hex << address;
  }
  for (const uint64_t address : {0x20ff, 0x2110, 0x300f, 0x3020, 0x4010, 0x5008, 0x4ff8, 0x10}) {
    EXPECT_TRUE(look_up(*file, {static_cast<uint64_t>(address)})[0].empty()) << std::hex << address;
  }
}

// A list behind an index, strings and addresses behind indexes, bases in the root.
TEST(DwarfLookUp, FollowsIndexedForms) {
  const Shape shape;
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit,
             {{kLanguage, kData1, kC},
              {kName, kStrx, 1},
              {kStrBase, kSecOffset, 8},
              {kAddrBase, kSecOffset, 8},
              {kRangeBase, kSecOffset, 12},
              {kRanges, kRnglistx, 1}},
             true);
  const size_t first = info.string("first");
  const size_t second = info.string("second");
  info.entry(kSubprogram, {{kName, kStrx, 0}, {kLow, kAddrx, 1}, {kHigh, kData1, 0x10}});
  info.entry(kSubprogram, {{kName, kStrx, 1}, {kRanges, kRnglistx, 0}});
  info.end();
  info.end_unit();
  Bytes strings;
  strings.u32(12).u16(5).u16(0).u32(first).u32(second);
  Bytes addresses;
  addresses.u32(20).u16(5).u8(8).u8(0).u64(0x1111).u64(0x1000);
  Bytes lists;
  const size_t length = lists.begin_length();
  lists.u16(5).u8(8).u8(0).u32(2);
  const size_t base = lists.size();
  Bytes body;
  body.u8(7).u64(0x2000).uleb(0x10).u8(0);
  lists.u32(8).u32(8 + body.size()).raw(body.data());
  lists.u8(7).u64(0x1000).uleb(0x2000).u8(0);
  lists.end_length(length);
  ASSERT_EQ(base, 12U);
  const auto file = test::make_elf(shape, {{".debug_info", info.bytes().data()},
                                           {".debug_abbrev", info.abbreviations()},
                                           {".debug_str", info.strings()},
                                           {".debug_str_offsets", strings.data()},
                                           {".debug_addr", addresses.data()},
                                           {".debug_rnglists", lists.data()}});
  const auto found = look_up(*file, {0x1005, 0x2005});
  EXPECT_EQ(text(found[0]), "first :0;");
  EXPECT_EQ(text(found[1]), "second :0;");
}

// What linkers leave of functions that they drop: 0, -1 and -2 as addresses.
TEST(DwarfLookUp, DroppedCodeNeverMatches) {
  const Shape shape;
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit, {{kLanguage, kData1, kC}, {kLow, kAddr, 0x10}, {kHigh, kData4, 0x10000}}, true);
  for (const uint64_t low : {uint64_t{0}, ~uint64_t{0}, ~uint64_t{1}}) {
    info.entry(kSubprogram,
               {{kName, kString, 0, "dropped"}, {kLow, kAddr, low}, {kHigh, kData4, 0x5000}});
  }
  info.entry(kSubprogram,
             {{kName, kString, 0, "kept"}, {kLow, kAddr, 0x1000}, {kHigh, kData1, 0x10}});
  info.end();
  info.end_unit();
  const auto file = test::make_elf(
      shape, {{".debug_info", info.bytes().data()}, {".debug_abbrev", info.abbreviations()}});
  const auto found = look_up(*file, {0x1008, 0x2000, 0x20});
  EXPECT_EQ(text(found[0]), "kept :0;");
  EXPECT_TRUE(found[1].empty());
  EXPECT_TRUE(found[2].empty());
}

// .debug_aranges that names the unit, but not all of its code.
TEST(DwarfLookUp, LooksAtTheUnitsWhereArangesAreIncomplete) {
  const Shape shape;
  Info info(shape);
  for (const uint64_t low : {0x1000U, 0x2000U}) {
    info.begin_unit();
    info.entry(kUnit, {{kLanguage, kData1, kC}, {kLow, kAddr, low}, {kHigh, kData4, 0x100}}, true);
    info.entry(kSubprogram, {{kName, kString, 0, low == 0x1000 ? "one" : "two"},
                             {kLow, kAddr, low},
                             {kHigh, kData4, 0x100}});
    info.end();
    info.end_unit();
  }
  Bytes aranges;
  const size_t length = aranges.begin_length();
  aranges.u16(2).u32(0).u8(8).u8(0).u32(0);
  aranges.u64(0x1000).u64(0x10).u64(0).u64(0);
  aranges.end_length(length);
  const auto file = test::make_elf(shape, {{".debug_info", info.bytes().data()},
                                           {".debug_abbrev", info.abbreviations()},
                                           {".debug_aranges", aranges.data()}});
  const auto found = look_up(*file, {0x1008, 0x1050, 0x2050, 0x3000});
  EXPECT_EQ(text(found[0]), "one :0;");
  EXPECT_EQ(text(found[1]), "one :0;");
  EXPECT_EQ(text(found[2]), "two :0;");
  EXPECT_TRUE(found[3].empty());
}

// DW_AT_sibling makes the walk jump; one that leads backwards, or out of the unit, is not believed.
TEST(DwarfLookUp, SurvivesSiblingsThatLie) {
  for (const uint64_t sibling : {uint64_t{0}, uint64_t{12}, uint64_t{0xffffff}}) {
    const Shape shape;
    Info info(shape);
    info.begin_unit();
    info.entry(kUnit, {{kLanguage, kData1, kCpp}, {kLow, kAddr, 0x1000}, {kHigh, kData4, 0x100}},
               true);
    info.entry(kStructure, {{kName, kString, 0, "S"}, {kSiblingAt, kRef4, sibling}}, true);
    info.entry(kSubprogram, {{kName, kString, 0, "method"}, {kDeclaration, kPresent}});
    info.end();
    info.entry(kSubprogram,
               {{kName, kString, 0, "after"}, {kLow, kAddr, 0x1000}, {kHigh, kData1, 0x10}});
    info.end();
    info.end_unit();
    const auto file = test::make_elf(
        shape, {{".debug_info", info.bytes().data()}, {".debug_abbrev", info.abbreviations()}});
    EXPECT_EQ(text(look_up(*file, {0x1008})[0]), "after :0;") << sibling;
  }
}

// GCC writes local classes, and so the code of lambdas, inside of the function.
TEST(DwarfLookUp, FindsFunctionsInsideOfFunctions) {
  const Shape shape;
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit, {{kLanguage, kData1, kCpp}, {kLow, kAddr, 0x1000}, {kHigh, kData4, 0x1000}},
             true);
  info.entry(kNamespace, {{kName, kString, 0, "ns"}}, true);
  info.entry(kSubprogram, {{kName, kString, 0, "f"}, {kLow, kAddr, 0x1000}, {kHigh, kData1, 0x10}},
             true);
  info.entry(kStructure, {{kName, kString, 0, "Local"}}, true);
  info.entry(kSubprogram,
             {{kName, kString, 0, "run"}, {kLow, kAddr, 0x1800}, {kHigh, kData1, 0x10}});
  info.end();
  info.end();
  info.end();
  info.end();
  info.end_unit();
  const auto file = test::make_elf(
      shape, {{".debug_info", info.bytes().data()}, {".debug_abbrev", info.abbreviations()}});
  const auto found = look_up(*file, {0x1008, 0x1808});
  EXPECT_EQ(text(found[0]), "ns::f :0;");
  // gdb 13 leaves out functions among the scopes.
  EXPECT_EQ(text(found[1]), "Local::run :0;");
}

// Two functions with one range are aliases; gdb takes the last.
TEST(DwarfLookUp, TakesTheLastAlias) {
  const Shape shape;
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit, {{kLanguage, kData2, 0x8001}, {kLow, kAddr, 0x1000}, {kHigh, kData4, 0x100}},
             true);
  for (const char* name : {"memmove", "memcpy"}) {
    info.entry(kSubprogram,
               {{kName, kString, 0, name}, {kLow, kAddr, 0x1000}, {kHigh, kData1, 0x40}});
  }
  info.end();
  info.end_unit();
  const auto file = test::make_elf(
      shape, {{".debug_info", info.bytes().data()}, {".debug_abbrev", info.abbreviations()}});
  EXPECT_EQ(text(look_up(*file, {0x1008})[0]), "memcpy :0;");
}

TEST(DwarfLookUp, SurvivesOriginsThatGoInACircle) {
  const Shape shape;
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit, {{kLanguage, kData1, kCpp}, {kLow, kAddr, 0x1000}, {kHigh, kData4, 0x100}},
             true);
  const size_t first = info.bytes().size();
  info.entry(kSubprogram,
             {{kOrigin, kRef4, info.in_unit(first)}, {kLow, kAddr, 0x1000}, {kHigh, kData1, 0x10}});
  const size_t second = info.bytes().size();
  const size_t third = info.entry(kSubprogram, {{kSpecification, kRef4, info.in_unit(second) + 6}});
  info.entry(
      kSubprogram,
      {{kSpecification, kRef4, info.in_unit(third)}, {kLow, kAddr, 0x1010}, {kHigh, kData1, 0x10}});
  info.end();
  info.end_unit();
  const auto file = test::make_elf(
      shape, {{".debug_info", info.bytes().data()}, {".debug_abbrev", info.abbreviations()}});
  const auto found = look_up(*file, {0x1008, 0x1018});
  EXPECT_EQ(text(found[0]), " :0;");
  EXPECT_EQ(text(found[1]), " :0;");
}

// Any cut of any section: no crash, and what is before the cut is still read.
TEST(DwarfDamage, EveryCutOfEverySectionIsSurvived) {
  const Shape shape;
  const auto whole = file_of(shape);
  const char* names[] = {".debug_info", ".debug_abbrev", ".debug_str", ".debug_line"};
  for (const char* cut : names) {
    const size_t size = whole->section(cut).size();
    size_t with_frames = 0;
    for (size_t keep = 0; keep < size; ++keep) {
      std::map<std::string, std::string> sections;
      for (const char* name : names) {
        const auto bytes = whole->section(name);
        sections[name].assign(static_cast<const char*>(static_cast<const void*>(bytes.data())),
                              name == cut ? keep : bytes.size());
      }
      const auto file = test::make_elf(shape, sections);
      DebugInfo info(*file, nullptr, {});
      const std::vector<uint64_t> address = {0x1035};
      const auto found = info.look_up(address);
      with_frames += found[0].empty() ? 0 : 1;
      // A string that is gone is a name that is gone, no more.
      if (keep > 0 && std::string(cut) != ".debug_str") {
        EXPECT_TRUE(info.diagnostics().has_damage()) << cut << " " << keep;
      }
    }
    if (std::string(cut) == ".debug_info") {
      EXPECT_EQ(with_frames, 0U) << "the only unit reaches behind the end";
    } else if (std::string(cut) != ".debug_abbrev") {
      EXPECT_EQ(with_frames, size) << cut << ": names and lines are separate losses";
    }
  }
}

}  // namespace
}  // namespace residue
