#include "analyzer/explain.h"

#include <algorithm>

#include "analyzer/words.h"
#include "formats/base/text.h"
#include "symbolize/stack_locals.h"

namespace residue {
namespace {

constexpr size_t kPreview = 64;  // bytes of content shown
constexpr size_t kMaxReferrers = 10;
constexpr size_t kMaxPath = 32;  // steps shown of a path
constexpr size_t kMaxPathWalk = 1 << 20;
constexpr size_t kMaxKept = 5;  // of what an object dominates, the largest

class Explainer {
 public:
  Explainer(const Image& image, Symbolizer* symbolizer, const Snapshot& s, const Evidence& evidence)
      : image_(image), words_(image), s_(s), evidence_(evidence), symbolizer_(symbolizer) {}

  std::vector<ExplainLine> run(Address address) {
    explain_region(address);
    uint64_t start = 0;
    const ChunkId id = s_.chunks.map.find(address.value(), &start);
    if (id == kNone<ChunkId>) {
      explain_memory(address);
    } else {
      explain_chunk(id, Address(start), address);
    }
    explain_corruption(id, Address(start), address);
    return std::move(lines_);
  }

 private:
  void add(const char* topic, std::string text) { lines_.push_back({topic, std::move(text)}); }

  void explain_region(Address address) {
    const Region* region = image_.find_region(address);
    if (region == nullptr) {
      add("region", hex(address.value()) + " is not mapped in this process");
      return;
    }
    std::string text = hex(region->range.base.value()) + "-" + hex(region->range.end().value()) +
                       " " + to_string(region->permissions) + " " + to_string(region->kind);
    if (!region->name.empty()) text += " " + printable(region->name);
    if (region->backing == Backing::kAbsent) text += ", not in the dump";
    if (region->backing == Backing::kFile) text += ", read from the file on disk";
    add("region", text);
    for (const Thread& thread : image_.threads) {
      if (region->range.contains(Address(thread.sp))) {
        add("thread", "stack of thread " + std::to_string(thread.tid) + ", SP " + hex(thread.sp) +
                          (address.value() < thread.sp ? " (the address lies below: dead)" : ""));
      }
    }
  }

  // What was overwritten at the address or in the header of its chunk, or by that chunk.
  void explain_corruption(ChunkId id, Address start, Address address) {
    AddressRange about{address, ByteCount(1)};
    if (id != kNone<ChunkId>) {
      const ByteCount header(2 * image_.pointer_width);
      about = {start - header, header + s_.chunks.map.usable(id)};
    }
    for (const CorruptionRow& row : s_.corruption) {
      if (row.address.value() == 0) continue;
      if (!about.contains(row.address) && !about.contains(row.suspect)) continue;
      std::string text = row.kind + " at " + hex(row.address.value()) + " (" + row.confidence;
      text.append("): ").append(row.message);
      if (!row.found.empty()) text.append("; found ").append(row.found);
      if (!row.expected.empty()) text.append(", expected ").append(row.expected);
      add("corruption", text);
    }
  }

  void explain_memory(Address address) {
    if (const std::string variable = variable_at(address); !variable.empty()) {
      add("symbol", variable);
    }
    if (const auto word = image_.word(address)) {
      uint64_t start = 0;
      const ChunkId target = s_.chunks.map.find(*word, &start);
      add("value", hex(*word) + (target == kNone<ChunkId> ? "" : ", a pointer to " + name(target)));
    }
    add_content(address, image_.view(address, kPreview));
  }

  std::string type_name(ChunkId id) const {
    const uint32_t type = s_.chunks.type[id.value()];
    return type < s_.types.size() ? s_.types[type].name : "";
  }

  // "0x55… (Session, 88 bytes)"
  std::string name(ChunkId id) const {
    const std::string type = type_name(id);
    return hex(s_.chunks.map.address(id).value()) + " (" + (type.empty() ? "" : type + ", ") +
           std::to_string(s_.chunks.map.usable(id).value()) + " bytes)";
  }

  void explain_chunk(ChunkId id, Address start, Address address) {
    const uint32_t i = id.value();
    const Run& run = s_.chunks.map.run_of(id);
    const uint64_t usable = s_.chunks.map.usable(id).value();
    add("chunk", hex(start.value()) + ", " + std::to_string(usable) + " usable bytes, " +
                     kChunkStateNames[static_cast<size_t>(s_.chunks.state[i])] + ", in " +
                     s_.heaps[run.heap.value()].name +
                     (s_.heaps[run.heap.value()].verified ? " (verified)" : " (not verified)"));
    if (address != start) {
      add("offset", std::to_string((address - start).value()) + " bytes into the chunk");
    }
    if (s_.chunks.state[i] == ChunkState::kUsed) explain_used(id);
    add_content(start, image_.view(start, std::min<uint64_t>(usable, kPreview)));
    add_neighbours(id);
    add_referrers(id);
    if (s_.chunks.state[i] == ChunkState::kUsed) {
      add_path(id);
      add_retained(id);
      add_dominators(id);
    }
  }

  void explain_used(ChunkId id) {
    const uint32_t i = id.value();
    if (const uint32_t type = s_.chunks.type[i]; type < s_.types.size()) {
      const TypeRow& row = s_.types[type];
      add("type", row.name + (row.module.empty() ? "" : " of " + row.module) + " (" + row.origin +
                      ", " + row.confidence + ")");
    }
    add("reach", kReachNames[static_cast<size_t>(s_.chunks.reach[i])]);
    if (const uint32_t owner = s_.chunks.owner[i]; owner < s_.owners.size()) {
      const OwnerRow& row = s_.owners[owner];
      add("owner", row.kind + " " + row.name + (row.module.empty() ? "" : " in " + row.module) +
                       declaration("", row.file, row.line));
    }
    if (const uint32_t cluster = s_.chunks.cluster[i]; cluster < s_.clusters.size()) {
      const ClusterRow& row = s_.clusters[cluster];
      add("cluster", std::to_string(cluster) + ": " + std::to_string(row.count) + " x " +
                         row.shape + " = " + std::to_string(row.bytes) + " bytes");
      if (row.suppression < s_.suppressions.size()) {
        const SuppressionRow& rule = s_.suppressions[row.suppression];
        add("", "suppressed by " + rule.kind + ":" + rule.pattern + " (" + rule.file + ":" +
                    std::to_string(rule.line) + ")");
      }
      add("evidence", row.evidence);
    }
  }

  void add_content(Address start, std::span<const std::byte> bytes) {
    for (size_t at = 0; at < bytes.size(); at += 16) {
      const auto row = bytes.subspan(at, std::min<size_t>(16, bytes.size() - at));
      std::string text = hex(start.value() + at) + "  " + hex_bytes(row);
      text += std::string(2 + 2 * (16 - row.size()), ' ');
      for (const std::byte b : row) {
        const auto c = std::to_integer<char>(b);
        text += c >= 0x20 && c < 0x7f ? c : '.';
      }
      add("content", text);
    }
  }

  // The chunks right before and behind in memory, where they touch it: who overruns whom.
  void add_neighbours(ChunkId id) {
    const Run& run = s_.chunks.map.run_of(id);
    const auto one = [&](uint32_t other, const char* where) {
      if (other >= s_.chunks.map.size() || &s_.chunks.map.run_of(ChunkId(other)) != &run) {
        return add("neighbour", std::string(where) + ": none, the heap's memory ends there");
      }
      std::string text = where;
      text.append(": ").append(name(ChunkId(other))).append(", ");
      text.append(kChunkStateNames[static_cast<size_t>(s_.chunks.state[other])]);
      const char* reach = kReachNames[static_cast<size_t>(s_.chunks.reach[other])];
      if (*reach != 0) text.append(", ").append(reach);
      add("neighbour", text);
    };
    one(id.value() - 1, "before");  // of the first: wraps, and there is none
    one(id.value() + 1, "behind");
  }

  uint64_t retained(uint32_t chunk) const {
    const uint64_t bytes = s_.chunks.retained[chunk];
    return bytes != 0 ? bytes : s_.chunks.map.usable(ChunkId(chunk)).value();
  }

  // What would become free with the chunk, and the largest parts of it.
  void add_retained(ChunkId id) {
    if (s_.chunks.retained.empty()) return;
    const uint64_t own = s_.chunks.map.usable(id).value();
    const uint64_t all = retained(id.value());
    add("retained", std::to_string(all) +
                        " bytes would become free with it: " + std::to_string(own) +
                        " of its own and " + std::to_string(all - own) + " that only it keeps");
    std::vector<uint32_t> kept;
    for (uint32_t i = 0; i < s_.chunks.dominator.size(); ++i) {
      if (s_.chunks.dominator[i] == id.value()) kept.push_back(i);
    }
    const size_t shown = std::min(kMaxKept, kept.size());
    std::partial_sort(kept.begin(), kept.begin() + static_cast<int64_t>(shown), kept.end(),
                      [this](uint32_t a, uint32_t b) {
                        return std::pair(retained(b), a) < std::pair(retained(a), b);
                      });
    for (size_t i = 0; i < shown; ++i) {
      add("retained", "  " + name(ChunkId(kept[i])) + " with " + std::to_string(retained(kept[i])));
    }
    if (kept.size() > shown) {
      add("retained", "  and " + std::to_string(kept.size() - shown) + " smaller ones");
    }
  }

  // The owner, then object by object what everything on the way to the chunk leads through.
  void add_dominators(ChunkId id) {
    const auto& dominator = s_.chunks.dominator;
    if (dominator.empty()) return;
    std::vector<uint32_t> chain;
    uint32_t up = dominator[id.value()];
    while (up < ChunkTable::kDominatedByOwner) {
      chain.push_back(up);
      up = dominator[up];
    }
    if (up == ChunkTable::kNoDominator) {
      const bool leak = is_leak(s_.chunks.reach[id.value()]);
      add("dominator", chain.empty() && leak ? "none: nothing alive refers to it"
                       : chain.empty()       ? "none: several owners lead to it"
                       : leak                ? "(leaked)"
                                             : "(several owners)");
    } else {
      const OwnerRow& owner = s_.owners[up & ~ChunkTable::kDominatedByOwner];
      add("dominator",
          owner.kind + " " + owner.name + (owner.module.empty() ? "" : " in " + owner.module));
    }
    for (size_t i = chain.size(); i > 0; --i) {
      if (chain.size() > kMaxPath && i == chain.size() - kMaxPath / 2) {
        const size_t skipped = chain.size() - kMaxPath;
        add("dominator", "… " + std::to_string(skipped) + " more …");
        i -= skipped - 1;
        continue;
      }
      add("dominator", name(ChunkId(chain[i - 1])) + " retains " +
                           std::to_string(retained(chain[i - 1])) + " bytes");
    }
  }

  // Chunks and roots that point to `id`: a pass over all edges, and over the roots.
  void add_referrers(ChunkId id) {
    size_t found = 0;
    const uint64_t begin = s_.chunks.map.address(id).value();
    const uint64_t end = begin + s_.chunks.map.usable(id).value();
    const auto count = s_.chunks.map.size();
    for (uint32_t source = 0; source < count; ++source) {
      const auto edges = s_.references.edges(ChunkId(source));
      const bool refers = std::any_of(edges.begin(), edges.end(),
                                      [id](const Edge& edge) { return edge.target() == id; });
      if (!refers || ++found > kMaxReferrers) continue;
      add("referrer", name(ChunkId(source)) + ", " +
                          kReachNames[static_cast<size_t>(s_.chunks.reach[source])] + ": " +
                          pointers(ChunkId(source), begin, end));
    }
    const auto scan = [&](const std::vector<RootRange>& ranges, const char* prefix) {
      for (const RootRange& range : ranges) {
        image_.holes.for_each_data(range.bytes, [&](uint64_t from, uint64_t until) {
          for (uint64_t at = from; at + words_.size <= until; at += words_.size) {
            const auto word = image_.untag(words_.at(range.bytes, at));
            if (word < begin || word > end) continue;
            if (++found > kMaxReferrers) continue;
            add("referrer", prefix + place(range.base + ByteCount(at)) +
                                (word == begin ? "" : ", to its inside"));
          }
        });
      }
    };
    scan(evidence_.roots.live, "");
    scan(evidence_.roots.dead, "dead ");
    for (const RootWord& word : evidence_.roots.registers) {
      if (word.value < begin || word.value > end || ++found > kMaxReferrers) continue;
      add("referrer", "a register of thread " + std::to_string(image_.threads[word.thread].tid));
    }
    if (found == 0) add("referrer", "none");
    if (found > kMaxReferrers) {
      add("referrer", std::to_string(found - kMaxReferrers) + " more");
    }
  }

  // The words of a chunk that point into [begin, end]: "+0x18 -> +16".
  std::string pointers(ChunkId source, uint64_t begin, uint64_t end) const {
    const Address start = s_.chunks.map.address(source);
    const auto bytes = image_.view(start, s_.chunks.map.usable(source).value());
    std::string text;
    image_.holes.for_each_data(bytes, [&](uint64_t from, uint64_t until) {
      for (uint64_t at = from; at + words_.size <= until; at += words_.size) {
        const auto word = image_.untag(words_.at(bytes, at));
        if (word < begin || word > end) continue;
        text += (text.empty() ? "+" : ", +") + hex(at) + " -> +" + std::to_string(word - begin);
      }
    });
    return text;
  }

  // "table+0x10 of libserver.so (std::map<int, Session*>, server.cpp:41)", "local buffer of f,
  // frame #3 of thread 12 (char [64], a.cpp:3)"; empty if the address is in no variable that is
  // known.
  std::string variable_at(Address a) {
    if (const auto data = symbolizer_->data(a)) return describe(*data, a);
    for (size_t t = 0; t < image_.threads.size(); ++t) {
      if (const auto data = symbolizer_->thread_local_data(t, a)) {
        return describe(*data, a) + ", thread-local of thread " +
               std::to_string(image_.threads[t].tid);
      }
      const Region* region = image_.find_region(a);
      if (region == nullptr || !region->range.contains(Address(image_.threads[t].sp))) continue;
      StackLocals locals(image_, evidence_.stacks[t],
                         [this](ModuleId module) { return symbolizer_->variables(module); });
      const auto hit = locals.find(a.value());
      if (!hit) continue;
      const LocalVariable& v = *hit->variable;
      return "local " + v.name + plus(hit->offset) + " of " + v.function + ", frame #" +
             std::to_string(depth_of(t, evidence_.stacks[t].frames[hit->frame])) + " of thread " +
             std::to_string(image_.threads[t].tid) + declaration(v.type, v.file, v.line);
    }
    return {};
  }

  // The number that `residue stacks` shows: inlined frames count there.
  uint32_t depth_of(size_t thread, const UnwoundFrame& frame) const {
    uint32_t depth = 0;
    for (const FrameRow& row : s_.frames) {
      if (row.thread == thread && row.pc == frame.pc && row.sp == frame.sp) depth = row.depth;
    }
    return depth;
  }

  std::string describe(const DataPlace& data, Address a) const {
    return data.name + plus((a - data.address).value()) + " of " +
           std::string(base_name(image_.modules[data.module.value()].path)) +
           declaration(data.type, data.file, data.line);
  }

  static std::string plus(uint64_t offset) { return offset == 0 ? "" : "+" + hex(offset); }

  // " (type, file:line)"
  static std::string declaration(const std::string& type, const std::string& file, uint32_t line) {
    if (type.empty() && file.empty()) return {};
    std::string text = " (" + type;
    if (!file.empty()) {
      text.append(type.empty() ? "" : ", ").append(base_name(file));
      if (line != 0) text.append(":").append(std::to_string(line));
    }
    return text + ")";
  }

  // A root's place in words: its symbol, else its region.
  std::string place(Address location) {
    if (const std::string variable = variable_at(location); !variable.empty()) {
      return variable + " at " + hex(location.value());
    }
    const Region* region = image_.find_region(location);
    std::string text = region == nullptr ? "memory" : to_string(region->kind);
    if (const Module* module = image_.module_of(location)) {
      text += " " + std::string(base_name(module->path)) + "+" +
              hex(location.value() - module->range.base.value());
    }
    return text + " at " + hex(location.value());
  }

  // From the root that the marking came from down to the chunk.
  void add_path(ChunkId id) {
    const auto& parent = evidence_.trace.parent;
    std::vector<std::string> steps;
    uint32_t at = id.value();
    size_t walked = 0;
    while (true) {
      steps.push_back(name(ChunkId(at)));
      const uint32_t up = parent[at];
      if (up == ReachTrace::kNoParent) {
        if (s_.chunks.reach[at] == Reach::kSystem) steps.push_back("(the system's own chunk)");
        break;
      }
      if ((up & ReachTrace::kRootFlag) != 0) {
        const auto& hit = evidence_.trace.hits[up & ~ReachTrace::kRootFlag];
        if (hit.stale < evidence_.stale.size()) {
          steps.push_back(describe_stale(image_, evidence_.spare, evidence_.stale[hit.stale]));
          break;
        }
        std::string root;
        if (hit.owner.value() < s_.owners.size()) root += s_.owners[hit.owner.value()].name;
        if (hit.location.value() != 0) root += " (" + place(hit.location) + ")";
        steps.push_back(root);
        break;
      }
      at = up;
      if (++walked > kMaxPathWalk) break;
    }
    if (steps.size() < 2) {
      add("path", "no root reaches this chunk");
      return;
    }
    std::reverse(steps.begin(), steps.end());
    for (size_t i = 0; i < steps.size(); ++i) {
      // The middle of a long path is the least interesting part.
      if (steps.size() > kMaxPath && i == kMaxPath / 2) {
        const size_t skipped = steps.size() - kMaxPath;
        add("path", "… " + std::to_string(skipped) + " more …");
        i += skipped - 1;
        continue;
      }
      add("path", steps[i]);
    }
  }

  const Image& image_;
  const WordFormat words_;
  const Snapshot& s_;
  const Evidence& evidence_;
  Symbolizer* symbolizer_;
  std::vector<ExplainLine> lines_;
};

}  // namespace

std::vector<ExplainLine> explain(const Image& image, Symbolizer* symbolizer,
                                 const Snapshot& snapshot, const Evidence& evidence,
                                 Address address) {
  return Explainer(image, symbolizer, snapshot, evidence).run(address);
}

}  // namespace residue
