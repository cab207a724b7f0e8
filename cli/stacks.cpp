// residue stacks: every thread's stack. Reads the dump and what names its code, but no heap, so
// that it answers at once on a dump of any size.
#include "analyzer/stacks.h"

#include <algorithm>
#include <array>
#include <map>

#include "cli/analysis.h"
#include "cli/table.h"
#include "formats/base/text.h"
#include "formats/format.h"

namespace residue {
namespace {

// Of a longer stack the innermost and outermost this many are shown to people; --limit decides
// otherwise.
constexpr size_t kShownFrames = 100;

struct Stack {
  size_t thread = 0;
  std::span<const FrameRow> frames;
};

class StackPrinter {
 public:
  StackPrinter(const Image& image, const FrameTable& table,
               const std::vector<UnwoundStack>& unwound, const Options& options, Streams streams)
      : image_(image), table_(table), unwound_(unwound), options_(options), streams_(streams) {}

  Result<int> print() {
    collect();
    if (options_.tid != 0 && stacks_.empty()) {
      return Error{ErrorCode::kNotFound,
                   options_.arguments[0] + ": has no thread " + std::to_string(options_.tid),
                   {}};
    }
    if (options_.format == OutputFormat::kTable) {
      print_text();
    } else {
      print_rows();
    }
    return kExitDone;
  }

 private:
  void collect() {
    auto begin = table_.frames.begin();
    for (size_t t = 0; t < image_.threads.size(); ++t) {
      const auto end = std::find_if(begin, table_.frames.end(),
                                    [t](const FrameRow& f) { return f.thread != t; });
      const bool wanted = options_.tid == 0 || image_.threads[t].tid == options_.tid;
      if (wanted) stacks_.push_back({t, {begin, end}});
      begin = end;
    }
  }

  // One row a frame, in the order of the dump. Written as they come: a stack that has overflowed
  // has half a million of them.
  void print_rows() {
    static const std::vector<std::string> kColumns = {
        "tid",      "thread", "crashed", "depth",   "pc",    "sp",    "module",
        "function", "file",   "line",    "inlined", "trust", "offset"};
    Renderer renderer(streams_.out, options_.format);
    renderer.begin(kColumns);
    const size_t limit = options_.limit <= 0 ? ~size_t{0} : static_cast<size_t>(options_.limit);
    for (const Stack& stack : stacks_) {
      for (const FrameRow& f : stack.frames.first(std::min(limit, stack.frames.size()))) {
        if (!print_row(renderer, image_.threads[stack.thread], f)) return;
      }
    }
    renderer.end();
  }

  // False if no more rows are wanted.
  bool print_row(Renderer& renderer, const Thread& thread, const FrameRow& f) const {
    const PlaceRow& p = table_.places[f.place];
    const std::array<Cell, 13> cells = {int64_t{thread.tid},
                                        text_or_null(thread.name),
                                        int64_t{thread.crashed},
                                        int64_t{f.depth},
                                        as_cell(f.pc),
                                        as_cell(f.sp),
                                        text_or_null(p.module),
                                        text_or_null(p.function),
                                        text_or_null(p.file),
                                        p.line == 0 ? Cell() : Cell(int64_t{p.line}),
                                        int64_t{p.inlined},
                                        std::string_view(f.trust),
                                        p.offset ? Cell(as_cell(*p.offset)) : Cell()};
    return renderer.row(cells);
  }

  static Cell text_or_null(const std::string& text) {
    return text.empty() ? Cell() : Cell(std::string_view(text));
  }

  // For people: the crashed thread first; threads with equal stacks share one print.
  void print_text() {
    std::stable_sort(stacks_.begin(), stacks_.end(), [this](const Stack& a, const Stack& b) {
      return image_.threads[a.thread].crashed > image_.threads[b.thread].crashed;
    });
    std::map<std::vector<uint64_t>, std::vector<const Stack*>> equal;
    std::vector<const std::vector<const Stack*>*> order;
    for (const Stack& stack : stacks_) {
      std::vector<uint64_t> key;
      // A crash and its reason belong to one thread, and it is not to be looked for in a list.
      key.push_back(image_.threads[stack.thread].crashed ? stack.thread + 1 : 0);
      for (const FrameRow& f : stack.frames) key.push_back(f.pc);
      auto& group = equal[std::move(key)];
      if (group.empty()) order.push_back(&group);
      group.push_back(&stack);
    }
    bool first = true;
    for (const auto* group : order) {
      if (!first) streams_.out << "\n";
      first = false;
      print_group(*group);
    }
    if (stacks_.empty()) streams_.out << "The dump describes no thread.\n";
  }

  void print_group(const std::vector<const Stack*>& group) {
    const Thread& thread = image_.threads[group[0]->thread];
    std::ostream& out = streams_.out;
    out << (group.size() == 1 ? "Thread " : std::to_string(group.size()) + " threads: ");
    for (size_t i = 0; i < group.size(); ++i) {
      const Thread& one = image_.threads[group[i]->thread];
      out << (i == 0 ? "" : ", ") << one.tid;
      if (!one.name.empty()) out << " (" << printable(one.name) << ")";
      if (one.tid == image_.pid) out << " [main]";
    }
    if (thread.crashed) out << ", crashed: " << thread.reason;
    if (thread.fault_address) out << " at " << hex(thread.fault_address->value());
    out << "\n";
    print_frames(group[0]->frames);
    const UnwoundStack& stack = unwound_[group[0]->thread];
    if (!stack.complete && !stack.end.empty()) out << "      (" << printable(stack.end) << ")\n";
  }

  void print_frames(std::span<const FrameRow> frames) {
    const size_t shown = options_.limit < 0    ? kShownFrames
                         : options_.limit == 0 ? frames.size()
                                               : static_cast<size_t>(options_.limit);
    for (size_t i = 0; i < frames.size(); ++i) {
      if (i >= shown && frames.size() - i > (options_.limit < 0 ? shown : 0)) {
        const size_t last = options_.limit < 0 ? frames.size() - shown : frames.size();
        streams_.out << "      … " << last - i << " more frames (--limit 0 shows them)\n";
        i = last - 1;
        continue;
      }
      print_frame(frames[i]);
    }
  }

  void print_frame(const FrameRow& f) {
    const PlaceRow& p = table_.places[f.place];
    std::ostream& out = streams_.out;
    const std::string number = "#" + std::to_string(f.depth);
    out << "  " << number << std::string(number.size() < 4 ? 4 - number.size() : 1, ' ');
    out << hex_padded(f.pc) << " " << (p.function.empty() ? "??" : printable(p.function));
    if (!p.file.empty()) {
      out << " at " << printable(p.file);
      if (p.line != 0) out << ":" << p.line;
    } else {
      if (p.offset && !p.function.empty()) out << "+" << hex(*p.offset);
      if (!p.module.empty()) out << " in " << printable(p.module);
    }
    if (p.inlined) out << " (inlined)";
    const std::string_view trust = f.trust;
    if (trust != "context" && trust != "cfi") out << " (by " << trust << ")";
    out << "\n";
  }

  std::string hex_padded(uint64_t value) const {
    const std::string text = hex(value).substr(2);
    const size_t width = image_.pointer_width * 2;
    return "0x" + std::string(text.size() < width ? width - text.size() : 0, '0') + text;
  }

  const Image& image_;
  const FrameTable& table_;
  const std::vector<UnwoundStack>& unwound_;
  const Options& options_;
  Streams streams_;
  std::vector<Stack> stacks_;
};

}  // namespace

Result<int> run_stacks(const Options& options, Streams streams) {
  const std::string& path = options.arguments[0];
  Diagnostics diagnostics;
  std::optional<Progress> progress;
  progress.emplace(streams.err, options.progress && Progress::is_terminal(), path);
  RESIDUE_ASSIGN(const Image image, open_image(path, options, &*progress, &diagnostics));
  progress->stage("unwinding threads");
  Symbolizer symbolizer(image, options.search, options.jobs);
  const auto stacks = unwind_threads(image, &symbolizer, {options.jobs, 0}, diagnostics);
  progress->stage("naming frames");
  const FrameTable table = name_frames(image, stacks, &symbolizer);
  progress.reset();
  diagnostics.append(symbolizer.diagnostics());
  print_diagnostics(path, diagnostics, options, streams.err);
  RESIDUE_TRY(check_strict(path, diagnostics, options));
  return StackPrinter(image, table, stacks, options, streams).print();
}

}  // namespace residue
