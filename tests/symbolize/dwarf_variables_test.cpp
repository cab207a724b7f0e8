// Variables from the specification (DWARF 2-5): units written by hand, in both byte orders, with 4
// and 8 byte addresses, in 32- and 64-bit DWARF.
#include <gtest/gtest.h>

#include "dwarf_builder.h"
#include "symbolize/dwarf/variables.h"

namespace residue {
namespace {

using test::At;
using test::Bytes;
using test::Info;
using test::Shape;
using Kind = LocationPiece::Kind;

// Numbers of the standard (DWARF 5, tables 7.3, 7.5, 7.6, 7.9).
constexpr uint16_t kUnit = 0x11, kBase = 0x24, kArray = 0x01, kSubrange = 0x21, kStructure = 0x13,
                   kVariable = 0x34, kSubprogram = 0x2e, kParameter = 0x05, kBlock = 0x0b,
                   kInlined = 0x1d, kNamespace = 0x39, kCallSite = 0x48, kCallParameter = 0x49,
                   kPointer = 0x0f;
constexpr uint16_t kLocation = 0x02, kName = 0x03, kByteSize = 0x0b, kLow = 0x11, kHigh = 0x12,
                   kLanguage = 0x13, kUpper = 0x2f, kOrigin = 0x31, kDeclaration = 0x3c,
                   kEncoding = 0x3e, kFrameBase = 0x40, kSpecification = 0x47, kType = 0x49,
                   kDeclLine = 0x3b, kConstValue = 0x1c, kReturnPc = 0x7d, kCallValue = 0x7e,
                   kCallOrigin = 0x7f, kInline = 0x20;
constexpr uint16_t kAddr = 0x01, kData1 = 0x0b, kBlock1 = 0x0a, kString = 0x08, kRef4 = 0x13,
                   kFlag = 0x0c, kData4 = 0x06, kData8 = 0x07, kSecOffset = 0x17;

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (const unsigned version : {2U, 3U, 4U, 5U}) {
    for (const unsigned address_size : {4U, 8U}) {
      for (const bool big : {false, true}) {
        all.push_back({version, false, address_size, big});
        if (version > 2) all.push_back({version, true, address_size, big});
      }
    }
  }
  return all;
}

// DW_OP_addr.
std::string at_address(const Shape& shape, uint64_t address) {
  return Bytes(shape).u8(0x03).address(address).data();
}

std::unique_ptr<SymbolFile> elf_of(const Shape& shape, Info& info,
                                   std::map<std::string, std::string> sections = {}) {
  sections[".debug_info"] = info.bytes().data();
  sections[".debug_abbrev"] = info.abbreviations();
  sections[".debug_str"] = info.strings();
  return test::make_elf(shape, sections);
}

// int x at 0x4000; ns::S s (24 bytes) at 0x4010; char a[3][5] at 0x4040; a declared struct at
// 0x4080; a static of f() at 0x4100; variables of dropped sections; a thread-local one.
std::unique_ptr<SymbolFile> globals_file(const Shape& shape) {
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit, {{kLanguage, kData1, 4}}, true);
  const auto ref = [&](size_t entry) { return info.in_unit(entry); };
  const size_t integer = info.entry(
      kBase, {{kName, kString, 0, "int"}, {kByteSize, kData1, 4}, {kEncoding, kData1, 5}});
  const size_t character = info.entry(
      kBase, {{kName, kString, 0, "char"}, {kByteSize, kData1, 1}, {kEncoding, kData1, 6}});
  const size_t array = info.entry(kArray, {{kType, kRef4, ref(character)}}, true);
  info.entry(kSubrange, {{kUpper, kData1, 2}});
  info.entry(kSubrange, {{kUpper, kData1, 4}});
  info.end();
  info.entry(kNamespace, {{kName, kString, 0, "ns"}}, true);
  const size_t record = info.entry(kStructure, {{kName, kString, 0, "S"}, {kByteSize, kData1, 24}});
  const size_t declared = info.entry(kVariable, {{kName, kString, 0, "s"},
                                                 {kType, kRef4, ref(record)},
                                                 {kDeclLine, kData1, 7},
                                                 {kDeclaration, kFlag, 1}});
  info.end();
  const size_t opaque =
      info.entry(kStructure, {{kName, kString, 0, "Opaque"}, {kDeclaration, kFlag, 1}});
  const auto variable = [&](const char* name, size_t type, const std::string& location) {
    info.entry(kVariable, {{kName, kString, 0, name},
                           {kType, kRef4, ref(type)},
                           {kDeclLine, kData1, 3},
                           {kLocation, kBlock1, 0, location}});
  };
  variable("x", integer, at_address(shape, 0x4000));
  info.entry(kVariable, {{kSpecification, kRef4, ref(declared)},
                         {kLocation, kBlock1, 0, at_address(shape, 0x4010)}});
  variable("a", array, at_address(shape, 0x4030) + "\x23\x10");  // plus_uconst 16
  variable("opaque", opaque, at_address(shape, 0x4080));
  const uint64_t highest = shape.address_size == 4 ? 0xffffffff : ~uint64_t{0};
  for (const uint64_t dead : {uint64_t{0}, highest, highest - 1}) {
    variable("dropped", record, at_address(shape, dead));
  }
  variable("local_to_thread", integer, "\x08\x20\xe0");  // const1u 32, GNU_push_tls_address
  info.entry(kSubprogram, {{kName, kString, 0, "f"}, {kLow, kAddr, 0x1000}}, true);
  info.entry(kBlock, {}, true);
  variable("counter", integer, at_address(shape, 0x4100));
  info.end();
  info.end();
  info.end();
  info.end_unit();
  return elf_of(shape, info);
}

TEST(Variables, FindsGlobalsByEveryByteOfTheirs) {
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE(shape.name());
    const auto file = globals_file(shape);
    ASSERT_NE(file, nullptr);
    Variables variables(*file, nullptr, {});
    const auto expect = [&](uint64_t address, uint64_t size, const char* name, const char* type) {
      for (const uint64_t at : {address, address + (size == 0 ? 0 : size - 1)}) {
        const auto found = variables.find(at);
        ASSERT_TRUE(found) << name;
        EXPECT_EQ(found->name, name);
        EXPECT_EQ(found->type, type);
        EXPECT_EQ(found->address, address);
        EXPECT_EQ(found->size, size);
        EXPECT_FALSE(found->is_thread_local);
      }
      EXPECT_FALSE(variables.find(address + std::max<uint64_t>(size, 1))) << name;
    };
    expect(0x4000, 4, "x", "int");
    expect(0x4010, 24, "ns::s", "ns::S");
    expect(0x4040, 15, "a", "char [3][5]");
    expect(0x4080, 0, "opaque", "Opaque");
    expect(0x4100, 4, "f()::counter", "int");
    EXPECT_EQ(variables.find(0x4010)->line, 7U) << "of the declaration that it completes";
    EXPECT_EQ(variables.find(0x4000)->line, 3U);
    EXPECT_EQ(variables.count(), 6U);
  }
}

TEST(Variables, PassesOverWhatTheLinkerDropped) {
  for (const Shape& shape : shapes()) {
    const auto file = globals_file(shape);
    Variables variables(*file, nullptr, {});
    const uint64_t highest = shape.address_size == 4 ? 0xffffffff : ~uint64_t{0};
    for (const uint64_t address : {uint64_t{0}, uint64_t{8}, highest, highest - 1}) {
      EXPECT_FALSE(variables.find(address)) << shape.name();
    }
  }
}

TEST(Variables, KnowsThreadLocalOnesByTheirOffset) {
  for (const Shape& shape : shapes()) {
    const auto file = globals_file(shape);
    Variables variables(*file, nullptr, {});
    const auto found = variables.find_thread_local(35);
    ASSERT_TRUE(found) << shape.name();
    EXPECT_EQ(found->name, "local_to_thread");
    EXPECT_EQ(found->address, 32U);
    EXPECT_TRUE(found->is_thread_local);
    EXPECT_FALSE(variables.find_thread_local(36));
    EXPECT_FALSE(variables.find(32));
  }
}

TEST(Variables, AnswersForManyAddressesInTheirOrder) {
  const auto file = globals_file({});
  Variables variables(*file, nullptr, {});
  const uint64_t addresses[] = {0x4100, 0x9999, 0x4000, 0x4012, 0x4000};
  const auto found = variables.find(addresses);
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found[0]->name, "f()::counter");
  EXPECT_FALSE(found[1]);
  EXPECT_EQ(found[2]->name, "x");
  EXPECT_EQ(found[3]->name, "ns::s");
  EXPECT_EQ(found[4]->name, "x");
}

// A frame with its base in register 6 = 0x7000, its CFA at 0x7010, moved by 0x10000 in the process.
class Frame : public FrameContext {
 public:
  std::optional<uint64_t> reg(unsigned dwarf) const override {
    if (dwarf == 6) return 0x7000;
    if (dwarf == 3) return 33;
    return std::nullopt;
  }
  std::optional<uint64_t> cfa() const override { return 0x7010; }
  uint64_t relocate(uint64_t address) const override { return address + 0x10000; }
  const FrameContext* caller() const override { return outer; }
  uint64_t return_address() const override { return returns_to; }

  const FrameContext* outer = nullptr;
  uint64_t returns_to = 0;
};

// f [0x1000, 0x1100): parameter p (a list: in register 3 up to 0x1040, then what was passed in
// register 5), variable v at the frame base - 16; a block [0x1020, 0x1030) with w at the CFA - 8;
// an inlined g [0x1050, 0x1060) with its parameter as the constant 9 and a variable that vanished.
// h [0x1800, 0x1900) calls f with 77 in register 5, returning to 0x1840.
std::string location_list(const Shape& shape) {
  Bytes list(shape);
  const std::string entry_value = "\xf3\x01\x55\x9f";  // GNU_entry_value(reg5), stack_value
  if (shape.version >= 5) {
    const size_t length = list.begin_length();
    list.u16(5).u8(shape.address_size).u8(0).u32(0);
    list.u8(7).address(0x1000).address(0x1040).uleb(1).u8(0x53);  // start_end: reg3
    list.u8(8).address(0x1040).uleb(0xc0).uleb(4).raw(entry_value).u8(0);
    list.end_length(length);
    return list.data();
  }
  // Relative to where the unit begins.
  list.address(0).address(0x40).u16(1).u8(0x53);
  list.address(0x40).address(0x100).u16(4).raw(entry_value);
  return list.address(0).address(0).data();
}

std::unique_ptr<SymbolFile> locals_file(const Shape& shape) {
  const bool old = shape.version < 4;
  const uint16_t list_form = !old ? kSecOffset : shape.dwarf64 ? kData8 : kData4;
  const uint64_t list = shape.version < 5 ? 0 : shape.dwarf64 ? 20 : 12;  // behind the header
  Info info(shape);
  info.begin_unit();
  const auto ref = [&](size_t entry) { return info.in_unit(entry); };
  const auto name = [](const char* text) { return At{kName, kString, 0, text}; };
  const auto expression = [](const char* text) { return At{kLocation, kBlock1, 0, text}; };
  info.entry(kUnit, {{kLanguage, kData1, 4}, {kLow, kAddr, 0x1000}, {kHigh, kAddr, 0x2000}}, true);
  const size_t integer =
      info.entry(kBase, {name("int"), {kByteSize, kData1, 4}, {kEncoding, kData1, 5}});
  const At type{kType, kRef4, ref(integer)};
  const size_t g = info.entry(kSubprogram, {name("g"), {kInline, kData1, 1}}, true);
  const size_t g_parameter = info.entry(kParameter, {name("gp"), type});
  info.entry(kVariable, {name("vanished"), type});
  info.end();
  const size_t f = info.entry(kSubprogram,
                              {name("f"),
                               {kLow, kAddr, 0x1000},
                               {kHigh, kAddr, 0x1100},
                               {kFrameBase, kBlock1, 0, "\x56"}},  // reg6
                              true);
  info.entry(kParameter, {name("p"), type, {kLocation, list_form, list}});
  info.entry(kVariable, {name("v"), type, expression("\x91\x70")});
  info.entry(kBlock, {{kLow, kAddr, 0x1020}, {kHigh, kAddr, 0x1030}}, true);
  info.entry(kVariable, {name("w"), type, expression("\x9c\x38\x1c")});  // cfa lit8 minus
  info.end();
  info.entry(kInlined, {{kOrigin, kRef4, ref(g)}, {kLow, kAddr, 0x1050}, {kHigh, kAddr, 0x1060}},
             true);
  info.entry(kParameter, {{kOrigin, kRef4, ref(g_parameter)}, {kConstValue, kData1, 9}});
  info.end();
  info.end();
  info.entry(kSubprogram, {name("h"), {kLow, kAddr, 0x1800}, {kHigh, kAddr, 0x1900}}, true);
  info.entry(kCallSite, {{kReturnPc, kAddr, 0x1840}, {kCallOrigin, kRef4, ref(f)}}, true);
  info.entry(kCallParameter, {expression("\x55"), {kCallValue, kBlock1, 0, "\x08\x4d"}});
  info.end();
  info.end();
  info.end();
  info.end_unit();
  return elf_of(shape, info,
                {{shape.version < 5 ? ".debug_loc" : ".debug_loclists", location_list(shape)}});
}

class Locals : public ::testing::Test {
 protected:
  // The locals of f at `pc`, called by h.
  static std::vector<LocalVariable> at(const SymbolFile& file, uint64_t pc,
                                       uint64_t returns_to = 0x1840) {
    Variables variables(file, nullptr, {});
    const Frame outer;
    Frame frame;
    frame.outer = &outer;
    frame.returns_to = returns_to;
    return variables.locals(pc, frame);
  }
  static std::string names(const std::vector<LocalVariable>& locals) {
    std::string text;
    for (const LocalVariable& local : locals) text += local.function + "." + local.name + " ";
    return text;
  }
};

TEST_F(Locals, HoldWhereTheirScopeHolds) {
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE(shape.name());
    const auto file = locals_file(shape);
    EXPECT_EQ(names(at(*file, 0x1000)), "f.p f.v ");
    EXPECT_EQ(names(at(*file, 0x1020)), "f.p f.w f.v ");
    EXPECT_EQ(names(at(*file, 0x102f)), "f.p f.w f.v ");
    EXPECT_EQ(names(at(*file, 0x1030)), "f.p f.v ");
    EXPECT_EQ(names(at(*file, 0x1055)), "g.gp g.vanished f.p f.v ");
    EXPECT_EQ(names(at(*file, 0x1850)), "");
    EXPECT_EQ(names(at(*file, 0x1100)), "");
  }
}

TEST_F(Locals, AreWhereTheFileSaysAtThePc) {
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE(shape.name());
    const auto file = locals_file(shape);
    const auto early = at(*file, 0x1020);
    ASSERT_EQ(early.size(), 3U);
    EXPECT_EQ(early[0].pieces.at(0).kind, Kind::kRegister);
    EXPECT_EQ(early[0].pieces.at(0).value, 3U);
    EXPECT_TRUE(early[0].is_parameter);
    EXPECT_EQ(early[0].type, "int");
    EXPECT_EQ(early[0].size, 4U);
    EXPECT_EQ(early[1].pieces.at(0).kind, Kind::kMemory);
    EXPECT_EQ(early[1].pieces.at(0).value, 0x7008U);
    EXPECT_EQ(early[2].pieces.at(0).value, 0x7000U - 16);
    const auto inlined = at(*file, 0x1055);
    ASSERT_EQ(inlined.size(), 4U);
    EXPECT_EQ(inlined[0].pieces.at(0).kind, Kind::kValue);
    EXPECT_EQ(inlined[0].pieces.at(0).value, 9U);
    EXPECT_EQ(inlined[1].pieces.at(0).kind, Kind::kNone);
  }
}

TEST_F(Locals, TakeFromTheCallerWhatItPassed) {
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE(shape.name());
    const auto file = locals_file(shape);
    const auto late = at(*file, 0x1080);
    ASSERT_EQ(late.size(), 2U);
    EXPECT_EQ(late[0].pieces.at(0).kind, Kind::kValue);
    EXPECT_EQ(late[0].pieces.at(0).value, 77U);
    // No call returns there.
    EXPECT_EQ(at(*file, 0x1080, 0x1844)[0].pieces.at(0).kind, Kind::kNone);
    EXPECT_EQ(at(*file, 0x1080, 0x5000)[0].pieces.at(0).kind, Kind::kNone);
  }
}

}  // namespace
}  // namespace residue
