#include "db/reference_filter.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "db/chunk_filter.h"

namespace residue {
namespace {

// One letter a condition, in the order of the values that xFilter gets. Bounds are inclusive:
// SQLite checks again.
enum Term : char {
  kNoTerm = 0,
  kSnapshotIs = 's',
  kSourceIs = '=',
  kSourceFrom = '>',
  kSourceTo = '<',
  kTargetIs = 't',
  kTargetFrom = 'f',
  kTargetTo = 'u',
};

Term term_of(const sqlite3_index_info::sqlite3_index_constraint& constraint) {
  if (constraint.usable == 0) return kNoTerm;
  const bool is_source = constraint.iColumn == kColSource;
  if (!is_source && constraint.iColumn != kColTarget) {
    const bool is_snapshot =
        constraint.iColumn == kColReferenceSnapshot && constraint.op == SQLITE_INDEX_CONSTRAINT_EQ;
    return is_snapshot ? kSnapshotIs : kNoTerm;
  }
  switch (constraint.op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
      return is_source ? kSourceIs : kTargetIs;
    case SQLITE_INDEX_CONSTRAINT_GT:
    case SQLITE_INDEX_CONSTRAINT_GE:
      return is_source ? kSourceFrom : kTargetFrom;
    case SQLITE_INDEX_CONSTRAINT_LT:
    case SQLITE_INDEX_CONSTRAINT_LE:
      return is_source ? kSourceTo : kTargetTo;
    default:
      return kNoTerm;
  }
}

// Rough shares of the rows that a condition leaves, and of the work. One source is in one block;
// to find what leads to one target all must be unpacked, but no more than compared.
struct Share {
  double rows, work;
};
Share share_of(Term term) {
  switch (term) {
    case kNoTerm:
      return {1, 1};
    case kSourceIs:
      return {1e-7, 1e-5};
    case kTargetIs:
      return {1e-7, 0.1};
    case kTargetFrom:
    case kTargetTo:
      return {0.2, 0.5};
    default:
      return {0.2, 0.2};
  }
}

void apply(AddressBounds& bounds, bool from, bool to, sqlite3_value* value) {
  const std::optional<int64_t> bound = as_integer(value);
  if (!bound) return;  // of another kind: left to SQLite
  if (from) bounds.low = std::max(bounds.low, *bound);
  if (to) bounds.high = std::min(bounds.high, *bound);
}

// The ids of the chunks that begin in [low, high], both in the same half of the address space.
Result<IdRanges::Range> find_half(uint64_t low, uint64_t high, int64_t snapshot,
                                  ChunkAddresses& chunks) {
  IdRanges::Range range;
  if (low > 0) {
    RESIDUE_ASSIGN(range.first, chunks.first_from(snapshot, low));
  }
  if (high == ~uint64_t{0}) {
    RESIDUE_ASSIGN(range.end, chunks.count(snapshot));
  } else {
    RESIDUE_ASSIGN(range.end, chunks.first_from(snapshot, high + 1));
  }
  return range;
}

}  // namespace

Result<IdRanges> find_ids(const AddressBounds& bounds, int64_t snapshot, ChunkAddresses& chunks) {
  IdRanges ids;
  const AddressBounds all;
  if (bounds.low == all.low && bounds.high == all.high) {
    RESIDUE_ASSIGN(ids.halves[0].end, chunks.count(snapshot));
    return ids;
  }
  if (bounds.low > bounds.high) return ids;
  if (bounds.high >= 0) {
    const int64_t low = std::max<int64_t>(bounds.low, 0);
    RESIDUE_ASSIGN(ids.halves[0], find_half(static_cast<uint64_t>(low),
                                            static_cast<uint64_t>(bounds.high), snapshot, chunks));
  }
  if (bounds.low < 0) {
    const int64_t high = std::min<int64_t>(bounds.high, -1);
    RESIDUE_ASSIGN(ids.halves[1], find_half(static_cast<uint64_t>(bounds.low),
                                            static_cast<uint64_t>(high), snapshot, chunks));
  }
  return ids;
}

int plan_references(sqlite3_index_info* info) {
  std::string plan;
  double rows = 1e8;
  double work = 1e8;
  for (int i = 0; i < info->nConstraint; ++i) {
    const Term term = term_of(info->aConstraint[i]);
    if (term == kNoTerm) continue;
    plan += static_cast<char>(term);
    info->aConstraintUsage[i].argvIndex = static_cast<int>(plan.size());
    info->aConstraintUsage[i].omit = term == kSnapshotIs ? 1 : 0;
    rows *= share_of(term).rows;
    work *= share_of(term).work;
  }
  info->idxStr = sqlite3_mprintf("%s", plan.c_str());
  if (info->idxStr == nullptr) return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  info->estimatedRows = static_cast<sqlite3_int64>(std::max(rows, 1.0));
  info->estimatedCost = work + 1000;  // a block has to be unpacked in any case
  return SQLITE_OK;
}

ReferenceFilter read_reference_filter(const char* plan, std::span<sqlite3_value*> values) {
  ReferenceFilter filter;
  const std::string_view terms(plan == nullptr ? "" : plan);
  for (size_t i = 0; i < values.size() && i < terms.size(); ++i) {
    const char term = terms[i];
    if (term == kSnapshotIs) {
      filter.snapshot = as_integer(values[i]);
      filter.nothing = filter.nothing || !filter.snapshot;
    } else if (term == kSourceIs || term == kSourceFrom || term == kSourceTo) {
      apply(filter.source, term != kSourceTo, term != kSourceFrom, values[i]);
    } else {
      apply(filter.target, term != kTargetTo, term != kTargetFrom, values[i]);
    }
  }
  return filter;
}

}  // namespace residue
