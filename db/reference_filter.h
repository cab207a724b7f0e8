// ReferenceFilter: the conditions on the table `reference` that can skip rows, and how they get
// from the planner (plan_references) to a cursor (read_reference_filter).
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "db/chunk_addresses.h"
#include "formats/base/result.h"

namespace residue {

// Columns of the table, in order.
enum ReferenceColumn : int {
  kColReferenceSnapshot,
  kColSource,
  kColTarget,
  kColInterior,
  kColKind,
};

// Addresses as SQL sees them: signed. Both inclusive.
struct AddressBounds {
  int64_t low = std::numeric_limits<int64_t>::min();
  int64_t high = std::numeric_limits<int64_t>::max();
};

// The chunks of one snapshot that begin within such bounds: those of either half of the address
// space have ids that follow each other.
struct IdRanges {
  struct Range {
    uint32_t first = 0, end = 0;
    bool meets(uint32_t from, uint32_t until) const { return from < end && first < until; }
  };
  std::array<Range, 2> halves;

  // Whether one of them may be in [from, until).
  bool meet(uint32_t from, uint32_t until) const {
    return halves[0].meets(from, until) || halves[1].meets(from, until);
  }
  // The first chunk in them from `id` on; ~0 if there is none.
  uint32_t next(uint32_t id) const {
    uint32_t nearest = ~uint32_t{0};
    for (const Range& half : halves) {
      const uint32_t from = id < half.first ? half.first : id;
      if (from < half.end && from < nearest) nearest = from;
    }
    return nearest;
  }
  bool hold(uint32_t id) const {
    return id - halves[0].first < halves[0].end - halves[0].first ||
           id - halves[1].first < halves[1].end - halves[1].first;
  }
};

Result<IdRanges> find_ids(const AddressBounds& bounds, int64_t snapshot, ChunkAddresses& chunks);

struct ReferenceFilter {
  bool nothing = false;  // a condition that no row meets
  std::optional<int64_t> snapshot;
  AddressBounds source, target;
};

// xBestIndex: notes the usable conditions in idxStr.
int plan_references(sqlite3_index_info* info);

// xFilter: the conditions with their values.
ReferenceFilter read_reference_filter(const char* plan, std::span<sqlite3_value*> values);

}  // namespace residue
