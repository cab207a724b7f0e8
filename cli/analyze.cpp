// residue analyze: the whole picture of one or more dumps, and into the database with it.
#include <algorithm>
#include <filesystem>
#include <optional>

#include "cli/analysis.h"
#include "cli/gate_report.h"
#include "cli/leak_text.h"
#include "cli/table.h"
#include "cli/units.h"
#include "cli/version.h"
#include "db/store.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr int64_t kDefaultRows = 10;

struct Totals {
  uint64_t used_count = 0, used_bytes = 0, free_count = 0, free_bytes = 0;
  uint64_t cached_count = 0, cached_bytes = 0;
  uint64_t leaked_count = 0, leaked_bytes = 0;
  uint64_t suppressed_count = 0, suppressed_bytes = 0;
  uint64_t clusters = 0;  // that are not suppressed
  size_t shapes = 0;      // of these
  size_t verified = 0;
};

bool is_suppressed(const ClusterRow& cluster) {
  return cluster.suppression != ClusterRow::kNotSuppressed;
}

Totals totals(const Snapshot& s) {
  Totals t;
  for (const HeapRow& heap : s.heaps) {
    t.used_count += heap.used_count;
    t.used_bytes += heap.used_bytes;
    t.free_count += heap.free_count;
    t.free_bytes += heap.free_bytes;
    t.cached_count += heap.cached_count;
    t.cached_bytes += heap.cached_bytes;
    t.verified += heap.verified ? 1 : 0;
  }
  for (const ClusterRow& cluster : s.clusters) {
    const bool hidden = is_suppressed(cluster);
    (hidden ? t.suppressed_count : t.leaked_count) += cluster.chunks;
    (hidden ? t.suppressed_bytes : t.leaked_bytes) += cluster.bytes;
    t.clusters += hidden ? 0 : cluster.count;
    t.shapes += hidden ? 0 : 1;
  }
  return t;
}

std::string amount(uint64_t count, uint64_t bytes) {
  return count_text(count) + " chunks, " + bytes_text(bytes);
}

std::string percent_text(uint64_t part, uint64_t whole) {
  if (whole == 0) return {};
  const uint64_t tenths =
      static_cast<uint64_t>(1000.0 * static_cast<double>(part) / static_cast<double>(whole) + 0.5);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

void print_header(const Snapshot& s, std::ostream& out) {
  const Totals t = totals(s);
  out << printable(s.info.source) << ": " << s.info.format << " of " << printable(s.info.executable)
      << ", pid " << s.info.pid << ", " << s.info.os << " " << s.info.arch << ", "
      << bytes_text(s.info.source_bytes) << (s.info.complete ? "" : ", INCOMPLETE") << "\n";
  if (s.heaps.empty()) {
    out << "  heaps    none found\n";
    return;
  }
  out << "  heaps    " << s.heaps.size() << ", " << t.verified
      << " verified by the allocator's own counters\n"
      << "  used     " << amount(t.used_count, t.used_bytes) << "\n"
      << "  free     " << amount(t.free_count, t.free_bytes) << ", and cached by threads "
      << amount(t.cached_count, t.cached_bytes) << "\n"
      << "  leaked   " << amount(t.leaked_count, t.leaked_bytes) << " in " << count_text(t.clusters)
      << " clusters of " << t.shapes << " shapes\n";
  if (t.suppressed_count > 0) {
    out << "  and suppressed " << amount(t.suppressed_count, t.suppressed_bytes) << "\n";
  }
}

// Before all else: what a ruined heap says of leaks is worth less.
void print_corruption(const Snapshot& s, size_t limit, std::ostream& out) {
  if (s.corruption.empty()) return;
  out << "\nHeap corruption, " << s.corruption.size() << " found:\n";
  TextTable table({"address", "kind", "found", "expected", "suspect", "confidence", "message"});
  const auto known = [](Address a) { return a.value() == 0 ? std::string() : hex(a.value()); };
  for (size_t i = 0; i < std::min(limit, s.corruption.size()); ++i) {
    const CorruptionRow& c = s.corruption[i];
    table.add(
        {known(c.address), c.kind, c.found, c.expected, known(c.suspect), c.confidence, c.message});
  }
  Renderer renderer(out, OutputFormat::kTable);
  table.print(renderer);
}

void print_clusters(const Snapshot& s, size_t limit, std::ostream& out) {
  TextTable table({"chunks", "bytes", "bytes_each", "verdict", "module", "head", "leak"});
  size_t more = 0;
  for (const ClusterRow& c : s.clusters) {
    if (is_suppressed(c)) continue;
    if (table.size() == limit) {
      ++more;
      continue;
    }
    table.add({as_cell(c.chunks), as_cell(c.bytes), as_cell(c.bytes_each), c.verdict, c.module,
               as_cell(c.head.value()), leak_line(c.count, c.shape, c.bytes)});
  }
  if (table.size() == 0) return;
  out << "\nLeaked, largest first:\n";
  Renderer renderer(out, OutputFormat::kTable);
  table.print(renderer);
  if (more > 0) out << "(" << more << " more: residue leaks, or --limit 0)\n";
}

// As LeakSanitizer says it, with what the suppressed chunks kept.
void print_suppressions(const Snapshot& s, std::ostream& out) {
  TextTable table({"count", "bytes", "suppressed_count", "suppressed_bytes", "template"});
  for (const SuppressionRow& r : s.suppressions) {
    if (r.count == 0) continue;
    table.add({as_cell(r.count), as_cell(r.bytes), as_cell(r.suppressed_count),
               as_cell(r.suppressed_bytes), r.kind + ":" + r.pattern});
  }
  if (table.size() == 0) return;
  out << "\nSuppressions used:\n";
  Renderer renderer(out, OutputFormat::kTable);
  table.print(renderer);
}

void print_retainers(const Snapshot& s, size_t limit, std::ostream& out) {
  if (s.retainers.empty()) return;
  const Totals t = totals(s);
  const uint64_t live = t.used_bytes - std::min(t.used_bytes, t.leaked_bytes);
  TextTable table({"kind", "name", "module", "address", "chunks", "bytes", "share"});
  for (const RetainerRow& r : s.retainers) {
    if (r.kind == "type" || r.retained_bytes == 0 || table.size() >= limit) continue;
    const std::string name = r.held_by.empty() ? r.name : r.name + ", held by " + r.held_by;
    TextTable::Value address;
    if (r.address.value() != 0) address = as_cell(r.address.value());
    table.add({r.kind, name, r.module, address, as_cell(r.retained_count),
               as_cell(r.retained_bytes), percent_text(r.retained_bytes, live)});
  }
  if (table.size() == 0) return;
  out << "\nKept alive, largest first:\n";
  Renderer renderer(out, OutputFormat::kTable);
  table.print(renderer);
}

void print_suspects(const Snapshot& s, std::ostream& out) {
  if (s.suspects.empty()) return;
  out << "\nSuspects among what is alive (guesses):\n";
  for (const SuspectRow& r : s.suspects) out << "  " << printable(r.evidence) << "\n";
}

void print_usage(const Snapshot& s, const std::string& dimension, size_t limit, std::ostream& out) {
  TextTable table({dimension, "used_count", "used_bytes", "leaked_count", "leaked_bytes"});
  for (const UsageRow& u : s.usage) {
    if (u.dimension != dimension || table.size() >= limit) continue;
    table.add({u.key, as_cell(u.used_count), as_cell(u.used_bytes), as_cell(u.leaked_count),
               as_cell(u.leaked_bytes)});
  }
  if (table.size() == 0) return;
  out << "\nUsed, by " << dimension << ":\n";
  Renderer renderer(out, OutputFormat::kTable);
  table.print(renderer);
}

void print_summary(const Snapshot& s, const Options& options, std::ostream& out) {
  const int64_t rows = options.limit < 0 ? kDefaultRows : options.limit;
  const size_t limit = rows == 0 ? SIZE_MAX : static_cast<size_t>(rows);
  print_header(s, out);
  print_corruption(s, limit, out);
  print_clusters(s, limit, out);
  print_suppressions(s, out);
  print_retainers(s, limit, out);
  print_suspects(s, out);
  for (const char* dimension : {"type", "module", "owner"}) {
    print_usage(s, dimension, limit, out);
  }
  const auto first = std::find_if_not(s.clusters.begin(), s.clusters.end(), is_suppressed);
  if (first != s.clusters.end()) {
    out << "\nNext: residue explain " << printable(s.info.source) << " " << hex(first->head.value())
        << "\n";
  }
}

TextTable machine_table() {
  return TextTable({"snapshot",
                    "source",
                    "label",
                    "pid",
                    "executable",
                    "complete",
                    "heaps",
                    "heaps_verified",
                    "used_count",
                    "used_bytes",
                    "free_count",
                    "free_bytes",
                    "cached_count",
                    "cached_bytes",
                    "leaked_count",
                    "leaked_bytes",
                    "clusters",
                    "suppressed_count",
                    "suppressed_bytes",
                    "diagnostics"});
}

void add_machine_row(const Snapshot& s, std::optional<int64_t> id, TextTable* table) {
  const Totals t = totals(s);
  using Value = TextTable::Value;
  table->add({id ? Value(*id) : Value(),
              s.info.source,
              s.info.label,
              as_cell(s.info.pid),
              s.info.executable,
              int64_t{s.info.complete},
              as_cell(s.heaps.size()),
              as_cell(t.verified),
              as_cell(t.used_count),
              as_cell(t.used_bytes),
              as_cell(t.free_count),
              as_cell(t.free_bytes),
              as_cell(t.cached_count),
              as_cell(t.cached_bytes),
              as_cell(t.leaked_count),
              as_cell(t.leaked_bytes),
              as_cell(t.shapes),
              as_cell(t.suppressed_count),
              as_cell(t.suppressed_bytes),
              as_cell(s.diagnostics.items().size())});
}

// A database that the operating system does not let us write is no fault of the dump's: exit code 4
// rather than 3. What is no database of ours stays what it is.
Error cannot_store(Error error) {
  if (error.code == ErrorCode::kIo) error.code = ErrorCode::kInternal;
  return error;
}

Result<void> open_database(const std::string& path, std::optional<Database>* database) {
  auto opened = Database::open(path, Database::Mode::kWrite);
  if (!opened) return cannot_store(std::move(opened).error());
  database->emplace(std::move(opened).value());
  return {};
}

StoreOptions store_options(const Options& options) {
  StoreOptions store;
  store.tool_version = kVersion;
  store.replace = options.replace;
  store.jobs = options.jobs;
  if (options.references == "always") store.references = StoreReferences::kAlways;
  if (options.references == "never") store.references = StoreReferences::kNever;
  return store;
}

// What a reader of "Stored as snapshot 3" should know besides.
std::string outcome_text(const StoreOutcome& outcome, const std::string& label) {
  if (outcome.replaced) return " (in place of what was stored of this dump before)";
  if (!outcome.already_there) return {};
  std::string text = " (this dump was there already, and is as it was";
  if (!label.empty() && label != outcome.label) {
    text.append(outcome.label.empty() ? ": it has no label"
                                      : ": its label is '" + printable(outcome.label) + "'");
  }
  return text + "; --replace stores it anew)";
}

// Stores the snapshot if --db is given; its id then.
Result<std::optional<int64_t>> store_if_wanted(std::optional<Database>* database,
                                               const Snapshot& snapshot, const Options& options,
                                               Streams streams) {
  if (options.database.empty()) return std::optional<int64_t>();
  if (!database->has_value()) RESIDUE_TRY(open_database(options.database, database));
  auto stored = store(**database, snapshot, store_options(options));
  if (!stored) return cannot_store(std::move(stored).error());
  const StoreOutcome outcome = *stored;
  if (!options.quiet) {
    std::ostream& to = options.format == OutputFormat::kTable ? streams.out : streams.err;
    to << "\nStored as snapshot " << outcome.id << " in " << printable(options.database)
       << outcome_text(outcome, snapshot.info.label) << "\n";
  }
  return std::optional<int64_t>(outcome.id);
}

// What a dump is judged by: as it was analysed now, which a snapshot of it that was stored earlier
// need not be.
Result<DumpReport> examine_dump(const Snapshot& snapshot, const Options& options,
                                const Baselines& baselines, const std::optional<GateSide>& stored,
                                std::ostream& err) {
  if (options.gates.empty() && !is_report(options.format)) return DumpReport();
  RESIDUE_ASSIGN(Database live, Database::open(":memory:", Database::Mode::kWrite));
  GateInput input;
  RESIDUE_ASSIGN(input.current.snapshot, attach_live(live, snapshot, {kVersion}));
  input.current.database = &live;
  input.history = stored;
  RESIDUE_ASSIGN(const auto baseline, baselines.of(stored));
  return examine(options, input, baseline, snapshot.info.source, options.arguments.size() > 1, err);
}

// Rules of gates that these options can never answer.
Result<void> check_rules(const Options& options) {
  for (const GateRule& rule : options.gates) {
    const std::string name = "--fail-on '" + rule.text;
    if (!options.retained && rule.names("suspects")) {
      return Error{
          ErrorCode::kUsage, name + "': suspects are not looked for with --no-retained", {}};
    }
    if (options.database.empty() && rule.has(GateKind::kSlope)) {
      return Error{ErrorCode::kUsage, name + "': slopes need --db with earlier snapshots", {}};
    }
  }
  return {};
}

}  // namespace

Result<int> run_analyze(const Options& options, Streams streams) {
  RESIDUE_TRY(load_suppressions(options));
  RESIDUE_TRY(check_rules(options));
  // What is wrong with the database should not cost minutes to learn; but one that does not exist
  // yet is made only when there is something to store.
  std::optional<Database> database;
  std::error_code ignored;
  if (!options.database.empty() && std::filesystem::exists(options.database, ignored)) {
    RESIDUE_TRY(open_database(options.database, &database));
  }
  RESIDUE_ASSIGN(const Baselines baselines,
                 Baselines::make(options, database ? &*database : nullptr,
                                 !options.database.empty(), streams));
  TextTable machine = machine_table();
  Report report{options.command, {}, &options.gates, kExitDone};
  for (const std::string& path : options.arguments) {
    auto analysis = analyze_dump(path, options, /*want_evidence=*/false, streams.err);
    if (!analysis) {
      // One bad dump of many must not hide the others.
      streams.err << "residue: " << printable(to_string(analysis.error())) << "\n";
      report.exit_code = std::max(report.exit_code, exit_code(analysis.error()));
      DumpReport& unread = report.dumps.emplace_back();
      unread.source = path;
      unread.error = std::move(analysis).error();
      continue;
    }
    const Snapshot& snapshot = (*analysis)->snapshot;
    print_diagnostics(path, snapshot.diagnostics, options, streams.err);
    if (options.format == OutputFormat::kTable && !options.quiet) {
      if (machine.size() > 0) streams.out << "\n";
      print_summary(snapshot, options, streams.out);
    }
    RESIDUE_ASSIGN(const auto id, store_if_wanted(&database, snapshot, options, streams));
    add_machine_row(snapshot, id, &machine);
    std::optional<GateSide> stored;
    if (id) stored = GateSide{&*database, *id};
    RESIDUE_ASSIGN(DumpReport examined,
                   examine_dump(snapshot, options, baselines, stored, streams.err));
    report.exit_code = std::max(report.exit_code, examined.judgement.exit_code);
    report.dumps.push_back(std::move(examined));
  }
  if (is_report(options.format)) {
    write_report(report, options.format, streams.out);
  } else if (options.format != OutputFormat::kTable) {
    Renderer renderer(streams.out, options.format);
    machine.print(renderer);
  }
  return report.exit_code;
}

}  // namespace residue
