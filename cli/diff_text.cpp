#include "cli/diff_text.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <optional>

#include "cli/units.h"
#include "formats/base/text.h"

namespace residue {
namespace {

// Columns of changed_keys().
enum Column : size_t {
  kDimension,
  kKey,
  kCountBefore,
  kBytesBefore,
  kCountAfter,
  kBytesAfter,
  kCountDelta,
  kBytesDelta,
  kLeakedDelta,
  kNewCount,
  kNewBytes,
  kGoneCount,
  kGoneBytes,
  kResizedCount,
  kResizedBytes,
  kJoinedCount,
  kJoinedBytes,
  kLeftCount,
  kLeftBytes,
};

std::optional<int64_t> seconds_of(const std::string& iso) {
  std::tm tm{};
  int n = 0;
  if (std::sscanf(iso.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                  &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6) {
    return std::nullopt;
  }
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  return timegm(&tm);
}

// "3.0 MB more than before".
std::string change_text(uint64_t before, uint64_t after) {
  if (before == after) return "as much as before";
  return bytes_text(after > before ? after - before : before - after) +
         (after > before ? " more than before" : " less than before");
}

std::string process_text(const Totals& totals) {
  std::string text = totals.executable.empty() ? "a process" : printable(totals.executable);
  if (totals.pid != 0) text += ", process " + std::to_string(totals.pid);
  return text;
}

std::string when(const Totals& totals, int64_t snapshot) {
  std::string text = "snapshot " + std::to_string(snapshot);
  if (!totals.taken_at.empty()) text += " of " + printable(totals.taken_at);
  return text;
}

void print_totals(const Totals& before, const Totals& after, std::ostream& out) {
  TextTable table({"bytes", "before", "after", "delta"});
  const auto add = [&table](const char* name, uint64_t a, uint64_t b) {
    table.add({std::string(name), as_cell(a), as_cell(b), as_cell(b - a)});
  };
  add("used", before.used, after.used);
  add("leaked", before.leaked, after.leaked);
  add("free", before.free, after.free);
  add("cached", before.cached, after.cached);
  add("allocator overhead", before.overhead, after.overhead);
  add("mapped", before.mapped, after.mapped);
  Renderer renderer(out, OutputFormat::kTable);
  table.print(renderer);
}

// Mappings and free chunks are no chunks in use: there are no leaks among them, and none is new.
bool counts_chunks(const std::string& dimension) {
  return dimension != "allocator" && dimension != "mapping";
}

TextTable::Value value_of(const Cell& cell) {
  if (const auto* number = std::get_if<int64_t>(&cell)) return *number;
  if (const auto* text = std::get_if<std::string_view>(&cell)) return std::string(*text);
  return std::monostate{};
}

// Bytes of chunks that stayed and now count here, less those that counted here.
TextTable::Value moved(std::span<const Cell> cells) {
  const auto* joined = std::get_if<int64_t>(&cells[kJoinedBytes]);
  const auto* left = std::get_if<int64_t>(&cells[kLeftBytes]);
  if (joined == nullptr || left == nullptr) return std::monostate{};
  return *joined - *left;
}

}  // namespace

std::string time_between(const std::string& from, const std::string& to) {
  const auto a = seconds_of(from);
  const auto b = seconds_of(to);
  if (!a || !b) return {};
  int64_t left = *b >= *a ? *b - *a : *a - *b;
  struct Unit {
    const char* name;
    int64_t seconds;
  };
  constexpr std::array<Unit, 4> kUnits = {{{" d", 86400}, {" h", 3600}, {" min", 60}, {" s", 1}}};
  std::string text;
  int shown = 0;
  for (const Unit& unit : kUnits) {
    const int64_t count = left / unit.seconds;
    left %= unit.seconds;
    const bool wanted = count > 0 || (shown == 0 && unit.seconds == 1);
    if (!wanted || shown == 2) continue;
    text += (text.empty() ? "" : " ") + std::to_string(count);
    text += unit.name;
    ++shown;
  }
  return text;
}

std::string idle_memory_text(const Totals& before, const Totals& after) {
  // Less is within what an allocator rounds to and keeps at the top of an arena.
  constexpr uint64_t kNoteworthy = 256 << 10;
  if (after.idle() <= before.idle()) return {};
  const uint64_t idle = after.idle() - before.idle();
  const uint64_t used = after.used > before.used ? after.used - before.used : 0;
  if (idle < kNoteworthy || idle <= used) return {};
  const bool leaked = after.leaked > before.leaked;
  std::string text = leaked ? "Most of the growth is no leak" : "The heap did not leak";
  text.append(": the program uses ").append(change_text(before.used, after.used));
  text.append(", but ").append(after.allocator.empty() ? "malloc" : printable(after.allocator));
  text.append(" keeps ").append(bytes_text(after.idle())).append(" that it does not use (");
  text.append(bytes_text(after.free)).append(" free, ").append(bytes_text(after.cached));
  text.append(" cached, ").append(bytes_text(after.overhead)).append(" overhead) in ");
  text.append(count_text(after.arenas)).append(after.arenas == 1 ? " arena" : " arenas");
  return text.append(": ").append(change_text(before.idle(), after.idle())).append(".");
}

void print_diff_header(const Totals& before, const Totals& after, const DiffRequest& request,
                       const Kinship& kinship, std::ostream& out) {
  const std::string from = process_text(before);
  const std::string to = process_text(after);
  out << from << ": " << when(before, request.from);
  out << (from == to ? " and " : "\n" + to + ": ") << when(after, request.to);
  const std::string between = time_between(before.taken_at, after.taken_at);
  if (!between.empty() && request.from != request.to) {
    out << ", " << between << (before.taken_at <= after.taken_at ? " later" : " earlier");
  }
  out << "\n";
  if (request.by_name) {
    out << "Different processes (" << kinship.reason
        << "): compared by name, without addresses and versions.\n";
  } else {
    out << "One process (" << kinship.reason << "): chunks are compared by address.\n";
  }
  out << "\n";
  print_totals(before, after, out);
  const std::string idle = idle_memory_text(before, after);
  if (!idle.empty()) out << "\n" << idle << "\n";
}

bool DimensionTables::row(std::span<const Cell> cells) {
  const auto* name = std::get_if<std::string_view>(&cells[kDimension]);
  if (name == nullptr) return true;
  const std::string dimension(*name);
  const bool chunks = counts_chunks(dimension);
  std::vector<size_t> columns = {kKey, kBytesBefore, kBytesAfter, kBytesDelta, kCountDelta};
  std::vector<std::string> titles = {dimension, "bytes_before", "bytes_after", "bytes_delta",
                                     "count_delta"};
  if (chunks) {
    columns.push_back(kLeakedDelta);
    titles.emplace_back("leaked_delta");
  }
  if (chunks && !by_name_) {
    columns.insert(columns.end(), {kNewCount, kNewBytes, kGoneCount, kGoneBytes, kResizedBytes});
    titles.insert(titles.end(),
                  {"new_count", "new_bytes", "gone_count", "gone_bytes", "resized", "moved"});
  }
  std::vector<TextTable::Value> values;
  values.reserve(columns.size());
  for (const size_t column : columns) values.push_back(value_of(cells[column]));
  if (chunks && !by_name_) values.push_back(moved(cells));
  tables_.try_emplace(dimension, titles).first->second.add(std::move(values));
  return true;
}

void DimensionTables::print(const std::string& dimension, std::ostream& out) const {
  const auto table = tables_.find(dimension);
  if (table == tables_.end()) return;
  out << "\nBy " << dimension << ", most grown first:\n";
  Renderer renderer(out, OutputFormat::kTable);
  table->second.print(renderer);
}

}  // namespace residue
