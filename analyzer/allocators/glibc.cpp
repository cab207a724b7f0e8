// glibc's malloc (ptmalloc), without symbols. See docs/allocators/glibc.md.
//
// The order matters: arenas first, then the lists (a cached or fastbin chunk looks used to the
// walk), then the walk, then what remains outside the arenas. Every heap is checked against the
// allocator's own counters; a heap whose laws do not all balance is not `verified` and says why.
#include <algorithm>
#include <map>
#include <set>

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
constexpr size_t kMaxCorruption = 1000;  // rows that are kept
constexpr size_t kKeyHolders = 3;        // cached chunks that must agree on their key

template <typename T>
void append(std::vector<T>* to, const std::vector<T>& from) {
  to->insert(to->end(), from.begin(), from.end());
}

void add_problem(std::string* text, const std::string& problem) {
  if (!text->empty()) text->append("; ");
  text->append(problem);
}

std::string join(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) add_problem(&text, problem);
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

bool is_fault(uint32_t signal) {
  constexpr uint32_t kIll = 4, kBus = 7, kFpe = 8, kSegv = 11;  // Linux, but for MIPS and SPARC
  return signal == kIll || signal == kBus || signal == kFpe || signal == kSegv;
}

// Whether the instruction before `pc` calls the kernel, as far as that can be seen: then the thread
// is not in the middle of malloc.
bool is_after_system_call(const Image& image, uint64_t pc) {
  const auto bytes = image.view(Address(pc - 4), 4);
  if (bytes.size() < 4) return true;
  const auto word = load<uint32_t>(bytes);
  switch (image.architecture) {
    case Architecture::kX86_64:
      return word >> 16 == 0x050f;  // syscall
    case Architecture::kX86:
      return word >> 16 == 0x80cd;  // int 0x80
    case Architecture::kAArch64:
      return word == 0xd4000001;  // svc #0
    case Architecture::kArm:
      return word == 0xef000000;  // svc #0
    default:
      return true;
  }
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
    recover_cached();
    find_double_frees();
    add_mmapped();
    skip_mcheck_headers(image_, shape_, parts_);
    finish();
  }

 private:
  // What the walk of one arena counted, until its lists have been read.
  struct Walked {
    std::vector<std::string> problems;
    std::vector<Address> doubtful;
    uint64_t free_chunks = 0;
    uint64_t free_bytes = 0;
    uint64_t top_bytes = 0;
  };

  uint64_t chunk_size(Address user) const {
    return image_.word(user - ByteCount(shape_.word)).value_or(0) & ~kSizeFlags;
  }

  // Links of singly linked lists: a chunk is put on those by one store, so they are never half
  // updated.
  void report_links(const std::vector<BadLink>& links) {
    for (const BadLink& bad : links) {
      if (bad.user.value() == 0) {
        report(diagnose_head(bad));
      } else if (bad.cyclic) {
        report(diagnose_double(image_, shape_, bad.user, bad.place));
      } else {
        report(diagnose_link(image_, shape_, bad.user, bad.place, bad.what, true));
      }
    }
  }

  // malloc() takes the link of the chunk that it hands out for the list's new head: the chunk whose
  // first word says just that was written to while it was free.
  CorruptionRow diagnose_head(const BadLink& bad) const {
    const uint64_t head = image_.word(bad.place).value_or(0);
    std::vector<Address> holders;
    for (const WalkedRun& walked : parts_->runs) {
      for_each_start(walked, [&](size_t, uint64_t granule) {
        const Address user = user_at(walked, granule);
        // A list that was cut off at its head does not tell how links are stored.
        const uint64_t stored = image_.word(user).value_or(0);
        const uint64_t mangled = stored ^ (user.value() >> kSafeLinkShift);
        if (holders.size() < 2 && head != 0 && (stored == head || mangled == head)) {
          holders.push_back(user);
        }
        return true;
      });
    }
    const Address user = holders.size() == 1 ? holders.front() : Address(0);
    CorruptionRow row = diagnose_link(image_, shape_, user, bad.place, "the head of a free list",
                                      user.value() != 0);
    row.message = "the head of a free list leads nowhere";
    if (user.value() != 0) {
      row.message += ": it was taken from a chunk that was written to while it was free";
    } else {
      row.kind = "unknown";
    }
    return row;
  }

  // A chunk that two lists hold was freed twice.
  void find_double_frees() {
    std::vector<Address> all = parts_->cached;
    append(&all, parts_->freed);
    std::sort(all.begin(), all.end());
    for (size_t i = 1; i < all.size(); ++i) {
      if (all[i] != all[i - 1] || (i > 1 && all[i] == all[i - 2])) continue;
      report(diagnose_double(image_, shape_, all[i], std::nullopt));
      walked_problem(all[i], "a chunk is on two free lists");
    }
  }

  // A law that is broken at `place`, for the heap that holds it.
  void walked_problem(Address place, const std::string& problem) {
    for (size_t i = 0; i < arenas_.size(); ++i) {
      for (const Stretch& stretch : arenas_[i].stretches) {
        if (!stretch.memory.contains(place)) continue;
        add_problem(&parts_->heaps[first_heap_ + i].problem, problem);
        return;
      }
    }
  }

  // Chunks that a broken list of a thread cache has lost: they still hold the cache's key behind
  // their link (2.29 on), which the next malloc() would have erased.
  void recover_cached() {
    if (missing_.empty()) return;
    std::map<uint64_t, size_t> keys;
    for (const Address user : parts_->cached) {
      ++keys[image_.word(user + ByteCount(shape_.word)).value_or(0)];
    }
    keys.erase(0);
    std::set<uint64_t> known;
    for (const auto& [key, count] : keys) {
      const bool is_cache = std::any_of(tcaches_.begin(), tcaches_.end(),
                                        [k = key](const Tcache& t) { return t.user.value() == k; });
      if (is_cache || count >= kKeyHolders) known.insert(key);
    }
    if (known.empty()) return;
    std::map<uint64_t, std::vector<Address>> found;
    std::vector<Address> listed = parts_->cached;
    std::sort(listed.begin(), listed.end());
    for (const ListResult::Missing& lost : missing_) found[lost.chunk_size];
    for (const WalkedRun& walked : parts_->runs) {
      for_each_start(walked, [&](size_t, uint64_t granule) {
        const Address user = user_at(walked, granule);
        const auto size = found.find(chunk_size(user));
        if (size == found.end()) return true;
        const uint64_t key = image_.word(user + ByteCount(shape_.word)).value_or(0);
        if (known.contains(key) && !std::binary_search(listed.begin(), listed.end(), user)) {
          size->second.push_back(user);
        }
        return true;
      });
    }
    for (auto& [size, users] : found) {
      uint64_t expected = 0;
      for (const ListResult::Missing& lost : missing_) {
        if (lost.chunk_size == size) expected += lost.count;
      }
      // More than were lost: some of them are in use, and nothing says which.
      if (users.size() <= expected) append(&parts_->cached, users);
    }
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

  // Whether the arena was dumped in the middle of an update. A process with one thread takes no
  // mutex (2.26 on): there the thread may be inside malloc if it is in its module. But a fault
  // there is what a ruined heap leads to.
  bool is_in_flux(const Arena& arena) const {
    if (aborted_) return false;
    if (arena.busy) return true;
    if (image_.threads.size() != 1) return false;
    const Thread& thread = image_.threads.front();
    const Module* module = image_.module_of(Address(thread.pc));
    const bool inside = module != nullptr && arena.module.value() < image_.modules.size() &&
                        module == &image_.modules[arena.module.value()];
    return inside && !is_fault(thread.signal) && !is_after_system_call(image_, thread.pc);
  }

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
    if (!is_in_flux(arena)) report(std::move(row));
  }

  void report(CorruptionRow row) {
    if (parts_->corruption.size() >= kMaxCorruption) return;
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
      append(&walked.doubtful, walk.doubtful);
      for (const TrampledHeader& bad : walk.trampled) {
        report(arena, diagnose_header(image_, shape_, bad));
      }
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
    check_bins(arena, &walked);
    const ListResult fast = read_fastbins(image_, arena, safe_linking_);
    append(&walked.problems, fast.problems);
    append(&parts_->freed, fast.users);
    report_links(fast.bad_links);
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
  void check_bins(const Arena& arena, Walked* walked) {
    BinTotals bins = read_bins(image_, arena);
    const bool balanced = bins.chunks == walked->free_chunks && bins.bytes == walked->free_bytes;
    if (balanced && walked->doubtful.empty() && bins.problems.empty()) return;
    // Where headers and bins differ, the bins are right: nothing gets on them but by free().
    bins = read_bins(image_, arena, true);
    std::sort(bins.users.begin(), bins.users.end());
    append(&parts_->freed, bins.users);
    for (const Address user : walked->doubtful) settle_doubt(arena, user, bins, walked);
    append(&walked->problems, bins.problems);
    for (const BadLink& bad : bins.bad_links) {
      report(arena, diagnose_link(image_, shape_, bad.user, bad.place, bad.what, true));
    }
    if (bins.chunks != walked->free_chunks || bins.bytes != walked->free_bytes) {
      walked->problems.push_back(std::to_string(walked->free_chunks) + " free chunks of " +
                                 std::to_string(walked->free_bytes) + " bytes walked, " +
                                 std::to_string(bins.chunks) + " of " + std::to_string(bins.bytes) +
                                 " in the bins");
    }
  }

  // The header behind this chunk calls it free, but has not its size.
  void settle_doubt(const Arena& arena, Address user, const BinTotals& bins, Walked* walked) {
    const uint64_t size = chunk_size(user);
    const Address behind = user - ByteCount(shape_.header()) + ByteCount(size);
    if (std::binary_search(bins.users.begin(), bins.users.end(), user)) {
      ++walked->free_chunks;
      walked->free_bytes += size;
      CorruptionRow row =
          diagnose_field(image_, shape_, behind, "the copy of a free chunk's size", size);
      row.kind = "use after free";
      row.suspect = user;
      row.message = "the last word of a free chunk, a copy of its size, was overwritten";
      report(arena, std::move(row));
      walked->problems.push_back("the size kept at " + hex(behind.value()) + " is wrong");
      return;
    }
    const Address head = behind + ByteCount(shape_.word);
    walked->problems.push_back("the header at " + hex(behind.value()) +
                               " calls a chunk free that is on no list");
    const bool known =
        std::any_of(parts_->corruption.begin(), parts_->corruption.end(),
                    [head](const CorruptionRow& row) { return row.address == head; });
    if (known) return;
    const uint64_t flags = image_.word(head).value_or(0) | kPrevInUse;
    report(arena, diagnose_header(image_, shape_, {behind, flags, user, false}));
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
      add_problem(&parts_->heaps[i].problem,
                  "no thread is known, so chunks in thread caches may count as used");
    }
  }

  void add_tcache(const Tcache& tcache) {
    const ListResult lists = read_tcache(image_, tcache, safe_linking_);
    append(&parts_->cached, lists.users);
    append(&missing_, lists.missing);
    report_links(lists.bad_links);
    parts_->system.push_back(tcache.user);
    for (size_t i = 0; i < arenas_.size(); ++i) {
      HeapRow& row = parts_->heaps[first_heap_ + i];
      const std::string versions = std::string(", tcache of ") + tcache.layout->versions;
      if (row.version.find(versions) == std::string::npos) row.version += versions;
    }
    if (!lists.problems.empty()) walked_problem(tcache.user, join(lists.problems));
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
      if (!chunk.damaged) continue;
      problems.push_back("the header before " + hex(chunk.user.value()) + " is wrong");
      report(diagnose_field(image_, shape_, *chunk.damaged, "the header of an mmapped chunk",
                            chunk.expected));
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
  std::vector<ListResult::Missing> missing_;
  size_t first_heap_ = 0;
  bool safe_linking_ = false;
  bool aborted_ = false;  // by libc, because of the heap
  Shape shape_;           // all copies of malloc in one process have the same
};

void walk_glibc(const Image& image, HeapParts* parts, Diagnostics& diagnostics) {
  GlibcWalk(image, parts, diagnostics).run();
}

}  // namespace

const Allocator& glibc_allocator() {
  static constexpr Allocator kAllocator = {"glibc", walk_glibc};
  return kAllocator;
}

}  // namespace residue
