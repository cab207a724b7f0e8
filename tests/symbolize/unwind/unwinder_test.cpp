// Whole stacks in synthetic processes: rules, signal frames, guesses, and every way to end.
#include "symbolize/unwind/unwinder.h"

#include <gtest/gtest.h>

#include "symbolize/debug_files.h"
#include "tests/symbolize/unwind/cfi_builder.h"

namespace residue {
namespace {

using testing::Bytes;
using testing::CfiBuilder;
using testing::fixed;
using testing::MemoryImage;
using testing::operator+;

constexpr uint64_t kCode = 0x400000, kHeader = 0x410000, kFrame = 0x411000, kStack = 0x7ff000;
constexpr uint64_t kModuleSize = 0x20000;

void put(std::vector<std::byte>* code, uint64_t at, const Bytes& bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) (*code)[at - kCode + i] = std::byte{bytes[i]};
}
// `call target` that returns to `back`.
void put_call(std::vector<std::byte>* code, uint64_t back, uint64_t target) {
  put(code, back - 5, Bytes{0xe8} + fixed(static_cast<uint32_t>(target - back)));
}

Thread thread_at(uint64_t pc, uint64_t sp) {
  Thread thread;
  thread.tid = 1;
  thread.pc = pc;
  thread.sp = sp;
  return thread;
}

UnwoundStack unwind(const Image& image, const Thread& thread, const UnwindOptions& options = {}) {
  const DebugFiles files(image, FileSearch());
  return Unwinder(image, files).unwind(thread, options);
}

std::vector<uint64_t> pcs(const UnwoundStack& stack) {
  std::vector<uint64_t> out;
  for (const UnwoundFrame& frame : stack.frames) out.push_back(frame.pc);
  return out;
}

// A process with one x86-64 module: code, .eh_frame_hdr, .eh_frame.
class Process {
 public:
  Process() : builder_(kFrame) {}
  // A function with these call frame instructions behind the CIE's "CFA = rsp + 8".
  Process& function(uint64_t begin, uint32_t size, const Bytes& instructions) {
    if (cie_ == 0) cie_ = builder_.cie();
    pairs_.emplace_back(begin, builder_.fde(cie_, begin, size, instructions));
    return *this;
  }
  Process& signal_function(uint64_t begin, uint32_t size, const Bytes& instructions) {
    CfiBuilder::CieParts parts;
    parts.augmentation = "zRS";
    const uint64_t cie = builder_.cie(parts);
    pairs_.emplace_back(begin, builder_.fde(cie, begin, size, instructions));
    return *this;
  }
  std::vector<std::byte>& code() {
    if (code_ == nullptr) code_ = &memory_.code(kCode, 0x10000, ModuleId(0));
    return *code_;
  }
  Process& stack(const std::vector<uint64_t>& words) {
    code();
    const Bytes header = testing::search_table(kHeader, kFrame, pairs_);
    Module& module = memory_.module(kCode, kModuleSize);
    module.unwind_index = AddressRange{Address(kHeader), ByteCount(header.size())};
    memory_.add(kHeader, testing::to_bytes(header), {true, false, false}, ModuleId(0));
    memory_.add(kFrame, testing::to_bytes(builder_.bytes()), {true, false, false}, ModuleId(0));
    memory_.stack(kStack, words);
    return *this;
  }
  Image& image() { return memory_.image(); }

 private:
  CfiBuilder builder_;
  uint64_t cie_ = 0;
  std::vector<std::pair<uint64_t, uint64_t>> pairs_;
  MemoryImage memory_;
  std::vector<std::byte>* code_ = nullptr;
};

const Bytes kOutermost = {0x07, 16};  // DW_CFA_undefined rip

TEST(Unwinder, FollowsCfiToTheOutermostFrame) {
  Process process;
  process
      .function(kCode, 0x100, {0x0e, 24, 0x83, 3})  // rbx at CFA - 24
      .function(kCode + 0x100, 0x100, {})
      .function(kCode + 0x200, 0x100, kOutermost)
      .stack({0x1234, 0, kCode + 0x110, kCode + 0x210, 0, 0});
  UnwindOptions options;
  options.keep_registers = 10;
  const auto stack = unwind(process.image(), thread_at(kCode + 0x10, kStack), options);
  EXPECT_EQ(pcs(stack), (std::vector<uint64_t>{kCode + 0x10, kCode + 0x110, kCode + 0x210}));
  EXPECT_TRUE(stack.complete) << stack.end;
  EXPECT_EQ(stack.end.rfind("outermost frame", 0), 0U) << stack.end;
  EXPECT_EQ(stack.frames[0].trust, FrameTrust::kContext);
  EXPECT_EQ(stack.frames[1].trust, FrameTrust::kCfi);
  EXPECT_TRUE(stack.frames[0].pc_is_exact);
  EXPECT_FALSE(stack.frames[1].pc_is_exact);
  EXPECT_EQ(stack.frames[0].cfa, kStack + 24);
  EXPECT_EQ(stack.frames[1].sp, kStack + 24);
  ASSERT_EQ(stack.registers.size(), 3U);
  EXPECT_EQ(stack.registers[1].get(3), 0x1234U);
  EXPECT_EQ(stack.registers[1].get(7), kStack + 24);
  EXPECT_EQ(stack.registers[1].get(16), kCode + 0x110);
  EXPECT_EQ(stack.registers[0].get(3), std::nullopt);
}

TEST(Unwinder, LooksUpTheCallAndNotWhatFollowsIt) {
  // The call is the function's last instruction: it does not return.
  Process process;
  process.function(kCode, 0x100, {})
      .function(kCode + 0x100, 0x100, {0x0e, 16})
      .function(kCode + 0x200, 0x100, {0x0e, 64})
      .function(kCode + 0x300, 0x100, kOutermost)
      .stack({kCode + 0x200, 0, kCode + 0x310, 0});
  const auto stack = unwind(process.image(), thread_at(kCode + 0x10, kStack));
  EXPECT_EQ(pcs(stack), (std::vector<uint64_t>{kCode + 0x10, kCode + 0x200, kCode + 0x310}));
}

TEST(Unwinder, TakesAnInterruptedPcExactly) {
  // The signal frame's rule finds rip at CFA + 0; it interrupted the first instruction of a
  // function, behind which another row would hold.
  Process process;
  process.function(kCode, 0x100, {})
      .signal_function(kCode + 0x100, 0x100, {0x0c, 7, 16, 0x11, 16, 0x02})
      .function(kCode + 0x200, 0x100, {0x0e, 64})
      .function(kCode + 0x300, 0x100, {})
      .function(kCode + 0x400, 0x100, kOutermost)
      .stack({kCode + 0x110, 0, 0, 0, 0, kCode + 0x300 - 0, kCode + 0x410, 0});
  // Frame 1 (the trampoline) has sp = kStack + 8, CFA = sp + 16, rip at CFA - 16 = kStack + 8.
  put(&process.code(), kCode, {});
  auto& image = process.image();
  auto* words = const_cast<std::byte*>(image.find_region(Address(kStack))->bytes.data());
  const auto set = [&](size_t n, uint64_t value) {
    for (size_t i = 0; i < 8; ++i) words[8 * n + i] = std::byte(value >> (8 * i));
  };
  set(1, kCode + 0x300);
  set(3, kCode + 0x410);
  const auto stack = unwind(image, thread_at(kCode + 0x10, kStack));
  EXPECT_EQ(pcs(stack),
            (std::vector<uint64_t>{kCode + 0x10, kCode + 0x110, kCode + 0x300, kCode + 0x410}));
  EXPECT_TRUE(stack.frames[1].is_signal_frame);
  EXPECT_FALSE(stack.frames[2].is_signal_frame);
  EXPECT_TRUE(stack.frames[2].pc_is_exact);
  EXPECT_EQ(stack.frames[2].lookup_pc(), kCode + 0x300);
  EXPECT_FALSE(stack.frames[3].pc_is_exact);
}

TEST(Unwinder, SaysWhichMemoryIsMissing) {
  Process process;
  process.function(kCode, 0x100, {0x0e, 64}).stack({0, 0});
  const auto stack = unwind(process.image(), thread_at(kCode + 0x10, kStack));
  EXPECT_EQ(pcs(stack), std::vector<uint64_t>{kCode + 0x10});
  EXPECT_FALSE(stack.complete);
  EXPECT_EQ(stack.end, "stack memory at 0x7ff038 is not in the dump");
}

TEST(Unwinder, EndsAtAReturnAddressOfZero) {
  Process process;
  process.function(kCode, 0x100, {}).stack({0, 0});
  const auto stack = unwind(process.image(), thread_at(kCode + 0x10, kStack));
  EXPECT_EQ(stack.frames.size(), 1U);
  EXPECT_TRUE(stack.complete);
}

TEST(Unwinder, SaysWhatIsWrongWithASmashedReturnAddress) {
  Process process;
  process.function(kCode, 0x100, {}).stack({0x4141414141414141, 0x4141414141414141});
  const auto stack = unwind(process.image(), thread_at(kCode + 0x10, kStack));
  EXPECT_EQ(stack.frames.size(), 1U);
  EXPECT_FALSE(stack.complete);
  EXPECT_EQ(stack.end, "the return address is no code: 0x4141414141414141");
}

TEST(Unwinder, EndsACircle) {
  // CFA = r3, which stays: every frame is the same one.
  Process process;
  process.function(kCode, 0x100, {0x0c, 3, 0})
      .function(kCode + 0x100, 0x100, {0x0c, 3, 0})
      .stack({kCode + 0x10, kCode + 0x110, kCode + 0x10, kCode + 0x110});
  Thread thread = thread_at(kCode + 0x10, kStack);
  thread.registers.push_back({"rbx", kStack + 8, 3});
  const auto stack = unwind(process.image(), thread);
  EXPECT_LT(stack.frames.size(), 40U);
  EXPECT_FALSE(stack.complete);
}

TEST(Unwinder, StopsAfterAsManyFramesAsAsked) {
  Process process;
  std::vector<uint64_t> words(1000, kCode + 0x10);
  process.function(kCode, 0x100, {}).stack(words);
  UnwindOptions options;
  options.max_frames = 50;
  const auto stack = unwind(process.image(), thread_at(kCode + 0x10, kStack), options);
  EXPECT_EQ(stack.frames.size(), 50U);
  EXPECT_EQ(stack.end, "more than 50 frames");
  EXPECT_TRUE(stack.registers.empty());
  EXPECT_EQ(unwind(process.image(), thread_at(kCode + 0x10, kStack)).frames.size(), 1001U);
}

TEST(Unwinder, FindsTheCallerOfABadPointer) {
  Process process;
  process.function(kCode, 0x100, {0x0e, 16}).function(kCode + 0x100, 0x100, kOutermost);
  put(&process.code(), kCode + 0x10 - 2, {0xff, 0xd0});  // call *%rax
  process.stack({kCode + 0x10, 0, kCode + 0x110, 0});
  for (const uint64_t bad : {uint64_t{0}, uint64_t{0x1234}, uint64_t{0xdeadbeefdeadbeef}}) {
    const auto stack = unwind(process.image(), thread_at(bad, kStack));
    EXPECT_EQ(pcs(stack), (std::vector<uint64_t>{bad, kCode + 0x10, kCode + 0x110})) << bad;
    EXPECT_TRUE(stack.complete) << stack.end;
  }
}

TEST(Unwinder, FollowsFramePointersWhereThereIsNoCfi) {
  Process process;
  put_call(&process.code(), kCode + 0x110, kCode);
  put_call(&process.code(), kCode + 0x210, kCode + 0x100);
  process.stack({0, kStack + 32, kCode + 0x110, 0, 0, kCode + 0x210, 0});
  Thread thread = thread_at(kCode + 0x10, kStack);
  thread.registers.push_back({"rbp", kStack + 8, 6});
  const auto stack = unwind(process.image(), thread);
  EXPECT_EQ(pcs(stack), (std::vector<uint64_t>{kCode + 0x10, kCode + 0x110, kCode + 0x210}));
  EXPECT_EQ(stack.frames[1].trust, FrameTrust::kFramePointer);
  EXPECT_EQ(stack.frames[1].sp, kStack + 24);
  EXPECT_TRUE(stack.complete) << stack.end;
}

TEST(Unwinder, SeesThatALeafKeepsItsCallersFramePointer) {
  // rbp is the caller's; the call to the leaf lies below its record.
  Process process;
  put_call(&process.code(), kCode + 0x110, kCode);
  put_call(&process.code(), kCode + 0x210, kCode + 0x100);
  process.stack({7, kCode + 0x110, 8, 0, kCode + 0x210, 0});
  Thread thread = thread_at(kCode + 0x10, kStack);
  thread.registers.push_back({"rbp", kStack + 24, 6});
  const auto stack = unwind(process.image(), thread);
  EXPECT_EQ(pcs(stack), (std::vector<uint64_t>{kCode + 0x10, kCode + 0x110, kCode + 0x210}));
  EXPECT_EQ(stack.frames[1].trust, FrameTrust::kScan);
  EXPECT_EQ(stack.frames[2].trust, FrameTrust::kFramePointer);
}

TEST(Unwinder, ScansForReturnAddressesAndNotForOtherCode) {
  Process process;
  put_call(&process.code(), kCode + 0x110, kCode + 0x8000);
  process.stack({kCode + 0x50, kCode + 0x60, kCode + 0x110, 0});
  const auto stack = unwind(process.image(), thread_at(kCode + 0x10, kStack));
  EXPECT_EQ(pcs(stack), (std::vector<uint64_t>{kCode + 0x10, kCode + 0x110}));
  EXPECT_EQ(stack.frames[1].trust, FrameTrust::kScan);
}

TEST(Unwinder, HasNoFramesWithoutRegisters) {
  const MemoryImage memory;
  MemoryImage copy;
  const auto stack = unwind(copy.image(), thread_at(0, 0));
  EXPECT_TRUE(stack.frames.empty());
  EXPECT_FALSE(stack.end.empty());
}

TEST(Unwinder, ReportsDamagedCfi) {
  Process process;
  process.function(kCode, 0x100, {0x3f}).stack({0, 0});
  const DebugFiles files(process.image(), FileSearch());
  const Unwinder unwinder(process.image(), files);
  unwinder.unwind(thread_at(kCode + 0x10, kStack));
  Diagnostics diagnostics;
  unwinder.report(diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 1U);
  EXPECT_NE(diagnostics.items()[0].message.find("0x3f"), std::string::npos);
}

// A handler's frame returns to the trampoline; what the kernel saved leads on. Offsets from Linux's
// struct rt_sigframe of each architecture, worked out by hand.
struct SignalCase {
  Architecture architecture;
  unsigned width;
  Bytes trampoline;
  size_t pc_offset, sp_offset;  // from the stack pointer at the trampoline
  const char* name;
};

class SignalFrames : public ::testing::TestWithParam<SignalCase> {};

TEST_P(SignalFrames, LeadToTheInterruptedCode) {
  const SignalCase& c = GetParam();
  MemoryImage memory(c.architecture, c.width);
  auto& code = memory.code(kCode, 0x1000);
  put(&code, kCode + 0x100, c.trampoline);
  std::vector<uint64_t> words(200);
  words[c.pc_offset / c.width] = kCode + 0x200;
  words[c.sp_offset / c.width] = kStack + 0x500;
  memory.stack(kStack, words);
  const auto stack = unwind(memory.image(), thread_at(kCode + 0x100, kStack));
  ASSERT_GE(stack.frames.size(), 2U) << stack.end;
  EXPECT_TRUE(stack.frames[0].is_signal_frame);
  EXPECT_EQ(stack.frames[1].pc, kCode + 0x200);
  EXPECT_EQ(stack.frames[1].sp, kStack + 0x500);
  EXPECT_TRUE(stack.frames[1].pc_is_exact);
}

INSTANTIATE_TEST_SUITE_P(
    Linux, SignalFrames,
    ::testing::Values(
        // mov $15,%rax; syscall. uc at 0: gregs at 40, rsp 15th, rip 16th.
        SignalCase{Architecture::kX86_64,
                   8,
                   {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05},
                   168,
                   160,
                   "x86_64"},
        // musl: mov $15,%eax; syscall
        SignalCase{
            Architecture::kX86_64, 8, {0xb8, 15, 0, 0, 0, 0x0f, 0x05}, 168, 160, "x86_64_musl"},
        // pop %eax; mov $119,%eax; int $0x80. sig, then sigcontext: esp at 28, eip at 56.
        SignalCase{Architecture::kX86, 4, {0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80}, 60, 32, "x86"},
        // siginfo 128, ucontext: fault_address at 176, x0 at 184, sp at 184 + 248, pc behind it.
        SignalCase{Architecture::kAArch64,
                   8,
                   {0x68, 0x11, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4},
                   568,
                   560,
                   "aarch64"},
        // siginfo 128, ucontext: pc at 176, x1, x2 = sp.
        SignalCase{Architecture::kRiscv64,
                   8,
                   {0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0},
                   304,
                   320,
                   "riscv64"},
        // ucontext: uc_mcontext at 20, three words, r0-r15.
        SignalCase{Architecture::kArm, 4, {0x77, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef}, 92, 84, "arm"},
        SignalCase{
            Architecture::kArm, 4, {0xad, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef}, 220, 212, "arm_rt"},
        // li v0,5211; syscall. 24 bytes, siginfo, ucontext: sc_regs at 40, sc_pc behind 72 fields.
        SignalCase{Architecture::kMips64,
                   8,
                   {0x5b, 0x14, 0x02, 0x24, 0x0c, 0, 0, 0},
                   768,
                   192 + 29 * 8,
                   "mips64_n64"},
        // li v0,4193: sc_pc at 8 of the context, which is at 24 of the ucontext.
        SignalCase{Architecture::kMips,
                   4,
                   {0x61, 0x10, 0x02, 0x24, 0x0c, 0, 0, 0},
                   184,
                   192 + 29 * 8,
                   "mips_o32"},
        // 128 bytes, ucontext: uc_mcontext at 168, gp_regs at 64 of it; nip is the 32nd.
        SignalCase{Architecture::kPpc64Le,
                   8,
                   {0x80, 0, 0x21, 0x38, 0xac, 0, 0, 0x38, 0x02, 0, 0, 0x44},
                   360 + 32 * 8,
                   360 + 8,
                   "ppc64le"}),
    [](const ::testing::TestParamInfo<SignalCase>& c) { return std::string(c.param.name); });

TEST(SignalFrame, FollowsThePointerOfI386RtFrames) {
  // mov $173,%eax; int $0x80. sig, siginfo *, ucontext *.
  MemoryImage memory(Architecture::kX86, 4);
  auto& code = memory.code(kCode, 0x1000);
  put(&code, kCode + 0x100, {0xb8, 173, 0, 0, 0, 0xcd, 0x80});
  std::vector<uint64_t> words(100);
  words[2] = kStack + 0x80;
  words[0x80 / 4 + 5 + 7] = kStack + 0x180;  // esp
  words[0x80 / 4 + 5 + 14] = kCode + 0x200;  // eip
  memory.stack(kStack, words);
  const auto stack = unwind(memory.image(), thread_at(kCode + 0x100, kStack));
  ASSERT_GE(stack.frames.size(), 2U) << stack.end;
  EXPECT_EQ(stack.frames[1].pc, kCode + 0x200);
  EXPECT_EQ(stack.frames[1].sp, kStack + 0x180);
}

TEST(AArch64, StripsSignaturesFromReturnAddresses) {
  for (const uint64_t mask : {uint64_t{0x007f000000000000}, uint64_t{0}}) {
    MemoryImage memory(Architecture::kAArch64);
    memory.image().code_signature_mask = mask;
    auto& code = memory.code(kCode, 0x1000);
    put(&code, kCode + 0x1fc, {0x81, 0xff, 0xff, 0x97});  // bl kCode + 0x0
    memory.stack(kStack, {0, 0, kStack + 0x30, 0x0042000000000000 | (kCode + 0x200), 0, 0, 0, 0});
    Thread thread = thread_at(kCode + 0x10, kStack);
    thread.registers.push_back({"x29", kStack + 0x10, 29});
    const auto stack = unwind(memory.image(), thread);
    ASSERT_GE(stack.frames.size(), 2U) << stack.end;
    EXPECT_EQ(stack.frames[1].pc, kCode + 0x200);
    EXPECT_EQ(stack.frames[1].trust, FrameTrust::kFramePointer);
  }
}

}  // namespace
}  // namespace residue
