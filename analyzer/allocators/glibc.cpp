// glibc's malloc (ptmalloc), without symbols. See docs/allocators/glibc.md.
//
// The order matters: arenas first, then the lists (a cached or fastbin chunk looks used to the
// walk), then the walk, then what remains outside the arenas. Every heap is checked against the
// allocator's own counters; a heap whose laws do not all balance is not `verified` and says why.
#include <algorithm>

#include "analyzer/allocators/allocator.h"
#include "analyzer/allocators/glibc_arenas.h"
#include "analyzer/allocators/glibc_checks.h"
#include "analyzer/allocators/glibc_damage.h"
#include "analyzer/allocators/glibc_lists.h"
#include "analyzer/allocators/glibc_mmapped.h"
#include "analyzer/allocators/glibc_walk.h"
#include "formats/base/text.h"

namespace residue {
namespace {

using namespace glibc;

constexpr const char* kStage = "glibc";

template <typename T>
void append(std::vector<T>* to, const std::vector<T>& from) {
  to->insert(to->end(), from.begin(), from.end());
}

std::string join(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) text += (text.empty() ? "" : "; ") + problem;
  return text;
}

// Removes `hole` from the ranges, splitting them where needed.
void subtract(std::vector<AddressRange>* ranges, AddressRange hole) {
  std::vector<AddressRange> left;
  for (const AddressRange& range : *ranges) {
    if (!range.overlaps(hole)) {
      left.push_back(range);
      continue;
    }
    if (range.base < hole.base) left.push_back({range.base, hole.base - range.base});
    if (hole.end() < range.end()) left.push_back({hole.end(), range.end() - hole.end()});
  }
  *ranges = std::move(left);
}

class GlibcWalk {
 public:
  GlibcWalk(const Image& image, HeapParts* parts, Diagnostics& diagnostics)
      : image_(image), parts_(parts), diagnostics_(diagnostics) {}

  void run() {
    arenas_ = find_arenas(image_, diagnostics_);
    if (arenas_.empty()) return;
    first_heap_ = parts_->heaps.size();
    shape_ = arenas_.front().shape;
    read_abort_message();
    for (const Arena& arena : arenas_) walk_arena(arena);
    tcaches_ = find_tcaches(image_, shape_);
    safe_linking_ = uses_safe_linking(image_, tcaches_, arenas_);
    add_forgotten_tcaches();
    for (size_t i = 0; i < arenas_.size(); ++i) settle_arena(i);
    for (const Tcache& tcache : tcaches_) add_tcache(tcache);
    if (tcaches_.empty()) miss_tcaches();
    add_mmapped();
    skip_mcheck_headers(image_, shape_, parts_);
    finish();
  }

 private:
  // What the walk of one arena counted, until its lists have been read.
  struct Walked {
    std::vector<std::string> problems;
    uint64_t free_chunks = 0;
    uint64_t free_bytes = 0;
    uint64_t top_bytes = 0;
  };

  uint64_t chunk_size(Address user) const {
    return image_.word(user - ByteCount(shape_.word)).value_or(0) & ~kSizeFlags;
  }

  // What libc said before it aborted the process. After such a message the mutex of the arena is
  // still held, and nothing is in flux.
  void read_abort_message() {
    for (const Arena& arena : arenas_) {
      if (arena.module == kNone<ModuleId>) continue;
      const auto message = find_abort_message(image_, arena.module);
      if (!message) continue;
      diagnostics_.add(Severity::kNote, kStage, "abort message", 0, "libc said: " + *message);
      if (auto row = diagnose_abort(*message)) {
        aborted_ = true;
        parts_->corruption.push_back(std::move(*row));
      }
    }
  }

  // Whether the arena was dumped in the middle of an update.
  bool is_in_flux(const Arena& arena) const { return arena.busy && !aborted_; }

  // A word of the arena's own that was wrong, whatever the walk could make of the rest.
  void report_repairs(const Arena& arena, std::vector<std::string>* problems) {
    for (const Repair& repair : arena.repairs) {
      CorruptionRow row =
          repair.is_top
              ? diagnose_header(image_, arena.shape,
                                {repair.place - ByteCount(arena.shape.word), repair.expected,
                                 repair.before, true})
              : diagnose_field(image_, arena.shape, repair.place, repair.what, repair.expected);
      problems->push_back(repair.what + " is wrong; read as " + hex(repair.expected));
      report(arena, std::move(row));
    }
  }

  // In an arena whose mutex is held a word may be half of an update: that is no corruption.
  void report(const Arena& arena, CorruptionRow row) {
    if (is_in_flux(arena)) return;
    diagnostics_.add(Severity::kDamage, kStage, "address " + hex(row.address.value()), shape_.word,
                     row.message);
    parts_->corruption.push_back(std::move(row));
  }

  void walk_arena(const Arena& arena) {
    const HeapId heap(static_cast<uint32_t>(parts_->heaps.size()));
    HeapRow row;
    row.allocator = "glibc";
    row.version = std::string("malloc_state of ") + arena.layout->versions;
    row.name = arena.is_main ? "main_arena" : "arena " + hex(arena.address.value());
    row.address = arena.address;
    Walked walked;
    walked.problems = arena.problems;
    report_repairs(arena, &walked.problems);
    std::vector<AddressRange> claimed = arena.claimed;
    for (const Stretch& stretch : arena.stretches) {
      StretchWalk walk = walk_stretch(image_, arena, stretch, heap, diagnostics_);
      for (WalkedRun& run : walk.runs) parts_->runs.push_back(std::move(run));
      append(&tcache_sized_, walk.tcache_sized);
      append(&walked.problems, walk.problems);
      for (const AddressRange& gap : walk.skipped) subtract(&claimed, gap);
      walked.free_chunks += walk.free_chunks;
      walked.free_bytes += walk.free_bytes;
      row.mapped_bytes += stretch.memory.size.value();
      if (stretch.ends_in_top) walked.top_bytes = arena.top_size;
    }
    parts_->heaps.push_back(std::move(row));
    walked_.push_back(std::move(walked));
    append(&parts_->claimed, claimed);
  }

  // Reads the arena's own lists and balances them against the walk.
  void settle_arena(size_t i) {
    const Arena& arena = arenas_[i];
    Walked& walked = walked_[i];
    HeapRow& row = parts_->heaps[first_heap_ + i];
    check_bins(arena, walked.free_chunks, walked.free_bytes, &walked.problems);
    const ListResult fast = read_fastbins(image_, arena, safe_linking_);
    append(&walked.problems, fast.problems);
    append(&parts_->freed, fast.users);
    uint64_t free_bytes = walked.free_bytes + walked.top_bytes;
    for (const Address user : fast.users) {
      free_bytes += chunk_size(user);
    }
    row.fordblks = free_bytes;
    row.uordblks = row.mapped_bytes - std::min(row.mapped_bytes, row.fordblks);
    if (arena.busy && !walked.problems.empty()) {
      walked.problems.push_back(
          "the arena's mutex is held: it was dumped in the middle of an operation");
    }
    row.problem = join(walked.problems);
  }

  // Every chunk that its neighbour's header calls free is in exactly one bin.
  void check_bins(const Arena& arena, uint64_t chunks, uint64_t bytes,
                  std::vector<std::string>* problems) const {
    const BinTotals bins = read_bins(image_, arena);
    problems->insert(problems->end(), bins.problems.begin(), bins.problems.end());
    if (bins.chunks != chunks || bins.bytes != bytes) {
      problems->push_back(std::to_string(chunks) + " free chunks of " + std::to_string(bytes) +
                          " bytes walked, " + std::to_string(bins.chunks) + " of " +
                          std::to_string(bins.bytes) + " in the bins");
    }
  }

  // Structs of caches whose thread is not in the dump's list of threads.
  void add_forgotten_tcaches() {
    std::vector<Tcache> plain = filled_tcaches(false);
    std::vector<Tcache> mangled = filled_tcaches(true);
    // Without any list to judge by, these lists decide how links are stored.
    if (tcaches_.empty()) safe_linking_ = safe_linking_ || mangled.size() > plain.size();
    for (const Tcache& tcache : safe_linking_ ? mangled : plain) {
      tcaches_.push_back(tcache);
      diagnostics_.add(Severity::kNote, kStage, "address " + hex(tcache.user.value()), 0,
                       "a thread cache that no thread's TLS points to");
    }
  }

  // Unknown chunks that can be nothing else than thread caches.
  std::vector<Tcache> filled_tcaches(bool safe_linking) const {
    std::vector<Tcache> found;
    for (const Address user : tcache_sized_) {
      const bool known = std::any_of(tcaches_.begin(), tcaches_.end(),
                                     [user](const Tcache& t) { return t.user == user; });
      if (known) continue;
      const uint64_t size = chunk_size(user);
      for (const TcacheLayout& layout : kTcacheLayouts) {
        if (size == layout.chunk_size(shape_) &&
            is_filled_tcache(image_, shape_, user, layout, safe_linking)) {
          found.push_back({user, 0, &layout, shape_});
          break;
        }
      }
    }
    return found;
  }

  // malloc_state tells 2.26, where thread caches came, from 2.27 only by its layout: in both,
  // without the threads' TLS, cached chunks may pass for used ones.
  void miss_tcaches() {
    diagnostics_.add(Severity::kWarning, kStage, "threads", 0,
                     "no thread cache found: a glibc before 2.26, or cached chunks count as used");
    if (!image_.threads.empty()) return;
    for (size_t i = first_heap_; i < parts_->heaps.size(); ++i) {
      std::string& problem = parts_->heaps[i].problem;
      problem += (problem.empty() ? "" : "; ") +
                 std::string("no thread is known, so chunks in thread caches may count as used");
    }
  }

  void add_tcache(const Tcache& tcache) {
    const ListResult lists = read_tcache(image_, tcache, safe_linking_);
    append(&parts_->cached, lists.users);
    parts_->system.push_back(tcache.user);
    for (size_t i = 0; i < arenas_.size(); ++i) {
      HeapRow& row = parts_->heaps[first_heap_ + i];
      const std::string versions = std::string(", tcache of ") + tcache.layout->versions;
      if (row.version.find(versions) == std::string::npos) row.version += versions;
      const bool here =
          std::any_of(arenas_[i].stretches.begin(), arenas_[i].stretches.end(),
                      [&](const Stretch& s) { return s.memory.contains(tcache.user); });
      if (!here || lists.problems.empty()) continue;
      row.problem += (row.problem.empty() ? "" : "; ") + join(lists.problems);
    }
  }

  void add_mmapped() {
    std::sort(parts_->claimed.begin(), parts_->claimed.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.base < b.base; });
    const std::vector<MmappedChunk> chunks =
        find_mmapped(image_, shape_, parts_->claimed, arenas_.front().layout->mmapped_trailer);
    uint64_t expected = 0;
    uint64_t expected_bytes = 0;
    std::vector<std::string> problems;
    bool any_main = false;
    for (const Arena& arena : arenas_) {
      if (!arena.is_main) continue;
      any_main = true;
      if (const auto parameters = find_parameters(image_, arena)) {
        expected += parameters->n_mmaps;
        expected_bytes += parameters->mmapped_mem;
      } else {
        problems.push_back("mp_ was not found, so nothing says how many there must be");
      }
    }
    if (!any_main)
      problems.push_back("mp_ is not in the dump: nothing says how many there must be");
    HeapRow row;
    row.allocator = "glibc";
    row.version = parts_->heaps[first_heap_].version;
    row.name = "mmapped";
    const HeapId heap(static_cast<uint32_t>(parts_->heaps.size()));
    uint64_t total = 0;
    for (const MmappedChunk& chunk : chunks) {
      if (row.address.value() == 0) row.address = chunk.mapping.base;
      total += chunk.mapping.size.value();
      parts_->claimed.push_back(chunk.mapping);
      add_mmapped_run(chunk, heap);
    }
    row.mapped_bytes = total;
    if (problems.empty() && (expected != chunks.size() || expected_bytes != total)) {
      problems.push_back(std::to_string(chunks.size()) + " chunks of " + std::to_string(total) +
                         " bytes found, mp_ counts " + std::to_string(expected) + " of " +
                         std::to_string(expected_bytes));
    }
    if (chunks.empty() && (problems.empty() || !any_main)) return;
    row.problem = join(problems);
    parts_->heaps.push_back(std::move(row));
  }

  void add_mmapped_run(const MmappedChunk& chunk, HeapId heap) {
    WalkedRun walked;
    walked.granule_shift = shape_.granule_shift();
    walked.run.begin = chunk.user;
    // Of a chunk that is mostly not in the dump only so much goes into the chunk map.
    const uint64_t there = image_.view(chunk.user, chunk.usable).size();
    const uint64_t usable = std::min(chunk.usable, there + kMaxUnseen);
    const uint64_t span = shape_.round_up(usable);
    walked.run.end = chunk.user + ByteCount(span);
    walked.run.gap = static_cast<uint32_t>(span - usable);
    walked.run.heap = heap;
    walked.run.bytes = image_.view(chunk.user, chunk.usable);
    walked.starts = {1};
    walked.states.push_back(ChunkState::kUsed);
    parts_->runs.push_back(std::move(walked));
  }

  void finish() {
    for (size_t i = first_heap_; i < parts_->heaps.size(); ++i) {
      HeapRow& row = parts_->heaps[i];
      row.verified = row.problem.empty();
      if (row.verified) continue;
      diagnostics_.add(Severity::kWarning, kStage, row.name, 0,
                       "the heap does not balance: " + row.problem);
    }
  }

  const Image& image_;
  HeapParts* parts_;
  Diagnostics& diagnostics_;
  std::vector<Arena> arenas_;
  std::vector<Tcache> tcaches_;
  std::vector<Walked> walked_;
  std::vector<Address> tcache_sized_;
  size_t first_heap_ = 0;
  bool safe_linking_ = false;
  bool aborted_ = false;  // by libc, because of the heap
  Shape shape_;           // all copies of malloc in one process have the same
};

void walk_glibc(const Image& image, HeapParts* parts, Diagnostics& diagnostics) {
  // Only LP64 little-endian layouts are known so far.
  const bool wide = image.pointer_width == 8;
  if (!wide || image.order != ByteOrder::kLittle) {
    std::string message = "heaps of ";
    message += wide ? "big-endian" : "32-bit";
    message += " glibc are not walked yet: nothing is said of leaks";
    diagnostics.add(Severity::kWarning, kStage, "heaps", 0, message);
    return;
  }
  GlibcWalk(image, parts, diagnostics).run();
}

}  // namespace

const Allocator& glibc_allocator() {
  static constexpr Allocator kAllocator = {"glibc", walk_glibc};
  return kAllocator;
}

}  // namespace residue
