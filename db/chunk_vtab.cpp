#include "db/chunk_vtab.h"

#include <tuple>
#include <vector>

#include "db/chunk_filter.h"
#include "db/virtual_table.h"

namespace residue {
namespace {

// Walks snapshots, their blocks, and the rows of a block that the filter leaves.
struct ChunkCursor : sqlite3_vtab_cursor {
  static constexpr const char* kDeclaration =
      "CREATE TABLE chunk(snapshot INTEGER, address INTEGER, size INTEGER, requested INTEGER, "
      "heap INTEGER, state TEXT, reach TEXT, type INTEGER, site INTEGER, site_group INTEGER, "
      "owner INTEGER, cluster INTEGER, retained INTEGER, dominator INTEGER)";

  ChunkCursor(sqlite3* db, const LiveSnapshots& live) : sqlite3_vtab_cursor{}, source(db, live) {}

  static int plan(sqlite3_index_info* info) { return plan_filter(info); }
  Result<void> start(int number, const char* plan, std::span<sqlite3_value*> values);
  bool at_end() const { return block == nullptr; }
  Result<void> next() {
    ++row;
    return advance();
  }
  Result<void> give(sqlite3_context* context, int column) const;
  int64_t rowid() const { return ref->snapshot * (int64_t{1} << 32) + ref->first_id + row; }
  Result<void> advance();

  ChunkSource source;
  ChunkFilter filter;
  uint32_t columns = 0;
  std::vector<int64_t> snapshots;
  size_t next_snapshot = 0;
  const std::vector<BlockRef>* blocks = nullptr;
  size_t next_block = 0;
  const BlockRef* ref = nullptr;
  const ChunkBlock* block = nullptr;
  uint32_t row = 0;
  uint32_t end = 0;
};

Result<void> ChunkCursor::start(int number, const char* plan, std::span<sqlite3_value*> values) {
  const auto needed = static_cast<uint32_t>(number);
  filter = read_filter(plan, values);
  if (columns != needed) source.clear();
  columns = needed;
  snapshots.clear();
  blocks = nullptr;
  block = nullptr;
  next_snapshot = 0;
  row = end = 0;
  if (filter.nothing) return {};
  if (filter.snapshot) {
    snapshots.push_back(*filter.snapshot);
  } else {
    RESIDUE_ASSIGN(snapshots, source.snapshots());
  }
  return advance();
}

// To the next row from `row` on that matches.
Result<void> ChunkCursor::advance() {
  for (;;) {
    while (row < end && !filter.matches(*block, row)) ++row;
    if (row < end) return {};
    block = nullptr;
    if (blocks == nullptr || next_block == blocks->size()) {
      if (next_snapshot == snapshots.size()) return {};
      RESIDUE_ASSIGN(blocks, source.blocks(snapshots[next_snapshot]));
      ++next_snapshot;
      next_block = 0;
      continue;
    }
    ref = &(*blocks)[next_block++];
    if (!filter.may_hold(*ref)) continue;
    RESIDUE_ASSIGN(block, source.load(*ref, columns));
    std::tie(row, end) = filter.rows(*block);
  }
}

void give_integer(sqlite3_context* context, uint64_t value) {
  sqlite3_result_int64(context, static_cast<sqlite3_int64>(value));
}

// Nothing given is NULL.
void give_id(sqlite3_context* context, uint32_t id) {
  if (id != ~uint32_t{0}) sqlite3_result_int64(context, id);
}

Result<void> ChunkCursor::give(sqlite3_context* context, int column) const {
  const ChunkBlock& chunks = *block;
  const uint32_t i = row;
  switch (column) {
    case kColSnapshot:
      sqlite3_result_int64(context, ref->snapshot);
      break;
    case kColAddress:
      give_integer(context, chunks.address[i]);
      break;
    case kColSize:
      give_integer(context, chunks.size[i]);
      break;
    case kColRequested:
      if (!chunks.slack.empty() && chunks.slack[i] != ~uint32_t{0}) {
        give_integer(context, chunks.size[i] - chunks.slack[i]);
      }
      break;
    case kColHeap:
      give_id(context, chunks.heap[i]);
      break;
    case kColState:
      sqlite3_result_text(context, kChunkStateNames[chunks.state[i]], -1, SQLITE_STATIC);
      break;
    case kColReach:
      if (chunks.reach[i] != 0) {
        sqlite3_result_text(context, kReachNames[chunks.reach[i]], -1, SQLITE_STATIC);
      }
      break;
    case kColType:
      give_id(context, chunks.type[i]);
      break;
    case kColOwner:
      give_id(context, chunks.owner[i]);
      break;
    case kColCluster:
      give_id(context, chunks.cluster[i]);
      break;
    case kColRetained:
      if (!chunks.retained.empty() && chunks.state[i] == static_cast<uint8_t>(ChunkState::kUsed)) {
        give_integer(context, chunks.retained[i]);
      }
      break;
    case kColDominator:
      if (!chunks.dominator.empty() && chunks.dominator[i] != 0) {
        give_integer(context, chunks.dominator[i]);
      }
      break;
    default:
      break;
  }
  return {};
}

}  // namespace

Result<void> register_chunk_table(sqlite3* db, const LiveSnapshots* live) {
  return register_virtual_table<ChunkCursor>(db, "chunk", live);
}

}  // namespace residue
