// EHABI byte code, from "Exception Handling ABI for the Arm Architecture", section 10.3.
#include "symbolize/unwind/arm_exception.h"

#include <gtest/gtest.h>

#include "tests/symbolize/unwind/cfi_builder.h"

namespace residue {
namespace {

using testing::MemoryImage;

constexpr uint64_t kCode = 0x10000, kIndex = 0x20000, kTable = 0x21000, kStack = 0x70000;

uint32_t prel31(uint64_t from, uint64_t to) {
  return static_cast<uint32_t>(to - from) & 0x7fffffff;
}

struct Outcome {
  Step step;
  FrameState caller;
};

Outcome run(const std::vector<uint8_t>& code, const std::vector<uint64_t>& words,
            const std::vector<std::pair<unsigned, uint64_t>>& registers = {}) {
  MemoryImage memory(Architecture::kArm, 4);
  memory.code(kCode, 0x1000);
  memory.stack(kStack, words);
  FrameState frame;
  frame.pc = kCode + 8;
  frame.sp = kStack;
  frame.registers.set(13, kStack);
  frame.registers.set(14, kCode + 0x101);
  for (const auto& [reg, value] : registers) frame.registers.set(reg, value);
  Outcome out;
  ProcessMemory process(memory.image());
  const CodeMap map(memory.image());
  out.step = step_by_arm_code({.cannot_unwind = false, .bytes = code}, frame,
                              *unwind_architecture(Architecture::kArm), map, process, &out.caller);
  return out;
}

TEST(ArmUnwindCode, ReturnsToTheLinkRegisterByDefault) {
  const Outcome r = run({0xb0}, {});
  ASSERT_EQ(r.step.status, StepStatus::kCaller);
  EXPECT_EQ(r.caller.pc, kCode + 0x100) << "without the Thumb bit";
  EXPECT_EQ(r.caller.sp, kStack);
}

TEST(ArmUnwindCode, MovesTheStackPointer) {
  EXPECT_EQ(run({0x00}, {}).caller.sp, kStack + 4);
  EXPECT_EQ(run({0x3f}, {}).caller.sp, kStack + 0x100);
  EXPECT_EQ(run({0x3f, 0x40}, {}).caller.sp, kStack + 0x100 - 4);
  EXPECT_EQ(run({0xb2, 0x00}, {}).caller.sp, kStack + 0x204);
  EXPECT_EQ(run({0xb2, 0x81, 0x01}, {}).caller.sp, kStack + 0x204 + (0x81 << 2));
  EXPECT_EQ(run({0x97}, {}, {{7, kStack + 0x40}}).caller.sp, kStack + 0x40);
  // Vector registers: FSTMX has a word more than VPUSH.
  EXPECT_EQ(run({0xb3, 0x83}, {}).caller.sp, kStack + 4 * 8 + 4);
  EXPECT_EQ(run({0xb9}, {}).caller.sp, kStack + 2 * 8 + 4);
  EXPECT_EQ(run({0xc9, 0x83}, {}).caller.sp, kStack + 4 * 8);
  EXPECT_EQ(run({0xc8, 0x01}, {}).caller.sp, kStack + 2 * 8);
  EXPECT_EQ(run({0xd1}, {}).caller.sp, kStack + 2 * 8);
  EXPECT_EQ(run({0xb4}, {}).caller.sp, kStack + 4);
}

TEST(ArmUnwindCode, PopsRegisters) {
  const std::vector<uint64_t> words = {1, 2, 3, kCode + 0x201, 5};
  const Outcome mask = run({0x84, 0x07}, words);  // r4 r5 r6 lr
  ASSERT_EQ(mask.step.status, StepStatus::kCaller);
  EXPECT_EQ(mask.caller.registers.get(4), 1U);
  EXPECT_EQ(mask.caller.registers.get(6), 3U);
  EXPECT_EQ(mask.caller.pc, kCode + 0x200);
  EXPECT_EQ(mask.caller.sp, kStack + 16);
  const Outcome range = run({0xaa}, words);  // r4-r6, lr
  EXPECT_EQ(range.caller.registers.get(5), 2U);
  EXPECT_EQ(range.caller.pc, kCode + 0x200);
  EXPECT_EQ(run({0xa1}, words).caller.sp, kStack + 8);
  const Outcome low = run({0xb1, 0x05}, words);  // r0, r2
  EXPECT_EQ(low.caller.registers.get(0), 1U);
  EXPECT_EQ(low.caller.registers.get(2), 2U);
  // The program counter itself.
  EXPECT_EQ(run({0x88, 0x00}, {kCode + 0x301}).caller.pc, kCode + 0x300);
}

TEST(ArmUnwindCode, RefusesWhatItCannotDo) {
  EXPECT_EQ(run({0x80, 0x00}, {}).step.status, StepStatus::kFailed) << "refuse to unwind";
  EXPECT_EQ(run({0x9d}, {}).step.status, StepStatus::kFailed) << "reserved";
  EXPECT_EQ(run({0xb1, 0x10}, {}).step.status, StepStatus::kFailed) << "spare";
  EXPECT_EQ(run({0xe0}, {}).step.status, StepStatus::kFailed) << "spare";
  EXPECT_EQ(run({0xb2}, {}).step.status, StepStatus::kFailed) << "cut";
  const Outcome missing = run({0xa8}, {});
  EXPECT_EQ(missing.step.status, StepStatus::kFailed);
  EXPECT_EQ(missing.step.place, kStack);
}

class ArmIndex : public ::testing::Test {
 protected:
  std::optional<ArmUnwindCode> find(uint64_t pc) {
    MemoryImage memory(Architecture::kArm, 4);
    memory.code(kCode, 0x1000);
    std::vector<uint64_t> index;
    for (size_t n = 0; n < entries_.size(); ++n) {
      index.push_back(prel31(kIndex + 8 * n, entries_[n].first));
      index.push_back(entries_[n].second);
    }
    memory.stack(kIndex, index);
    memory.stack(kTable, table_);
    return arm_unwind_code(memory.image(), {Address(kIndex), ByteCount(8 * entries_.size())}, pc);
  }
  std::vector<std::pair<uint64_t, uint32_t>> entries_ = {
      {kCode, 0x80a8b0b0},                                       // in place: pop {r4, lr}
      {kCode + 0x100, 1},                                        // cannot be unwound
      {kCode + 0x200, prel31(kIndex + 8 * 2 + 4, kTable)},       // routine 1, one more word
      {kCode + 0x300, prel31(kIndex + 8 * 3 + 4, kTable + 8)}};  // somebody's own routine
  std::vector<uint64_t> table_ = {0x8101b108, 0xb0b0b0b0, prel31(kTable + 8, kCode), 0x01a8b0b0,
                                  0x3f000102};
};

TEST_F(ArmIndex, FindsCodeInEveryForm) {
  EXPECT_FALSE(find(kCode - 1));
  EXPECT_EQ(find(kCode)->bytes, (std::vector<uint8_t>{0xa8, 0xb0, 0xb0}));
  EXPECT_EQ(find(kCode + 0xff)->bytes, (std::vector<uint8_t>{0xa8, 0xb0, 0xb0}));
  EXPECT_TRUE(find(kCode + 0x100)->cannot_unwind);
  EXPECT_EQ(find(kCode + 0x200)->bytes, (std::vector<uint8_t>{0xb1, 0x08, 0xb0, 0xb0, 0xb0, 0xb0}));
  EXPECT_EQ(find(kCode + 0x300)->bytes,
            (std::vector<uint8_t>{0xa8, 0xb0, 0xb0, 0x3f, 0x00, 0x01, 0x02}));
}

TEST_F(ArmIndex, SurvivesTablesThatLeadNowhere) {
  entries_[0].second = prel31(kIndex + 4, 0x5000000);
  EXPECT_FALSE(find(kCode));
  entries_[2].second = prel31(kIndex + 8 * 2 + 4, kTable + 16);
  table_.resize(5);
  table_[4] = 0x81ff0000;  // 255 more words
  EXPECT_FALSE(find(kCode + 0x200));
  entries_[0].second = 0x83000000;  // routine 3 does not exist
  EXPECT_FALSE(find(kCode));
}

}  // namespace
}  // namespace residue
