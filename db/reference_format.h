// The stored form of a block of references: constants shared by its encoder and decoder.
//
// Problem: a heap of ten million chunks has fifteen to twenty-five million references. As rows they
// cost more than the dump; as plain numbers of 4 bytes they break the limit for a snapshot (80 MB
// in all). And a look-up of one chunk's references must not unpack all of them.
//
// Model: a block holds the references of up to kBlockSources consecutive chunks; how many each has
// is one column, what they point to another, as ids of chunks. Ids of a graph of objects can be
// foretold: objects that are made together lie together (the id differs from the source's by a
// constant), an array's elements follow each other (from the last target), a parent is the same for
// all its children (from what the same field of the object before held), and what cannot be
// foretold costs least as it is. Which of the four fits depends on the field, and a field is
// recognised by its place among the chunk's references and by their number: that is the *context*.
// The encoder chooses for each context what needs the fewest bits, and the header tells. The few
// targets that very many chunks of the block point to (a common string, a class) go before all
// that, by one byte that is an index into a dictionary.
//
// Measured at level 1 (bytes a chunk, all columns): 0.01 for a map of sessions, 2.9 for Python's
// objects, 4.7 for a graph at random of 2.3 million chunks, whose entropy that is.
//
//   prefix   'R' 'R' version 0, u32 size of the header frame (little-endian)
//   header   a zstd frame of varints (LEB128):
//              first chunk, chunks, references
//              long degrees, and for each: index less the last index, degree
//              contexts whose mode is not kFromSource, and for each: context less the last one,
//                mode
//              dictionary: targets, and for each: the target less the last one (zigzag)
//              for each mode: how many numbers it has
//              the sizes of the columns' frames, 0 for a column of zeros
//   columns  zstd frames: degree (a byte a chunk, kLongDegree: see the header); three bits a
//              reference, each in a column of its own, lowest bit first: interior, from a free
//              chunk, from a spare part; dictionary (a byte a reference: index + 1, 0: none);
//              for each mode the numbers' four planes, lowest bytes first
//
// A reference's number is its target less what the mode foretells, modulo 2^32 and as zigzag; in
// mode kPlain the target itself. References from the dictionary count neither as the last target
// nor as what the field held. Every block stands alone: what was "last" begins as the first chunk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace residue::reference_format {

inline constexpr std::array<std::byte, 4> kPrefix = {std::byte{'R'}, std::byte{'R'}, std::byte{1},
                                                     std::byte{0}};
inline constexpr size_t kPrefixBytes = 8;

// Enough for the most long degrees, contexts and dictionary entries, with the longest varints.
inline constexpr size_t kMaxHeaderBytes = size_t{1} << 16;

enum Mode : uint8_t { kFromSource, kFromLast, kFromField, kPlain, kModes };

enum StoredColumn : size_t {
  kDegrees,
  kInterior,
  kFree,
  kSpare,
  kIndexes,
  kPlanes,  // kModes times kPlanesEach
};
inline constexpr size_t kPlanesEach = 4;
inline constexpr size_t kColumns = kPlanes + kModes * kPlanesEach;

inline constexpr uint32_t kLongDegree = 255;
inline constexpr size_t kMaxDictionary = 255;

inline constexpr uint32_t kFields = 64, kDegreesApart = 16;
inline constexpr uint32_t kContexts = kFields * kDegreesApart;

// Of the reference `field` (from 0) of a chunk that has `degree` in this block.
constexpr uint32_t context_of(uint32_t field, uint32_t degree) {
  const uint32_t row = field < kFields ? field : kFields - 1;
  return row * kDegreesApart + (degree < kDegreesApart ? degree : kDegreesApart - 1);
}

}  // namespace residue::reference_format
