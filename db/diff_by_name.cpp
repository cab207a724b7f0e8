#include "db/diff_by_name.h"

#include <array>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "db/diff_rows_vtab.h"
#include "db/stable_name.h"
#include "db/statement.h"
#include "db/virtual_table.h"

namespace residue {
namespace {

struct Sums {
  int64_t count = 0, bytes = 0, leaked_bytes = 0;
};

class NamedRows final : public PairRows {
 public:
  Result<void> compute(sqlite3* db, const LiveSnapshots&, int64_t from, int64_t to,
                       std::optional<std::string_view> dimension) override {
    RESIDUE_ASSIGN(const bool both, exist(db, from, to));
    if (!both || from == to) return {};
    RESIDUE_TRY(find_same_builds(db, from, to));
    RESIDUE_TRY(add(db, from, dimension, 0));
    RESIDUE_TRY(add(db, to, dimension, 1));
    for (const auto& row : sums_) rows_.push_back(&row);
    return {};
  }
  size_t size() const override { return rows_.size(); }
  std::string_view dimension(size_t row) const override { return rows_[row]->first.first; }
  std::string_view key(size_t row) const override { return rows_[row]->first.second; }
  int64_t number(size_t row, int column) const override {
    const auto& [before, after] = rows_[row]->second;
    const std::array<int64_t, 7> cells = {before.count,
                                          before.bytes,
                                          after.count,
                                          after.bytes,
                                          after.count - before.count,
                                          after.bytes - before.bytes,
                                          after.leaked_bytes - before.leaked_bytes};
    return cells[static_cast<size_t>(column - 4)];
  }

 private:
  using Key = std::pair<std::string, std::string>;

  static Result<bool> exist(sqlite3* db, int64_t from, int64_t to) {
    RESIDUE_ASSIGN(Statement find, Statement::prepare(db,
                                                      "SELECT 1 FROM snapshot a, snapshot b WHERE "
                                                      "a.id = ? AND b.id = ?"));
    RESIDUE_TRY(find.bind(from, to));
    return find.step();
  }

  // A module of one name that stands for two builds on a side is of no use.
  Result<void> find_same_builds(sqlite3* db, int64_t from, int64_t to) {
    RESIDUE_ASSIGN(Statement find,
                   Statement::prepare(db,
                                      "SELECT name FROM module WHERE snapshot IN (?, ?) GROUP BY "
                                      "name HAVING count(DISTINCT snapshot) = 2 AND "
                                      "count(DISTINCT build_id) = 1 AND "
                                      "count(build_id) = count(*)"));
    RESIDUE_TRY(find.bind(from, to));
    for (;;) {
      RESIDUE_ASSIGN(const bool more, find.step());
      if (!more) return {};
      same_builds_.emplace(find.text(0));
    }
  }

  Result<void> add(sqlite3* db, int64_t snapshot, std::optional<std::string_view> dimension,
                   size_t side) {
    RESIDUE_ASSIGN(Statement read,
                   Statement::prepare(db,
                                      "SELECT dimension, key, used_count, used_bytes, leaked_bytes "
                                      "FROM usage WHERE snapshot = ?1"));
    RESIDUE_TRY(read.bind(snapshot));
    const SameBuild same_build = [this](std::string_view module) {
      return same_builds_.find(module) != same_builds_.end();
    };
    for (;;) {
      RESIDUE_ASSIGN(const bool more, read.step());
      if (!more) return {};
      const std::string of(read.text(0));
      if (dimension && of != *dimension) continue;
      Sums& sums = sums_[{of, stable_name(of, read.text(1), same_build)}][side];
      sums.count += read.integer(2);
      sums.bytes += read.integer(3);
      sums.leaked_bytes += read.integer(4);
    }
  }

  std::set<std::string, std::less<>> same_builds_;
  std::map<Key, std::array<Sums, 2>> sums_;
  std::vector<const std::pair<const Key, std::array<Sums, 2>>*> rows_;
};

struct NamedCursor final : PairRowsCursor {
  static constexpr const char* kDeclaration =
      "CREATE TABLE diff_by_name(from_snapshot INTEGER, to_snapshot INTEGER, dimension TEXT, key "
      "TEXT, count_before INTEGER, bytes_before INTEGER, count_after INTEGER, bytes_after INTEGER, "
      "count_delta INTEGER, bytes_delta INTEGER, leaked_bytes_delta INTEGER)";

  NamedCursor(sqlite3* db, const LiveSnapshots& live)
      : PairRowsCursor(db, live, "diff_by_name", []() -> std::unique_ptr<PairRows> {
          return std::make_unique<NamedRows>();
        }) {}
};

}  // namespace

Result<void> register_diff_by_name(sqlite3* db, const LiveSnapshots* live) {
  return register_virtual_table<NamedCursor>(db, "diff_by_name", live);
}

}  // namespace residue
