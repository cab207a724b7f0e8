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
  expect_refusal(open_bytes(SampleCore().core.lie_machine(43).build()), ErrorCode::kUnsupported,
                 {"sparc"});
  expect_refusal(open_bytes(SampleCore().core.lie_machine(50).build()), ErrorCode::kUnsupported,
                 {"itanium"});
  expect_refusal(open_bytes(SampleCore().core.lie_machine(0x1234).build()), ErrorCode::kUnsupported,
                 {"4660"});
}

// A machine that is read, in a width or byte order that does not exist.
TEST(WrongInput, OtherWidthsAndOrdersAreNamed) {
  expect_refusal(open_bytes(SampleCore().core.lie_machine(3).build()), ErrorCode::kUnsupported,
                 {"x86, 64-bit, little-endian"});
  expect_refusal(open_bytes(SampleCore().core.lie_machine(22).build()), ErrorCode::kUnsupported,
                 {"s/390, 64-bit, little-endian"});
}

TEST(WrongInput, KernelMinidumpsOfFreeBsdAreNamed) {
  expect_refusal(open_bytes(ByteWriter().text("minidump FreeBSD/amd64").zeros(4096).data()),
                 ErrorCode::kUnsupported, {"freebsd kernel"});
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
