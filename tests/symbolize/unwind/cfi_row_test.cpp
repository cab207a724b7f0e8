// Call frame instructions, one by one, from DWARF 5 (6.4.2, table 7.29), GCC's extensions and
// AADWARF64.
#include "symbolize/unwind/cfi_row.h"

#include <gtest/gtest.h>

#include "tests/symbolize/unwind/cfi_builder.h"

namespace residue {
namespace {

using testing::Bytes;
using testing::CfiBuilder;
using testing::fixed;
using testing::operator+;
using testing::sleb;
using testing::uleb;
using Kind = RegisterRule::Kind;

constexpr uint64_t kFrame = 0x10000, kBegin = 0x4000;

// The row at kBegin + offset of a function with these instructions.
class RowAt {
 public:
  RowAt(const Bytes& instructions, uint64_t offset,
        Architecture architecture = Architecture::kX86_64, CfiBuilder::CieParts cie = {},
        bool is_debug_frame = false)
      : builder_(kFrame, is_debug_frame) {
    if (is_debug_frame && cie.augmentation == "zR") {
      cie.augmentation.clear();
      cie.augmentation_data.clear();
    }
    const uint64_t cie_address = builder_.cie(cie);
    const uint64_t fde = builder_.fde(cie_address, kBegin, 0x100000, instructions);
    data_ = testing::to_bytes(builder_.bytes());
    bytes_.emplace(data_, kFrame);
    CfiSection section;
    section.bytes = &*bytes_;
    section.start = kFrame;
    section.end = kFrame + data_.size();
    section.is_debug_frame = is_debug_frame;
    auto entry = read_fde(section, fde);
    if (!entry) {
      row_ = std::move(entry).error();
      return;
    }
    row_ = cfi_row(section, *entry, kBegin + offset, architecture);
  }
  bool ok() const { return row_.has_value(); }
  const CfiRow& row() const { return *row_; }
  RegisterRule rule(unsigned reg) const {
    for (const auto& [number, rule] : row_->rules) {
      if (number == reg) return rule;
    }
    return {};
  }

 private:
  CfiBuilder builder_;
  std::vector<std::byte> data_;
  std::optional<CfiBytes> bytes_;
  Result<CfiRow> row_ = Error{};
};

void expect_rule(const RegisterRule& rule, Kind kind, int64_t offset) {
  EXPECT_EQ(rule.kind, kind);
  EXPECT_EQ(rule.offset, offset);
}

TEST(CfiRow, StartsWithTheInstructionsOfTheCie) {
  const RowAt at({}, 0);
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(at.row().cfa.kind, CfaRule::Kind::kRegister);
  EXPECT_EQ(at.row().cfa.reg, 7U);
  EXPECT_EQ(at.row().cfa.offset, 8);
  expect_rule(at.rule(16), Kind::kOffset, -8);
  EXPECT_EQ(at.row().return_register, 16U);
}

TEST(CfiRow, AppliesRowsUpToThePc) {
  // push rbp; mov rbp, rsp
  const Bytes code = {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6};
  EXPECT_EQ(RowAt(code, 0).row().cfa.offset, 8);
  EXPECT_EQ(RowAt(code, 1).row().cfa.offset, 16);
  expect_rule(RowAt(code, 1).rule(6), Kind::kOffset, -16);
  EXPECT_EQ(RowAt(code, 3).row().cfa.reg, 7U);
  EXPECT_EQ(RowAt(code, 4).row().cfa.reg, 6U);
  EXPECT_EQ(RowAt(code, 4).row().cfa.offset, 16);
}

TEST(CfiRow, AdvancesByEveryWidth) {
  struct Case {
    Bytes advance;
    uint64_t distance;
  };
  const Case cases[] = {{{0x7f}, 0x3f},
                        {{0x02, 200}, 200},
                        {{0x03, 0x34, 0x12}, 0x1234},
                        {{0x04, 0x00, 0x00, 0x01, 0x00}, 0x10000},
                        {Bytes{0x1d} + fixed(uint64_t{0x20000}), 0x20000}};
  for (const Case& c : cases) {
    const Bytes code = c.advance + Bytes{0x0e, 32};
    EXPECT_EQ(RowAt(code, c.distance - 1).row().cfa.offset, 8) << c.distance;
    EXPECT_EQ(RowAt(code, c.distance).row().cfa.offset, 32) << c.distance;
  }
}

TEST(CfiRow, SetsLocationsInTheEncodingOfTheSection) {
  const Bytes absolute = Bytes{0x01} + fixed(uint64_t{kBegin + 0x40}) + Bytes{0x0e, 32};
  EXPECT_EQ(RowAt(absolute, 0x3f, Architecture::kX86_64, {}, true).row().cfa.offset, 8);
  EXPECT_EQ(RowAt(absolute, 0x40, Architecture::kX86_64, {}, true).row().cfa.offset, 32);
  // "zR" with udata4.
  CfiBuilder::CieParts cie;
  cie.augmentation_data = {0x03};
  CfiBuilder builder(kFrame);
  const uint64_t cie_address = builder.cie(cie);
  builder.raw_fde(cie_address, fixed(uint32_t{kBegin}) + fixed(uint32_t{0x100}),
                  Bytes{0, 0x01} + fixed(uint32_t{kBegin + 0x20}) + Bytes{0x0e, 32});
  const auto data = testing::to_bytes(builder.bytes());
  const CfiBytes bytes(data, kFrame);
  CfiSection section;
  section.bytes = &bytes;
  section.start = kFrame;
  section.end = kFrame + data.size();
  const auto fde = read_fde(section, read_cfi_entry(section, kFrame)->next);
  ASSERT_TRUE(fde);
  EXPECT_EQ(cfi_row(section, *fde, kBegin + 0x1f, Architecture::kX86_64)->cfa.offset, 8);
  EXPECT_EQ(cfi_row(section, *fde, kBegin + 0x20, Architecture::kX86_64)->cfa.offset, 32);
}

TEST(CfiRow, MultipliesByTheCodeAlignment) {
  CfiBuilder::CieParts cie;
  cie.code_alignment = 4;
  const Bytes code = {0x42, 0x0e, 32};
  EXPECT_EQ(RowAt(code, 7, Architecture::kAArch64, cie).row().cfa.offset, 8);
  EXPECT_EQ(RowAt(code, 8, Architecture::kAArch64, cie).row().cfa.offset, 32);
}

TEST(CfiRow, KnowsEveryRegisterRule) {
  expect_rule(RowAt({0x83, 3}, 0).rule(3), Kind::kOffset, -24);
  expect_rule(RowAt(Bytes{0x05} + uleb(70) + uleb(2), 0).rule(70), Kind::kOffset, -16);
  expect_rule(RowAt(Bytes{0x11, 3} + sleb(-2), 0).rule(3), Kind::kOffset, 16);
  expect_rule(RowAt({0x2f, 3, 2}, 0).rule(3), Kind::kOffset, 16);
  expect_rule(RowAt({0x07, 3}, 0).rule(3), Kind::kUndefined, 0);
  expect_rule(RowAt({0x08, 3}, 0).rule(3), Kind::kSameValue, 0);
  expect_rule(RowAt({0x09, 3, 12}, 0).rule(3), Kind::kRegister, 12);
  expect_rule(RowAt({0x14, 3, 2}, 0).rule(3), Kind::kValOffset, -16);
  expect_rule(RowAt(Bytes{0x15, 3} + sleb(-2), 0).rule(3), Kind::kValOffset, 16);
  const RowAt expression({0x10, 3, 2, 0x77, 0x08}, 0);
  EXPECT_EQ(expression.rule(3).kind, Kind::kExpression);
  EXPECT_EQ(expression.rule(3).expression.size(), 2U);
  const RowAt value({0x16, 3, 1, 0x30}, 0);
  EXPECT_EQ(value.rule(3).kind, Kind::kValExpression);
  EXPECT_EQ(value.rule(3).expression.size(), 1U);
}

TEST(CfiRow, KnowsEveryCfaRule) {
  const RowAt plain({0x0c, 6, 40}, 0);
  EXPECT_EQ(plain.row().cfa.reg, 6U);
  EXPECT_EQ(plain.row().cfa.offset, 40);
  const RowAt scaled(Bytes{0x12, 6} + sleb(-3), 0);
  EXPECT_EQ(scaled.row().cfa.offset, 24);
  EXPECT_EQ(RowAt(Bytes{0x13} + sleb(-4), 0).row().cfa.offset, 32);
  EXPECT_EQ(RowAt({0x0d, 3}, 0).row().cfa.reg, 3U);
  EXPECT_EQ(RowAt({0x0d, 3}, 0).row().cfa.offset, 8);
  const RowAt expression({0x0f, 2, 0x77, 0x08}, 0);
  EXPECT_EQ(expression.row().cfa.kind, CfaRule::Kind::kExpression);
  // Back to a register and an offset.
  EXPECT_EQ(RowAt({0x0f, 1, 0x30, 0x0c, 7, 16}, 0).row().cfa.kind, CfaRule::Kind::kRegister);
}

TEST(CfiRow, RestoresWhatTheCieSaid) {
  expect_rule(RowAt({0x90, 5, 0xd0}, 0).rule(16), Kind::kOffset, -8);
  expect_rule(RowAt({0x07, 16, 0x06, 16}, 0).rule(16), Kind::kOffset, -8);
  EXPECT_EQ(RowAt({0x83, 3, 0xc3}, 0).rule(3).kind, Kind::kUnspecified);
}

TEST(CfiRow, RemembersRegistersAndTheCfa) {
  const Bytes code = {0x0e, 16, 0x83, 2, 0x0a, 0x0e, 8, 0xc3, 0x41, 0x0b};
  EXPECT_EQ(RowAt(code, 0).row().cfa.offset, 8);
  EXPECT_EQ(RowAt(code, 0).rule(3).kind, Kind::kUnspecified);
  EXPECT_EQ(RowAt(code, 1).row().cfa.offset, 16);
  expect_rule(RowAt(code, 1).rule(3), Kind::kOffset, -16);
}

TEST(CfiRow, PassesOverArgumentSizesAndRegistersOutOfReach) {
  EXPECT_EQ(RowAt(Bytes{0x2e} + uleb(500) + Bytes{0x0e, 24}, 0).row().cfa.offset, 24);
  const RowAt vector(Bytes{0x05} + uleb(264) + Bytes{2, 0x0e, 24}, 0);
  ASSERT_TRUE(vector.ok());
  EXPECT_EQ(vector.row().cfa.offset, 24);
}

TEST(CfiRow, FollowsAArch64ReturnAddressSigning) {
  EXPECT_FALSE(RowAt({}, 0, Architecture::kAArch64).row().return_address_is_signed);
  EXPECT_TRUE(RowAt({0x2d}, 0, Architecture::kAArch64).row().return_address_is_signed);
  EXPECT_TRUE(RowAt({0x2c}, 0, Architecture::kAArch64).row().return_address_is_signed);
  EXPECT_FALSE(RowAt({0x2d, 0x2d}, 0, Architecture::kAArch64).row().return_address_is_signed);
  // set_ra_state: the state, where it was signed.
  EXPECT_TRUE(RowAt({0x2b, 1, 0x7c}, 0, Architecture::kAArch64).row().return_address_is_signed);
  EXPECT_FALSE(RowAt({0x2d, 0x2b, 0, 0}, 0, Architecture::kAArch64).row().return_address_is_signed);
  EXPECT_FALSE(RowAt({0x2d}, 0, Architecture::kX86_64).ok());
}

TEST(CfiRow, RefusesWhatIsDamaged) {
  EXPECT_FALSE(RowAt({0x0b}, 0).ok()) << "nothing was remembered";
  EXPECT_FALSE(RowAt({0x3f}, 0).ok()) << "unknown";
  EXPECT_FALSE(RowAt(Bytes{0x0d} + uleb(5000), 0).ok()) << "no such register";
  EXPECT_FALSE(RowAt({0x0f, 120}, 0).ok()) << "expression behind the end";
  EXPECT_FALSE(RowAt(Bytes(1000, 0x0a), 0).ok()) << "remembers without end";
  // What lies behind the pc does not matter.
  EXPECT_TRUE(RowAt({0x41, 0x3f}, 0).ok());
}

TEST(CfiRow, StaysWhereAnAdvanceWraps) {
  CfiBuilder::CieParts cie;
  cie.code_alignment = ~uint64_t{0};
  const RowAt at({0x7f, 0x0e, 32}, 0x100, Architecture::kX86_64, cie);
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(at.row().cfa.offset, 8);
}

}  // namespace
}  // namespace residue
