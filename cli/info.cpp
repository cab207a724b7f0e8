// residue info: what this file is.
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
    for (const HeapRow& heap : s_.heaps) {
      add("heaps", heap.name,
          heap.allocator + ", " + heap.version + ": used " + count_text(heap.used_count) + " (" +
              bytes_text(heap.used_bytes) + "), free " + bytes_text(heap.free_bytes) + ", cached " +
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
