// Duplicates: texts that several chunks in use hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "analyzer/snapshot.h"

namespace residue {

// Most rows that find_duplicates() returns: those that waste most.
inline constexpr size_t kMaxDuplicates = 1000;

// What brings texts together. Two of one hash can be built on purpose, so equal hashes prove
// nothing.
uint64_t text_hash(std::span<const std::byte> text);

// Chunks of a text type (TypeRow::origin 'string') whose text, up to its NUL, fills them: what a
// malloc()ed string, a std::string's buffer or a strdup() leaves. A text at the beginning of
// something larger is a field of it, and not looked at. Most wasted bytes first.
//
// Counts are exact: chunks are brought together by a 64-bit hash, and the bytes of all of them
// compared. `*dropped` is the number of chunks whose texts were not counted, because there were too
// many different ones; 0 as a rule. `jobs`: threads, 0 for one per processor. REQUIRES:
// snapshot.chunks' states and types, and snapshot.types, are filled in.
std::vector<DuplicateRow> find_duplicates(const Snapshot& snapshot, unsigned jobs,
                                          uint64_t* dropped);

}  // namespace residue
