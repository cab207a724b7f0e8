// Frames that tail calls took off the stack: what is certain, and what is not.
#include <gtest/gtest.h>

#include "dwarf_builder.h"
#include "symbolize/dwarf/debug_info.h"

namespace residue {
namespace {

using test::Info;
using test::Shape;

// Functions of 0x100 bytes from 0x1000 on, with calls between them. A call's return address is the
// function's address + 0x10 * (its number + 1).
class Program {
 public:
  explicit Program(unsigned version) : shape_{version, false, 8, false} {}

  struct Call {
    int to;  // -1: through a pointer
    bool is_tail;
  };
  void function(bool complete, std::vector<Call> calls) {
    functions_.push_back({complete, std::move(calls)});
  }
  static uint64_t address(size_t function) { return 0x1000 + 0x100 * function; }
  static uint64_t after(size_t function, size_t call) {
    return address(function) + 0x10 * (call + 1);
  }

  std::vector<uint64_t> between(uint64_t return_pc, size_t callee) {
    const auto file = build();
    DebugInfo info(*file, nullptr, {});
    const std::vector<CallPair> pairs = {{return_pc, address(callee) + 4, {}}};
    return info.tail_calls(pairs, {}).at(0);
  }
  // The caller is in another module.
  std::vector<uint64_t> from(size_t called, size_t callee) {
    const auto file = build();
    DebugInfo info(*file, nullptr, {});
    const std::vector<CallPair> pairs = {{0, address(callee) + 4, address(called)}};
    return info.tail_calls(pairs, {}).at(0);
  }

 private:
  std::unique_ptr<SymbolFile> build() const {
    const bool gnu = shape_.version < 5;
    Info info(shape_);
    info.begin_unit();
    info.entry(0x11, {{0x13, 0x0b, 0x0c}, {0x11, 0x01, 0x1000}, {0x12, 0x07, 0x10000}}, true);
    // Entries first, so that calls can refer to them: DW_FORM_ref4 values are patched in.
    std::vector<size_t> places;
    std::vector<std::pair<size_t, int>> patches;
    for (size_t f = 0; f < functions_.size(); ++f) {
      std::vector<test::At> attributes = {{0x11, 0x01, address(f)}, {0x12, 0x07, 0x100}};
      // call_all_calls, or GNU_all_call_sites
      if (functions_[f].complete) {
        attributes.push_back({gnu ? uint16_t{0x2117} : uint16_t{0x7a}, 0x19});
      }
      places.push_back(info.entry(0x2e, attributes, true));
      for (size_t c = 0; c < functions_[f].calls.size(); ++c) {
        const Call& call = functions_[f].calls[c];
        // call_return_pc and call_tail_call and call_origin, or GNU's low_pc, GNU_tail_call and
        // abstract_origin
        std::vector<test::At> site = {{gnu ? uint16_t{0x11} : uint16_t{0x7d}, 0x01, after(f, c)}};
        if (call.is_tail) site.push_back({gnu ? uint16_t{0x2115} : uint16_t{0x82}, 0x19});
        if (call.to >= 0) {
          site.push_back({gnu ? uint16_t{0x31} : uint16_t{0x7f}, 0x13, 0});
        }
        info.entry(gnu ? uint16_t{0x4109} : uint16_t{0x48}, site);
        if (call.to >= 0) patches.emplace_back(info.bytes().size() - 4, call.to);
      }
      info.end();
    }
    info.end();
    info.end_unit();
    for (const auto& [at, to] : patches) {
      info.bytes().patch(at, places[static_cast<size_t>(to)], 4);
    }
    return test::make_elf(
        shape_, {{".debug_info", info.bytes().data()}, {".debug_abbrev", info.abbreviations()}});
  }

  struct Function {
    bool complete;
    std::vector<Call> calls;
  };
  Shape shape_;
  std::vector<Function> functions_;
};

using Pcs = std::vector<uint64_t>;

TEST(CallSites, TheOnlyWayIsCertain) {
  for (const unsigned version : {4U, 5U}) {
    Program program(version);
    program.function(true, {{1, false}});             // 0 calls 1
    program.function(true, {{2, true}});              // 1 jumps to 2
    program.function(true, {{0, false}, {3, true}});  // 2 jumps to 3
    program.function(true, {});
    EXPECT_EQ(program.between(Program::after(0, 0), 3),
              (Pcs{Program::after(2, 1), Program::after(1, 0)}));
    EXPECT_EQ(program.between(Program::after(0, 0), 1), Pcs{}) << "no tail call";
    EXPECT_EQ(program.between(Program::after(0, 0) + 1, 3), Pcs{}) << "no call returns there";
  }
}

// GDB manual, "Tail Call Frames": of several ways only the frames that all have are shown.
TEST(CallSites, OfSeveralWaysTheCommonEndsAreCertain) {
  Program program(5);
  program.function(true, {{1, false}});            // 0 calls 1
  program.function(true, {{2, true}});             // 1 → 2
  program.function(true, {{3, true}, {4, true}});  // 2 → 3 or 4
  program.function(true, {{5, true}});             // both → 5
  program.function(true, {{5, true}});
  program.function(true, {{6, true}});  // 5 → 6
  program.function(true, {});
  EXPECT_EQ(program.between(Program::after(0, 0), 6),
            (Pcs{Program::after(5, 0), Program::after(1, 0)}));
}

TEST(CallSites, NothingIsCertainBehindPointersAndHoles) {
  Program pointer(5);
  pointer.function(true, {{1, false}, {-1, false}});
  pointer.function(true, {{-1, true}, {2, true}});
  pointer.function(true, {});
  EXPECT_EQ(pointer.between(Program::after(0, 0), 2), Pcs{}) << "a jump through a pointer";
  EXPECT_EQ(pointer.between(Program::after(0, 1), 2), Pcs{}) << "a call through a pointer";

  Program incomplete(5);
  incomplete.function(true, {{1, false}});
  incomplete.function(false, {{2, true}});
  incomplete.function(true, {});
  EXPECT_EQ(incomplete.between(Program::after(0, 0), 2), Pcs{}) << "not all calls are described";
}

TEST(CallSites, CirclesAndWebsEnd) {
  Program circle(5);
  circle.function(true, {{1, false}});
  circle.function(true, {{2, true}, {3, true}});
  circle.function(true, {{1, true}});
  circle.function(true, {});
  EXPECT_EQ(circle.between(Program::after(0, 0), 3), Pcs{Program::after(1, 1)})
      << "going round first is possible, but the last jump is the same";

  // Every function jumps to every other one: more ways than anybody can go.
  Program web(5);
  web.function(true, {{1, false}});
  for (int f = 1; f < 14; ++f) {
    std::vector<Program::Call> calls;
    for (int to = 1; to < 14; ++to) calls.push_back({to, true});
    web.function(true, calls);
  }
  web.function(true, {});
  EXPECT_EQ(web.between(Program::after(0, 0), 14), Pcs{});
}

TEST(CallSites, FindsWhatACallFromAnotherModuleJumpedTo) {
  Program program(5);
  program.function(true, {{1, true}});
  program.function(true, {{2, true}});
  program.function(true, {});
  EXPECT_EQ(program.from(0, 2),
            (std::vector<uint64_t>{Program::after(1, 0), Program::after(0, 0)}));
  EXPECT_TRUE(program.from(2, 2).empty());
  EXPECT_TRUE(program.from(1, 0).empty());
}

}  // namespace
}  // namespace residue
