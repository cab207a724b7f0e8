#include "db/diff_keys.h"

#include <algorithm>
#include <functional>

#include "analyzer/snapshot_keys.h"
#include "db/statement.h"

namespace residue {
namespace {

// Runs `row` for each row of `sql`, whose first column must count from 0.
Result<void> each_id(sqlite3* db, const char* sql, int64_t snapshot,
                     const std::function<void(Statement&)>& row) {
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
  RESIDUE_TRY(statement.bind(snapshot));
  for (int64_t id = 0;; ++id) {
    RESIDUE_ASSIGN(const bool more, statement.step());
    if (!more) return {};
    if (statement.integer(0) != id) {
      return Error{ErrorCode::kCorrupt,
                   "snapshot " + std::to_string(snapshot) + ": a row is missing before id " +
                       std::to_string(statement.integer(0)) + " (" + sql + ")",
                   {}};
    }
    row(statement);
  }
}

uint32_t module_key(NameTable& modules, std::string_view name) {
  return name.empty() ? 0 : modules.intern(name);
}

Result<void> load_heaps(sqlite3* db, int64_t snapshot, DiffKeys& keys, SideKeys& side) {
  RESIDUE_TRY(each_id(db, "SELECT id, name FROM heap WHERE snapshot = ? ORDER BY id", snapshot,
                      [&](Statement& row) {
                        side.heap.push_back(keys.heaps.intern(row.text(1)));
                        side.heap_region.push_back(
                            keys.regions.intern(heap_region_key(row.text(1))));
                      }));
  side.heap.push_back(keys.heaps.intern(kUnknownKey));
  side.heap_region.push_back(keys.regions.intern(heap_region_key("")));
  RESIDUE_ASSIGN(Statement named,
                 Statement::prepare(db,
                                    "SELECT start, size, name FROM region WHERE snapshot = ? AND "
                                    "name <> '' AND size > 0"));
  RESIDUE_TRY(named.bind(snapshot));
  for (;;) {
    RESIDUE_ASSIGN(const bool more, named.step());
    if (!more) break;
    const auto begin = static_cast<uint64_t>(named.integer(0));
    const uint64_t end = begin + static_cast<uint64_t>(named.integer(1));
    if (end > begin) side.regions.push_back({begin, end, keys.regions.intern(named.text(2))});
  }
  std::sort(side.regions.begin(), side.regions.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  return {};
}

Result<void> load_side(sqlite3* db, int64_t snapshot, DiffKeys& keys, SideKeys& side) {
  side = {};
  RESIDUE_TRY(each_id(db, "SELECT id, name, module FROM type WHERE snapshot = ? ORDER BY id",
                      snapshot, [&](Statement& row) {
                        side.type.push_back(keys.types.intern(row.text(1)));
                        side.type_module.push_back(module_key(keys.modules, row.text(2)));
                      }));
  side.type.push_back(keys.types.intern(kUnknownKey));
  side.type_module.push_back(0);
  RESIDUE_TRY(each_id(db, "SELECT id, name, module FROM owner WHERE snapshot = ? ORDER BY id",
                      snapshot, [&](Statement& row) {
                        side.owner.push_back(keys.owners.intern(row.text(1)));
                        side.owner_module.push_back(module_key(keys.modules, row.text(2)));
                      }));
  side.owner.push_back(keys.owners.intern(kNobodyKey));
  side.owner_module.push_back(0);
  RESIDUE_TRY(each_id(
      db,
      "SELECT id, shape, module, suppressed IS NOT NULL FROM cluster WHERE snapshot = ? ORDER BY "
      "id",
      snapshot, [&](Statement& row) {
        side.shape.push_back(row.integer(3) != 0 ? kNoKey : keys.shapes.intern(row.text(1)));
        side.cluster_module.push_back(module_key(keys.modules, row.text(2)));
      }));
  return load_heaps(db, snapshot, keys, side);
}

}  // namespace

uint32_t NameTable::intern(std::string_view name) {
  const auto [it, is_new] = keys_.try_emplace(std::string(name), size());
  if (is_new) names_.push_back(&it->first);
  return it->second;
}

Result<void> DiffKeys::load(sqlite3* db, int64_t from, int64_t to) {
  modules.intern(kUnknownKey);
  RESIDUE_TRY(load_side(db, from, *this, before));
  return load_side(db, to, *this, after);
}

}  // namespace residue
