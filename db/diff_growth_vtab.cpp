// The virtual table `growth` (diff_growth.h).
#include <memory>

#include "db/diff_growth.h"
#include "db/diff_rows_vtab.h"
#include "db/virtual_table.h"

namespace residue {
namespace {

class GrowthRows final : public PairRows {
 public:
  Result<void> compute(sqlite3* db, const LiveSnapshots& live, int64_t from, int64_t to,
                       std::optional<std::string_view> dimension) override {
    uint32_t wanted = 0;
    for (uint32_t d = 0; d < kGrowthDimensions.size(); ++d) {
      if (!dimension || *dimension == kGrowthDimensions[d]) wanted |= 1U << d;
    }
    RESIDUE_ASSIGN(rows_, measure_growth(db, live, from, to, wanted));
    return {};
  }
  size_t size() const override { return rows_.size(); }
  std::string_view dimension(size_t row) const override {
    return kGrowthDimensions[rows_[row].dimension];
  }
  std::string_view key(size_t row) const override { return rows_[row].key; }
  int64_t number(size_t row, int column) const override {
    const Growth& g = rows_[row].growth;
    const std::array<uint64_t, 16> cells = {
        g.new_count,        g.new_bytes,        g.gone_count,
        g.gone_bytes,       g.resized_count,    static_cast<uint64_t>(g.resized_bytes),
        g.kept_count,       g.kept_bytes,       g.joined_count,
        g.joined_bytes,     g.left_count,       g.left_bytes,
        g.new_leaked_count, g.new_leaked_bytes, g.lost_count,
        g.lost_bytes};
    return static_cast<int64_t>(cells[static_cast<size_t>(column - 4)]);
  }

 private:
  std::vector<GrowthRow> rows_;
};

struct GrowthCursor final : PairRowsCursor {
  static constexpr const char* kDeclaration =
      "CREATE TABLE growth(from_snapshot INTEGER, to_snapshot INTEGER, dimension TEXT, key TEXT, "
      "new_count INTEGER, new_bytes INTEGER, gone_count INTEGER, gone_bytes INTEGER, "
      "resized_count INTEGER, resized_bytes INTEGER, kept_count INTEGER, kept_bytes INTEGER, "
      "joined_count INTEGER, joined_bytes INTEGER, left_count INTEGER, left_bytes INTEGER, "
      "new_leaked_count INTEGER, new_leaked_bytes INTEGER, lost_count INTEGER, lost_bytes INTEGER)";

  GrowthCursor(sqlite3* db, const LiveSnapshots& live)
      : PairRowsCursor(db, live, "growth", []() -> std::unique_ptr<PairRows> {
          return std::make_unique<GrowthRows>();
        }) {}
};

}  // namespace

Result<void> register_growth(sqlite3* db, const LiveSnapshots* live) {
  return register_virtual_table<GrowthCursor>(db, "growth", live);
}

}  // namespace residue
