// The .xz format (xz-file-format.txt 1.1.0) through liblzma.
#include <lzma.h>

#include <algorithm>
#include <array>

#include "formats/packed/decoder.h"

namespace residue::packed {
namespace {

constexpr uint8_t kMagic[] = {0xfd, '7', 'z', 'X', 'Z', 0x00};
// What unpacking may take. xz's presets need up to 65 MiB (xz(1)); dictionaries can be larger.
constexpr uint64_t kMaxMemory = uint64_t{512} << 20;
// An index takes about 32 bytes of memory a block.
constexpr uint64_t kMaxIndexMemory = uint64_t{64} << 20;

Error failed(lzma_ret code, const lzma_stream& stream) {
  switch (code) {
    case LZMA_MEM_ERROR:
      return Error{ErrorCode::kInternal, "out of memory", {}};
    case LZMA_MEMLIMIT_ERROR:
      return Error{ErrorCode::kUnsupported,
                   "unpacking takes " + std::to_string(lzma_memusage(&stream) >> 20) +
                       " MiB of memory, more than 512 MiB: unpack it with 'xz -d'",
                   {}};
    case LZMA_FORMAT_ERROR:
      return Error{ErrorCode::kCorrupt, "no header of an xz stream", {}};
    case LZMA_OPTIONS_ERROR:
      return Error{ErrorCode::kUnsupported, "uses options that the library does not know", {}};
    case LZMA_DATA_ERROR:
      return Error{ErrorCode::kCorrupt, "the compressed data is corrupt", {}};
    default:
      return Error{ErrorCode::kCorrupt, "error " + std::to_string(code) + " of liblzma", {}};
  }
}

const uint8_t* as_input(std::span<const std::byte> bytes) {
  return static_cast<const uint8_t*>(static_cast<const void*>(bytes.data()));
}

class XzDecoder final : public Decoder {
 public:
  XzDecoder() = default;
  XzDecoder(const XzDecoder&) = delete;
  XzDecoder& operator=(const XzDecoder&) = delete;
  ~XzDecoder() override { lzma_end(&stream_); }

  Result<void> begin() override {
    const lzma_ret code = lzma_stream_decoder(&stream_, kMaxMemory, 0);
    if (code != LZMA_OK) return failed(code, stream_);
    return {};
  }

  Result<void> drain(std::span<const std::byte> in, std::span<std::byte> out, Step* step) override {
    stream_.next_in = as_input(in);
    stream_.avail_in = in.size();
    stream_.next_out = static_cast<uint8_t*>(static_cast<void*>(out.data()));
    stream_.avail_out = out.size();
    const lzma_ret code = lzma_code(&stream_, LZMA_RUN);
    step->read = in.size() - stream_.avail_in;
    step->written = out.size() - stream_.avail_out;
    if (code == LZMA_STREAM_END) {
      step->where = Step::Where::kAtEnd;
      return {};
    }
    // Without progress, the library's word for "more input": the caller sees that for itself.
    if (code == LZMA_OK || code == LZMA_BUF_ERROR) return {};
    return failed(code, stream_);
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

// From the indexes at the end of each stream. Nothing for a file that is cut.
std::optional<uint64_t> size_of(std::span<const std::byte> file) {
  lzma_stream stream = LZMA_STREAM_INIT;
  lzma_index* index = nullptr;
  if (lzma_file_info_decoder(&stream, &index, kMaxIndexMemory, file.size()) != LZMA_OK) {
    return std::nullopt;
  }
  stream.next_in = as_input(file);
  stream.avail_in = file.size();
  lzma_ret code = LZMA_OK;
  // A seek to the end of each stream and one to its start; a file holds no more streams than that.
  for (size_t seeks = 0; seeks <= file.size(); ++seeks) {
    code = lzma_code(&stream, LZMA_RUN);
    if (code != LZMA_SEEK_NEEDED || stream.seek_pos > file.size()) break;
    stream.next_in = as_input(file.subspan(stream.seek_pos));
    stream.avail_in = file.size() - stream.seek_pos;
  }
  lzma_end(&stream);
  if (code != LZMA_STREAM_END) return std::nullopt;
  const uint64_t size = lzma_index_uncompressed_size(index);
  lzma_index_end(index, nullptr);
  return size;
}

}  // namespace

const Packing kXz = {
    "xz", [](std::span<const std::byte> bytes) { return begins_with(bytes, kMagic); },
    []() -> std::unique_ptr<Decoder> { return std::make_unique<XzDecoder>(); }, size_of};

}  // namespace residue::packed
