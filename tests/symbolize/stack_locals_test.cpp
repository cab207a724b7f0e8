// Which local of which frame holds an address: a module written by hand, and stacks whose frames
// lie where the test puts them.
#include "symbolize/stack_locals.h"

#include <gtest/gtest.h>

#include "dwarf_builder.h"

namespace residue {
namespace {

using test::At;
using test::Info;
using test::Shape;

// Numbers of the standard (DWARF 5, tables 7.3, 7.5, 7.6, 7.9).
constexpr uint16_t kUnit = 0x11, kStructure = 0x13, kSubprogram = 0x2e, kParameter = 0x05,
                   kVariable = 0x34;
constexpr uint16_t kLocation = 0x02, kName = 0x03, kByteSize = 0x0b, kLow = 0x11, kHigh = 0x12,
                   kFrameBase = 0x40, kType = 0x49;
constexpr uint16_t kAddr = 0x01, kBlock1 = 0x0a, kData1 = 0x0b, kString = 0x08, kRef4 = 0x13;

constexpr uint64_t kBias = 0x400000;
constexpr uint64_t kInF = kBias + 0x1010, kInG = kBias + 0x1150;

// f at 0x1000: `buffer`, 16 bytes at CFA - 32; `split`, 8 bytes in a register and 8 at CFA - 48;
// `kept`, in a register only; `passed`, a parameter of 8 bytes at CFA. g at 0x1100: `x`, 8 bytes at
// CFA - 24.
std::unique_ptr<SymbolFile> module_file() {
  const Shape shape;
  Info info(shape);
  info.begin_unit();
  info.entry(kUnit, {{kLow, kAddr, 0x1000}, {kHigh, kAddr, 0x1200}}, true);
  const auto of_size = [&info](const char* name, uint64_t bytes) {
    return At{kType, kRef4,
              info.in_unit(
                  info.entry(kStructure, {{kName, kString, 0, name}, {kByteSize, kData1, bytes}}))};
  };
  const At eight = of_size("Eight", 8), sixteen = of_size("Sixteen", 16);
  const auto add = [&info](uint16_t tag, const char* name, const At& type,
                           const std::string& place) {
    info.entry(tag, {{kName, kString, 0, name}, type, {kLocation, kBlock1, 0, place}});
  };
  const auto function = [&info](const char* name, uint64_t low, uint64_t high) {
    info.entry(kSubprogram,
               {{kName, kString, 0, name},
                {kLow, kAddr, low},
                {kHigh, kAddr, high},
                {kFrameBase, kBlock1, 0, "\x9c"}},  // DW_OP_call_frame_cfa
               true);
  };
  function("f", 0x1000, 0x1100);
  add(kParameter, "passed", eight, std::string("\x91\0", 2));  // DW_OP_fbreg 0
  add(kVariable, "buffer", sixteen, "\x91\x60");               // DW_OP_fbreg -32
  // DW_OP_reg3, DW_OP_piece 8, DW_OP_fbreg -48, DW_OP_piece 8
  add(kVariable, "split", sixteen, "\x53\x93\x08\x91\x50\x93\x08");
  add(kVariable, "kept", eight, "\x53");
  info.end();
  function("g", 0x1100, 0x1200);
  add(kVariable, "x", eight, "\x91\x68");  // DW_OP_fbreg -24
  info.end();
  info.end();
  info.end_unit();
  return test::make_elf(shape, {{".debug_info", info.bytes().data()},
                                {".debug_abbrev", info.abbreviations()},
                                {".debug_str", info.strings()}});
}

class StackLocalsTest : public ::testing::Test {
 protected:
  StackLocalsTest()
      : file_(module_file()),
        variables_(*file_, nullptr, [](const auto&, const auto&, uint64_t) { return nullptr; }) {
    Module module;
    module.path = "/bin/program";
    module.bias = kBias;
    module.range = {Address(kBias), ByteCount(0x2000)};
    module.segments = {{module.range, {true, false, true}, 0, 0x2000}};
    Region text;
    text.range = module.range;
    text.kind = RegionKind::kModuleText;
    text.module = ModuleId(0);
    image_.regions.push_back(text);
    image_.modules.push_back(module);
    image_.architecture = Architecture::kX86_64;
  }

  void frame(uint64_t pc, uint64_t cfa) {
    UnwoundFrame frame;
    frame.pc = pc;
    frame.cfa = cfa;
    frame.pc_is_exact = stack_.frames.empty();
    stack_.frames.push_back(frame);
    stack_.registers.emplace_back();
    stack_.registers.back().set(3, 0x7018);  // looks like an address of the stack, and is none
  }
  // "frame name+offset", or "" where nothing is found.
  std::string find(uint64_t address) {
    StackLocals locals(image_, stack_, [this](ModuleId) {
      ++asked_;
      return known_ ? &variables_ : nullptr;
    });
    const auto hit = locals.find(address);
    if (!hit) return "";
    return std::to_string(hit->frame) + " " + hit->variable->name + "+" +
           std::to_string(hit->offset);
  }

  const std::unique_ptr<SymbolFile> file_;
  Variables variables_;
  Image image_;
  UnwoundStack stack_;
  bool known_ = true;
  int asked_ = 0;
};

TEST_F(StackLocalsTest, AnAddressIsInTheFrameThatEndsBehindIt) {
  frame(kInF, 0x7040);
  frame(kInG, 0x7080);
  frame(kInF, 0x70c0);
  EXPECT_EQ(find(0x7020), "0 buffer+0");
  EXPECT_EQ(find(0x702f), "0 buffer+15");
  EXPECT_EQ(find(0x7030), "") << "behind it is nothing";
  EXPECT_EQ(find(0x701f), "");
  EXPECT_EQ(find(0x7068), "1 x+0");
  EXPECT_EQ(find(0x706f), "1 x+7");
  EXPECT_EQ(find(0x70a8), "2 buffer+8");
}

TEST_F(StackLocalsTest, WhatWasPassedOnTheStackLiesInTheCallersFrame) {
  frame(kInF, 0x7040);
  frame(kInG, 0x7080);
  frame(kInF, 0x70c0);
  EXPECT_EQ(find(0x7040), "0 passed+0");
  EXPECT_EQ(find(0x7047), "0 passed+7");
  EXPECT_EQ(find(0x7048), "");
  EXPECT_EQ(find(0x70c4), "2 passed+4") << "also of the outermost";
}

TEST_F(StackLocalsTest, OfAVariableInPiecesThoseInMemoryCount) {
  frame(kInF, 0x7040);
  EXPECT_EQ(find(0x7010), "0 split+8");
  EXPECT_EQ(find(0x7017), "0 split+15");
  EXPECT_EQ(find(0x7018), "") << "what a register holds is no place";
}

TEST_F(StackLocalsTest, OutsideOfAllFramesIsNothing) {
  EXPECT_EQ(find(0x7020), "") << "no frames at all";
  frame(kInF, 0x7040);
  EXPECT_EQ(find(0), "");
  EXPECT_EQ(find(0x6000), "");
  EXPECT_EQ(find(0x9000), "");
  EXPECT_EQ(find(~uint64_t{0}), "");
}

TEST_F(StackLocalsTest, FramesWithoutAModuleOrAnEndArePassedOver) {
  frame(0x10, 0x7040);
  frame(kInF, 0);
  frame(kInF, 0x70c0);
  EXPECT_EQ(find(0x7020), "");
  EXPECT_EQ(find(0x70a0), "2 buffer+0");
}

TEST_F(StackLocalsTest, ASignalHandlersStackMayLieAbove) {
  frame(kInF, 0x9040);  // the handler, on a stack of its own
  frame(kInG, 0x7080);
  frame(kInF, 0x70c0);
  EXPECT_EQ(find(0x9020), "0 buffer+0");
  EXPECT_EQ(find(0x9040), "0 passed+0");
  EXPECT_EQ(find(0x7068), "1 x+0");
  EXPECT_EQ(find(0x70a0), "2 buffer+0");
}

TEST_F(StackLocalsTest, AModuleWithoutDebugInformationHasNone) {
  known_ = false;
  frame(kInF, 0x7040);
  EXPECT_EQ(find(0x7020), "");
  EXPECT_EQ(asked_, 1);
}

TEST_F(StackLocalsTest, AFrameIsReadOnce) {
  frame(kInF, 0x7040);
  StackLocals locals(image_, stack_, [this](ModuleId) {
    ++asked_;
    return &variables_;
  });
  for (uint64_t address = 0x7000; address < 0x7060; ++address) locals.find(address);
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(locals.of(0).size(), 4U);
}

}  // namespace
}  // namespace residue
