// Compressed dumps: every kind whole, in several frames, cut, damaged, with something else inside.
// The compressors are the libraries' own.
#include <algorithm>

#include "gtest/gtest.h"
#include "tests/support/bytes.h"
#include "tests/support/dump_file.h"
#include "tests/support/image_laws.h"
#include "tests/support/module_builder.h"
#include "tests/support/packers.h"
#include "tests/support/sample_core.h"

namespace residue {
namespace {

using testing::as_bytes;
using testing::ByteWriter;
using testing::open_bytes;
using testing::OpenedDump;
using testing::pack_in_frames;
using testing::Packer;
using testing::packer;
using testing::packers;
using testing::SampleCore;
using Bytes = std::vector<std::byte>;

constexpr size_t kNoise = size_t{1500} << 10;

// A small core, and memory that does not compress: many blocks in every format.
const Bytes& core() {
  static const Bytes kCore = [] {
    SampleCore sample;
    sample.core.add_load(0x7e0000000000, testing::kReadable | testing::kWritable,
                         testing::noise(kNoise, 5));
    return sample.core.build();
  }();
  return kCore;
}

// Where an image has bytes of the dump, they are those of the plain one.
void expect_same_bytes(const Image& image, const Image& plain) {
  for (const Region& region : image.regions) {
    if (region.backing != Backing::kDump) continue;
    const auto expected = plain.view(region.range.base, region.bytes.size());
    EXPECT_TRUE(
        std::equal(region.bytes.begin(), region.bytes.end(), expected.begin(), expected.end()))
        << hex(region.range.base.value());
  }
}

bool is_same(const Image& image, const Image& plain) {
  return image.complete == plain.complete && image.pid == plain.pid &&
         image.threads.size() == plain.threads.size() &&
         image.modules.size() == plain.modules.size() &&
         std::equal(image.regions.begin(), image.regions.end(), plain.regions.begin(),
                    plain.regions.end(), [](const Region& a, const Region& b) {
                      return a.range.base == b.range.base && a.range.size == b.range.size &&
                             a.kind == b.kind &&
                             std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(),
                                        b.bytes.end());
                    });
}

void expect_whole(const Bytes& packed, const char* packing) {
  const auto opened = open_bytes(packed);
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  const Image plain = testing::image_of(core());
  EXPECT_TRUE(is_same(*opened.image, plain));
  EXPECT_TRUE(opened.image->complete);
  EXPECT_FALSE(opened.diagnostics.has_damage()) << testing::to_text(opened.diagnostics);
  EXPECT_EQ(opened.image->packing, packing);
  EXPECT_EQ(opened.image->source_bytes, packed.size());
  EXPECT_EQ(opened.image->unpacked_bytes, core().size());
  EXPECT_EQ(testing::broken_laws(*opened.image), std::vector<std::string>());
}

// The one diagnostic of unpacking, or null.
const Diagnostic* unpacking_damage(const OpenedDump& opened) {
  for (const Diagnostic& d : opened.diagnostics.items()) {
    if (d.stage == "unpack") return &d;
  }
  return nullptr;
}

void expect_refusal(const Bytes& packed, ErrorCode code, const std::string& words) {
  const auto opened = open_bytes(packed);
  ASSERT_FALSE(opened.image);
  EXPECT_EQ(opened.image.error().code, code);
  EXPECT_NE(opened.image.error().message.find(words), std::string::npos)
      << opened.image.error().message;
}

class Packed : public ::testing::TestWithParam<Packer> {};

TEST_P(Packed, AWholeCoreIsAsThePlainOne) {
  expect_whole(GetParam().pack(core()), GetParam().packing);
}

TEST_P(Packed, SeveralFramesAreOneCore) {
  expect_whole(pack_in_frames(GetParam(), core(), 2), GetParam().packing);
  expect_whole(pack_in_frames(GetParam(), core(), 7), GetParam().packing);
}

TEST_P(Packed, ACutAnywhereIsSaidAndKeepsWhatStandsBefore) {
  const Bytes packed = GetParam().pack(core());
  const Image plain = testing::image_of(core());
  size_t kept = 0;
  for (size_t i = 0; i < 48; ++i) {
    const size_t length = i < 12   ? i + 1
                          : i < 40 ? packed.size() * (i - 11) / 29
                                   : packed.size() - (48 - i);
    if (length == packed.size()) continue;
    SCOPED_TRACE(length);
    const auto opened = open_bytes(std::span(packed).first(length));
    if (!opened.image) {
      EXPECT_FALSE(opened.image.error().message.empty());
      EXPECT_NE(opened.image.error().code, ErrorCode::kInternal);
      continue;
    }
    ++kept;
    EXPECT_FALSE(opened.image->complete);
    const Diagnostic* damage = unpacking_damage(opened);
    ASSERT_NE(damage, nullptr) << testing::to_text(opened.diagnostics);
    EXPECT_EQ(damage->severity, Severity::kDamage);
    EXPECT_EQ(damage->message,
              std::string(GetParam().packing) + ": the file ends inside the compressed data; the " +
                  std::to_string(opened.image->unpacked_bytes) + " bytes unpacked before are used");
    expect_same_bytes(*opened.image, plain);
  }
  // One block of 8 MiB is all or nothing.
  EXPECT_GE(kept, GetParam().has_end ? 20U : 0U);
}

TEST_P(Packed, MostOfACoreThatIsCutLateIsThere) {
  if (!GetParam().has_end) GTEST_SKIP() << "one block of 8 MiB is all or nothing";
  const Bytes packed = GetParam().pack(core());
  const auto opened = open_bytes(std::span(packed).first(packed.size() * 9 / 10));
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  // The largest blocks are bzip2's, 100 kB, and zstd's, 128 KiB.
  EXPECT_GE(opened.image->unpacked_bytes, core().size() * 8 / 10);
  EXPECT_EQ(unpacking_damage(opened)->place.substr(0, 25), "compressed file offset 0x");
}

// No wrong byte passes for a right one where there is a checksum.
TEST_P(Packed, AFlippedByteIsFoundOrDoesNoHarm) {
  const Bytes packed = GetParam().pack(core());
  const Image plain = testing::image_of(core());
  size_t found = 0;
  for (size_t i = 0; i < 40; ++i) {
    const size_t at = i < 20 ? i : packed.size() * (i - 19) / 21;
    SCOPED_TRACE(at);
    Bytes damaged = packed;
    damaged[at] ^= std::byte{0x11};
    const auto opened = open_bytes(damaged);
    if (!opened.image) {
      EXPECT_NE(opened.image.error().code, ErrorCode::kInternal);
      continue;
    }
    EXPECT_EQ(testing::broken_laws(*opened.image), std::vector<std::string>());
    if (opened.diagnostics.has_damage()) {
      ++found;
    } else if (GetParam().checked) {
      EXPECT_TRUE(is_same(*opened.image, plain));
    }
  }
  EXPECT_GE(found, GetParam().checked ? 10U : 0U);
}

TEST_P(Packed, DamageInTheMiddleSaysWhatTheLibrarySays) {
  if (!GetParam().checked) GTEST_SKIP() << "nothing but a checksum tells";
  Bytes packed = GetParam().pack(core());
  for (size_t i = 0; i < 64; ++i) packed[packed.size() / 2 + i] ^= std::byte{0xa5};
  const auto opened = open_bytes(packed);
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  EXPECT_FALSE(opened.image->complete);
  const Diagnostic* damage = unpacking_damage(opened);
  ASSERT_NE(damage, nullptr);
  const std::string begin = std::string(GetParam().packing) + ": ";
  EXPECT_EQ(damage->message.substr(0, begin.size()), begin);
  EXPECT_EQ(damage->message.find("the file ends"), std::string::npos) << damage->message;
  EXPECT_NE(damage->message.find(" bytes unpacked before are used"), std::string::npos);
}

TEST_P(Packed, TrailingGarbageIsIgnoredAndSaid) {
  Bytes packed = ByteWriter().bytes(GetParam().pack(core())).text("garbage!").take();
  const auto opened = open_bytes(packed);
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  EXPECT_EQ(opened.image->unpacked_bytes, core().size());
  const Diagnostic* damage = unpacking_damage(opened);
  ASSERT_NE(damage, nullptr);
  if (!GetParam().has_end) {  // then it is the size of a block that cannot be
    EXPECT_EQ(damage->message.substr(0, 15), "lz4: a block of");
    return;
  }
  EXPECT_TRUE(opened.image->complete);
  EXPECT_EQ(damage->message, std::string(GetParam().packing) +
                                 ": what follows the compressed data is no part of it and ignored");
  EXPECT_EQ(damage->bytes, 8U);
  EXPECT_EQ(damage->place, "compressed file offset " + hex(packed.size() - 8));
}

TEST_P(Packed, ZerosBetweenAndBehindFramesArePadding) {
  if (!GetParam().has_end) GTEST_SKIP() << "a legacy frame of lz4 has no end";
  const Bytes zeros(512);
  expect_whole(ByteWriter().bytes(pack_in_frames(GetParam(), core(), 3, zeros)).bytes(zeros).take(),
               GetParam().packing);
}

TEST_P(Packed, WhatIsInsideIsNamed) {
  const Packer& p = GetParam();
  const std::string inside = std::string("is ") + p.packing + "-compressed, and what is inside ";
  expect_refusal(p.pack(as_bytes("Dear reader,\nthis is no dump.\n")), ErrorCode::kUnsupported,
                 inside + "is a text file, not a dump");
  expect_refusal(p.pack(as_bytes("PK\x03\x04 and so on")), ErrorCode::kUnsupported,
                 inside + "is a zip archive: unpack it first");
  expect_refusal(p.pack(packer("Gzip").pack(core())), ErrorCode::kUnsupported,
                 inside + "is gzip-compressed again: unpack it once");
  expect_refusal(p.pack(testing::noise(5000, 1)), ErrorCode::kUnsupported,
                 inside + "is not a dump of a known format");
  expect_refusal(p.pack(testing::ModuleBuilder(1).build()), ErrorCode::kUnsupported,
                 inside + "cannot be read: is an ELF program or shared library");
  expect_refusal(p.pack(as_bytes("minidump FreeBSD/amd64\0")), ErrorCode::kUnsupported,
                 inside + "is a FreeBSD kernel minidump, not a dump of a process");
}

TEST_P(Packed, NothingInsideIsSaid) {
  expect_refusal(
      GetParam().pack({}), ErrorCode::kUnsupported,
      std::string("is ") + GetParam().packing + "-compressed, and what is inside is empty");
}

INSTANTIATE_TEST_SUITE_P(Formats, Packed, ::testing::ValuesIn(packers().begin(), packers().end()),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST(PackedFrames, PlainCoresSayNothingOfPacking) {
  const Image plain = testing::image_of(core());
  EXPECT_EQ(plain.packing, "");
  EXPECT_EQ(plain.unpacked_bytes, 0U);
}

TEST(PackedFrames, FramesToBeSkippedAreSkipped) {
  for (const char* name : {"Zstd", "Lz4", "Lz4Legacy"}) {
    SCOPED_TRACE(name);
    const Packer& p = packer(name);
    const Bytes foreign = testing::skippable_frame(300);
    expect_whole(ByteWriter()
                     .bytes(testing::skippable_frame(0))
                     .bytes(foreign)
                     .bytes(pack_in_frames(p, core(), 3, foreign))
                     .bytes(foreign)
                     .take(),
                 p.packing);
  }
}

TEST(PackedFrames, NothingButFramesToBeSkippedIsEmpty) {
  expect_refusal(testing::skippable_frame(100), ErrorCode::kUnsupported, "what is inside is empty");
}

TEST(PackedFrames, AFrameToBeSkippedThatIsCutIsDamage) {
  const Bytes foreign = testing::skippable_frame(300);
  const auto opened = open_bytes(
      ByteWriter().bytes(packer("Zstd").pack(core())).bytes(std::span(foreign).first(200)).take());
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  EXPECT_FALSE(opened.image->complete);
  ASSERT_NE(unpacking_damage(opened), nullptr);
  EXPECT_NE(unpacking_damage(opened)->message.find("the file ends inside a frame"),
            std::string::npos);
}

TEST(PackedFrames, BothKindsOfLz4MayFollowEachOther) {
  const auto half = core().size() / 2;
  const auto first = std::span(core()).first(half);
  const auto second = std::span(core()).subspan(half);
  const Packer& frame = packer("Lz4");
  const Packer& legacy = packer("Lz4Legacy");
  expect_whole(ByteWriter().bytes(legacy.pack(first)).bytes(frame.pack(second)).take(), "lz4");
  expect_whole(ByteWriter().bytes(frame.pack(first)).bytes(legacy.pack(second)).take(), "lz4");
}

// Two blocks of 8 MiB and a bit: the first is whole when the second is cut.
TEST(PackedFrames, LegacyBlocksBeforeTheCutAreUsed) {
  SampleCore sample;
  sample.core.add_load(0x7e0000000000, testing::kReadable, testing::noise(size_t{9} << 20, 5));
  const Bytes packed = packer("Lz4Legacy").pack(sample.core.build());
  const auto opened = open_bytes(std::span(packed).first(packed.size() - 1));
  ASSERT_TRUE(opened.image) << to_string(opened.image.error());
  EXPECT_FALSE(opened.image->complete);
  EXPECT_EQ(opened.image->unpacked_bytes, size_t{8} << 20);
}

TEST(PackedFrames, NothingUsableIsAnErrorWithItsReason) {
  const Bytes packed = packer("Xz").pack(core());
  expect_refusal(Bytes(packed.begin(), packed.begin() + 30), ErrorCode::kTruncated,
                 "is xz-compressed: nothing can be unpacked: the file ends inside the compressed");
  Bytes damaged = packed;
  damaged[8] ^= std::byte{0xff};  // the stream header's CRC32
  expect_refusal(damaged, ErrorCode::kCorrupt, "is xz-compressed: nothing can be unpacked: ");
  // 64 bytes of the dump: an ELF header, and no more.
  const auto opened = open_bytes(packer("Gzip").pack(std::span(core()).first(64)));
  ASSERT_FALSE(opened.image);
  EXPECT_NE(opened.image.error().message.find("is gzip-compressed, and what is inside cannot"),
            std::string::npos)
      << opened.image.error().message;
}

// A frame that asks for 1 GiB of history (RFC 8878 3.1.1.1.2: exponent 20, no content size).
TEST(PackedFrames, MoreMemoryThanIsGivenIsRefusedWithAWayOut) {
  expect_refusal(ByteWriter().u32(0xfd2fb528).u8(0).u8(20 << 3).zeros(64).take(),
                 ErrorCode::kCorrupt, "zstd -d --long=31");
}

TEST(PackedFrames, TextThatBeginsLikeBzip2IsText) {
  expect_refusal(as_bytes("BZh9 is how it begins\n"), ErrorCode::kUnsupported, "is a text file");
}

TEST(PackedFrames, ProgressIsTold) {
  const testing::MemoryFile file(packer("Lz4").pack(core()));
  Diagnostics diagnostics;
  uint64_t last = 0;
  size_t calls = 0;
  const auto image = open_dump(file.path(), {}, diagnostics, [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, total);
    last = done;
    ++calls;
  });
  ASSERT_TRUE(image);
  EXPECT_GE(calls, 1U);
  EXPECT_GT(last, image->source_bytes / 2);
}

}  // namespace
}  // namespace residue
