#include "db/reference_vtab.h"

#include <algorithm>
#include <vector>

#include "db/reference_filter.h"
#include "db/reference_source.h"
#include "db/virtual_table.h"

namespace residue {
namespace {

// Walks snapshots, their blocks, and the references of a block that the filter leaves.
struct ReferenceCursor : sqlite3_vtab_cursor {
  static constexpr const char* kDeclaration =
      "CREATE TABLE reference(snapshot INTEGER, source INTEGER, target INTEGER, interior INTEGER, "
      "kind TEXT)";

  ReferenceCursor(sqlite3* db, const LiveSnapshots& live)
      : sqlite3_vtab_cursor{}, references(db, live) {}

  static int plan(sqlite3_index_info* info) { return plan_references(info); }
  Result<void> start(int number, const char* plan, std::span<sqlite3_value*> values);
  bool at_end() const { return block == nullptr; }
  Result<void> next() {
    ++row;
    return advance();
  }
  Result<void> give(sqlite3_context* context, int column);
  // Unique as long as there are fewer than two million snapshots, of 16 million blocks each.
  int64_t rowid() const {
    const auto number = static_cast<uint64_t>(ref->snapshot) << 24 | ref->block;
    static_assert(kBlockReferences <= 1 << 18);
    return static_cast<int64_t>(number << 18 | row);
  }
  Result<void> advance();

  ReferenceSource references;
  ReferenceFilter filter;
  std::vector<int64_t> snapshots;
  size_t next_snapshot = 0;
  const std::vector<ReferenceRef>* blocks = nullptr;
  size_t next_block = 0;
  IdRanges sources, targets;  // of the current snapshot
  const ReferenceRef* ref = nullptr;
  const ReferenceBlock* block = nullptr;
  uint32_t row = 0;     // in the block
  uint32_t source = 0;  // its source, less the block's first

 private:
  Result<bool> next_blocks();
  void find_row();
  Result<void> give_address(sqlite3_context* context, uint32_t id);
};

Result<void> ReferenceCursor::start(int, const char* plan, std::span<sqlite3_value*> values) {
  filter = read_reference_filter(plan, values);
  snapshots.clear();
  blocks = nullptr;
  block = nullptr;
  next_snapshot = 0;
  if (filter.nothing) return {};
  if (filter.snapshot) {
    snapshots.push_back(*filter.snapshot);
  } else {
    RESIDUE_ASSIGN(snapshots, references.snapshots());
  }
  return advance();
}

// The blocks of the next snapshot that has any; false behind the last one.
Result<bool> ReferenceCursor::next_blocks() {
  while (next_snapshot < snapshots.size()) {
    const int64_t snapshot = snapshots[next_snapshot++];
    RESIDUE_ASSIGN(blocks, references.blocks(snapshot));
    next_block = 0;
    if (blocks->empty()) continue;
    RESIDUE_ASSIGN(sources, find_ids(filter.source, snapshot, references.addresses()));
    RESIDUE_ASSIGN(targets, find_ids(filter.target, snapshot, references.addresses()));
    return true;
  }
  return false;
}

// The next row from `row` on that the filter leaves, or the block's end.
void ReferenceCursor::find_row() {
  const uint32_t count = block->sources();
  while (source < count) {
    const uint32_t wanted = sources.next(block->first_id + source) - block->first_id;
    if (wanted >= count) break;
    if (wanted != source) row = block->begin[wanted];
    source = wanted;
    for (const uint32_t end = block->begin[source + 1]; row < end; ++row) {
      if (targets.hold(block->target[row])) return;
    }
    ++source;
  }
  row = block->references();
}

Result<void> ReferenceCursor::advance() {
  for (;;) {
    if (block != nullptr) {
      find_row();
      if (row < block->references()) return {};
      block = nullptr;
    }
    if (blocks == nullptr || next_block == blocks->size()) {
      RESIDUE_ASSIGN(const bool more, next_blocks());
      if (!more) return {};
    }
    ref = &(*blocks)[next_block++];
    const ReferenceRange& range = ref->range;
    if (range.references == 0 || !sources.meet(range.first_id, range.first_id + range.count) ||
        !targets.meet(ref->lowest_target, ref->highest_target + 1)) {
      continue;
    }
    RESIDUE_ASSIGN(block, references.load(*ref));
    row = source = 0;
  }
}

Result<void> ReferenceCursor::give_address(sqlite3_context* context, uint32_t id) {
  RESIDUE_ASSIGN(const uint64_t address, references.addresses().address(ref->snapshot, id));
  sqlite3_result_int64(context, static_cast<sqlite3_int64>(address));
  return {};
}

Result<void> ReferenceCursor::give(sqlite3_context* context, int column) {
  switch (column) {
    case kColReferenceSnapshot:
      sqlite3_result_int64(context, ref->snapshot);
      break;
    case kColSource:
      return give_address(context, block->first_id + source);
    case kColTarget:
      return give_address(context, block->target[row]);
    case kColInterior:
      sqlite3_result_int(context, block->interior(row) ? 1 : 0);
      break;
    case kColKind: {
      const auto kind = static_cast<size_t>(block->kind(row));
      sqlite3_result_text(context, kReferenceKindNames[kind], -1, SQLITE_STATIC);
      break;
    }
    default:
      break;
  }
  return {};
}

}  // namespace

Result<void> register_reference_table(sqlite3* db, const LiveSnapshots* live) {
  return register_virtual_table<ReferenceCursor>(db, "reference", live);
}

}  // namespace residue
