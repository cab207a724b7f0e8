// From the specification: DWARF 5, sections 2.5 and 2.6. Expected values are worked out by hand.
#include "symbolize/dwarf/expression.h"

#include <gtest/gtest.h>

#include "tests/symbolize/expression_support.h"

namespace residue {
namespace {

using testing::big;
using testing::code;
using testing::FakeProcess;
using testing::little;
using testing::operator+;
using Kind = LocationPiece::Kind;

uint64_t value_of(const std::vector<std::byte>& bytes, const ExpressionFormat& format = little(8),
                  std::optional<uint64_t> initial = {}) {
  const FakeProcess process;
  const auto value = evaluate_value(bytes, format, process, initial);
  EXPECT_TRUE(value.has_value()) << value.error().message;
  return value.value_or(0xdeadbeefdeadbeef);
}

std::vector<LocationPiece> location_of(const std::vector<std::byte>& bytes,
                                       const ExpressionFormat& format = little(8)) {
  const FakeProcess process;
  auto pieces = evaluate_location(bytes, format, process);
  EXPECT_TRUE(pieces.has_value()) << pieces.error().message;
  return pieces.value_or({});
}

TEST(Expression, PushesConstants) {
  for (int i = 0; i < 32; ++i) EXPECT_EQ(value_of(code({0x30 + i})), static_cast<uint64_t>(i));
  EXPECT_EQ(value_of(code({0x08, 0xff})), 0xffU);       // const1u
  EXPECT_EQ(value_of(code({0x09, 0xff})), UINT64_MAX);  // const1s
  EXPECT_EQ(value_of(code({0x09, 0xff}), little(4)), 0xffffffffU);
  EXPECT_EQ(value_of(code({0x0a, 0x34, 0xf2})), 0xf234U);                 // const2u
  EXPECT_EQ(value_of(code({0x0b, 0x34, 0xf2})), 0xfffffffffffff234U);     // const2s
  EXPECT_EQ(value_of(code({0x0c, 1, 2, 3, 0x84})), 0x84030201U);          // const4u
  EXPECT_EQ(value_of(code({0x0d, 1, 2, 3, 0x84})), 0xffffffff84030201U);  // const4s
  EXPECT_EQ(value_of(code({0x0e, 1, 2, 3, 4, 5, 6, 7, 0x88})), 0x8807060504030201U);
  EXPECT_EQ(value_of(code({0x0f, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})), UINT64_MAX - 1);
  EXPECT_EQ(value_of(code({0x0e, 1, 2, 3, 4, 5, 6, 7, 8}), little(4)), 0x04030201U);
  EXPECT_EQ(value_of(code({0x10, 0x80, 1})), 128U);     // constu
  EXPECT_EQ(value_of(code({0x11, 0x7f})), UINT64_MAX);  // consts
}

TEST(Expression, ReadsOperandsInTheOrderOfTheProcess) {
  EXPECT_EQ(value_of(code({0x0a, 0x12, 0x34}), big(8)), 0x1234U);
  EXPECT_EQ(value_of(code({0x0d, 0x84, 3, 2, 1}), big(8)), 0xffffffff84030201U);
  EXPECT_EQ(value_of(code({0x03, 0, 0, 0x12, 0x34}), big(4)), 0x501234U);  // addr, relocated
  // Memory at 0x2000 holds 00 01 02 03…
  EXPECT_EQ(value_of(code({0x71, 0, 0x06}), big(8)), 0x0001020304050607U);  // breg1, deref
  EXPECT_EQ(value_of(code({0x71, 0, 0x94, 2}), big(8)), 0x0001U);           // deref_size
  EXPECT_EQ(value_of(code({0x31, 0x2f, 0, 1, 0x32, 0x33}), big(8)), 3U);    // skip 1
}

TEST(Expression, ArrangesTheStack) {
  const auto one_two_three = code({0x31, 0x32, 0x33});
  EXPECT_EQ(value_of(one_two_three + code({0x12, 0x22})), 6U);  // dup: 3 + 3
  EXPECT_EQ(value_of(one_two_three + code({0x13})), 2U);        // drop
  EXPECT_EQ(value_of(one_two_three + code({0x14})), 2U);        // over
  EXPECT_EQ(value_of(one_two_three + code({0x15, 0})), 3U);     // pick
  EXPECT_EQ(value_of(one_two_three + code({0x15, 2})), 1U);
  EXPECT_EQ(value_of(one_two_three + code({0x16})), 2U);  // swap
  EXPECT_EQ(value_of(one_two_three + code({0x16, 0x13})), 3U);
  EXPECT_EQ(value_of(one_two_three + code({0x17})), 2U);  // rot: 3 1 2
  EXPECT_EQ(value_of(one_two_three + code({0x17, 0x13})), 1U);
  EXPECT_EQ(value_of(one_two_three + code({0x17, 0x13, 0x13})), 3U);
}

TEST(Expression, CalculatesInTheWidthOfAnAddress) {
  const auto minus_one = code({0x09, 0xff});
  EXPECT_EQ(value_of(minus_one + code({0x32, 0x22})), 1U);  // plus wraps
  EXPECT_EQ(value_of(minus_one + code({0x32, 0x22}), little(4)), 1U);
  EXPECT_EQ(value_of(code({0x31, 0x32, 0x1c}), little(4)), 0xffffffffU);  // minus
  EXPECT_EQ(value_of(code({0x31, 0x32, 0x1c})), UINT64_MAX);
  EXPECT_EQ(value_of(code({0x35, 0x33, 0x1e})), 15U);                        // mul
  EXPECT_EQ(value_of(code({0x0c, 0, 0, 1, 0, 0x12, 0x1e}), little(4)), 0U);  // 2^16 squared
  EXPECT_EQ(value_of(code({0x35, 0x23, 0x80, 1})), 133U);                    // plus_uconst
  EXPECT_EQ(value_of(minus_one + code({0x23, 2}), little(4)), 1U);
  EXPECT_EQ(value_of(code({0x3c, 0x3a, 0x1a})), 8U);                // and: 12 & 10
  EXPECT_EQ(value_of(code({0x3c, 0x3a, 0x21})), 14U);               // or
  EXPECT_EQ(value_of(code({0x3c, 0x3a, 0x27})), 6U);                // xor
  EXPECT_EQ(value_of(code({0x30, 0x20}), little(4)), 0xffffffffU);  // not
  EXPECT_EQ(value_of(code({0x31, 0x1f}), little(4)), 0xffffffffU);  // neg
  EXPECT_EQ(value_of(code({0x09, 0xfb, 0x19}), little(4)), 5U);     // abs(-5)
  EXPECT_EQ(value_of(code({0x35, 0x19})), 5U);
}

TEST(Expression, DividesSignedAndTakesRemaindersUnsigned) {
  const auto minus_seven = code({0x09, 0xf9});
  EXPECT_EQ(value_of(minus_seven + code({0x32, 0x1b})), static_cast<uint64_t>(-3));
  EXPECT_EQ(value_of(minus_seven + code({0x32, 0x1b}), little(4)), 0xfffffffdU);
  EXPECT_EQ(value_of(code({0x37, 0x09, 0xfe, 0x1b})), static_cast<uint64_t>(-3));
  EXPECT_EQ(value_of(code({0x37, 0x33, 0x1d})), 1U);
  EXPECT_EQ(value_of(minus_seven + code({0x3a, 0x1d})), (UINT64_MAX - 6) % 10);
  EXPECT_EQ(value_of(minus_seven + code({0x3a, 0x1d}), little(4)), 0xfffffff9U % 10);
  // The one quotient that overflows.
  EXPECT_EQ(value_of(code({0x0d, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b}), little(4)), 0x80000000U);
  EXPECT_EQ(value_of(code({0x0e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b})), uint64_t{1} << 63);
}

TEST(Expression, ShiftsTheWholeWidthOut) {
  EXPECT_EQ(value_of(code({0x31, 0x34, 0x24})), 16U);  // shl
  EXPECT_EQ(value_of(code({0x33, 0x08, 31, 0x24}), little(4)), 0x80000000U);
  EXPECT_EQ(value_of(code({0x31, 0x08, 64, 0x24})), 0U);
  EXPECT_EQ(value_of(code({0x31, 0x08, 32, 0x24}), little(4)), 0U);
  EXPECT_EQ(value_of(code({0x09, 0x80, 0x34, 0x25}), little(4)), 0x0ffffff8U);  // shr: zeros in
  EXPECT_EQ(value_of(code({0x09, 0x80, 0x08, 64, 0x25})), 0U);
  EXPECT_EQ(value_of(code({0x09, 0x80, 0x34, 0x26}), little(4)), 0xfffffff8U);  // shra: sign in
  EXPECT_EQ(value_of(code({0x09, 0x80, 0x34, 0x26})), static_cast<uint64_t>(-8));
  EXPECT_EQ(value_of(code({0x09, 0x80, 0x09, 0xff, 0x26})), UINT64_MAX);  // by a huge count
  EXPECT_EQ(value_of(code({0x3f, 0x08, 200, 0x26})), 0U);
}

TEST(Expression, ComparesSigned) {
  const auto minus_one_and_one = code({0x09, 0xff, 0x31});
  const int operations[] = {0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e};  // eq ge gt le lt ne
  const uint64_t less[] = {0, 0, 0, 1, 1, 1};
  const uint64_t equal[] = {1, 1, 0, 1, 0, 0};
  const uint64_t greater[] = {0, 1, 1, 0, 0, 1};
  for (int i = 0; i < 6; ++i) {
    for (const unsigned width : {4U, 8U}) {
      const auto operation = code({operations[i]});
      EXPECT_EQ(value_of(minus_one_and_one + operation, little(width)), less[i]) << i;
      EXPECT_EQ(value_of(code({0x35, 0x35}) + operation, little(width)), equal[i]) << i;
      EXPECT_EQ(value_of(code({0x31, 0x09, 0xff}) + operation, little(width)), greater[i]) << i;
    }
  }
}

TEST(Expression, Jumps) {
  EXPECT_EQ(value_of(code({0x31, 0x2f, 1, 0, 0x32, 0x33})), 3U);  // skip over lit2
  EXPECT_EQ(value_of(code({0x31, 0x2f, 1, 0, 0x32})), 1U);        // to the end
  EXPECT_EQ(value_of(code({0x31, 0x30, 0x28, 1, 0, 0x32})), 2U);  // bra: not taken
  EXPECT_EQ(value_of(code({0x31, 0x35, 0x28, 1, 0, 0x32})), 1U);  // taken
  // lit10, then count down: lit1 minus dup bra(-6); leaves 0.
  EXPECT_EQ(value_of(code({0x3a, 0x31, 0x1c, 0x12, 0x28, 0xfa, 0xff})), 0U);
}

TEST(Expression, ReadsRegistersAndFrame) {
  for (int r = 0; r < 32; ++r) {
    EXPECT_EQ(value_of(code({0x70 + r, 0x7c})), 0x1000U * (static_cast<unsigned>(r) + 1) - 4);
  }
  EXPECT_EQ(value_of(code({0x92, 39, 0x80, 1})), 0x28080U);     // bregx 39, +128
  EXPECT_EQ(value_of(code({0x91, 0x70})), 0x7ff000U - 16);      // fbreg
  EXPECT_EQ(value_of(code({0x9c})), 0x7ff010U);                 // call_frame_cfa
  EXPECT_EQ(value_of(code({0x97})), 0x0b1ec7U);                 // push_object_address
  EXPECT_EQ(value_of(code({0x32, 0x22}), little(8), 40), 42U);  // what was pushed first
  FakeProcess process;
  process.registers[5] = 0xffffffff12345678;  // a 64-bit register of an ILP32 program
  EXPECT_EQ(evaluate_value(code({0x75, 8}), little(4), process).value_or(0), 0x12345680U);
}

TEST(Expression, ReadsMemory) {
  EXPECT_EQ(value_of(code({0x71, 0, 0x06})), 0x0706050403020100U);
  EXPECT_EQ(value_of(code({0x71, 0, 0x06}), little(4)), 0x03020100U);
  EXPECT_EQ(value_of(code({0x71, 5, 0x94, 1})), 5U);
  EXPECT_EQ(value_of(code({0x71, 5, 0x94, 3})), 0x070605U);
}

TEST(Expression, RelocatesAddressesButNotConstants) {
  EXPECT_EQ(value_of(code({0x03, 0x34, 0x12, 0, 0, 0, 0, 0, 0})), 0x501234U);
  EXPECT_EQ(value_of(code({0xa1, 0x81, 1})), 0x504081U);  // addrx 129
  EXPECT_EQ(value_of(code({0xfb, 7})), 0x504007U);        // GNU_addr_index
  EXPECT_EQ(value_of(code({0xa2, 7})), 0x4007U);          // constx
  EXPECT_EQ(value_of(code({0xfc, 7})), 0x4007U);          // GNU_const_index
  EXPECT_EQ(value_of(code({0xa2, 7, 0x9b})), 0x7a4007U);  // form_tls_address
  EXPECT_EQ(value_of(code({0x38, 0xe0})), 0x7a0008U);     // GNU_push_tls_address
  EXPECT_EQ(value_of(code({0xf1, 0x0b, 0xfc, 0xff, 0xff, 0xff})), 0x4ffffcU);  // GNU_encoded_addr
  EXPECT_EQ(value_of(code({0xf1, 0x02, 0x34, 0x12})), 0x501234U);
  EXPECT_EQ(value_of(code({0xf1, 0x01, 0x80, 0x01})), 0x500080U);
}

TEST(Expression, AsksForWhatOnlyTheCallerKnows) {
  EXPECT_EQ(value_of(code({0xa3, 1, 0x55})), 0xe0055U);  // entry_value(reg5)
  EXPECT_EQ(value_of(code({0xf3, 1, 0x54, 0x31, 0x22})), 0xe0055U);
  EXPECT_EQ(value_of(code({0xfa, 0x10, 0, 0, 0})), 0xaa10U);  // GNU_parameter_ref
  EXPECT_EQ(value_of(code({0xfd, 0x10, 0, 0, 0})), 0xbb10U);  // GNU_variable_value
  ExpressionFormat old = little(8);
  old.version = 2;  // references to entries are as wide as addresses there
  EXPECT_EQ(value_of(code({0xfd, 0x10, 0, 0, 0, 0, 0, 0, 0}), old), 0xbb10U);
  ExpressionFormat wide = little(4);
  wide.offset_size = 8;
  EXPECT_EQ(value_of(code({0xfd, 0x10, 0, 0, 0, 0, 0, 0, 0}), wide), 0xbb10U);
}

TEST(Expression, CallsOtherEntries) {
  FakeProcess process;
  process.entries[{0x40, false}] = code({0x23, 5});  // plus_uconst 5
  process.entries[{0x41, false}] = {};               // an entry without a location
  process.entries[{0x40, true}] = code({0x23, 7});
  const auto run = [&](const std::vector<std::byte>& bytes) {
    return evaluate_value(bytes, little(8), process).value_or(0);
  };
  EXPECT_EQ(run(code({0x31, 0x98, 0x40, 0})), 6U);        // call2
  EXPECT_EQ(run(code({0x31, 0x99, 0x40, 0, 0, 0})), 6U);  // call4
  EXPECT_EQ(run(code({0x31, 0x9a, 0x40, 0, 0, 0})), 8U);  // call_ref
  EXPECT_EQ(run(code({0x31, 0x98, 0x41, 0})), 1U);
}

TEST(Expression, SaysWhereAVariableIs) {
  const auto memory = location_of(code({0x91, 0x70}));
  ASSERT_EQ(memory.size(), 1U);
  EXPECT_EQ(memory[0].kind, Kind::kMemory);
  EXPECT_EQ(memory[0].value, 0x7feff0U);
  EXPECT_EQ(memory[0].bit_size, 0U);
  for (int r = 0; r < 32; ++r) {
    const auto reg = location_of(code({0x50 + r}));
    ASSERT_EQ(reg.size(), 1U);
    EXPECT_EQ(reg[0].kind, Kind::kRegister);
    EXPECT_EQ(reg[0].value, static_cast<uint64_t>(r));
  }
  EXPECT_EQ(location_of(code({0x90, 0x81, 1})).at(0).value, 129U);  // regx
  const auto value = location_of(code({0x75, 4, 0x9f}));            // stack_value
  EXPECT_EQ(value.at(0).kind, Kind::kValue);
  EXPECT_EQ(value.at(0).value, 0x6004U);
  const auto three_bytes = code({0x9e, 3, 7, 8, 9});
  const auto implicit = location_of(three_bytes);
  EXPECT_EQ(implicit.at(0).kind, Kind::kImplicit);
  EXPECT_EQ(std::vector(implicit.at(0).bytes.begin(), implicit.at(0).bytes.end()), code({7, 8, 9}));
  for (const int operation : {0xa0, 0xf2}) {
    const auto pointer = location_of(code({operation, 0x78, 0x56, 0, 0, 0x7c}));
    EXPECT_EQ(pointer.at(0).kind, Kind::kImplicitPointer);
    EXPECT_EQ(pointer.at(0).value, 0x5678U);
    EXPECT_EQ(pointer.at(0).pointer_offset, -4);
  }
  const auto none = location_of({});
  ASSERT_EQ(none.size(), 1U);
  EXPECT_EQ(none[0].kind, Kind::kNone);
}

TEST(Expression, IgnoresNotesOnALocation) {
  EXPECT_EQ(location_of(code({0x53, 0xf0})).at(0).kind, Kind::kRegister);  // GNU_uninit
  EXPECT_EQ(location_of(code({0x96, 0x73, 8, 0x96})).at(0).value, 0x4008U);
}

// DWARF 5, D.1.2: a variable whose first four bytes are in a register, and the next in memory.
TEST(Expression, PutsPiecesTogether) {
  const auto pieces = location_of(
      code({0x53, 0x93, 4, 0x55, 0x93, 2, 0x91, 8, 0x93, 2, 0x93, 6, 0x35, 0x9f, 0x93, 1}));
  ASSERT_EQ(pieces.size(), 5U);
  EXPECT_EQ(pieces[0].kind, Kind::kRegister);
  EXPECT_EQ(pieces[0].value, 3U);
  EXPECT_EQ(pieces[0].bit_size, 32U);
  EXPECT_EQ(pieces[1].value, 5U);
  EXPECT_EQ(pieces[1].bit_size, 16U);
  EXPECT_EQ(pieces[2].kind, Kind::kMemory);
  EXPECT_EQ(pieces[2].value, 0x7ff008U);
  EXPECT_EQ(pieces[3].kind, Kind::kNone) << "nothing before DW_OP_piece: optimised out";
  EXPECT_EQ(pieces[3].bit_size, 48U);
  EXPECT_EQ(pieces[4].kind, Kind::kValue);
  EXPECT_EQ(pieces[4].value, 5U);
  const auto bits = location_of(code({0x51, 0x9d, 12, 0x80, 1, 0x30, 0x9d, 4, 0}));  // bit_piece
  ASSERT_EQ(bits.size(), 2U);
  EXPECT_EQ(bits[0].bit_size, 12U);
  EXPECT_EQ(bits[0].bit_offset, 128U);
  EXPECT_EQ(bits[1].kind, Kind::kMemory);
  EXPECT_EQ(bits[1].bit_size, 4U);
}

TEST(Expression, TakesARegisterAsItsValueWhereAValueIsAsked) {
  EXPECT_EQ(value_of(code({0x53})), 0x4000U);
  EXPECT_EQ(value_of(code({0x33, 0x9f})), 3U);
  EXPECT_EQ(value_of(code({0x9e, 2, 0x34, 0x12})), 0x1234U);
}

}  // namespace
}  // namespace residue
