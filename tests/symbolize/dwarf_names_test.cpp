// Names as gdb 13 prints them; the expectations were seen in gdb on programs of GCC 12 and clang 19
// with these constructs.
#include <gtest/gtest.h>

#include "dwarf_builder.h"
#include "symbolize/dwarf/entry_cursor.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/dwarf/names.h"

namespace residue::dwarf {
namespace {

using test::At;
using test::Info;
using test::Shape;

constexpr uint16_t kUnit = 0x11, kFunction = 0x2e, kSpace = 0x39, kClass = 0x02, kStruct = 0x13,
                   kBase = 0x24, kPointer = 0x0f, kConst = 0x26, kArray = 0x01, kSubrange = 0x21,
                   kRoutine = 0x15, kParameter = 0x05, kTypeArgument = 0x2f, kValueArgument = 0x30,
                   kReference = 0x10, kMember = 0x1f, kEnum = 0x04;
constexpr uint16_t kNameAt = 0x03, kLanguageAt = 0x13, kTypeAt = 0x49, kSpecAt = 0x47,
                   kOriginAt = 0x31, kLinkageAt = 0x6e, kDeclAt = 0x3c, kValueAt = 0x1c,
                   kUpperAt = 0x2f, kContainingAt = 0x1d;
constexpr uint16_t kText = 0x08, kRef = 0x13, kByte = 0x0b, kYes = 0x19;

class Fixture {
 public:
  explicit Fixture(uint64_t language) {
    info_.begin_unit();
    info_.entry(kUnit, {{kLanguageAt, kByte, language}}, true);
  }
  Info& info() { return info_; }
  size_t named(uint16_t tag, const std::string& name, bool children = false) {
    return info_.entry(tag, {{kNameAt, kText, 0, name}}, children);
  }
  At ref(uint16_t attribute, size_t entry) { return {attribute, kRef, info_.in_unit(entry)}; }

  std::string function(size_t offset) { return ask(offset, &Names::function); }
  std::string qualified(size_t offset) { return ask(offset, &Names::qualified); }
  std::string type(size_t offset) { return ask(offset, &Names::type); }

 private:
  std::string ask(size_t offset, std::string (Names::*question)(const EntryRef&)) {
    if (file_ == nullptr) {
      info_.end();
      info_.end_unit();
      file_ = test::make_elf(
          {}, {{".debug_info", info_.bytes().data()}, {".debug_abbrev", info_.abbreviations()}});
      dwarf_ = std::make_unique<ModuleDwarf>(*file_, nullptr, ModuleDwarf::SplitFinder());
      names_ = std::make_unique<Names>(*dwarf_);
    }
    const Unit* unit = dwarf_->main().unit(dwarf_->main().units().at(0));
    return (*names_.*question)({unit, *unit->entry_at(offset)});
  }

  Info info_{Shape{}};
  std::unique_ptr<SymbolFile> file_;
  std::unique_ptr<ModuleDwarf> dwarf_;
  std::unique_ptr<Names> names_;
};

TEST(DwarfNames, ScopesOfCppAreJoined) {
  Fixture cpp(0x04);
  cpp.named(kSpace, "ns", true);
  cpp.info().entry(kSpace, {}, true);
  cpp.named(kStruct, "Box<int>", true);
  const size_t method = cpp.named(kFunction, "run");
  cpp.info().end();
  const size_t free = cpp.named(kFunction, "go<int>");
  cpp.info().end();
  cpp.info().end();
  const size_t definition = cpp.info().entry(kFunction, {cpp.ref(kSpecAt, method)});
  const size_t instance = cpp.info().entry(kFunction, {cpp.ref(kOriginAt, definition)});
  EXPECT_EQ(cpp.function(method), "ns::(anonymous namespace)::Box<int>::run");
  EXPECT_EQ(cpp.function(free), "ns::(anonymous namespace)::go<int>");
  EXPECT_EQ(cpp.function(definition), "ns::(anonymous namespace)::Box<int>::run");
  EXPECT_EQ(cpp.function(instance), "ns::(anonymous namespace)::Box<int>::run");
}

TEST(DwarfNames, FunctionsAndUnnamedClassesAreNoScopes) {
  Fixture cpp(0x21);
  cpp.named(kSpace, "ns", true);
  cpp.named(kFunction, "outer", true);
  cpp.named(kStruct, "Local", true);
  const size_t local = cpp.named(kFunction, "run");
  cpp.info().end();
  cpp.info().entry(kStruct, {}, true);
  const size_t lambda = cpp.named(kFunction, "operator()");
  cpp.info().end();
  cpp.info().end();
  cpp.info().end();
  EXPECT_EQ(cpp.function(local), "Local::run");
  EXPECT_EQ(cpp.function(lambda), "operator()");
}

TEST(DwarfNames, CHasNoScopes) {
  Fixture c(0x0c);
  c.named(kSpace, "ns", true);
  const size_t function = c.named(kFunction, "run");
  c.info().end();
  EXPECT_EQ(c.function(function), "run");
}

TEST(DwarfNames, LinkageNamesWinAndLoseTheirParameters) {
  Fixture cpp(0x04);
  const auto linked = [&](const char* linkage) {
    return cpp.info().entry(kFunction, {{kNameAt, kText, 0, "f"}, {kLinkageAt, kText, 0, linkage}});
  };
  const size_t method = linked("_ZNK2ns3BoxIiE3sumEi");
  const size_t space = linked("_ZN12_GLOBAL__N_13runEv");
  const size_t broken = linked("_Z");
  EXPECT_EQ(cpp.function(method), "ns::Box<int>::sum");
  EXPECT_EQ(cpp.function(space), "(anonymous namespace)::run");
  EXPECT_EQ(cpp.function(broken), "f");
}

// clang -gsimple-template-names
TEST(DwarfNames, TemplateArgumentsAreRebuilt) {
  Fixture cpp(0x04);
  const size_t integer = cpp.info().entry(kBase, {{kNameAt, kText, 0, "int"}, {0x3e, kByte, 5}});
  const size_t boolean = cpp.info().entry(kBase, {{kNameAt, kText, 0, "bool"}, {0x3e, kByte, 2}});
  const size_t inner = cpp.named(kClass, "In", true);
  cpp.info().entry(kTypeArgument, {cpp.ref(kTypeAt, integer)});
  cpp.info().end();
  const size_t outer = cpp.named(kClass, "Out", true);
  cpp.info().entry(kValueArgument, {cpp.ref(kTypeAt, boolean), {kValueAt, kByte, 1}});
  cpp.info().entry(kValueArgument, {cpp.ref(kTypeAt, integer), {kValueAt, 0x0d, ~uint64_t{0}}});
  cpp.info().entry(kTypeArgument, {cpp.ref(kTypeAt, inner)});
  const size_t method = cpp.named(kFunction, "run");
  cpp.info().end();
  EXPECT_EQ(cpp.qualified(outer), "Out<true, -1, In<int> >");
  EXPECT_EQ(cpp.function(method), "Out<true, -1, In<int> >::run");
}

TEST(DwarfNames, TypesAreWrittenAsC) {
  for (const bool is_c : {false, true}) {
    Fixture unit(is_c ? 0x0c : 0x04);
    Info& info = unit.info();
    const size_t character = unit.named(kBase, "char");
    const size_t constant = info.entry(kConst, {unit.ref(kTypeAt, character)});
    const size_t text = info.entry(kPointer, {unit.ref(kTypeAt, constant)});
    const size_t fixed = info.entry(kConst, {unit.ref(kTypeAt, text)});
    const size_t array = info.entry(kArray, {unit.ref(kTypeAt, text)}, true);
    info.entry(kSubrange, {{kUpperAt, kByte, 9}});
    info.entry(kSubrange, {{kUpperAt, kByte, 2}});
    info.end();
    const size_t to_array = info.entry(kPointer, {unit.ref(kTypeAt, array)});
    const size_t routine = info.entry(kRoutine, {unit.ref(kTypeAt, character)}, true);
    info.entry(kParameter, {unit.ref(kTypeAt, text)});
    info.entry(0x18, {});  // unspecified parameters
    info.end();
    const size_t callback = info.entry(kPointer, {unit.ref(kTypeAt, routine)});
    const size_t callbacks = info.entry(kArray, {unit.ref(kTypeAt, callback)}, true);
    info.entry(kSubrange, {{kUpperAt, kByte, 3}});
    info.end();
    const size_t record = unit.named(kStruct, "Record");
    const size_t to_record = info.entry(kReference, {unit.ref(kTypeAt, record)});
    const size_t nameless = info.entry(kStruct, {});
    const size_t nothing = info.entry(kPointer, {});
    const size_t member =
        info.entry(kMember, {unit.ref(kTypeAt, character), unit.ref(kContainingAt, record)});
    EXPECT_EQ(unit.type(text), "const char *");
    EXPECT_EQ(unit.type(fixed), "const char * const");
    EXPECT_EQ(unit.type(array), "const char *[10][3]");
    EXPECT_EQ(unit.type(to_array), "const char *(*)[10][3]");
    EXPECT_EQ(unit.type(callback), "char (*)(const char *, ...)");
    EXPECT_EQ(unit.type(callbacks), "char (*[4])(const char *, ...)");
    EXPECT_EQ(unit.type(to_record), is_c ? "struct Record &" : "Record &");
    EXPECT_EQ(unit.type(nameless), "struct {...}");
    EXPECT_EQ(unit.type(nothing), "void *");
    if (!is_c) {
      EXPECT_EQ(unit.type(member), "char Record::*");
    }
  }
}

// Types that contain themselves, as only damage makes them, end.
TEST(DwarfNames, TypesThatGoInCirclesEnd) {
  Fixture cpp(0x04);
  const size_t first = cpp.info().bytes().size();
  cpp.info().entry(kPointer, {cpp.ref(kTypeAt, first)});
  const size_t routine = cpp.info().bytes().size();
  cpp.info().entry(kRoutine, {cpp.ref(kTypeAt, routine)}, true);
  for (int i = 0; i < 40; ++i) cpp.info().entry(kParameter, {cpp.ref(kTypeAt, routine)});
  cpp.info().end();
  EXPECT_LT(cpp.type(first).size(), 1000U);
  EXPECT_LT(cpp.type(routine).size(), 10'000'000U);
}

}  // namespace
}  // namespace residue::dwarf
