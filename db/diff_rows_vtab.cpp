#include "db/diff_rows_vtab.h"

#include <array>
#include <utility>

#include "db/diff_plan.h"

namespace residue {
namespace {

constexpr int kDimension = 2;
constexpr int kKey = 3;
constexpr char kPlanDimension = 'd';
constexpr std::array<PlanTerm, 1> kTerms = {{{kDimension, kPlanDimension}}};

}  // namespace

int PairRowsCursor::plan(sqlite3_index_info* info) { return plan_pair(info, kTerms, 2000); }

Result<void> PairRowsCursor::start(int, const char* plan, std::span<sqlite3_value*> values) {
  const std::string_view letters(plan);
  if (!plan_has_pair(letters)) return pair_missing(table_);
  std::optional<int64_t> from;
  std::optional<int64_t> to;
  std::optional<std::string> dimension;
  for (size_t i = 0; i < values.size() && i < letters.size(); ++i) {
    if (letters[i] == kPlanFrom) {
      from = whole_number(values[i]);
    } else if (letters[i] == kPlanTo) {
      to = whole_number(values[i]);
    } else {
      dimension = std::string(plain_text(values[i]).value_or(std::string_view()));
    }
  }
  row_ = end_ = 0;
  if (!from || !to) return {};
  RESIDUE_TRY(compute(*from, *to, std::move(dimension)));
  end_ = rows_->size();
  return {};
}

Result<void> PairRowsCursor::compute(int64_t from, int64_t to, std::optional<std::string> wanted) {
  const bool same = from_snapshot_ == from && to_snapshot_ == to && dimension_ == wanted;
  if (rows_ != nullptr && same) return {};
  rows_ = make_();
  from_snapshot_ = from;
  to_snapshot_ = to;
  dimension_ = std::move(wanted);
  Result<void> computed = rows_->compute(db_, live_, from, to, dimension_);
  if (!computed) rows_.reset();
  return computed;
}

Result<void> PairRowsCursor::give(sqlite3_context* context, int column) const {
  if (column < kDimension) {
    sqlite3_result_int64(context, column == 0 ? from_snapshot_ : to_snapshot_);
  } else if (column <= kKey) {
    const std::string_view text = column == kKey ? rows_->key(row_) : rows_->dimension(row_);
    sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  } else {
    sqlite3_result_int64(context, rows_->number(row_, column));
  }
  return {};
}

}  // namespace residue
