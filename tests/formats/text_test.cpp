#include "formats/base/text.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"

namespace residue {
namespace {

TEST(Hex, HasAPrefixAndNoPadding) {
  EXPECT_EQ(hex(0), "0x0");
  EXPECT_EQ(hex(0x7f00), "0x7f00");
  EXPECT_EQ(hex(~uint64_t{0}), "0xffffffffffffffff");
}

TEST(HexBytes, WritesTwoDigitsAByte) {
  const auto bytes = testing::ByteWriter().u8(0x1a).u8(0x00).u8(0xff).take();
  EXPECT_EQ(hex_bytes(bytes), "1a00ff");
  EXPECT_EQ(hex_bytes({}), "");
}

TEST(BaseName, IsWhatFollowsTheLastSlash) {
  EXPECT_EQ(base_name("/usr/lib/libc.so.6"), "libc.so.6");
  EXPECT_EQ(base_name("libc.so.6"), "libc.so.6");
  EXPECT_EQ(base_name("/usr/lib/"), "");
  EXPECT_EQ(base_name(""), "");
}

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(printable("plain text, 100%"), "plain text, 100%");
  EXPECT_EQ(printable("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, ReplacesControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31mb"), "a.[31mb");
  EXPECT_EQ(printable("a\nb\tc\rd\x07"
                      "e\x7f"),
            "a.b.c.d.e.");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a.b");
}

// U+0080 to U+009F: terminals take U+009B for the start of an escape sequence.
TEST(Printable, ReplacesC1Controls) {
  EXPECT_EQ(printable("a\xc2\x9b"
                      "31mb"),
            "a.31mb");
  EXPECT_EQ(printable("\xc2\x80\xc2\x9f"), "..");
  EXPECT_EQ(printable("\xc2\xa0"), "\xc2\xa0");
}

TEST(Printable, ReplacesStrayBytes) {
  EXPECT_EQ(printable("a\x80z"), "a?z");
  EXPECT_EQ(printable("a\x9bz"), "a?z");
  EXPECT_EQ(printable("a\xffz"), "a?z");
  EXPECT_EQ(printable("a\xfez"), "a?z");
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF, no sequence cut short. How
// many '?' stand for one of those is left open.
TEST(Printable, LetsNoInvalidSequenceThrough) {
  for (const std::string bad :
       {"\xc0\xaf", "\xc1\x81", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xf0\x80\x80\xaf",
        "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98"}) {
    const std::string shown = printable("<" + bad + ">");
    ASSERT_GE(shown.size(), 3U) << testing::as_bytes(bad).size();
    EXPECT_EQ(shown.front(), '<');
    EXPECT_EQ(shown.back(), '>') << hex_bytes(testing::as_bytes(bad));
    EXPECT_TRUE(std::all_of(shown.begin() + 1, shown.end() - 1, [](char c) { return c == '?'; }))
        << hex_bytes(testing::as_bytes(bad)) << " became " << hex_bytes(testing::as_bytes(shown));
    EXPECT_EQ(printable(bad).find_first_not_of('?'), std::string::npos);
  }
}

TEST(Printable, GoesOnBehindAnInvalidByte) {
  EXPECT_EQ(printable("\xe2\x82"
                      "A\xc3\xa9")
                .substr(printable("\xe2\x82"
                                  "A\xc3\xa9")
                            .find('A')),
            "A\xc3\xa9");
}

}  // namespace
}  // namespace residue
