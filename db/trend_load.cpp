// Reading the values of a group of snapshots.
//
// The trend of one process over 500 snapshots reads a million rows of `usage`. In databases that
// keep the names of keys apart (usage_key) they come as numbers, snapshot by snapshot, and a name
// is looked up when its number is seen first: what a row costs beyond SQLite's own step is a look
// into a hash table. A few keys are looked up one by one instead. Older databases have the names in
// the rows.
#include <array>
#include <unordered_map>

#include "db/trend_source.h"

namespace residue {
namespace {

constexpr const char* kTotal = "total";
constexpr const char* kMemory = "memory";
constexpr size_t kFewKeys = 16;  // of which each snapshot is asked for one after the other
constexpr uint32_t kUnwanted = ~uint32_t{0};

bool is_leaked(TrendMeasure measure) {
  return measure == TrendMeasure::kLeakedBytes || measure == TrendMeasure::kLeakedCount;
}

bool is_count(TrendMeasure measure) {
  return measure == TrendMeasure::kUsedCount || measure == TrendMeasure::kLeakedCount;
}

// A column of `heap`, and the key of dimension 'total' that its sum becomes.
struct HeapColumn {
  const char* key;
  const char* column;
};
constexpr std::array<HeapColumn, 5> kByteColumns = {{{"used", "used_bytes"},
                                                     {"free", "free_bytes"},
                                                     {"cached", "cached_bytes"},
                                                     {"overhead", "overhead_bytes"},
                                                     {"mapped", "mapped_bytes"}}};
constexpr std::array<HeapColumn, 3> kCountColumns = {
    {{"used", "used_count"}, {"free", "free_count"}, {"cached", "cached_count"}}};

}  // namespace

struct TrendSource::Job {
  const TrendGroup& group;
  TrendMeasure measure;
  const TrendFilter& filter;
  TrendSeries& series;

  bool wants(std::string_view dimension) const {
    return !filter.dimension || *filter.dimension == dimension;
  }
  bool wants_key(std::string_view key) const { return !filter.key || *filter.key == key; }
};

Result<void> TrendSource::load(const TrendGroup& group, TrendMeasure measure,
                               const TrendFilter& filter, TrendSeries* series) {
  series->clear();
  const Job job{group, measure, filter, *series};
  if (job.wants(kTotal)) RESIDUE_TRY(load_totals(job));
  const bool may_have_rss = job.wants(kTotal) && job.wants_key("rss");
  if (measure == TrendMeasure::kUsedBytes && (job.wants(kMemory) || may_have_rss)) {
    RESIDUE_TRY(load_memory(job));
  }
  if (filter.dimension == kTotal || filter.dimension == kMemory) return {};
  RESIDUE_ASSIGN(const bool numbers, has_key_numbers());
  return numbers ? load_usage(job) : load_named_usage(job);
}

Result<bool> TrendSource::has_key_numbers() {
  RESIDUE_ASSIGN(Statement find,
                 Statement::prepare(db_,
                                    "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' "
                                    "AND name IN ('usage_key', 'usage_row')"));
  RESIDUE_ASSIGN(const bool row, find.step());
  return row && find.integer(0) == 2;
}

Result<bool> TrendSource::has_dimension(std::string_view dimension) {
  if (dimension == kTotal || dimension == kMemory) return true;
  RESIDUE_ASSIGN(const bool numbers, has_key_numbers());
  RESIDUE_ASSIGN(Statement find,
                 Statement::prepare(db_, numbers ? "SELECT 1 FROM usage_key WHERE dimension = ?1"
                                                 : "SELECT 1 FROM usage WHERE dimension = ?1"));
  RESIDUE_TRY(find.bind(KeptText{dimension}));
  return find.step();
}

Result<void> TrendSource::load_totals(const Job& job) {
  if (!is_leaked(job.measure)) RESIDUE_TRY(load_heaps(job));
  return job.wants_key("leaked") ? load_leaked_total(job) : Result<void>();
}

Result<void> TrendSource::load_heaps(const Job& job) {
  std::vector<HeapColumn> wanted;
  std::string sql = "SELECT 0";
  const auto add = [&](const auto& columns) {
    for (const HeapColumn& one : columns) {
      if (!job.wants_key(one.key)) continue;
      sql.append(", ").append(one.column);
      wanted.push_back(one);
    }
  };
  if (is_count(job.measure)) {
    add(kCountColumns);
  } else {
    add(kByteColumns);
  }
  if (wanted.empty()) return {};
  sql.append(" FROM heap WHERE snapshot = ?1");
  RESIDUE_ASSIGN(Statement select, Statement::prepare(db_, sql));
  for (uint32_t i = 0; i < job.group.snapshots.size(); ++i) {
    RESIDUE_TRY(select.bind(job.group.snapshots[i]));
    for (;;) {
      RESIDUE_ASSIGN(const bool more, select.step());
      if (!more) break;
      for (size_t column = 0; column < wanted.size(); ++column) {
        const uint32_t key = job.series.key(kTotal, wanted[column].key);
        RESIDUE_TRY(job.series.add(key, i, select.integer(static_cast<int>(column) + 1)));
      }
    }
  }
  return {};
}

// The categories of what is mapped, and what of it is resident where that is known. Databases made
// before the table `memory` have none of it.
Result<void> TrendSource::load_memory(const Job& job) {
  RESIDUE_ASSIGN(
      Statement find,
      Statement::prepare(db_, "SELECT count(*) FROM main.sqlite_schema WHERE name = 'memory'"));
  RESIDUE_ASSIGN(const bool row, find.step());
  if (!row || find.integer(0) == 0) return {};
  RESIDUE_ASSIGN(Statement select,
                 Statement::prepare(db_,
                                    "SELECT coalesce(category, ''), bytes, rss FROM memory WHERE "
                                    "snapshot = ?1"));
  for (uint32_t i = 0; i < job.group.snapshots.size(); ++i) {
    RESIDUE_TRY(select.bind(job.group.snapshots[i]));
    for (;;) {
      RESIDUE_ASSIGN(const bool more, select.step());
      if (!more) break;
      if (job.wants(kMemory) && job.wants_key(select.text(0))) {
        const uint32_t key = job.series.key(kMemory, select.text(0));
        RESIDUE_TRY(job.series.add(key, i, select.integer(1)));
      }
      const bool has_rss = sqlite3_column_type(select.get(), 2) == SQLITE_INTEGER;
      if (has_rss && job.wants(kTotal) && job.wants_key("rss")) {
        RESIDUE_TRY(job.series.add(job.series.key(kTotal, "rss"), i, select.integer(2)));
      }
    }
  }
  return {};
}

// Every used chunk belongs to one heap: the sum over the dimension with the fewest keys.
Result<void> TrendSource::load_leaked_total(const Job& job) {
  TrendSeries heaps;
  const TrendFilter of_heaps{{}, {}, "heap", {}, {}};
  const TrendMeasure measure =
      is_count(job.measure) ? TrendMeasure::kLeakedCount : TrendMeasure::kLeakedBytes;
  RESIDUE_TRY(load(job.group, measure, of_heaps, &heaps));
  if (heaps.size() == 0) return {};
  const size_t snapshots = job.group.snapshots.size();
  std::vector<int64_t> sum(snapshots, 0);
  std::vector<int64_t> values;
  for (size_t key = 0; key < heaps.size(); ++key) {
    heaps.expand(key, snapshots, &values);
    for (size_t i = 0; i < snapshots; ++i) sum[i] = add_saturating(sum[i], values[i]);
  }
  const uint32_t leaked = job.series.key(kTotal, "leaked");
  for (uint32_t i = 0; i < snapshots; ++i) RESIDUE_TRY(job.series.add(leaked, i, sum[i]));
  return {};
}

Result<std::vector<int64_t>> TrendSource::key_numbers(std::string_view dimension,
                                                      const std::optional<std::string>& key) {
  std::string sql = "SELECT id FROM usage_key WHERE (?1 = '' OR dimension = ?1)";
  if (key) sql.append(" AND key = ?2");
  RESIDUE_ASSIGN(Statement select, Statement::prepare(db_, sql));
  RESIDUE_TRY(key ? select.bind(KeptText{dimension}, KeptText{*key})
                  : select.bind(KeptText{dimension}));
  std::vector<int64_t> numbers;
  for (;;) {
    RESIDUE_ASSIGN(const bool more, select.step());
    if (!more) return numbers;
    numbers.push_back(select.integer(0));
  }
}

Result<void> TrendSource::load_usage(const Job& job) {
  std::vector<int64_t> few;
  if (job.filter.dimension || job.filter.key) {
    RESIDUE_ASSIGN(few, key_numbers(job.filter.dimension.value_or(""), job.filter.key));
    if (few.empty()) return {};
  }
  // One pass for all keys, or one for each of a few.
  const bool each = !few.empty() && few.size() <= kFewKeys;
  if (!each) few.assign(1, 0);
  std::string sql = "SELECT key, ";
  sql.append(to_string(job.measure)).append(" FROM usage_row WHERE snapshot = ?1");
  if (each) sql.append(" AND key = ?2");
  RESIDUE_ASSIGN(Statement select, Statement::prepare(db_, sql));
  RESIDUE_ASSIGN(Statement name,
                 Statement::prepare(db_, "SELECT dimension, key FROM usage_key WHERE id = ?1"));
  std::unordered_map<int64_t, uint32_t> numbers;
  const auto number_of = [&](int64_t id) -> Result<uint32_t> {
    RESIDUE_TRY(name.bind(id));
    RESIDUE_ASSIGN(const bool found, name.step());
    if (!found || !job.wants(name.text(0)) || !job.wants_key(name.text(1))) return kUnwanted;
    return job.series.key(name.text(0), name.text(1));
  };
  for (uint32_t i = 0; i < job.group.snapshots.size(); ++i) {
    for (const int64_t key : few) {
      RESIDUE_TRY(each ? select.bind(job.group.snapshots[i], key)
                       : select.bind(job.group.snapshots[i]));
      for (;;) {
        RESIDUE_ASSIGN(const bool more, select.step());
        if (!more) break;
        const auto [it, is_new] = numbers.try_emplace(select.integer(0), kUnwanted);
        if (is_new) {
          RESIDUE_ASSIGN(it->second, number_of(it->first));
        }
        if (it->second != kUnwanted) {
          RESIDUE_TRY(job.series.add(it->second, i, select.integer(1)));
        }
      }
    }
  }
  return {};
}

// Through the names, as older databases have them.
Result<void> TrendSource::load_named_usage(const Job& job) {
  std::string sql = "SELECT dimension, key, ";
  sql.append(to_string(job.measure)).append(" FROM usage WHERE snapshot = ?1");
  if (job.filter.dimension) sql.append(" AND dimension = ?2");
  if (job.filter.key) sql.append(" AND key = ?3");
  RESIDUE_ASSIGN(Statement select, Statement::prepare(db_, sql));
  for (uint32_t i = 0; i < job.group.snapshots.size(); ++i) {
    const int64_t snapshot = job.group.snapshots[i];
    const KeptText dimension{job.filter.dimension ? *job.filter.dimension : std::string_view()};
    if (job.filter.key) {
      RESIDUE_TRY(select.bind(snapshot, dimension, KeptText{*job.filter.key}));
    } else if (job.filter.dimension) {
      RESIDUE_TRY(select.bind(snapshot, dimension));
    } else {
      RESIDUE_TRY(select.bind(snapshot));
    }
    for (;;) {
      RESIDUE_ASSIGN(const bool more, select.step());
      if (!more) break;
      const uint32_t key = job.series.key(select.text(0), select.text(1));
      RESIDUE_TRY(job.series.add(key, i, select.integer(2)));
    }
  }
  return {};
}

}  // namespace residue
