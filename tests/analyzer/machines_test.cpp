// What the analysis takes from the architecture: thread-local memory, red zones, tags in pointers,
// and where nothing is known of the allocator.
#include <gtest/gtest.h>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::owner_of;
using test::ProcessBuilder;
using test::reach_of;

struct Machine {
  const char* name;
  Architecture architecture;
  // From the thread pointer: the first byte of static TLS (the program's block; "ELF Handling For
  // Thread-Local Storage" 3.4 and the psABIs), and where glibc's THREAD_DTV() reads
  // (sysdeps/*/nptl/tls.h, 2.36).
  int64_t tls, dtv;
  uint64_t red_zone;
};

void PrintTo(const Machine& machine, std::ostream* out) { *out << machine.name; }

class MachineTest : public ::testing::TestWithParam<Machine> {
 protected:
  MachineTest() {
    process.memory().header().architecture = GetParam().architecture;
    // As far from either end of its mapping as any of the layouts reaches.
    process.memory().map(kTls, 0x20000, test::kReadWrite, RegionKind::kAnonymous);
    process.memory().thread(0).thread_pointer = kThreadPointer;
  }
  uint64_t alloc(uint64_t size = 100) {
    const uint64_t user = process.heap().alloc(size);
    process.memory().put64(process.global(), process.heap().alloc(24));
    return user;
  }
  static constexpr uint64_t kTls = 0x7ffff5000000, kThreadPointer = kTls + 0x10000;
  ProcessBuilder process;
};

TEST_P(MachineTest, ThreadLocalMemoryLiesWhereTheAbiHasIt) {
  const uint64_t user = alloc();
  process.memory().put64(kThreadPointer + static_cast<uint64_t>(GetParam().tls) + 8, user);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(owner_of(snapshot, user), nullptr);
  EXPECT_EQ(owner_of(snapshot, user)->kind, "tls");
}

TEST_P(MachineTest, TheVectorOfDynamicTlsIsSystem) {
  const uint64_t vector = alloc(1000);
  process.memory().put64(kThreadPointer + static_cast<uint64_t>(GetParam().dtv), vector + 16);
  EXPECT_EQ(reach_of(process.analyze(), vector), "system");
}

TEST_P(MachineTest, TheRedZoneIsTheAbis) {
  const uint64_t inside = alloc(), below = alloc();
  const uint64_t sp = process.stack_pointer();
  if (GetParam().red_zone != 0) process.memory().put64(sp - GetParam().red_zone, inside);
  process.memory().put64(sp - GetParam().red_zone - 8, below);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, below), "stale");
  EXPECT_EQ(reach_of(snapshot, inside), GetParam().red_zone != 0 ? "reachable" : "leaked");
}

INSTANTIATE_TEST_SUITE_P(
    Glibc, MachineTest,
    ::testing::Values(Machine{"x86_64", Architecture::kX86_64, -0x20, 8, 128},
                      Machine{"aarch64", Architecture::kAArch64, 16, 0, 0},
                      Machine{"riscv64", Architecture::kRiscv64, 0, -16, 0},
                      Machine{"loongarch64", Architecture::kLoongArch64, 0, -16, 0},
                      Machine{"ppc64le", Architecture::kPpc64Le, -0x7000, -0x7008, 288},
                      Machine{"mips64", Architecture::kMips64, -0x7000, -0x7010, 0}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

// MTE and HWASan keep a tag in the top byte, which the hardware ignores.
TEST(TaggedPointers, AreFollowed) {
  ProcessBuilder process;
  const uint64_t head = process.heap().alloc(100), next = process.heap().alloc(100);
  process.memory().put64(process.global(), head | uint64_t{0x0b} << 56);
  process.memory().put64(head + 8, next | uint64_t{0xf3} << 56);
  EXPECT_EQ(reach_of(process.analyze(), head), "leaked");
  process.memory().header().address_tag_mask = uint64_t{0xff} << 56;
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(reach_of(snapshot, head), "reachable");
  EXPECT_EQ(reach_of(snapshot, next), "reachable");
}

TEST(HeapsNotWalked, OfTheBsdsAreNamed) {
  ProcessBuilder process;
  process.memory().header().os = "freebsd";
  EXPECT_NE(test::complaints(process.analyze()).find("heaps of freebsd are not walked yet"),
            std::string::npos);
}

}  // namespace
}  // namespace residue
