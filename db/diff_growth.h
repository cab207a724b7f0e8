// Growth: for each key of each dimension, which chunks made it grow between two snapshots of one
// process. The virtual table `growth`:
//
//   CREATE TABLE growth(from_snapshot, to_snapshot, dimension, key, new_count, new_bytes,
//                       gone_count, gone_bytes, resized_count, resized_bytes, kept_count,
//                       kept_bytes, joined_count, joined_bytes, left_count, left_bytes,
//                       new_leaked_count, new_leaked_bytes, lost_count, lost_bytes)
//
// One merge of both snapshots' chunks (diff_pairs.h), which counts into an array for each
// dimension: SQLite's sorter would take tens of seconds for ten million chunks. For each key
//
//   used bytes after = used bytes before + new - gone + resized + joined - left
//
// where both are those of the table `usage`: a chunk that stays may still change its key (its
// owner, the shape of its leak, its size), and has then left one key and joined another.
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

inline constexpr std::array<const char*, 7> kGrowthDimensions = {"type", "module", "owner", "heap",
                                                                 "size", "region", "shape"};
inline constexpr uint32_t kAllGrowthDimensions = (1U << kGrowthDimensions.size()) - 1;

struct Growth {
  uint64_t new_count = 0, new_bytes = 0;
  uint64_t gone_count = 0, gone_bytes = 0;
  uint64_t resized_count = 0;
  int64_t resized_bytes = 0;  // after less before
  uint64_t kept_count = 0, kept_bytes = 0;
  uint64_t joined_count = 0, joined_bytes = 0;          // stayed, and had another key before
  uint64_t left_count = 0, left_bytes = 0;              // stayed, and has another key now
  uint64_t new_leaked_count = 0, new_leaked_bytes = 0;  // of the new ones, leaks
  uint64_t lost_count = 0, lost_bytes = 0;              // stayed, are leaks, and were none before
};

struct GrowthRow {
  uint32_t dimension = 0;  // index into kGrowthDimensions
  std::string key;
  Growth growth;
};

// Rows by dimension, then new bytes, most first. `dimensions`: a mask, 1 << index. Fails with
// kUsage for snapshots of different processes; no rows if one does not exist. Takes a tenth of a
// second a million chunks.
Result<std::vector<GrowthRow>> measure_growth(sqlite3* db, const LiveSnapshots& live, int64_t from,
                                              int64_t to, uint32_t dimensions);

// `live` may change later and must outlive the connection.
Result<void> register_growth(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
