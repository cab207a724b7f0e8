// residue info: what this file is.
#include <algorithm>
#include <map>

#include "cli/analysis.h"
#include "cli/table.h"
#include "cli/units.h"
#include "formats/base/text.h"

namespace residue {
namespace {

class InfoPrinter {
 public:
  InfoPrinter(const Snapshot& s, const Image& image) : s_(s), image_(image) {}

  // One table per section for people; one list of (section, name, value) for machines.
  void print(OutputFormat format, std::ostream& out) {
    fill();
    if (format != OutputFormat::kTable) {
      TextTable all({"section", "name", "value"});
      for (const Line& line : lines_) all.add({line.section, line.name, line.value});
      Renderer renderer(out, format);
      all.print(renderer);
      return;
    }
    std::string section;
    for (const Line& line : lines_) {
      if (line.section != section) {
        out << (section.empty() ? "" : "\n") << line.section << "\n";
        section = line.section;
      }
      out << "  " << printable(line.name)
          << std::string(line.name.size() < 24 ? 24 - line.name.size() : 1, ' ')
          << printable(line.value) << "\n";
    }
  }

 private:
  struct Line {
    std::string section, name, value;
  };

  void add(const char* section, std::string name, std::string value) {
    lines_.push_back({section, std::move(name), std::move(value)});
  }

  void fill() {
    const SnapshotInfo& i = s_.info;
    add("process", "file", i.source + ", " + bytes_text(i.source_bytes));
    if (!image_.packing.empty()) {
      add("process", "compressed",
          image_.packing + ", " + bytes_text(image_.unpacked_bytes) + " unpacked");
    }
    add("process", "format", i.format);
    add("process", "system", i.os + " " + i.arch);
    add("process", "written", i.taken_at);
    add("process", "complete", i.complete ? "yes" : "no: the file ends early");
    add("process", "pid", std::to_string(i.pid));
    add("process", "executable", i.executable);
    add("process", "command line", image_.command_line);
    uint64_t total = 0;
    for (const AccountRow& row : s_.account) total += row.bytes;
    for (const AccountRow& row : s_.account) {
      const uint64_t missing = row.bytes - row.in_dump;
      add("memory", row.category,
          bytes_text(row.bytes) +
              (missing == 0 ? "" : ", " + bytes_text(missing) + " of it not in the dump"));
    }
    add("memory", "all mappings", bytes_text(total));
    add_memory_by_name();
    for (const HeapRow& heap : s_.heaps) {
      add("heaps", heap.name,
          heap.allocator + ", " + heap.version + ": used " + count_text(heap.used_count) + " (" +
              bytes_text(heap.used_bytes) + "), free " + bytes_text(heap.free_bytes) +
              (heap.free_bytes == 0 ? "" : free_text(heap)) + ", cached " +
              bytes_text(heap.cached_bytes) +
              (heap.verified ? ", verified" : ", NOT VERIFIED: " + heap.problem));
    }
    for (const ThreadRow& t : s_.threads) {
      std::string text = t.name;
      if (t.crashed) text += (text.empty() ? "" : ", ") + std::string("crashed: ") + t.reason;
      if (t.fault_address) text += " at " + hex(t.fault_address->value());
      add("threads", std::to_string(t.tid), text);
    }
    for (const ModuleRow& m : s_.modules) {
      add("modules", hex(m.base.value()),
          m.path + ", " + bytes_text(m.size.value()) + ", symbols " + m.symbols + ", build-id " +
              (m.build_id.empty() ? "unknown" : m.build_id));
    }
    for (const Diagnostic& d : s_.diagnostics.items()) {
      add("diagnostics", to_string(d.severity), d.place + ": " + d.message);
    }
  }

  static std::string free_text(const HeapRow& heap) {
    return " (largest " + bytes_text(heap.largest_free) + ", whole pages " +
           bytes_text(heap.free_pages) + ")";
  }

  // One line for each category, the largest first, with its largest parts: which arena, thread,
  // module or file.
  void add_memory_by_name() {
    struct Category {
      std::string name;
      std::vector<const MemoryRow*> rows;  // most bytes first
      uint64_t bytes = 0;
    };
    std::vector<Category> categories;
    std::map<std::string, size_t> index;
    for (const MemoryRow& row : s_.memory) {
      const auto [it, is_new] = index.try_emplace(row.category, categories.size());
      if (is_new) categories.push_back({row.category, {}, 0});
      categories[it->second].rows.push_back(&row);
      categories[it->second].bytes += row.bytes;
    }
    std::stable_sort(categories.begin(), categories.end(),
                     [](const Category& a, const Category& b) { return a.bytes > b.bytes; });
    for (const Category& category : categories) {
      add("memory by name", category.name,
          bytes_text(category.bytes) + largest_text(category.rows));
    }
  }

  static std::string largest_text(const std::vector<const MemoryRow*>& rows) {
    constexpr size_t kNamed = 3;
    std::string text;
    for (size_t i = 0; i < rows.size() && i < kNamed; ++i) {
      const MemoryRow& row = *rows[i];
      std::string name = row.name;
      if (row.thread != 0) {
        name = "thread " + std::to_string(row.thread);
        if (!row.name.empty()) name += " " + row.name;
      }
      if (name.empty()) name = row.count > 1 ? count_text(row.count) + " of them" : "";
      if (name.empty()) continue;
      text += text.empty() ? ": " : ", ";
      text += name;
      if (rows.size() > 1) text += " " + bytes_text(row.bytes);
    }
    if (rows.size() > kNamed) text += ", " + count_text(rows.size() - kNamed) + " more";
    return text;
  }

  const Snapshot& s_;
  const Image& image_;
  std::vector<Line> lines_;
};

}  // namespace

Result<int> run_info(const Options& options, Streams streams) {
  RESIDUE_ASSIGN(const auto analysis,
                 analyze_dump(options.arguments[0], options, /*want_evidence=*/false, streams.err));
  InfoPrinter(analysis->snapshot, analysis->image).print(options.format, streams.out);
  return kExitDone;
}

}  // namespace residue
