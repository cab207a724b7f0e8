// residue trend: what grows over all snapshots of a process.
#include "db/trend.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <string_view>

#include "cli/cell_text.h"
#include "cli/gate.h"
#include "cli/source.h"
#include "cli/sparkline.h"
#include "cli/table.h"
#include "cli/units.h"
#include "db/query.h"
#include "db/trend_source.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr size_t kFewestShown = 3;  // snapshots of a process
constexpr size_t kDefaultRows = 10;
constexpr size_t kDefaultProcesses = 5;
constexpr size_t kNamedProcesses = 10;  // of those that are skipped

// Before all others, which follow by name.
constexpr std::array<std::string_view, 7> kDimensionOrder = {"total", "memory", "type", "site",
                                                             "owner", "module", "heap"};

size_t place_of(std::string_view dimension) {
  return static_cast<size_t>(std::find(kDimensionOrder.begin(), kDimensionOrder.end(), dimension) -
                             kDimensionOrder.begin());
}

struct Request {
  TrendMeasure measure = TrendMeasure::kUsedBytes;
  TrendGrouping grouping = TrendGrouping::kProcess;
  TrendFilter filter;
};

// One line of a table.
struct Line {
  std::string key;
  Trend trend;
  std::vector<int64_t> values;
};

bool is_bytes(TrendMeasure measure) {
  return measure == TrendMeasure::kUsedBytes || measure == TrendMeasure::kLeakedBytes;
}

// "+1.2 MB": a positive or negative amount.
std::string amount_text(double amount, TrendMeasure measure, bool sign) {
  const double size = std::abs(amount);
  std::string text = amount < 0 ? "-" : (sign && amount > 0 ? "+" : "");
  if (size >= 1000) {
    const auto whole = static_cast<uint64_t>(std::min(std::round(size), 1.8e19));
    return text.append(is_bytes(measure) ? bytes_text(whole) : count_text(whole));
  }
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%.3g%s", size, is_bytes(measure) ? " B" : "");
  return text.append(digits.data());
}

std::string value_text(int64_t value, TrendMeasure measure) {
  return amount_text(static_cast<double>(value), measure, /*sign=*/false);
}

std::string slope_text(const Trend& trend, const TrendAxis& axis, TrendMeasure measure) {
  if (!trend.slope) return {};
  return amount_text(*trend.slope, measure, /*sign=*/true).append(axis.hours ? "/h" : "/snapshot");
}

std::string verdict_text(const Trend& trend) {
  std::string text = to_string(trend.verdict);
  text.append(" (").append(to_string(trend.confidence)).append(")");
  if (trend.warm_up > 0) {
    text.append(", warm-up ").append(std::to_string(trend.warm_up));
  }
  return text;
}

// Monotonic growth first, then other growth, then the rest by slope.
int rank_of(const Trend& trend) {
  if (trend.verdict != TrendVerdict::kGrowing) return 2;
  return trend.monotonic ? 0 : 1;
}

bool goes_before(const Line& a, const Line& b) {
  const int rank_a = rank_of(a.trend);
  const int rank_b = rank_of(b.trend);
  if (rank_a != rank_b) return rank_a < rank_b;
  const double slope_a = a.trend.slope.value_or(0);
  const double slope_b = b.trend.slope.value_or(0);
  return slope_a != slope_b ? slope_a > slope_b : a.key < b.key;
}

std::string name_of(const TrendGroup& group) {
  std::string text = group.executable ? printable(base_name(*group.executable)) : "(unknown)";
  if (group.grouping == TrendGrouping::kExecutable) return text;
  if (group.pid) text.append(", pid ").append(std::to_string(*group.pid));
  return text;
}

std::string heading_of(const TrendGroup& group) {
  std::string text = name_of(group);
  if (group.process) text.append(", process ").append(printable(*group.process));
  text.append(": ").append(std::to_string(group.snapshots.size()));
  text.append(group.grouping == TrendGrouping::kExecutable ? " runs" : " snapshots");
  if (group.first_at && group.last_at) {
    text.append(" from ").append(printable(*group.first_at));
    text.append(" to ").append(printable(*group.last_at));
  }
  if (!group.axis.hours) text.append(" (times are missing or equal: slopes are per snapshot)");
  return text;
}

void print_table(const std::string& dimension, std::vector<Line>& lines, const TrendGroup& group,
                 const Request& request, size_t limit, std::ostream& out) {
  const auto level = std::stable_partition(lines.begin(), lines.end(), [](const Line& line) {
    return line.trend.verdict != TrendVerdict::kFlat;
  });
  const auto flat = static_cast<uint64_t>(lines.end() - level);
  lines.erase(level, lines.end());
  std::sort(lines.begin(), lines.end(), goes_before);
  const size_t hidden = limit != 0 && lines.size() > limit ? lines.size() - limit : 0;
  lines.resize(lines.size() - hidden);

  out << "\nBy " << printable(dimension) << " (" << to_string(request.measure) << ")";
  if (lines.empty()) {
    out << ": nothing changes much; " << count_text(flat) << " flat\n";
    return;
  }
  out << ":\n";
  const bool utf8 = locale_is_utf8();
  TextTable table({"trend", "slope", "fit", "first", "last", "verdict", "key"});
  for (const Line& line : lines) {
    std::array<char, 16> fit{};
    if (line.trend.r2) std::snprintf(fit.data(), fit.size(), "%.2f", *line.trend.r2);
    table.add({sparkline(line.values, line.trend.warm_up, utf8),
               slope_text(line.trend, group.axis, request.measure), std::string(fit.data()),
               value_text(line.values.front(), request.measure) + " ->",
               value_text(line.values.back(), request.measure), verdict_text(line.trend),
               line.key});
  }
  Renderer renderer(out, OutputFormat::kTable);
  table.print(renderer);
  if (hidden + flat == 0) return;
  out << "(";
  if (hidden > 0) out << count_text(hidden) << " more" << (flat > 0 ? ", " : "");
  if (flat > 0) out << count_text(flat) << " flat";
  out << ")\n";
}

Result<void> print_group(TrendSource& source, const TrendGroup& group, const Request& request,
                         size_t limit, std::ostream& out) {
  TrendSeries series;
  RESIDUE_TRY(source.load(group, request.measure, request.filter, &series));
  std::map<std::pair<size_t, std::string>, std::vector<Line>> tables;
  TrendFinder finder;
  for (size_t key = 0; key < series.size(); ++key) {
    Line line;
    line.key = series[key].name;
    series.expand(key, group.snapshots.size(), &line.values);
    line.trend = finder.find(group.axis.at, line.values);
    const std::string& dimension = series[key].dimension;
    tables[{place_of(dimension), dimension}].push_back(std::move(line));
  }
  out << heading_of(group) << "\n";
  for (auto& [place, lines] : tables) {
    print_table(place.second, lines, group, request, limit, out);
  }
  if (tables.empty()) out << "nothing is known of its heap\n";
  return {};
}

// What the process as a whole has gained from its first snapshot to its last: every used chunk
// belongs to one heap.
Result<double> growth_of(TrendSource& source, const TrendGroup& group, TrendMeasure measure) {
  TrendGroup ends = group;
  ends.snapshots = {group.snapshots.front(), group.snapshots.back()};
  TrendFilter filter;
  filter.dimension = "heap";
  TrendSeries series;
  RESIDUE_TRY(source.load(ends, measure, filter, &series));
  double growth = 0;
  std::vector<int64_t> values;
  for (size_t key = 0; key < series.size(); ++key) {
    series.expand(key, ends.snapshots.size(), &values);
    growth += static_cast<double>(values.back()) - static_cast<double>(values.front());
  }
  return growth;
}

void name_skipped(const std::vector<TrendGroup>& skipped, std::ostream& out) {
  if (skipped.empty()) return;
  out << "Skipped, with fewer than " << kFewestShown << " snapshots: ";
  for (size_t i = 0; i < skipped.size() && i < kNamedProcesses; ++i) {
    out << (i == 0 ? "" : "; ") << name_of(skipped[i]) << " (" << skipped[i].snapshots.size()
        << ")";
  }
  if (skipped.size() > kNamedProcesses) {
    out << "; and " << count_text(skipped.size() - kNamedProcesses) << " more";
  }
  out << "\n";
}

Result<void> print_groups(TrendSource& source, std::vector<TrendGroup> groups,
                          const Request& request, int64_t limit, std::ostream& out) {
  const auto few = std::stable_partition(groups.begin(), groups.end(), [](const TrendGroup& group) {
    return group.snapshots.size() >= kFewestShown;
  });
  const std::vector<TrendGroup> skipped(few, groups.end());
  groups.erase(few, groups.end());
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < groups.size(); ++i) {
    RESIDUE_ASSIGN(const double growth, growth_of(source, groups[i], request.measure));
    order.emplace_back(-growth, i);
  }
  std::sort(order.begin(), order.end());
  const size_t rows = limit < 0 ? kDefaultRows : static_cast<size_t>(limit);
  const size_t most = limit == 0 ? order.size() : kDefaultProcesses;
  for (size_t i = 0; i < order.size() && i < most; ++i) {
    if (i > 0) out << "\n";
    RESIDUE_TRY(print_group(source, groups[order[i].second], request, rows, out));
  }
  if (!order.empty() && (order.size() > most || !skipped.empty())) out << "\n";
  if (order.size() > most) {
    out << count_text(order.size() - most) << " more processes grew less (--limit 0, --process)\n";
  }
  name_skipped(skipped, out);
  return {};
}

Result<TrendMeasure> parse_measure(const std::string& text) {
  if (text.empty()) return TrendMeasure::kUsedBytes;
  for (int i = 0; i < kTrendMeasures; ++i) {
    if (text == to_string(static_cast<TrendMeasure>(i))) return static_cast<TrendMeasure>(i);
  }
  return Error{
      ErrorCode::kUsage,
      "unknown measure '" + text + "': it is used_bytes, used_count, leaked_bytes or leaked_count",
      {}};
}

// Whether `group` is what --process names.
bool is_process(const TrendGroup& group, const std::string& wanted) {
  if (group.process)
    return *group.process == wanted || std::to_string(group.pid.value_or(-1)) == wanted;
  return group.pid && std::to_string(*group.pid) == wanted;
}

bool is_executable(const TrendGroup& group, const std::string& wanted) {
  return group.executable &&
         (*group.executable == wanted || base_name(*group.executable) == wanted);
}

// The rows of the table, for other programs.
Result<void> print_rows(Database& database, const Request& request, int64_t limit, RowSink& sink) {
  std::vector<Cell> parameters = {std::string_view(to_string(request.measure)),
                                  std::string_view(to_string(request.grouping))};
  std::string sql = "SELECT * FROM trend WHERE measure = ?1 AND grouping = ?2";
  const auto add = [&](const char* column, const Cell& value) {
    parameters.push_back(value);
    sql.append(" AND ").append(column).append(" = ?").append(std::to_string(parameters.size()));
  };
  if (request.filter.dimension) add("dimension", std::string_view(*request.filter.dimension));
  if (request.filter.process) add("process", std::string_view(*request.filter.process));
  if (request.filter.pid) add("pid", *request.filter.pid);
  if (request.filter.executable) add("executable", std::string_view(*request.filter.executable));
  parameters.emplace_back(limit > 0 ? limit : int64_t{-1});
  sql.append(
      " ORDER BY first_snapshot, dimension, verdict <> 'growing', monotonic DESC, slope DESC, key "
      "LIMIT ?");
  sql.append(std::to_string(parameters.size()));
  return query(database, sql, sink, parameters);
}

// Leaves the process or executable that was asked for, and names it in the filter.
Result<void> choose(const Options& options, std::vector<TrendGroup>* groups, TrendFilter* filter) {
  const bool by_process = !options.process.empty();
  const std::string& wanted = by_process ? options.process : options.executable;
  if (wanted.empty()) return {};
  std::erase_if(*groups, [&](const TrendGroup& group) {
    return by_process ? !is_process(group, wanted) : !is_executable(group, wanted);
  });
  if (groups->size() != 1) {
    std::string message = options.arguments[0];
    message.append(groups->empty() ? ": no snapshot of '" : ": more than one is '");
    message.append(wanted).append("'");
    for (const TrendGroup& group : *groups) {
      message.append("; ").append(name_of(group)).append(" ");
      message.append(group.process.value_or(group.executable.value_or("")));
    }
    return Error{groups->empty() ? ErrorCode::kNotFound : ErrorCode::kUsage, message, {}};
  }
  const TrendGroup& group = groups->front();
  filter->process = group.process;
  if (!group.process) {
    filter->pid = group.pid;
    filter->executable = group.executable;
  }
  return {};
}

Result<void> check_dimension(TrendSource& source, const std::string& dimension) {
  if (dimension.empty()) return {};
  RESIDUE_ASSIGN(const bool there, source.has_dimension(dimension));
  if (there) return {};
  return Error{ErrorCode::kUsage, "no snapshot has a dimension '" + dimension + "'", {}};
}

// Judges the newest snapshot of each process (or program), measured against its first. Those with
// one snapshot have no trend. The exit code.
int judge_trends(Database& database, const std::vector<TrendGroup>& groups, const Options& options,
                 std::ostream& err) {
  int code = kExitDone;
  bool judged = options.gates.empty();
  for (const TrendGroup& group : groups) {
    if (group.snapshots.size() < kFewestOfTrend) continue;
    judged = true;
    GateInput input;
    input.current = {&database, group.snapshots.back()};
    input.history = input.current;
    input.baseline = GateSide{&database, group.snapshots.front()};
    input.by_executable = group.grouping == TrendGrouping::kExecutable;
    const Judgement judgement =
        judge_gates(options, input, nullptr, name_of(group), groups.size() > 1, err);
    code = std::max(code, judgement.exit_code);
  }
  if (!judged) {
    err << "residue: " << printable(options.arguments[0])
        << ": there is not a second snapshot yet: --fail-on was not judged\n";
  }
  return code;
}

}  // namespace

Result<int> run_trend(const Options& options, Streams streams) {
  const std::string& path = options.arguments[0];
  Request request;
  RESIDUE_ASSIGN(request.measure, parse_measure(options.measure));
  if (!options.process.empty() && !options.executable.empty()) {
    return Error{ErrorCode::kUsage, "--process and --executable exclude each other", {}};
  }
  if (!options.dimension.empty()) request.filter.dimension = options.dimension;
  if (!options.executable.empty()) request.grouping = TrendGrouping::kExecutable;
  RESIDUE_ASSIGN(Database database, open_database_to_read(path));
  TrendSource source(database.handle());
  Result<void> done = check_dimension(source, options.dimension);
  if (!done) return std::move(done).error().in(path);
  auto groups = source.groups(request.grouping, {}, 1);
  if (!groups) return std::move(groups).error().in(path);
  RESIDUE_TRY(choose(options, &*groups, &request.filter));
  if (options.format != OutputFormat::kTable) {
    Renderer renderer(streams.out, options.format);
    RESIDUE_TRY(print_rows(database, request, options.limit, renderer));
    return judge_trends(database, *groups, options, streams.err);
  }
  done = print_groups(source, *groups, request, options.limit, streams.out);
  if (!done) return std::move(done).error().in(path);
  return judge_trends(database, *groups, options, streams.err);
}

}  // namespace residue
