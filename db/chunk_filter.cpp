#include "db/chunk_filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>

namespace residue {
namespace {

// One letter a condition, in the order of the values that xFilter gets.
enum Term : char {
  kNoTerm = 0,
  kSnapshotIs = 's',
  kAddressIs = '=',
  kAddressFrom = '>',  // >= and >: SQLite checks again
  kAddressTo = '<',
  kStateIs = 't',
  kReachIs = 'r',
  kTypeIs = 'y',
  kHeapIs = 'h',
};

Term term_of(const sqlite3_index_info::sqlite3_index_constraint& constraint) {
  if (constraint.usable == 0) return kNoTerm;
  if (constraint.iColumn == kColAddress) {
    switch (constraint.op) {
      case SQLITE_INDEX_CONSTRAINT_EQ:
        return kAddressIs;
      case SQLITE_INDEX_CONSTRAINT_GT:
      case SQLITE_INDEX_CONSTRAINT_GE:
        return kAddressFrom;
      case SQLITE_INDEX_CONSTRAINT_LT:
      case SQLITE_INDEX_CONSTRAINT_LE:
        return kAddressTo;
      default:
        return kNoTerm;
    }
  }
  if (constraint.op != SQLITE_INDEX_CONSTRAINT_EQ) return kNoTerm;
  switch (constraint.iColumn) {
    case kColSnapshot:
      return kSnapshotIs;
    case kColState:
      return kStateIs;
    case kColReach:
      return kReachIs;
    case kColType:
      return kTypeIs;
    case kColHeap:
      return kHeapIs;
    default:
      return kNoTerm;
  }
}

// Rough shares of the rows that a condition leaves. `type` is not rarer on purpose: a join has to
// scan the chunks once and look types up, not scan the chunks for each type.
double share_of(Term term) {
  switch (term) {
    case kSnapshotIs:
      return 0.2;
    case kAddressIs:
      return 1e-6;
    case kAddressFrom:
    case kAddressTo:
      return 0.2;
    case kNoTerm:
      return 1;
    default:
      return 0.5;
  }
}

// The number of the name in `names`; kNames if it is not there.
template <size_t kNames>
uint8_t find_name(const std::array<const char*, kNames>& names, std::string_view text) {
  return static_cast<uint8_t>(std::find(names.begin(), names.end(), text) - names.begin());
}

// state and reach. A number is compared as text, and no name is one; NULL equals nothing.
void apply_name(ChunkFilter& filter, char term, sqlite3_value* value) {
  std::string_view text;
  if (sqlite3_value_type(value) == SQLITE_TEXT) {
    text = {static_cast<const char*>(sqlite3_value_blob(value)),
            static_cast<size_t>(sqlite3_value_bytes(value))};
  }
  // The empty name stands for NULL in kReachNames.
  if (text.empty()) {
    filter.nothing = true;
  } else if (term == kStateIs) {
    filter.state = find_name(kChunkStateNames, text);
    filter.nothing = filter.nothing || *filter.state == kChunkStateNames.size();
  } else {
    filter.reach = find_name(kReachNames, text);
    filter.nothing = filter.nothing || *filter.reach == kReachNames.size();
  }
}

// Bounds of another kind are left to SQLite.
void apply_bound(ChunkFilter& filter, char term, sqlite3_value* value) {
  const std::optional<int64_t> bound = as_integer(value);
  if (!bound) return;
  if (term != kAddressTo) filter.low = std::max(filter.low, *bound);
  if (term != kAddressFrom) filter.high = std::min(filter.high, *bound);
}

void apply_id(ChunkFilter& filter, char term, sqlite3_value* value) {
  const std::optional<int64_t> id = as_integer(value);
  if (!id) {
    filter.nothing = true;
  } else if (term == kSnapshotIs) {
    filter.snapshot = *id;
  } else {
    filter.nothing = filter.nothing || *id < 0 || *id >= ~uint32_t{0};
    (term == kTypeIs ? filter.type : filter.heap) = static_cast<uint32_t>(*id);
  }
}

}  // namespace

std::optional<int64_t> as_integer(sqlite3_value* value) {
  const int type = sqlite3_value_numeric_type(value);
  if (type == SQLITE_INTEGER) return sqlite3_value_int64(value);
  if (type != SQLITE_FLOAT) return std::nullopt;
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  const double real = sqlite3_value_double(value);
  if (!(real >= -kLimit && real < kLimit) || std::trunc(real) != real) return std::nullopt;
  return static_cast<int64_t>(real);
}

// Blocks ascend as unsigned numbers. Within one half of the address space the signed order is the
// same, so that bounds that lie in one half can be compared without sign.
bool ChunkFilter::in_one_half() const { return low >= 0 || high < 0; }

// Of bounds that reach into both halves a block that does so too is not skipped.
bool ChunkFilter::may_hold(const BlockRef& ref) const {
  if (low > high) return false;
  if (in_one_half()) {
    return static_cast<uint64_t>(low) <= ref.last_address &&
           static_cast<uint64_t>(high) >= ref.first_address;
  }
  const auto first = static_cast<int64_t>(ref.first_address);
  const auto last = static_cast<int64_t>(ref.last_address);
  return first > last || (low <= last && high >= first);
}

std::pair<uint32_t, uint32_t> ChunkFilter::rows(const ChunkBlock& block) const {
  const bool bounded =
      low != std::numeric_limits<int64_t>::min() || high != std::numeric_limits<int64_t>::max();
  if (!bounded) return {0, block.count};
  const auto begin = block.address.begin();
  const auto end = block.address.end();
  // The rows in [from, to], both of one half.
  const auto between = [&](int64_t from, int64_t to) {
    const auto first = std::lower_bound(begin, end, static_cast<uint64_t>(from));
    const auto last = std::upper_bound(first, end, static_cast<uint64_t>(to));
    return std::pair(static_cast<uint32_t>(first - begin), static_cast<uint32_t>(last - begin));
  };
  if (in_one_half()) return between(low, high);
  if (static_cast<int64_t>(block.address.front()) > static_cast<int64_t>(block.address.back())) {
    return {0, block.count};
  }
  return static_cast<int64_t>(block.address.front()) < 0 ? between(low, -1) : between(0, high);
}

uint32_t needed_columns(uint64_t columns_used) {
  const auto uses = [columns_used](int column) { return (columns_used >> column & 1) != 0; };
  uint32_t needed = 0;
  if (uses(kColAddress) || uses(kColSize) || uses(kColHeap)) needed |= kPlaceColumns;
  if (uses(kColState) || uses(kColReach)) needed |= kStateColumns;
  if (uses(kColType)) needed |= kTypeColumn;
  if (uses(kColOwner)) needed |= kOwnerColumn;
  if (uses(kColCluster)) needed |= kClusterColumn;
  if (uses(kColRetained)) needed |= kRetainedColumn | kPlaceColumns | kStateColumns;
  if (uses(kColRequested)) needed |= kSlackColumn | kPlaceColumns;
  if (uses(kColDominator)) needed |= kDominatorColumn | kPlaceColumns;
  return needed;
}

int plan_filter(sqlite3_index_info* info) {
  std::string plan;
  uint64_t columns = info->colUsed;
  double rows = 5e7;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& constraint = info->aConstraint[i];
    const Term term = term_of(constraint);
    if (term == kNoTerm) continue;
    // "state = 'USED' COLLATE NOCASE" compares otherwise than we do.
    const bool is_text = term == kStateIs || term == kReachIs;
    if (is_text && std::string_view(sqlite3_vtab_collation(info, i)) != "BINARY") continue;
    plan += static_cast<char>(term);
    info->aConstraintUsage[i].argvIndex = static_cast<int>(plan.size());
    // Address bounds are inclusive and skip by blocks; all else is compared exactly as SQLite
    // would.
    info->aConstraintUsage[i].omit = constraint.iColumn == kColAddress ? 0 : 1;
    columns |= uint64_t{1} << constraint.iColumn;
    rows *= share_of(term);
  }
  info->idxNum = static_cast<int>(needed_columns(columns));
  info->idxStr = sqlite3_mprintf("%s", plan.c_str());
  if (info->idxStr == nullptr) return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  info->estimatedRows = static_cast<sqlite3_int64>(std::max(rows, 1.0));
  info->estimatedCost = rows + 1000;  // a block has to be unpacked in any case
  return SQLITE_OK;
}

ChunkFilter read_filter(const char* plan, std::span<sqlite3_value*> values) {
  ChunkFilter filter;
  const std::string_view terms(plan == nullptr ? "" : plan);
  for (size_t i = 0; i < values.size() && i < terms.size(); ++i) {
    switch (terms[i]) {
      case kAddressIs:
      case kAddressFrom:
      case kAddressTo:
        apply_bound(filter, terms[i], values[i]);
        break;
      case kStateIs:
      case kReachIs:
        apply_name(filter, terms[i], values[i]);
        break;
      default:
        apply_id(filter, terms[i], values[i]);
    }
  }
  return filter;
}

}  // namespace residue
