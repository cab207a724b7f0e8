// For the fuzz targets of stored blocks: a block with sound frames and any content, made of what is
// in them; and the way back, for the seeds.
#pragma once

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace residue::testing {

inline void append_frame(std::span<const std::byte> raw, std::vector<std::byte>* out) {
  const size_t start = out->size();
  out->resize(start + ZSTD_compressBound(raw.size()));
  out->resize(start +
              ZSTD_compress(out->data() + start, out->size() - start, raw.data(), raw.size(), 1));
}

// `content`: the header's varints without the sizes of the columns, then the columns, each preceded
// by its size as 16 bits, little-endian; a column of size 0 is absent. What is cut ends there.
inline std::vector<std::byte> block_of(std::span<const std::byte> prefix, size_t columns,
                                       std::span<const std::byte> content) {
  const auto take = [&content] {
    size_t size = 0;
    if (content.size() >= 2) {
      size = std::to_integer<size_t>(content[0]) | std::to_integer<size_t>(content[1]) << 8;
      content = content.subspan(2);
    }
    const auto part = content.first(std::min(size, content.size()));
    content = content.subspan(part.size());
    return part;
  };
  const auto numbers = take();
  std::vector<std::byte> header(numbers.begin(), numbers.end());
  std::vector<std::byte> body;
  for (size_t i = 0; i < columns; ++i) {
    const auto column = take();
    const size_t start = body.size();
    if (!column.empty()) append_frame(column, &body);
    for (size_t size = body.size() - start;; size >>= 7) {
      header.push_back(static_cast<std::byte>(size < 128 ? size : size | 128));
      if (size < 128) break;
    }
  }
  std::vector<std::byte> block(prefix.begin(), prefix.end());
  std::vector<std::byte> frame;
  append_frame(header, &frame);
  for (unsigned i = 0; i < 4; ++i) {
    block.push_back(static_cast<std::byte>(frame.size() >> (8 * i) & 0xff));
  }
  block.insert(block.end(), frame.begin(), frame.end());
  block.insert(block.end(), body.begin(), body.end());
  return block;
}

// What block_of() makes `block` of. REQUIRES: a sound block of our encoder's.
inline std::vector<std::byte> content_of(std::span<const std::byte> block, size_t columns) {
  const auto unpack = [](std::span<const std::byte> frame) {
    std::vector<std::byte> raw(
        static_cast<size_t>(ZSTD_getFrameContentSize(frame.data(), frame.size())));
    ZSTD_decompress(raw.data(), raw.size(), frame.data(), frame.size());
    return raw;
  };
  std::vector<std::byte> out;
  const auto put = [&out](std::span<const std::byte> part) {
    out.push_back(static_cast<std::byte>(part.size() & 0xff));
    out.push_back(static_cast<std::byte>(part.size() >> 8 & 0xff));
    out.insert(out.end(), part.begin(), part.end());
  };
  size_t header_size = 0;
  for (size_t i = 0; i < 4; ++i) header_size |= std::to_integer<size_t>(block[4 + i]) << (8 * i);
  const std::vector<std::byte> header = unpack(block.subspan(8, header_size));
  // The sizes are the last `columns` varints: each ends with a byte below 128.
  size_t at = header.size();
  for (size_t left = columns + 1; at > 0; --at) {
    if (std::to_integer<unsigned>(header[at - 1]) < 128 && --left == 0) break;
  }
  put(std::span(header).first(at));
  std::span<const std::byte> body = block.subspan(8 + header_size);
  for (size_t i = 0; i < columns; ++i) {
    size_t size = 0;
    for (unsigned shift = 0; at < header.size(); shift += 7) {
      const size_t byte = std::to_integer<size_t>(header[at++]);
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (size == 0) {
      put({});
    } else {
      put(unpack(body.first(size)));
    }
    body = body.subspan(size);
  }
  return out;
}

}  // namespace residue::testing
