// Wrong expressions: every truncation, every number that is no operation, endless work, and what
// the messages say.
#include <gtest/gtest.h>

#include <set>

#include "symbolize/dwarf/expression.h"
#include "tests/symbolize/expression_support.h"

namespace residue {
namespace {

using testing::code;
using testing::FakeProcess;
using testing::little;
using testing::operator+;

Error error_of(const std::vector<std::byte>& bytes, const ExpressionContext& context) {
  auto pieces = evaluate_location(bytes, little(8), context);
  EXPECT_FALSE(pieces.has_value());
  return pieces ? Error{} : std::move(pieces).error();
}

Error error_of(const std::vector<std::byte>& bytes) { return error_of(bytes, FakeProcess()); }

// An operation with what must be on the stack before it.
struct Sample {
  std::vector<std::byte> before;
  std::vector<std::byte> operation;
};

// Every operation that has operands, whole.
std::vector<Sample> operations_with_operands() {
  const auto address = code({0x71, 0});  // breg1: 0x2000, which can be read
  std::vector<Sample> samples = {
      {{}, code({0x03, 0, 0, 0, 0, 0, 0, 0, 1})},
      {{}, code({0x08, 1})},
      {{}, code({0x09, 1})},
      {{}, code({0x0a, 1, 1})},
      {{}, code({0x0b, 1, 1})},
      {{}, code({0x0c, 1, 1, 1, 1})},
      {{}, code({0x0d, 1, 1, 1, 1})},
      {{}, code({0x0e, 1, 1, 1, 1, 1, 1, 1, 1})},
      {{}, code({0x0f, 1, 1, 1, 1, 1, 1, 1, 1})},
      {{}, code({0x10, 0x81, 1})},
      {{}, code({0x11, 0x81, 1})},
      {address, code({0x15, 0})},
      {address, code({0x23, 0x81, 1})},
      {address + address, code({0x28, 0, 0})},
      {address, code({0x2f, 0, 0})},
      {{}, code({0x90, 0x81, 0})},
      {{}, code({0x91, 0x81, 1})},
      {{}, code({0x92, 0x81, 0, 0x81, 1})},
      {address, code({0x93, 0x81, 1})},
      {address, code({0x94, 4})},
      {{}, code({0x98, 1, 0})},
      {{}, code({0x99, 1, 0, 0, 0})},
      {{}, code({0x9a, 1, 0, 0, 0})},
      {address, code({0x9d, 0x81, 1, 0x81, 1})},
      {{}, code({0x9e, 2, 1, 1})},
      {{}, code({0xa0, 1, 0, 0, 0, 0x81, 1})},
      {{}, code({0xa1, 0x81, 1})},
      {{}, code({0xa2, 0x81, 1})},
      {{}, code({0xa3, 1, 0x50})},
      {{}, code({0xa4, 24, 4, 0, 0, 1, 0})},
      {{}, code({0xa5, 1, 24})},
      {address, code({0xa6, 4, 24})},
      {address, code({0xa8, 24})},
      {address, code({0xa9, 27})},
      {{}, code({0xf1, 0x04, 1, 1, 1, 1, 1, 1, 1, 1})},
      {{}, code({0xf2, 1, 0, 0, 0, 0x81, 1})},
      {{}, code({0xf3, 1, 0x50})},
      {{}, code({0xf4, 24, 4, 0, 0, 1, 0})},
      {{}, code({0xf5, 1, 24})},
      {address, code({0xf6, 4, 24})},
      {address, code({0xf7, 24})},
      {address, code({0xf9, 27})},
      {{}, code({0xfa, 1, 0, 0, 0})},
      {{}, code({0xfb, 0x81, 1})},
      {{}, code({0xfc, 0x81, 1})},
      {{}, code({0xfd, 1, 0, 0, 0})},
  };
  for (int r = 0; r < 32; ++r) samples.push_back({{}, code({0x70 + r, 0x81, 1})});
  return samples;
}

TEST(ExpressionBounds, RefusesEveryTruncation) {
  FakeProcess process;
  process.entries[{1, false}] = code({0x31});
  process.entries[{1, true}] = code({0x31});
  for (const Sample& sample : operations_with_operands()) {
    const auto number = std::to_integer<unsigned>(sample.operation[0]);
    const auto whole = evaluate_location(sample.before + sample.operation, little(8), process);
    EXPECT_TRUE(whole.has_value()) << std::hex << number << ": " << whole.error().message;
    for (size_t size = 1; size < sample.operation.size(); ++size) {
      const std::vector<std::byte> cut(sample.operation.begin(),
                                       sample.operation.begin() + static_cast<ptrdiff_t>(size));
      const Error error = error_of(sample.before + cut, process);
      EXPECT_EQ(error.code, ErrorCode::kTruncated) << std::hex << number << " cut to " << size;
    }
  }
}

TEST(ExpressionBounds, RefusesEveryOperationWithoutItsOperandsOnTheStack) {
  std::vector<std::vector<std::byte>> alone = {
      code({0x06}), code({0x12}), code({0x13}),     code({0x15, 0}),    code({0x19}),
      code({0x1f}), code({0x20}), code({0x23, 1}),  code({0x28, 0, 0}), code({0x94, 1}),
      code({0x9b}), code({0x9f}), code({0xa8, 24}), code({0xe0}),       code({0xa6, 4, 24})};
  for (const auto& bytes : alone) EXPECT_EQ(error_of(bytes).code, ErrorCode::kCorrupt);
  std::vector<int> pairs = {0x14, 0x16, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x21, 0x22, 0x24,
                            0x25, 0x26, 0x27, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e};
  for (const int operation : pairs) {
    EXPECT_EQ(error_of(code({operation})).code, ErrorCode::kCorrupt) << operation;
    EXPECT_EQ(error_of(code({0x31, operation})).code, ErrorCode::kCorrupt) << operation;
  }
  EXPECT_EQ(error_of(code({0x31, 0x32, 0x17})).message,
            "DW_OP_rot at 0x2: the stack has only 2 values");
  EXPECT_EQ(error_of(code({0x31, 0x32, 0x15, 2})).code, ErrorCode::kCorrupt);
}

TEST(ExpressionBounds, RefusesNumbersThatAreNoOperation) {
  const std::set<int> gnu = {0xe0, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5,
                             0xf6, 0xf7, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd};
  std::vector<int> unknown = {0x00, 0x01, 0x02, 0x04, 0x05, 0x07};
  for (int number = 0xaa; number < 0x100; ++number) {
    if (!gnu.contains(number)) unknown.push_back(number);
  }
  for (const int number : unknown) {
    EXPECT_EQ(error_of(code({0x31, number, 0, 0, 0, 0})).code, ErrorCode::kUnsupported) << number;
  }
  EXPECT_EQ(error_of(code({0x31, 0xed})).message,
            "operation 0xed at 0x1: an operation that is not known");
}

TEST(ExpressionBounds, RefusesOtherAddressSpaces) {
  for (const auto& operation : {code({0x18}), code({0x95, 4}), code({0xa7, 4, 24})}) {
    EXPECT_EQ(error_of(code({0x31, 0x71, 0}) + operation).code, ErrorCode::kUnsupported);
  }
}

TEST(ExpressionBounds, EndsEndlessLoops) {
  EXPECT_EQ(error_of(code({0x2f, 0xfd, 0xff})).code, ErrorCode::kCorrupt);  // skip to itself
  EXPECT_EQ(error_of(code({0x31, 0x2f, 0xfc, 0xff})).message,
            "DW_OP_lit1 at 0x0: more than 256 values");
  EXPECT_EQ(error_of(code({0x31, 0x12, 0x28, 0xfc, 0xff})).message,  // dup, bra back
            "DW_OP_bra at 0x2: more than 10000 steps");
}

TEST(ExpressionBounds, EndsEndlessCalls) {
  FakeProcess process;
  process.entries[{7, false}] = code({0x98, 7, 0});  // calls itself
  EXPECT_EQ(error_of(code({0x98, 7, 0}), process).message,
            "DW_OP_call2 at 0x0: DW_OP_call2 at 0x0: DW_OP_call2 at 0x0: DW_OP_call2 at 0x0: "
            "DW_OP_call2 at 0x0: calls are nested too deeply");
  // Wide instead of deep: 100 calls an entry, four deep, would be 10^8 steps.
  std::vector<std::byte> many;
  for (int i = 0; i < 100; ++i) many = std::move(many) + code({0x98, 8, 0});
  process.entries[{7, false}] = many;
  process.entries[{8, false}] = many;
  EXPECT_EQ(error_of(many, process).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(code({0x98, 9, 0}), process).code, ErrorCode::kNotFound);
}

TEST(ExpressionBounds, RefusesJumpsOutOfTheExpression) {
  EXPECT_EQ(error_of(code({0x31, 0x2f, 1, 0})).message,
            "DW_OP_skip at 0x1: jumps out of the expression");
  EXPECT_EQ(error_of(code({0x31, 0x2f, 0xfb, 0xff})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(code({0x31, 0x31, 0x28, 0xff, 0x7f})).code, ErrorCode::kCorrupt);
}

TEST(ExpressionBounds, RefusesImpossibleNumbers) {
  EXPECT_EQ(error_of(code({0x31, 0x30, 0x1b})).message, "DW_OP_div at 0x2: division by zero");
  EXPECT_EQ(error_of(code({0x31, 0x30, 0x1d})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(code({0x71, 0, 0x94, 0})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(code({0x71, 0, 0x94, 9})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(code({0x90, 0xff, 0xff, 0xff, 0xff, 0x0f})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(code({0xf1, 0x10, 0, 0, 0, 0, 0, 0, 0, 0})).code, ErrorCode::kUnsupported);
  EXPECT_EQ(error_of(code({0xf1, 0x07, 0})).code, ErrorCode::kCorrupt);
  // A piece of 2^64 - 1 bytes.
  EXPECT_EQ(
      error_of(code({0x31, 0x93, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})).code,
      ErrorCode::kCorrupt);
}

TEST(ExpressionBounds, RefusesAPlaceThatGoesOn) {
  EXPECT_EQ(error_of(code({0x53, 0x31})).message,
            "DW_OP_lit1 at 0x1: follows a complete location, where only DW_OP_piece may");
  EXPECT_EQ(error_of(code({0x31, 0x9f, 0x23, 1})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(error_of(code({0x53, 0x93, 4, 0x54})).message, "the last place is not part of a piece");
  EXPECT_EQ(error_of(code({0x96})).message, "the expression leaves nothing on the stack");
}

TEST(ExpressionBounds, SaysWhatIsNotKnown) {
  const ExpressionContext nothing;
  const auto message = [&](std::initializer_list<int> bytes) {
    const Error error = error_of(code(bytes), nothing);
    EXPECT_EQ(error.code, ErrorCode::kNotFound);
    return error.message;
  };
  EXPECT_EQ(message({0x75, 0}), "DW_OP_breg5 at 0x0: register 5 is not known");
  EXPECT_EQ(message({0x31, 0x92, 70, 0}), "DW_OP_bregx at 0x1: register 70 is not known");
  EXPECT_EQ(message({0x91, 0}), "DW_OP_fbreg at 0x0: the frame's base is not known");
  EXPECT_EQ(message({0x9c}), "DW_OP_call_frame_cfa at 0x0: the call frame's address is not known");
  EXPECT_EQ(message({0xa1, 3}), "DW_OP_addrx at 0x0: address 3 is not known");
  EXPECT_EQ(message({0x31, 0xe0}),
            "DW_OP_GNU_push_tls_address at 0x1: the place of thread-local variables is not known");
  EXPECT_EQ(message({0xa3, 1, 0x55}),
            "DW_OP_entry_value at 0x0: what it was at the function's entry is not known");
  EXPECT_EQ(message({0x97}), "DW_OP_push_object_address at 0x0: the object's address is not known");
  const Error unread = error_of(code({0x31, 0x06}), nothing);
  EXPECT_EQ(unread.code, ErrorCode::kNotMapped);
  EXPECT_EQ(unread.message, "DW_OP_deref at 0x1: memory at 0x1 cannot be read");
}

TEST(ExpressionBounds, RefusesOddAddressSizes) {
  for (const unsigned size : {0U, 3U, 5U, 16U}) {
    const auto value = evaluate_value(code({0x31}), little(size), FakeProcess());
    ASSERT_FALSE(value.has_value());
    EXPECT_EQ(value.error().code, ErrorCode::kUnsupported);
  }
  EXPECT_EQ(evaluate_value(code({0x30, 0x20}), little(2), FakeProcess()).value_or(0), 0xffffU);
}

}  // namespace
}  // namespace residue
