// The stored form of a block of chunks: constants shared by its encoder and decoder.
//
// Problem: ten million chunks as rows cost more than the whole analysis (5 s, 170 MB). As columns,
// compressed, they cost a tenth of a second a million at worst and a byte or less each.
//
// Model: a chunk ends where the next one of its run begins, so that one number a chunk, the span in
// granules up to the next start, gives both its address and its usable size; the run's gap, heap
// and first address stand once per run (a *segment* is the part of a run that lies in one block).
// Spans are 16 bits, low bytes and high bytes apart, because the high bytes are nearly all zero;
// longer ones are listed. Types, owners and clusters are indexes into a dictionary of the block:
// one byte a chunk, two if there are over 256 values, none if there is one value. Every block
// stands alone.
//
//   prefix   'R' 'C' version 0, u32 size of the header frame (little-endian)
//   header   a zstd frame of varints (LEB128):
//              chunks, granule shift
//              segments, and for each: begin less the end of the last one (modulo 2^64), chunks,
//                heap + 1 (0: none), gap, bytes by which its last span exceeds whole granules
//              long spans, and for each: index less the last index, granules
//              three dictionaries (type, owner, cluster): values, and for each value + 1 (0: none)
//                less the last one (zigzag)
//              the sizes of the columns' frames, 0 for a column that is absent; columns behind the
//                last size are absent too (the first five were there from the beginning)
//   columns  zstd frames: span, state | reach << 2, type, owner, cluster, retained, dominator,
//              slack
//
// The last three are numbers, nearly all of them small: 16 bits a chunk, low bytes and high bytes
// apart, and behind them a varint for each chunk that has kFarNumber there. `retained` is what a
// chunk retains beyond its own bytes, divided by kRetainedUnit; `dominator` the distance from the
// chunk's address to its dominator's, in granules (zigzag), 0 if it has none; `slack` the
// usable bytes that were not asked for and one more, 0 if unknown. The varints are bytes (zigzag
// too for `dominator`).
//
// zstd's checksum is on in every frame, so that a flipped bit is an error rather than other
// numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace residue::block_format {

inline constexpr std::array<std::byte, 4> kPrefix = {std::byte{'R'}, std::byte{'C'}, std::byte{1},
                                                     std::byte{0}};
inline constexpr size_t kPrefixBytes = 8;

// A header frame may not unpack to more: 64 Ki segments, long spans and dictionary values of the
// longest varints stay below it.
inline constexpr size_t kMaxHeaderBytes = size_t{8} << 20;

enum Column : size_t {
  kSpans,
  kFlags,
  kTypes,
  kOwners,
  kClusters,
  kRetained,
  kDominators,
  kSlack,
  kColumns
};
inline constexpr size_t kFirstColumns = 5;  // that every block has sizes for
inline constexpr size_t kDictionaries = 3;

inline constexpr uint64_t kLongestSpan = 0xffff;  // longer ones are listed
inline constexpr unsigned kMaxGranuleShift = 12;
inline constexpr uint64_t kFarNumber = 0xffff;
inline constexpr uint64_t kRetainedUnit = 4;
inline constexpr unsigned kReachShift = 2;

}  // namespace residue::block_format
