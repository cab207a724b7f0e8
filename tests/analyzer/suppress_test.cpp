// Which leaked chunks suppressions hide, and what is still counted.
#include "analyzer/suppress.h"

#include <gtest/gtest.h>

#include "analyzer/embedded_suppressions.h"
#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::ClassInfo;
using test::cluster_of;
using test::ProcessBuilder;
using test::reach_of;

class SuppressTest : public ::testing::Test {
 protected:
  uint64_t alloc(uint64_t size = 104) { return process.heap().alloc(size); }
  uint64_t object(const ClassInfo& type, uint64_t size = 104) {
    const uint64_t user = alloc(size);
    point(user, type.primary);
    return user;
  }
  void point(uint64_t from, uint64_t to) { process.memory().put64(from, to); }

  const Snapshot& analyze(const std::string& rules) {
    PipelineOptions options;
    parse_suppressions(rules, "test.supp", &options.suppressions);
    EXPECT_TRUE(options.suppressions.problems.empty());
    image = process.image();
    snapshot = residue::analyze(image, {}, options);
    return snapshot;
  }
  // The index of the rule that hides a chunk, "leak" if none does, "" if it is no leak.
  std::string verdict(uint64_t user) const {
    const ClusterRow* cluster = cluster_of(snapshot, user);
    if (cluster == nullptr) return "";
    if (cluster->suppression == ClusterRow::kNotSuppressed) return "leak";
    return std::to_string(cluster->suppression);
  }
  uint64_t leaked_bytes(const std::string& dimension) const {
    uint64_t sum = 0;
    for (const UsageRow& row : snapshot.usage) {
      if (row.dimension == dimension) sum += row.leaked_bytes;
    }
    return sum;
  }

  ProcessBuilder process;
  Image image;
  Snapshot snapshot;
};

TEST_F(SuppressTest, AMatchedHeadIsHiddenWithAllThatItKeeps) {
  const ClassInfo session = process.add_class("N3app7SessionE");
  const uint64_t hidden = object(session), child = alloc(40), deeper = alloc(56);
  const uint64_t leak = alloc(200);
  point(hidden + 8, child);
  point(child, deeper);
  analyze("leak-type:^app::Session$\n");
  EXPECT_EQ(verdict(hidden), "0");
  EXPECT_EQ(verdict(child), "0");
  EXPECT_EQ(verdict(deeper), "0");
  EXPECT_EQ(verdict(leak), "leak");
  EXPECT_EQ(reach_of(snapshot, hidden), "leaked") << "the verdict stays";
  EXPECT_EQ(reach_of(snapshot, child), "indirect");
  ASSERT_EQ(snapshot.suppressions.size(), 1U);
  const SuppressionRow& row = snapshot.suppressions[0];
  EXPECT_EQ(row.file, "test.supp");
  EXPECT_EQ(row.line, 1U);
  EXPECT_EQ(row.kind, "leak-type");
  EXPECT_EQ(row.count, 1U);
  EXPECT_EQ(row.bytes, 104U);
  EXPECT_EQ(row.suppressed_count, 3U);
  EXPECT_EQ(row.suppressed_bytes, 104U + 40U + 56U);
  for (const char* dimension : {"type", "module", "owner", "size", "heap"}) {
    EXPECT_EQ(leaked_bytes(dimension), 200U) << dimension;
  }
}

// LeakSanitizer takes an ignored block for a root: what it leads to is no leak, whoever else does.
TEST_F(SuppressTest, WhatAnotherLeakLeadsToAsWellIsHiddenToo) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t hidden = object(session), leak = alloc(200), shared = alloc(40);
  point(hidden + 8, shared);
  point(leak, shared);
  analyze("leak:Session\n");
  EXPECT_EQ(verdict(hidden), "0");
  EXPECT_EQ(verdict(shared), "0");
  EXPECT_EQ(verdict(leak), "leak");
  EXPECT_EQ(cluster_of(snapshot, leak)->chunks, 1U);
}

TEST_F(SuppressTest, AMatchedFollowerIsHiddenAndItsHeadIsNot) {
  const ClassInfo request = process.add_class("7Request");
  const uint64_t head = alloc(200), matched = object(request), below = alloc(40);
  const uint64_t sibling = alloc(56);
  point(head, matched);
  point(head + 8, sibling);
  point(matched + 8, below);
  analyze("leak-type:Request\n");
  EXPECT_EQ(verdict(head), "leak");
  EXPECT_EQ(verdict(sibling), "leak");
  EXPECT_EQ(verdict(matched), "0");
  EXPECT_EQ(verdict(below), "0");
  EXPECT_EQ(snapshot.suppressions[0].suppressed_count, 2U);
}

TEST_F(SuppressTest, ACycleThatIsEnteredByAMatchIsHidden) {
  const ClassInfo node = process.add_class("4Node");
  const uint64_t a = object(node), b = alloc(40);
  point(a + 8, b);
  point(b, a);
  analyze("leak:Node\n");
  EXPECT_EQ(verdict(a), "0");
  EXPECT_EQ(verdict(b), "0");
  EXPECT_EQ(snapshot.clusters.size(), 1U);
}

TEST_F(SuppressTest, TheFirstRuleThatMatchesCounts) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t user = object(session, 200);
  analyze("leak-size:1000\nleak-size:200\nleak:Session\nleak-type:Session\n");
  EXPECT_EQ(verdict(user), "1");
  EXPECT_EQ(snapshot.suppressions[1].count, 1U);
  EXPECT_EQ(snapshot.suppressions[2].count, 0U);
}

TEST_F(SuppressTest, WhatTwoMatchesLeadToBelongsToTheFirstRule) {
  const ClassInfo first = process.add_class("1A"), second = process.add_class("1B");
  // The one of the later rule lies first in memory.
  const uint64_t b = object(second), a = object(first), shared = alloc(40);
  point(a + 8, shared);
  point(b + 8, shared);
  analyze("leak-type:^A$\nleak-type:^B$\n");
  EXPECT_EQ(verdict(a), "0");
  EXPECT_EQ(verdict(b), "1");
  EXPECT_EQ(verdict(shared), "0");
}

TEST_F(SuppressTest, ModulesMatchByNameAndByPath) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t user = object(session), untyped = alloc(40);
  for (const char* rule : {"leak-module:^server$", "leak-module:^/opt/app/", "leak:/opt/app/server",
                           "leak:^server$"}) {
    analyze(rule);
    EXPECT_EQ(verdict(user), "0") << rule;
    EXPECT_EQ(verdict(untyped), "leak") << rule;
  }
}

TEST_F(SuppressTest, SizesAreUsableBytes) {
  const uint64_t small = alloc(24), large = alloc(4096);
  analyze("leak-size:24\n");
  EXPECT_EQ(verdict(small), "0");
  EXPECT_EQ(verdict(large), "leak");
}

TEST_F(SuppressTest, StaleLeaksAreHiddenLikeOthers) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t head = object(session), freed = alloc(600);
  alloc(24);
  point(freed + 64, head);
  process.heap().free_to_unsorted(freed);
  analyze("leak:Session\n");
  EXPECT_EQ(verdict(head), "0");
  EXPECT_EQ(reach_of(snapshot, head), "stale");
}

TEST_F(SuppressTest, WhatIsReachableIsNotTouched) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t live = object(session), below = alloc(40);
  point(process.global(), live);
  point(live + 8, below);
  analyze("leak:*\n");
  EXPECT_EQ(reach_of(snapshot, live), "reachable");
  EXPECT_EQ(verdict(live), "");
  EXPECT_EQ(snapshot.suppressions[0].count, 0U);
}

TEST_F(SuppressTest, AStarHidesEveryLeak) {
  for (int i = 0; i < 10; ++i) alloc(40);
  analyze("leak:*\n");
  ASSERT_EQ(snapshot.clusters.size(), 1U);
  EXPECT_EQ(snapshot.clusters[0].suppression, 0U);
  EXPECT_EQ(snapshot.suppressions[0].count, 10U);
  EXPECT_EQ(leaked_bytes("heap"), 0U);
}

TEST_F(SuppressTest, TextIsMatchedByItsTypeButNotByLeakSanitizersKind) {
  const uint64_t text = alloc(104);
  process.memory().put_text(text, std::string(100, 'u'));
  analyze("leak:text\nleak-type:^(text)$\n");
  EXPECT_EQ(verdict(text), "1");
}

std::vector<std::byte> bytes(std::initializer_list<unsigned> values) {
  std::vector<std::byte> out;
  for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

struct Code {
  Architecture architecture;
  std::vector<std::byte> bytes;
  uint64_t value;
  bool in_memory;
};

// Encodings from Intel's manual, volume 2, and Arm's DDI 0487, C6.2.
TEST(EmbeddedSuppressions, FunctionsThatReturnAConstantAreDecoded) {
  constexpr uint64_t kPc = 0x401000;
  constexpr Architecture k64 = Architecture::kX86_64, k32 = Architecture::kX86;
  constexpr Architecture kArm = Architecture::kAArch64;
  const std::vector<Code> codes = {
      // lea rax, [rip+0x100]; ret
      {k64, bytes({0x48, 0x8d, 0x05, 0, 1, 0, 0, 0xc3}), kPc + 7 + 0x100, false},
      // endbr64; push rbp; mov rbp, rsp; lea rax, [rip-0x10]; pop rbp; ret
      {k64,
       bytes({0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x05, 0xf0, 0xff, 0xff,
              0xff, 0x5d, 0xc3}),
       kPc + 15 - 0x10, false},
      // mov eax, 0x402010; ret
      {k64, bytes({0xb8, 0x10, 0x20, 0x40, 0, 0xc3}), 0x402010, false},
      // movabs rax, 0x1122334455667788; ret
      {k64, bytes({0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xc3}),
       0x1122334455667788, false},
      // mov rax, [rip+0x20]; ret
      {k64, bytes({0x48, 0x8b, 0x05, 0x20, 0, 0, 0, 0xc3}), kPc + 7 + 0x20, true},
      // push ebp; mov ebp, esp; mov eax, 0x8049000; pop ebp; ret
      {k32, bytes({0x55, 0x89, 0xe5, 0xb8, 0, 0x90, 0x04, 0x08, 0x5d, 0xc3}), 0x8049000, false},
      // adrp x0, +1 page; add x0, x0, #0x238; ret
      {kArm, bytes({0, 0, 0, 0xb0, 0, 0xe0, 0x08, 0x91, 0xc0, 0x03, 0x5f, 0xd6}), 0x402238, false},
      // bti c; adrp x0, -1 page; ldr x0, [x0, #16]; ret
      {kArm,
       bytes({0x5f, 0x24, 0x03, 0xd5, 0xe0, 0xff, 0xff, 0xf0, 0, 0x08, 0x40, 0xf9, 0xc0, 0x03, 0x5f,
              0xd6}),
       0x400010, true},
      // adrp x8, this page; ldr x0, [x8]; ret: as clang 19 compiles "return global;"
      {kArm, bytes({8, 0, 0, 0x90, 0, 0x01, 0x40, 0xf9, 0xc0, 0x03, 0x5f, 0xd6}), 0x401000, true},
      // adr x0, -4; ret
      {kArm, bytes({0xe0, 0xff, 0xff, 0x10, 0xc0, 0x03, 0x5f, 0xd6}), kPc - 4, false}};
  for (const Code& code : codes) {
    const auto constant = decode_returned_constant(code.architecture, code.bytes, kPc);
    ASSERT_TRUE(constant) << std::hex << code.value;
    EXPECT_EQ(constant->value, code.value);
    EXPECT_EQ(constant->in_memory, code.in_memory) << std::hex << code.value;
    // Cut short anywhere, it is none.
    for (size_t cut = 0; cut < code.bytes.size(); ++cut) {
      const auto part = std::span(code.bytes).first(cut);
      EXPECT_FALSE(decode_returned_constant(code.architecture, part, kPc)) << cut;
    }
  }
}

TEST(EmbeddedSuppressions, OtherFunctionsAreLeftAlone) {
  const std::vector<std::pair<Architecture, std::vector<std::byte>>> codes = {
      // a call before the return
      {Architecture::kX86_64, bytes({0xe8, 0, 0, 0, 0, 0xc3})},
      // xor eax, eax; ret
      {Architecture::kX86_64, bytes({0x31, 0xc0, 0xc3})},
      // lea rax, …; call …
      {Architecture::kX86_64, bytes({0x48, 0x8d, 0x05, 0, 1, 0, 0, 0xe8, 0, 0, 0, 0})},
      // ret
      {Architecture::kAArch64, bytes({0xc0, 0x03, 0x5f, 0xd6})},
      // adrp x1; ret
      {Architecture::kAArch64, bytes({1, 0, 0, 0xb0, 0xc0, 0x03, 0x5f, 0xd6})},
      {Architecture::kRiscv64, bytes({0x67, 0x80, 0, 0})}};
  for (const auto& [architecture, code] : codes) {
    EXPECT_FALSE(decode_returned_constant(architecture, code, 0x401000)) << code.size();
  }
}

}  // namespace
}  // namespace residue
