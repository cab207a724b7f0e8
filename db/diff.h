// What `residue diff` shows, as rows: the differences of a pair of snapshots by key, with the
// chunks behind them if both are of one process, else by name alone.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "db/database.h"
#include "db/diff_process.h"
#include "db/row_sink.h"
#include "formats/base/result.h"

namespace residue {

// The dimensions, in the order in which they are shown. 'site' has keys where sites are known.
inline constexpr std::array<const char*, 10> kDiffDimensions = {
    "type", "site", "module", "owner", "heap", "size", "region", "shape", "allocator", "mapping"};

Result<Kinship> compare_processes(Database& database, int64_t from, int64_t to);

struct DiffRequest {
  int64_t from = 0, to = 0;
  bool by_name = false;        // of different processes
  bool sums_only = false;      // without the chunks behind the sums
  std::string_view dimension;  // empty: all
  int64_t limit = 0;           // rows; 0: all
  bool limit_each = false;     // rows of each dimension
};

// Keys whose used count or bytes, or leaked bytes, differ; most grown first. Columns: those of
// `diff` without the pair, then new_count, new_bytes, gone_count, gone_bytes, resized_count,
// resized_bytes, lost_count, lost_bytes as in `growth`; NULL by name, with sums_only, and for
// dimensions that do not count chunks. kCorrupt if stored chunks are damaged; no row has been
// passed on then, and sums_only does without them.
Result<void> changed_keys(Database& database, const DiffRequest& request, RowSink& sink);

// Rows of `chunk_diff` that are not 'kept'. `limit` 0: all, by address; else so many of the
// largest.
Result<void> changed_chunks(Database& database, const DiffRequest& request, RowSink& sink);

// Leaks of the second snapshot of shapes that did not leak in the first, most bytes first. Columns
// as `residue leaks` shows them: chunks, bytes, bytes_each, verdict, module, head, count, shape.
Result<void> new_leaks(Database& database, const DiffRequest& request, RowSink& sink);

// What one snapshot holds, in bytes.
struct Totals {
  uint64_t used = 0, leaked = 0;
  uint64_t free = 0, cached = 0, overhead = 0;
  uint64_t mapped = 0;    // address space of all regions
  uint64_t arenas = 0;    // heaps of the allocator that holds most of free and overhead
  std::string allocator;  // that one
  std::string taken_at, executable;
  int64_t pid = 0;
  uint64_t idle() const { return free + cached + overhead; }
};
Result<Totals> snapshot_totals(Database& database, int64_t snapshot);

}  // namespace residue
