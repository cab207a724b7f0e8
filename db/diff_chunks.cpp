#include "db/diff_chunks.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <string_view>

#include "db/diff_plan.h"
#include "db/diff_process.h"
#include "db/virtual_table.h"

namespace residue {
namespace {

enum Column : int {
  kFromSnapshot,
  kToSnapshot,
  kAddress,
  kStatus,
  kSizeBefore,
  kSizeAfter,
  kHeap,
  kType,
  kTypeBefore,
  kOwner,
  kCluster,
  kReach,
  kReachBefore,
  kStateBefore,
};

constexpr char kPlanStatus = 's';
constexpr std::array<PlanTerm, 2> kTerms = {{{kAddress, kPlanAddress}, {kStatus, kPlanStatus}}};

struct Filter {
  bool nothing = false;
  int64_t from = 0, to = 0;
  int64_t low = std::numeric_limits<int64_t>::min();
  int64_t high = std::numeric_limits<int64_t>::max();
  std::optional<ChunkStatus> status;

  // Whether the bounds lie in one half of the address space, where signed and unsigned order agree.
  bool in_one_half() const { return (low < 0) == (high < 0); }
};

struct DiffCursor : sqlite3_vtab_cursor {
  static constexpr const char* kDeclaration =
      "CREATE TABLE chunk_diff(from_snapshot INTEGER, to_snapshot INTEGER, address INTEGER, "
      "status TEXT, size_before INTEGER, size_after INTEGER, heap TEXT, type TEXT, "
      "type_before TEXT, owner TEXT, cluster INTEGER, reach TEXT, reach_before TEXT, "
      "state_before TEXT)";

  DiffCursor(sqlite3* of, const LiveSnapshots& live)
      : sqlite3_vtab_cursor{}, db(of), pairs(of, live) {}

  static int plan(sqlite3_index_info* info) { return plan_pair(info, kTerms, 1e7); }
  Result<void> start(int number, const char* plan, std::span<sqlite3_value*> values);
  bool at_end() const { return done; }
  Result<void> next();
  Result<void> give(sqlite3_context* context, int column) const;
  int64_t rowid() const { return row; }
  // From the pair at hand to the first one that is wanted.
  Result<void> find();
  Result<void> step() { return pairs.step() ? Result<void>() : pairs.refill(); }

  sqlite3* db;
  ChunkPairs pairs;
  std::unique_ptr<DiffKeys> keys;
  int64_t keys_from = 0, keys_to = 0;
  Filter filter;
  bool done = true;
  ChunkStatus status = ChunkStatus::kKept;
  int64_t row = 0;
};

uint32_t needed_columns(uint64_t used) {
  const auto uses = [used](int column) { return (used >> column & 1) != 0; };
  uint32_t columns = 0;
  if (uses(kStatus) || uses(kType) || uses(kTypeBefore)) columns |= kTypeColumn;
  if (uses(kOwner)) columns |= kOwnerColumn;
  if (uses(kCluster)) columns |= kClusterColumn;
  return columns;
}

Filter read_plan(const char* plan, std::span<sqlite3_value*> values) {
  Filter filter;
  const std::string_view letters(plan);
  for (size_t i = 0; i < values.size() && i < letters.size(); ++i) {
    if (letters[i] == kPlanStatus) {
      const auto text = plain_text(values[i]);
      const auto name = std::find(kChunkStatusNames.begin(), kChunkStatusNames.end(),
                                  text.value_or(std::string_view()));
      filter.nothing = filter.nothing || name == kChunkStatusNames.end();
      filter.status = static_cast<ChunkStatus>(name - kChunkStatusNames.begin());
      continue;
    }
    const auto number = whole_number(values[i]);
    if (letters[i] == kPlanFrom || letters[i] == kPlanTo) {
      filter.nothing = filter.nothing || !number;
      (letters[i] == kPlanFrom ? filter.from : filter.to) = number.value_or(0);
    } else if (number) {  // bounds of another kind are left to SQLite
      if (letters[i] != '<') filter.low = std::max(filter.low, *number);
      if (letters[i] != '>') filter.high = std::min(filter.high, *number);
    }
  }
  return filter;
}

Result<void> DiffCursor::start(int number, const char* plan, std::span<sqlite3_value*> values) {
  if (!plan_has_pair(plan)) return pair_missing("chunk_diff");
  filter = read_plan(plan, values);
  const uint32_t columns = needed_columns(static_cast<uint64_t>(number)) | kTypeColumn;
  done = true;
  row = 0;
  if (filter.nothing || filter.low > filter.high) return {};
  RESIDUE_ASSIGN(const Kinship kinship, need_same_process(db, filter.from, filter.to));
  if (!kinship.exists) return {};
  if (keys == nullptr || keys_from != filter.from || keys_to != filter.to) {
    keys = std::make_unique<DiffKeys>();
    RESIDUE_TRY(keys->load(db, filter.from, filter.to));
    keys_from = filter.from;
    keys_to = filter.to;
  }
  const uint64_t low = filter.in_one_half() ? static_cast<uint64_t>(filter.low) : 0;
  RESIDUE_TRY(pairs.start(filter.from, filter.to, columns, low));
  done = false;
  return find();
}

Result<void> DiffCursor::next() {
  ++row;
  RESIDUE_TRY(step());
  return find();
}

Result<void> DiffCursor::find() {
  while (!pairs.at_end()) {
    const auto address = static_cast<int64_t>(pairs.address());
    if (address >= filter.low && address <= filter.high) {
      const auto found = status_of(pairs.before(), pairs.after(), *keys);
      if (found && (!filter.status || *found == *filter.status)) {
        status = *found;
        return {};
      }
    } else if (filter.in_one_half() && pairs.address() > static_cast<uint64_t>(filter.high)) {
      break;  // addresses ascend as unsigned numbers: there is nothing more
    }
    RESIDUE_TRY(step());
  }
  done = true;
  return {};
}

void give_name(sqlite3_context* context, const std::string& name) {
  sqlite3_result_text64(context, name.data(), name.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

// Nothing given is NULL.
void give_type(sqlite3_context* context, const DiffKeys& keys, const SideKeys& side,
               const ChunkWalk* walk) {
  if (walk == nullptr) return;
  const uint32_t id = walk->block().type[walk->row()];
  if (id + size_t{1} < side.type.size()) give_name(context, keys.types.name(side.type[id]));
}

void give_reach(sqlite3_context* context, const ChunkWalk* walk) {
  if (walk == nullptr) return;
  const uint8_t reach = walk->block().reach[walk->row()];
  if (reach != 0) sqlite3_result_text(context, kReachNames[reach], -1, SQLITE_STATIC);
}

void give_state_before(sqlite3_context* context, const DiffCursor& cursor) {
  const auto state = cursor.pairs.covered_by();
  if (!state) return;
  sqlite3_result_text(context, kChunkStateNames[static_cast<size_t>(*state)], -1, SQLITE_STATIC);
}

// What the row is about: the chunk of the second snapshot, or the one that is gone.
void give_fact(sqlite3_context* context, const DiffCursor& cursor, int column) {
  const bool gone = cursor.status == ChunkStatus::kGone;
  const ChunkWalk& walk = gone ? *cursor.pairs.before() : *cursor.pairs.after();
  const DiffKeys& keys = *cursor.keys;
  const SideKeys& side = gone ? keys.before : keys.after;
  const ChunkBlock& block = walk.block();
  const uint32_t i = walk.row();
  if (column == kHeap) {
    if (block.heap[i] + size_t{1} < side.heap.size()) {
      give_name(context, keys.heaps.name(side.heap[block.heap[i]]));
    }
  } else if (column == kType) {
    give_type(context, keys, side, &walk);
  } else if (column == kOwner) {
    if (block.owner[i] + size_t{1} < side.owner.size()) {
      give_name(context, keys.owners.name(side.owner[block.owner[i]]));
    }
  } else if (column == kCluster) {
    if (block.cluster[i] != kNoKey) sqlite3_result_int64(context, block.cluster[i]);
  } else {
    give_reach(context, &walk);
  }
}

Result<void> DiffCursor::give(sqlite3_context* context, int column) const {
  const bool was_used = status != ChunkStatus::kNew;
  const bool is_used = status != ChunkStatus::kGone;
  const ChunkWalk* before = was_used ? pairs.before() : nullptr;
  switch (column) {
    case kFromSnapshot:
      sqlite3_result_int64(context, filter.from);
      break;
    case kToSnapshot:
      sqlite3_result_int64(context, filter.to);
      break;
    case kAddress:
      sqlite3_result_int64(context, static_cast<sqlite3_int64>(pairs.address()));
      break;
    case kStatus:
      sqlite3_result_text(context, kChunkStatusNames[static_cast<size_t>(status)], -1,
                          SQLITE_STATIC);
      break;
    case kSizeBefore:
      if (was_used) sqlite3_result_int64(context, static_cast<sqlite3_int64>(before->size()));
      break;
    case kSizeAfter:
      if (is_used) {
        sqlite3_result_int64(context, static_cast<sqlite3_int64>(pairs.after()->size()));
      }
      break;
    case kTypeBefore:
      give_type(context, *keys, keys->before, before);
      break;
    case kReachBefore:
      give_reach(context, before);
      break;
    case kStateBefore:
      give_state_before(context, *this);
      break;
    default:
      give_fact(context, *this, column);
  }
  return {};
}

}  // namespace

// A type that is known only once says nothing: the analysis may have seen more the second time.
std::optional<ChunkStatus> status_of(const ChunkWalk* before, const ChunkWalk* after,
                                     const DiffKeys& keys) {
  const bool was_used = before != nullptr && before->used();
  const bool is_used = after != nullptr && after->used();
  if (!was_used && !is_used) return std::nullopt;
  if (!was_used) return ChunkStatus::kNew;
  if (!is_used) return ChunkStatus::kGone;
  if (before->size() != after->size()) return ChunkStatus::kResized;
  const uint32_t old_type = SideKeys::at(keys.before.type, before->block().type[before->row()]);
  const uint32_t new_type = SideKeys::at(keys.after.type, after->block().type[after->row()]);
  const bool both_known = old_type != keys.before.type.back() && new_type != keys.after.type.back();
  return both_known && old_type != new_type ? ChunkStatus::kReplaced : ChunkStatus::kKept;
}

Result<void> register_chunk_diff(sqlite3* db, const LiveSnapshots* live) {
  return register_virtual_table<DiffCursor>(db, "chunk_diff", live);
}

}  // namespace residue
