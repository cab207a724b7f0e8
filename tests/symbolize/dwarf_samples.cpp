#include "dwarf_samples.h"

namespace residue::test {
namespace {

// Numbers of the standard (DWARF 5, tables 7.3, 7.5 and 7.6).
constexpr uint16_t kUnit = 0x11, kSubprogram = 0x2e, kInlined = 0x1d, kBlock = 0x0b,
                   kNamespace = 0x39, kStructure = 0x13, kVariable = 0x34, kPointer = 0x0f,
                   kCallSite = 0x48, kTypeUnit = 0x41;
constexpr uint16_t kLocation = 0x02, kName = 0x03, kStmtList = 0x10, kLow = 0x11, kHigh = 0x12,
                   kLanguage = 0x13, kDir = 0x1b, kInline = 0x20, kOrigin = 0x31,
                   kSpecification = 0x47, kType = 0x49, kRanges = 0x55, kCallFile = 0x58,
                   kCallLine = 0x59, kSignature = 0x69, kLinkage = 0x6e, kStrBase = 0x72,
                   kAddrBase = 0x73, kDwoName = 0x76, kAllCalls = 0x7a, kReturnPc = 0x7d,
                   kCallOrigin = 0x7f, kTailCall = 0x82, kLoclistsBase = 0x8c;
constexpr uint16_t kAddr = 0x01, kData1 = 0x0b, kData2 = 0x05, kData4 = 0x06, kString = 0x08,
                   kStrp = 0x0e, kRef4 = 0x13, kSecOffset = 0x17, kExpression = 0x18,
                   kPresent = 0x19, kStrx = 0x1a, kAddrx = 0x1b, kSig8 = 0x20, kLoclistx = 0x22;

// One piece of an input; see kFuzzSections.
std::string piece(const std::string& section, const std::string& bytes) {
  for (size_t i = 0; i < kFuzzSections.size(); ++i) {
    if (section == kFuzzSections[i]) return Bytes().u8(i).u16(bytes.size()).raw(bytes).data();
  }
  return {};
}

std::string input(const Shape& shape, const Sections& sections) {
  std::string all(1, static_cast<char>((shape.big_endian ? kBigEndian : 0) |
                                       (shape.address_size < 8 ? kNarrow : 0)));
  for (const auto& [name, bytes] : sections) all += piece(name, bytes);
  return all;
}

// A bit of everything that a unit of version 5 refers to.
Sections many_forms() {
  const Shape shape;
  Info info(shape);
  info.begin_unit(2, 99);
  info.entry(kTypeUnit, {{kLanguage, kData1, 4}}, true);
  info.type_entry(info.entry(kStructure, {{kName, kString, 0, "Typed"}}));
  info.end();
  info.end_unit();
  info.begin_unit();
  info.entry(kUnit,
             {{kLanguage, kData1, 4},
              {kStrBase, kSecOffset, 8},
              {kAddrBase, kSecOffset, 8},
              {kLoclistsBase, kSecOffset, 12},
              {kRanges, kSecOffset, 12}},
             true);
  const size_t typed = info.entry(kStructure, {{kSignature, kSig8, 99}});
  const size_t pointer = info.entry(kPointer, {{kType, kRef4, info.in_unit(typed)}});
  info.entry(kNamespace, {{kName, kStrx, 0}}, true);
  info.entry(kStructure, {{kName, kString, 0, "S"}}, true);
  const size_t method = info.entry(kSubprogram, {{kName, kString, 0, "run"}});
  info.end();
  info.end();
  const size_t target = info.entry(
      kSubprogram, {{kLow, kAddr, 0x1800}, {kHigh, kData1, 16}, {kLinkage, kString, 0, "_Z1fv"}});
  info.entry(kSubprogram,
             {{kSpecification, kRef4, info.in_unit(method)},
              {kLow, kAddrx, 0},
              {kHigh, kData2, 0x100},
              {kAllCalls, kPresent}},
             true);
  info.entry(kVariable, {{kType, kRef4, info.in_unit(pointer)}, {kLocation, kLoclistx, 0}});
  info.entry(kVariable, {{kLocation, kExpression, 0, "\x91\x10"}});
  info.entry(kCallSite, {{kReturnPc, kAddr, 0x1040},
                         {kCallOrigin, kRef4, info.in_unit(target)},
                         {kTailCall, kPresent}});
  info.end();
  info.end();
  info.end_unit();
  const Bytes strings = Bytes().u32(8).u16(5).u16(0).u32(info.string("ns"));
  const Bytes addresses = Bytes().u32(12).u16(5).u8(8).u8(0).u64(0x1000);
  Bytes ranges = Bytes().u32(22).u16(5).u8(8).u8(0).u32(0);
  ranges.u8(7).u64(0x1000).uleb(0x1000).u8(0);
  Bytes locations = Bytes().u32(21).u16(5).u8(8).u8(0).u32(1).u32(4);
  locations.u8(3).uleb(0).uleb(0x80).uleb(1).raw("P").u8(0);
  Bytes aranges = Bytes().u32(44).u16(2).u32(0).u8(8).u8(0).u32(0);
  aranges.u64(0x1000).u64(0x100).u64(0).u64(0);
  return {{".debug_info", info.bytes().data()},  {".debug_abbrev", info.abbreviations()},
          {".debug_str", info.strings()},        {".debug_str_offsets", strings.data()},
          {".debug_addr", addresses.data()},     {".debug_rnglists", ranges.data()},
          {".debug_loclists", locations.data()}, {".debug_aranges", aranges.data()}};
}

Sections skeleton() {
  const Shape shape;
  Info main(shape);
  main.begin_unit(4, 7);
  main.entry(0x4a,
             {{kDwoName, kString, 0, "x.dwo"}, {kLow, kAddr, 0x1000}, {kHigh, kData4, 0x100}});
  main.end_unit();
  Info split(shape);
  split.begin_unit(5, 7);
  split.entry(kUnit, {{kLanguage, kData1, 4}}, true);
  split.entry(kSubprogram, {{kName, kString, 0, "f"}, {kLow, kAddr, 0x1000}, {kHigh, kData1, 99}});
  split.end();
  split.end_unit();
  return {{".debug_info", main.bytes().data()},
          {".debug_abbrev", main.abbreviations()},
          {".debug_info.dwo", split.bytes().data()},
          {".debug_abbrev.dwo", split.abbreviations()}};
}

}  // namespace

Sections one_function(const Shape& shape) {
  const bool old = shape.version < 4;
  const uint16_t list_form = old ? (shape.dwarf64 ? uint16_t{0x07} : kData4) : kSecOffset;
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit,
             {{kName, kString, 0, "a.c"},
              {kDir, kString, 0, "/build"},
              {kLanguage, kData1, 0x0c},
              {kStmtList, list_form, 0},
              {kLow, kAddr, 0x1000},
              {kHigh, kAddr, 0x1100}},
             true);
  const size_t inner =
      info.entry(kSubprogram, {{kName, kStrp, info.string("inner")}, {kInline, kData1, 1}});
  const size_t middle =
      info.entry(kSubprogram, {{kName, kString, 0, "middle"}, {kInline, kData1, 1}});
  info.entry(kSubprogram,
             {{kName, kString, 0, "outer"},
              {kLow, kAddr, 0x1000},
              // Since version 4 the end may be given as a length.
              {kHigh, shape.version >= 4 ? kData2 : kAddr, shape.version >= 4 ? 0x100U : 0x1100U}},
             true);
  info.entry(kBlock, {{kLow, kAddr, 0x1010}, {kHigh, kAddr, 0x1080}}, true);
  const unsigned file = Lines::first_file(shape);
  info.entry(kInlined,
             {{kOrigin, kRef4, info.in_unit(middle)},
              {kLow, kAddr, 0x1020},
              {kHigh, kAddr, 0x1060},
              {kCallFile, kData1, file},
              {kCallLine, kData1, 30}},
             true);
  info.entry(kInlined, {{kOrigin, kRef4, info.in_unit(inner)},
                        {kLow, kAddr, 0x1030},
                        {kHigh, kAddr, 0x1040},
                        {kCallFile, kData1, file + 1},
                        {kCallLine, kData2, 400}});
  info.end();
  info.end();
  info.end();
  info.end();
  info.end_unit();
  Lines lines(shape);
  lines.set_address(0x1000).row(file, 10).advance(0x30).row(file + 1, 20).advance(0x10);
  lines.row(file, 31).advance(0xc0).end_sequence();
  return {{".debug_info", info.bytes().data()},
          {".debug_abbrev", info.abbreviations()},
          {".debug_str", info.strings()},
          {".debug_line", lines.finish("/build")}};
}

std::vector<std::pair<std::string, std::string>> fuzz_dwarf_seeds() {
  std::vector<std::pair<std::string, std::string>> seeds;
  for (const unsigned version : {2U, 3U, 4U, 5U}) {
    const Shape shape{version, version == 4, version == 3 ? 4U : 8U, version == 2};
    seeds.emplace_back(shape.name(), input(shape, one_function(shape)));
  }
  seeds.emplace_back("many_forms", input({}, many_forms()));
  Sections packaged = skeleton();
  seeds.emplace_back("split", input({}, packaged));
  // DWARF 5, 7.3.5.3: two columns (info, abbrev), one unit in two slots.
  Bytes index;
  index.u16(5).u16(0).u32(2).u32(1).u32(2).u64(0).u64(7).u32(0).u32(1).u32(1).u32(3);
  index.u32(0).u32(0).u32(packaged[".debug_info.dwo"].size());
  index.u32(packaged[".debug_abbrev.dwo"].size());
  packaged[".debug_cu_index"] = index.data();
  seeds.emplace_back("package", input({}, packaged));
  return seeds;
}

}  // namespace residue::test
