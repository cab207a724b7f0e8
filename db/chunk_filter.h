// ChunkFilter: the conditions on the table `chunk` that can skip rows, and how they get from the
// planner (plan_filter) to a cursor (read_filter).
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "db/chunk_block.h"
#include "db/chunk_source.h"

namespace residue {

// Columns of the table, in order.
enum ChunkColumn : int {
  kColSnapshot,
  kColAddress,
  kColSize,
  kColRequested,
  kColHeap,
  kColState,
  kColReach,
  kColType,
  kColSite,
  kColSiteGroup,
  kColOwner,
  kColCluster,
  kColRetained,
  kColDominator,
};

struct ChunkFilter {
  bool nothing = false;  // a condition that no row meets
  std::optional<int64_t> snapshot;
  // Addresses as SQL sees them: signed. Bounds are inclusive.
  int64_t low = std::numeric_limits<int64_t>::min();
  int64_t high = std::numeric_limits<int64_t>::max();
  std::optional<uint8_t> state;
  std::optional<uint8_t> reach;
  std::optional<uint32_t> type;
  std::optional<uint32_t> heap;

  bool may_hold(const BlockRef& ref) const;
  bool in_one_half() const;  // the address bounds
  // The rows [first, last) that can meet the address bounds. REQUIRES: addresses are loaded if
  // there are bounds.
  std::pair<uint32_t, uint32_t> rows(const ChunkBlock& block) const;
  // All but the bounds. REQUIRES: the columns of the conditions are loaded.
  bool matches(const ChunkBlock& block, uint32_t i) const {
    return (!state || block.state[i] == *state) && (!reach || block.reach[i] == *reach) &&
           (!type || block.type[i] == *type) && (!heap || block.heap[i] == *heap);
  }
};

// The integer that an INTEGER column must equal to equal `value`, by SQLite's rules: text that
// looks like a number is one, and a real may be whole.
std::optional<int64_t> as_integer(sqlite3_value* value);

// The groups of columns (chunk_block.h) that the statement needs.
uint32_t needed_columns(uint64_t columns_used);

// xBestIndex: notes the usable conditions in idxStr, the needed columns in idxNum.
int plan_filter(sqlite3_index_info* info);

// xFilter: the conditions with their values.
ChunkFilter read_filter(const char* plan, std::span<sqlite3_value*> values);

}  // namespace residue
