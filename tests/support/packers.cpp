#include "tests/support/packers.h"

#include <bzlib.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <stdexcept>

#include "tests/support/bytes.h"

namespace residue::testing {
namespace {

using Bytes = std::vector<std::byte>;

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

const char* chars(std::span<const std::byte> bytes) {
  return static_cast<const char*>(static_cast<const void*>(bytes.data()));
}
char* chars(Bytes* bytes) { return static_cast<char*>(static_cast<void*>(bytes->data())); }
uint8_t* octets(Bytes* bytes) { return static_cast<uint8_t*>(static_cast<void*>(bytes->data())); }
const uint8_t* octets(std::span<const std::byte> bytes) {
  return static_cast<const uint8_t*>(static_cast<const void*>(bytes.data()));
}

Bytes zstd(std::span<const std::byte> bytes, bool sized, bool checked) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, sized ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checked ? 1 : 0);
  Bytes out(ZSTD_compressBound(bytes.size()));
  const size_t n = ZSTD_compress2(context, out.data(), out.size(), bytes.data(), bytes.size());
  ZSTD_freeCCtx(context);
  require(ZSTD_isError(n) == 0, "zstd");
  out.resize(n);
  return out;
}

Bytes lz4(std::span<const std::byte> bytes, bool sized) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  preferences.frameInfo.contentSize = sized ? bytes.size() : 0;
  Bytes out(LZ4F_compressFrameBound(bytes.size(), &preferences));
  const size_t n =
      LZ4F_compressFrame(out.data(), out.size(), bytes.data(), bytes.size(), &preferences);
  require(LZ4F_isError(n) == 0, "lz4");
  out.resize(n);
  return out;
}

// lz4_Frame_format.md, "Legacy frame": magic, then blocks of 8 MiB, each behind its packed size.
Bytes lz4_legacy(std::span<const std::byte> bytes) {
  constexpr size_t kBlock = size_t{8} << 20;
  ByteWriter out;
  out.u32(0x184c2102);
  for (size_t at = 0; at < bytes.size(); at += kBlock) {
    const auto block = bytes.subspan(at, std::min(kBlock, bytes.size() - at));
    Bytes packed(static_cast<size_t>(LZ4_compressBound(static_cast<int>(block.size()))));
    const int n = LZ4_compress_default(chars(block), chars(&packed), static_cast<int>(block.size()),
                                       static_cast<int>(packed.size()));
    require(n > 0, "lz4 legacy");
    out.u32(static_cast<uint32_t>(n)).bytes(std::span(packed).first(static_cast<size_t>(n)));
  }
  return out.take();
}

Bytes xz(std::span<const std::byte> bytes) {
  Bytes out(lzma_stream_buffer_bound(bytes.size()));
  size_t n = 0;
  const lzma_ret code = lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, nullptr, octets(bytes),
                                                bytes.size(), octets(&out), &n, out.size());
  require(code == LZMA_OK, "xz");
  out.resize(n);
  return out;
}

Bytes gzip(std::span<const std::byte> bytes) {
  z_stream stream = {};
  require(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "gzip");
  Bytes out(deflateBound(&stream, bytes.size()) + 64);
  stream.next_in = const_cast<Bytef*>(octets(bytes));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = octets(&out);
  stream.avail_out = static_cast<uInt>(out.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "gzip");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes bzip2(std::span<const std::byte> bytes) {
  Bytes out(bytes.size() + bytes.size() / 50 + 1024);
  auto n = static_cast<unsigned>(out.size());
  // The library wants a pointer even to no bytes.
  const char* source = bytes.empty() ? "" : chars(bytes);
  const int code = BZ2_bzBuffToBuffCompress(chars(&out), &n, const_cast<char*>(source),
                                            static_cast<unsigned>(bytes.size()), 1, 0, 0);
  require(code == BZ_OK, "bzip2");
  out.resize(n);
  return out;
}

using View = std::span<const std::byte>;

}  // namespace

std::span<const Packer> packers() {
  static const std::array<Packer, 9> kAll = {{
      {"Zstd", "zstd", [](View b) { return zstd(b, false, true); }},
      {"ZstdSized", "zstd", [](View b) { return zstd(b, true, true); }, true, true},
      {"ZstdBare", "zstd", [](View b) { return zstd(b, false, false); }, false},
      {"Lz4", "lz4", [](View b) { return lz4(b, false); }},
      {"Lz4Sized", "lz4", [](View b) { return lz4(b, true); }, true, true},
      {"Lz4Legacy", "lz4", lz4_legacy, false, false, false},
      {"Xz", "xz", xz, true, true},
      {"Gzip", "gzip", gzip, true, true},
      {"Bzip2", "bzip2", bzip2},
  }};
  return kAll;
}

const Packer& packer(const std::string& name) {
  for (const Packer& p : packers()) {
    if (p.name == name) return p;
  }
  throw std::runtime_error("no packer " + name);
}

std::vector<std::byte> pack_in_frames(const Packer& packer, std::span<const std::byte> bytes,
                                      size_t count, std::span<const std::byte> between) {
  ByteWriter out;
  const size_t part = bytes.size() / count;
  for (size_t i = 0; i < count; ++i) {
    const size_t end = i + 1 == count ? bytes.size() : (i + 1) * part;
    out.bytes(packer.pack(bytes.subspan(i * part, end - i * part)));
    if (i + 1 < count) out.bytes(between);
  }
  return out.take();
}

std::vector<std::byte> skippable_frame(size_t content) {
  return ByteWriter()
      .u32(0x184d2a53)
      .u32(static_cast<uint32_t>(content))
      .bytes(pattern(content, 77))
      .take();
}

std::vector<std::byte> noise(size_t size, uint64_t seed) {
  ByteWriter out;
  // xorshift64 (Marsaglia 2003).
  uint64_t x = seed * 2 + 1;
  while (out.size() < size) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    out.u64(x);
  }
  auto bytes = out.take();
  bytes.resize(size);
  return bytes;
}

}  // namespace residue::testing
