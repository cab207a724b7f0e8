// Files that are no core this program reads: refused with the right code, and the message says why.
#include <algorithm>
#include <cctype>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/module_builder.h"
#include "tests/support/sample_core.h"

namespace residue {
namespace {

using testing::as_bytes;
using testing::ByteWriter;
using testing::CoreBuilder;
using testing::open_bytes;
using testing::SampleCore;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The message must hold one of the words (in lower case).
void expect_refusal(const testing::OpenedDump& opened, ErrorCode code,
                    const std::vector<std::string>& words) {
  ASSERT_FALSE(opened.image);
  EXPECT_EQ(opened.image.error().code, code) << to_string(opened.image.error());
  const std::string message = lower(opened.image.error().message);
  EXPECT_TRUE(std::any_of(words.begin(), words.end(), [&](const auto& w) {
    return message.find(w) != std::string::npos;
  })) << message;
}

TEST(WrongInput, AnEmptyFileIsSaidToBeEmpty) {
  const auto opened = open_bytes({});
  ASSERT_FALSE(opened.image);
  EXPECT_NE(opened.image.error().code, ErrorCode::kInternal);
  EXPECT_NE(lower(opened.image.error().message).find("empty"), std::string::npos)
      << opened.image.error().message;
}

TEST(WrongInput, TextIsNoKnownFormat) {
  const auto opened = open_bytes(as_bytes("Dear reader,\nthis is no dump.\n"));
  expect_refusal(opened, ErrorCode::kUnsupported, {known_formats()});
}

TEST(WrongInput, AMissingFileIsAnErrorOfTheSystem) {
  Diagnostics diagnostics;
  const auto image = open_dump("/nonexistent/core", {}, diagnostics);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kIo);
  EXPECT_NE(image.error().message.find("No such file"), std::string::npos);
}

TEST(WrongInput, ADirectoryIsAnErrorOfTheSystem) {
  const testing::TempDir directory;
  Diagnostics diagnostics;
  const auto image = open_dump(directory.path(""), {}, diagnostics);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kIo);
}

TEST(WrongInput, ThisProgramIsNoCore) {
  testing::OpenedDump opened;
  opened.image = open_dump("/proc/self/exe", {}, opened.diagnostics);
  expect_refusal(opened, ErrorCode::kUnsupported,
                 {"executable", "program", "shared", "not a core", "no core"});
}

TEST(WrongInput, ASharedObjectIsNoCore) {
  expect_refusal(open_bytes(testing::ModuleBuilder(1).build()), ErrorCode::kUnsupported,
                 {"shared", "executable", "not a core", "no core"});
}

TEST(WrongInput, AnObjectFileIsNoCore) {
  expect_refusal(open_bytes(SampleCore().core.lie_type(1).build()), ErrorCode::kUnsupported,
                 {"object", "relocatable", "not a core", "no core"});
}

TEST(WrongInput, AnUnknownElfTypeIsNoCore) {
  expect_refusal(open_bytes(SampleCore().core.lie_type(0xfe00).build()), ErrorCode::kUnsupported,
                 {"fe00", "65024", "not a core", "no core"});
}

TEST(WrongInput, OtherMachinesAreNamed) {
  expect_refusal(open_bytes(SampleCore().core.lie_machine(183).build()), ErrorCode::kUnsupported,
                 {"aarch64", "183"});
  expect_refusal(open_bytes(SampleCore().core.lie_machine(243).build()), ErrorCode::kUnsupported,
                 {"risc", "243"});
  expect_refusal(open_bytes(SampleCore().core.lie_machine(0x1234).build()), ErrorCode::kUnsupported,
                 {"1234", "4660"});
}

// An ELF header of class 32 of the i386 (EM_386 = 3), little-endian.
TEST(WrongInput, Cores32BitAreNamed) {
  ByteWriter out;
  out.u8(0x7f).text("ELF").u8(1).u8(1).u8(1).pad_to(16);
  out.u16(4).u16(3).u32(1).u32(0).u32(52).u32(0).u32(0);
  out.u16(52).u16(32).u16(0).u16(0).u16(0).u16(0);
  expect_refusal(open_bytes(out.pad_to(4096).data()), ErrorCode::kUnsupported,
                 {"32-bit", "32 bit", "i386", "machine 3"});
}

// An ELF header of class 64 of the s390 (EM_S390 = 22), big-endian.
TEST(WrongInput, BigEndianCoresAreNamed) {
  ByteWriter out;
  out.u8(0x7f).text("ELF").u8(2).u8(2).u8(1).pad_to(16);
  out.u8(0).u8(4).u8(0).u8(22).u8(0).u8(0).u8(0).u8(1);
  expect_refusal(open_bytes(out.pad_to(4096).data()), ErrorCode::kUnsupported,
                 {"big-endian", "big endian", "s390", "22"});
}

TEST(WrongInput, MessagesShowNoControlCharacters) {
  const auto opened = open_bytes(as_bytes("\x1b[31m\x07 not a dump \xff\xfe"));
  ASSERT_FALSE(opened.image);
  for (const char c : opened.image.error().message) {
    EXPECT_GE(static_cast<unsigned char>(c), 0x20) << opened.image.error().message;
  }
}

}  // namespace
}  // namespace residue
