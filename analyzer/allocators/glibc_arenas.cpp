// Where the arenas are.
//
// main_arena is a local symbol and libc.so.6 is stripped, so it is found by its structure. Inside
// the writable data of the modules lies exactly one place whose 127 bin headers point to themselves
// or to a consistent list, whose `top` and `system_mem` describe mapped memory, and whose `next`
// leads back to it through a ring of arenas. The bins alone are not enough: shifted by a bin they
// match inside thread arenas too; the ring settles it. Every thread arena is in that ring, also
// those of threads that ended.
//
// Rejected: fixed distances from exported symbols (differ by build), the version string
// (distributions backport), the host's libc (another machine's).
#include "analyzer/allocators/glibc_arenas.h"

#include <algorithm>
#include <bit>

#include "analyzer/allocators/glibc_pieces.h"
#include "formats/base/text.h"

namespace residue::glibc {
namespace {

constexpr const char* kStage = "glibc";
constexpr size_t kMaxArenas = 65536;  // longest ring believed
constexpr size_t kMaxHeapsPerArena = 1 << 20;
constexpr uint64_t kMaxSystemMem = uint64_t{1} << 46;
constexpr unsigned kMinEmptyBins = 40;  // of 127; or whose lists are sound at both ends
constexpr unsigned kMaxOddBins = 2;     // bins that may be inconsistent: one list in flux

class ArenaFinder {
 public:
  ArenaFinder(const Image& image, Diagnostics& diagnostics)
      : image_(image), diagnostics_(diagnostics), words_(image) {
    machine_.word = image.pointer_width;
    machine_.order = image.order;
  }

  std::vector<Arena> find() {
    std::vector<Arena> found;
    scan_modules(&found);
    if (!found.empty()) return finish(std::move(found));
    // A ring that does not close is believed only when there is no better one: with a wrong layout
    // rings break too.
    accept_broken_ = true;
    scan_modules(&found);
    if (found.empty()) find_damaged_main(&found);
    accept_broken_ = false;
    if (found.empty()) {
      scan_unknown_memory(&found);
      if (!found.empty()) return finish(std::move(found));
    }
    const bool no_main = found.empty();
    find_orphans(&found);
    find_damaged_orphans(&found);
    mend(&found);
    if (no_main && !found.empty()) {
      diagnostics_.add(Severity::kDamage, kStage, "main_arena", 0,
                       "not in the dump: only thread arenas are walked");
    }
    return found;
  }

 private:
  uint64_t word(Address a) const { return words_.word(a); }
  uint64_t field(Address arena, uint32_t offset) const { return word(arena + ByteCount(offset)); }
  uint64_t heap_field(Address heap, uint32_t index) const {
    return word(heap + ByteCount(index * machine_.word));
  }

  Shape shape(const ArenaLayout& layout) const {
    return {machine_.word, layout.alignment, machine_.order};
  }

  void scan_modules(std::vector<Arena>* found) {
    for (const Region& region : image_.regions) {
      if (region.kind == RegionKind::kModuleData) scan(region, found);
    }
  }

  // A dump may not tell which memory is libc's: cores of qemu-user lack both the list of mapped
  // files and the pages from which modules are known. Its data are a small mapping then, or the
  // beginning of one.
  void scan_unknown_memory(std::vector<Arena>* found) {
    constexpr uint64_t kMaxRegion = 16 << 20, kMaxTotal = 1 << 30;
    uint64_t total = 0;
    for (const Region& region : image_.regions) {
      const bool unknown =
          region.kind == RegionKind::kAnonymous || region.kind == RegionKind::kUnknown;
      if (!unknown || !region.permissions.write || total > kMaxTotal) continue;
      Region beginning = region;
      beginning.bytes = region.bytes.first(std::min<uint64_t>(region.bytes.size(), kMaxRegion));
      total += beginning.bytes.size();
      scan(beginning, found);
    }
  }

  void scan(const Region& region, std::vector<Arena>* found) {
    for (const ArenaLayout& layout : arena_layouts(machine_.word)) {
      if (region.bytes.size() < layout.size) continue;
      // What can be the word `next` of an arena; in a hole it would be zero.
      const auto nexts =
          region.bytes.subspan(layout.next, region.bytes.size() - layout.size + machine_.word);
      image_.holes.for_each_data(nexts, [&](uint64_t from, uint64_t until) {
        for (uint64_t at = from; at + machine_.word <= until; at += machine_.word) {
          try_arena(region, at, machine_.load_word(nexts.subspan(at)), layout, found);
        }
      });
    }
  }

  // Whether an arena begins at region.bytes[at] whose word `next` is this.
  void try_arena(const Region& region, uint64_t at, uint64_t next, const ArenaLayout& layout,
                 std::vector<Arena>* found) {
    const uint64_t address = region.range.base.value() + at;
    // Either the arena is alone in its ring, or `next` is a thread arena, which follows the
    // heap_info at the start of a heap aligned to at least 1 MiB.
    const uint64_t low = next & 0xfffff;
    const auto sizes = heap_info_sizes(shape(layout));
    if (next != address && low != sizes[0] && low != sizes[1]) return;
    if (already(*found, address) || !is_arena(Address(address), layout, true)) return;
    // Outside of modules the rings' other arenas lie about too.
    if (region.kind != RegionKind::kModuleData && is_named_by_heap(Address(address), layout))
      return;
    if (auto arenas = ring(Address(address), layout)) {
      settle_alignment(Address(address), &*arenas);
      arenas->front().module = region.module;
      for (Arena& arena : *arenas) found->push_back(std::move(arena));
    }
  }

  // Without a main arena (its pages are not in the dump) thread arenas still stand for themselves:
  // at the start of a heap, which names the arena behind it.
  void find_orphans(std::vector<Arena>* found) {
    for_each_heap_base([&](Address heap) { add_orphan(heap, found); });
  }

  void add_orphan(Address heap, std::vector<Arena>* found) {
    for (const ArenaLayout& layout : arena_layouts(machine_.word)) {
      for (const uint64_t size : heap_info_sizes(shape(layout))) {
        const Address arena = heap + ByteCount(size);
        if (word(heap) != arena.value() || already(*found, arena.value())) continue;
        if (!is_arena(arena, layout, false)) continue;
        std::vector<Arena> alone = {describe(arena, layout, false)};
        settle_alignment(arena, &alone);
        found->push_back(std::move(alone.front()));
        return;
      }
    }
  }

  static bool already(const std::vector<Arena>& found, uint64_t address) {
    return std::any_of(found.begin(), found.end(), [address](const Arena& a) {
      return AddressRange{a.address, ByteCount(a.layout->size)}.contains(Address(address));
    });
  }

  bool is_arena(Address a, const ArenaLayout& layout, bool is_main) const {
    const uint64_t system_mem = field(a, layout.system_mem);
    const uint64_t max_system_mem =
        field(a, layout.system_mem + static_cast<uint32_t>(machine_.word));
    if (system_mem < image_.page_size || system_mem > max_system_mem ||
        max_system_mem > kMaxSystemMem) {
      return false;
    }
    const uint64_t top = field(a, layout.top);
    if (!shape(layout).is_chunk(top) || top < image_.page_size) return false;
    const auto top_head = words_.read(Address(top + machine_.word));
    // A truncated core may lack the top chunk; the bins and the ring still tell.
    if (top_head) {
      const uint64_t top_size = *top_head & ~kSizeFlags;
      if ((*top_head & kPrevInUse) == 0 || (top + top_size) % image_.page_size != 0) return false;
      if (is_main && top_size > system_mem) return false;
    }
    return bins_are_consistent(a, layout);
  }

  bool bins_are_consistent(Address a, const ArenaLayout& layout) const {
    const Shape malloc = shape(layout);
    unsigned empty = 0;
    unsigned odd = 0;
    for (unsigned i = 0; i < kBinCount; ++i) {
      const Address links = a + ByteCount(layout.bins + uint64_t{i} * 2 * malloc.word);
      const uint64_t header = links.value() - malloc.header();
      const uint64_t fd = word(links);
      const uint64_t bk = word(links + ByteCount(malloc.word));
      if (fd == header && bk == header) {
        ++empty;
      } else if (fd == header || bk == header || fd == 0 || bk == 0 || !malloc.is_chunk(fd) ||
                 !malloc.is_chunk(bk)) {
        ++odd;
        if (odd > kMaxOddBins) return false;
      } else {
        // A heap in pieces has chunks in nearly every bin: lists that lead back count as well.
        const uint64_t to_links = links.value() - header;
        const bool leads_back = word(Address(fd + to_links + to_links / 2)) == header &&
                                word(Address(bk + to_links)) == header;
        if (leads_back) ++empty;
      }
    }
    return empty >= kMinEmptyBins;
  }

  // The heap_info before a thread arena names it, also when the arena itself is trampled.
  bool is_named_by_heap(Address arena, const ArenaLayout& layout) const {
    const auto sizes = heap_info_sizes(shape(layout));
    return std::any_of(sizes.begin(), sizes.end(), [&](uint64_t size) {
      return word(arena - ByteCount(size)) == arena.value();
    });
  }

  // Two layouts may differ in nothing but the alignment: the chunks tell which is right.
  void settle_alignment(Address first, std::vector<Arena>* arenas) {
    const ArenaLayout& chosen = *arenas->front().layout;
    for (const ArenaLayout& other : arena_layouts(machine_.word)) {
      const bool twin = other.alignment != chosen.alignment && other.next == chosen.next &&
                        other.top == chosen.top && other.system_mem == chosen.system_mem;
      const bool is_main = arenas->front().is_main;
      if (!twin || !is_arena(first, other, is_main)) continue;
      std::optional<std::vector<Arena>> others;
      if (is_main) {
        others = ring(first, other);
      } else {
        others.emplace().push_back(describe(first, other, false));
      }
      if (others && believable_headers(*others) > believable_headers(*arenas)) {
        *arenas = std::move(*others);
        return;
      }
    }
  }

  // How many headers at the beginnings of the arenas' stretches can be true.
  uint64_t believable_headers(const std::vector<Arena>& arenas) const {
    constexpr uint64_t kEnough = 4096;
    uint64_t count = 0;
    for (const Arena& arena : arenas) {
      for (const Stretch& stretch : arena.stretches) {
        const uint64_t end = stretch.ends_in_top ? arena.top.value() : stretch.memory.end().value();
        uint64_t at = stretch.first_chunk.value();
        while (at < end && count < kEnough) {
          const uint64_t size = word(Address(at + machine_.word)) & ~kSizeFlags;
          if (size < arena.shape.min_size() || size % arena.shape.alignment != 0) break;
          if (size > end - at) break;
          ++count;
          at += size;
        }
      }
    }
    return count;
  }

  // Follows `next` from the main arena. Nullopt if it does not lead back.
  std::optional<std::vector<Arena>> ring(Address main, const ArenaLayout& layout) {
    std::vector<Arena> arenas;
    Address at = main;
    do {
      if (arenas.size() >= kMaxArenas || (at != main && !is_arena(at, layout, false))) {
        // A damaged ring after a believable main arena: use what there is.
        const bool believable = arenas.size() >= 2 || is_named_by_heap(at, layout);
        if (!accept_broken_ || !believable || arenas.size() >= kMaxArenas) return std::nullopt;
        diagnostics_.add(Severity::kDamage, kStage, "address " + hex(at.value()), 0,
                         "the ring of arenas is broken here; further arenas are unknown");
        return arenas;
      }
      arenas.push_back(describe(at, layout, at == main));
      at = Address(field(at, layout.next));
    } while (at != main);
    return arenas;
  }

  Arena describe(Address a, const ArenaLayout& layout, bool is_main) {
    Arena arena;
    arena.address = a;
    arena.layout = &layout;
    arena.shape = shape(layout);
    arena.is_main = is_main;
    arena.busy = image_.value<uint32_t>(a).value_or(0) != 0;  // mutex
    const uint64_t flags = image_.value<uint32_t>(a + ByteCount(4)).value_or(0);
    arena.contiguous = (flags & kNonContiguous) == 0;
    arena.top = Address(field(a, layout.top));
    arena.top_size = word(arena.top + ByteCount(machine_.word)) & ~kSizeFlags;
    arena.system_mem = field(a, layout.system_mem);
    arena.claimed.push_back({a, ByteCount(layout.size)});
    if (is_main && arena.contiguous) {
      add_main_stretch(&arena);
    } else if (is_main) {
      add_pieces(image_, &arena);
    } else {
      add_heaps(&arena);
    }
    return arena;
  }

  // The brk heap: contiguous up to the end of top.
  void add_main_stretch(Arena* arena) {
    uint64_t end = arena->top.value() + arena->top_size;
    uint64_t start = end - arena->system_mem;
    if (arena->top_size == 0) {
      // Without top's own header its size follows from where the brk heap begins.
      const auto heap = std::find_if(image_.regions.begin(), image_.regions.end(),
                                     [](const Region& r) { return r.kind == RegionKind::kHeap; });
      arena->problems.push_back("the top chunk is not in the dump");
      if (heap == image_.regions.end() || heap->range.base > arena->top) return;
      start = heap->range.base.value();
      end = start + arena->system_mem;
      if (end < arena->top.value()) return;
      arena->top_size = end - arena->top.value();
    }
    if (start > end) {
      arena->problems.push_back("top and system_mem contradict each other");
      return;
    }
    const uint64_t first = arena->shape.next_chunk(start);
    arena->stretches.push_back({{Address(start), ByteCount(end - start)}, Address(first), true});
    arena->claimed.push_back({Address(start), ByteCount(end - start)});
  }

  // Heaps of a thread arena, newest first, along heap_info.prev. The arena itself lies in the
  // oldest.
  void add_heaps(Arena* arena) {
    const auto newest = newest_heap(*arena);
    if (!newest) {
      arena->problems.push_back("no heap_info leads from top to the arena");
      return;
    }
    uint64_t total = 0;
    Address heap = *newest;
    for (size_t n = 0; heap.value() != 0 && n < kMaxHeapsPerArena; ++n) {
      if (word(heap) != arena->address.value()) {
        arena->problems.push_back("heap " + hex(heap.value()) + " does not name the arena");
        break;
      }
      const uint64_t size = heap_field(heap, kHeapSize);
      const uint64_t committed = std::max(size, heap_field(heap, kHeapMprotectSize));
      const Address prev(heap_field(heap, kHeapPrev));
      const AddressRange inside{heap, ByteCount(size)};
      const bool is_first = inside.contains(arena->address);
      Stretch stretch;
      stretch.memory = inside;
      stretch.ends_in_top = inside.contains(arena->top);
      const uint64_t after =
          is_first ? arena->address.value() + arena->layout->size : heap.value() + heap_info_size_;
      // User memory is aligned, headers need not be (chunk2mem in _int_new_arena).
      stretch.first_chunk = Address(arena->shape.next_chunk(after));
      arena->stretches.push_back(stretch);
      arena->claimed.push_back({heap, ByteCount(committed)});
      total += size;
      if (is_first) break;
      heap = prev;
    }
    if (total != arena->system_mem) {
      arena->problems.push_back("heaps of " + std::to_string(total) + " bytes, system_mem " +
                                std::to_string(arena->system_mem));
    }
  }

  // heap_for_ptr(top). HEAP_MAX_SIZE is a build and tunable setting: the default first.
  std::optional<Address> newest_heap(const Arena& arena) {
    const auto info_sizes = heap_info_sizes(arena.shape);
    heap_info_size_ = info_sizes[0];
    for (const uint64_t size : info_sizes) {
      const Address first = arena.address - ByteCount(size);
      if (word(first) == arena.address.value() && heap_field(first, kHeapPrev) == 0) {
        heap_info_size_ = size;
      }
    }
    std::vector<uint64_t> sizes = {machine_.heap_max()};
    for (uint64_t size = 1 << 20; size <= uint64_t{4} << 30; size *= 2) sizes.push_back(size);
    for (const uint64_t size : sizes) {
      const Address heap(arena.top.value() & ~(size - 1));
      if (word(heap) != arena.address.value()) continue;
      const uint64_t heap_size = heap_field(heap, kHeapSize);
      if (heap_size % image_.page_size == 0 && heap_size <= size && heap_size > 0 &&
          AddressRange{heap, ByteCount(heap_size)}.contains(arena.top)) {
        return heap;
      }
    }
    return std::nullopt;
  }

  // ---- Arenas one word of which is wrong. ----

  // Known by their bins alone, which nothing else looks like.
  void find_damaged_main(std::vector<Arena>* found) {
    for (const Region& region : image_.regions) {
      if (region.kind != RegionKind::kModuleData) continue;
      for (const ArenaLayout& layout : arena_layouts(machine_.word)) {
        if (region.bytes.size() < layout.size) continue;
        const auto bytes = region.bytes.first(region.bytes.size() - layout.size + machine_.word);
        image_.holes.for_each_data(bytes, [&](uint64_t from, uint64_t until) {
          for (uint64_t at = from; at + machine_.word <= until; at += machine_.word) {
            if (!has_empty_bin(region, at, layout)) continue;
            const Address address = region.range.base + ByteCount(at);
            if (found->empty() && add_damaged_main(address, layout, region.module, found)) return;
          }
        });
      }
    }
  }

  // A quick look: one of four bins that are seldom used points to itself.
  bool has_empty_bin(const Region& region, uint64_t at, const ArenaLayout& layout) const {
    for (const unsigned bin : {126U, 100U, 80U, 125U}) {
      const uint64_t links = at + layout.bins + uint64_t{bin} * 2 * machine_.word;
      const uint64_t header = region.range.base.value() + links - 2 * machine_.word;
      if (machine_.load_word(region.bytes.subspan(links)) == header) return true;
    }
    return false;
  }

  // Shifted by a bin, or read with another release's layout, the bins match as well: the words
  // around them decide. All but one must be right.
  bool add_damaged_main(Address a, const ArenaLayout& layout, ModuleId module,
                        std::vector<Arena>* found) {
    if (!bins_are_consistent(a, layout)) return false;
    const uint64_t system_mem = field(a, layout.system_mem);
    const uint64_t most = field(a, layout.system_mem + static_cast<uint32_t>(machine_.word));
    const uint64_t next = field(a, layout.next);
    const uint64_t low = next & 0xfffff;
    const auto sizes = heap_info_sizes(shape(layout));
    const auto is_size = [&](uint64_t n) {
      return n != 0 && n % image_.page_size == 0 && n <= kMaxSystemMem;
    };
    const bool is_next = next == a.value() || low == sizes[0] || low == sizes[1];
    const Region* top = image_.find_region(Address(field(a, layout.top)));
    const bool is_top =
        top != nullptr && top->permissions.write && shape(layout).is_chunk(field(a, layout.top));
    if (is_size(system_mem) + is_size(most) + is_next + is_top < 3) return false;
    const RepairedWords before = words_;
    ArenaPlace place{a, &layout, shape(layout), Address(0), 0, module};
    if (!repair_main_arena(image_, place, &words_)) {
      words_ = before;
      return false;
    }
    found->push_back(describe(a, layout, true));
    found->back().module = module;
    note_repairs(before, &found->back());
    return true;
  }

  // All places where a heap of a thread arena may begin.
  template <typename F>
  void for_each_heap_base(F&& f) const {
    const uint64_t step = machine_.heap_max();
    for (const Region& region : image_.regions) {
      if (region.kind != RegionKind::kAnonymous || !region.permissions.write) continue;
      const uint64_t begin = region.range.base.value();
      const uint64_t end = begin + region.bytes.size();
      uint64_t at = (begin + step - 1) & ~(step - 1);
      for (; at >= begin && at < end; at += step) {  // `at` wraps at the end of the address space
        // Nothing begins in a hole of the file, and to touch every one takes long.
        if (image_.holes.skip(region.bytes, at - begin) == at - begin) f(Address(at));
      }
    }
  }

  void find_damaged_orphans(std::vector<Arena>* found) {
    for_each_heap_base([&](Address heap) {
      for (const ArenaLayout& layout : arena_layouts(machine_.word)) {
        for (const uint64_t size : heap_info_sizes(shape(layout))) {
          const Address arena = heap + ByteCount(size);
          if (already(*found, arena.value()) || !bins_are_consistent(arena, layout)) continue;
          Arena damaged;
          damaged.address = arena;
          damaged.layout = &layout;
          damaged.shape = shape(layout);
          damaged.problems.push_back("its bookkeeping is damaged");
          if (mend_one(&damaged)) found->push_back(std::move(damaged));
        }
      }
    });
  }

  // The rings close; but a link that was overwritten may lead past some arenas.
  std::vector<Arena> finish(std::vector<Arena> found) {
    const size_t on_rings = found.size();
    find_orphans(&found);
    for (size_t i = on_rings; i < found.size(); ++i) {
      found[i].problems.push_back("no ring of arenas leads to it");
    }
    mend(&found);
    return found;
  }

  void mend(std::vector<Arena>* found) {
    for (Arena& arena : *found) {
      if (is_suspicious(arena)) mend_one(&arena);
    }
  }

  // What is known of the arena contradicts itself or the memory that there is.
  bool is_suspicious(const Arena& arena) const {
    if (!arena.repairs.empty() || (arena.is_main && !arena.contiguous)) return false;
    if (!arena.problems.empty() || arena.stretches.empty()) return true;
    if (arena.is_main) {
      const Stretch& stretch = arena.stretches.front();
      const uint64_t head = word(stretch.first_chunk + ByteCount(machine_.word)) & ~kSizeFlags;
      return stretch.memory.base.value() % image_.page_size != 0 || head < arena.shape.min_size() ||
             head > stretch.memory.size.value() ||
             image_.find_region(stretch.memory.end() - ByteCount(1)) == nullptr;
    }
    const uint64_t top_end = arena.top.value() + arena.top_size;
    for (const Stretch& stretch : arena.stretches) {
      const Address heap = stretch.memory.base;
      const uint64_t committed = heap_field(heap, kHeapMprotectSize);
      if (stretch.ends_in_top && stretch.memory.end().value() != top_end) return true;
      if (committed < stretch.memory.size.value() || committed % image_.page_size != 0 ||
          committed > machine_.heap_max()) {
        return true;
      }
    }
    return false;
  }

  // Reads the arena anew, with what can be put right. True if that left it better.
  bool mend_one(Arena* arena) {
    const RepairedWords before = words_;
    ArenaPlace place{arena->address, arena->layout, shape(*arena->layout), Address(0), 0,
                     arena->module};
    bool good = false;
    if (arena->is_main) {
      good = repair_main_arena(image_, place, &words_);
    } else {
      place.heap = Address(arena->address.value() & ~(machine_.heap_max() - 1));
      place.heap_info_size = (arena->address - place.heap).value();
      std::vector<Address> heaps;
      for_each_heap_base([&](Address heap) {
        if (word(heap) == arena->address.value()) heaps.push_back(heap);
      });
      good = repair_thread_arena(image_, place, heaps, &words_);
    }
    if (good && words_.all().size() > before.all().size()) {
      Arena mended = describe(arena->address, *arena->layout, arena->is_main);
      if (mended.problems.size() < std::max<size_t>(arena->problems.size(), 1)) {
        mended.module = arena->module;
        note_repairs(before, &mended);
        *arena = std::move(mended);
        return true;
      }
    }
    words_ = before;
    return false;
  }

  void note_repairs(const RepairedWords& before, Arena* arena) const {
    for (const auto& [place, repair] : words_.all()) {
      if (!before.all().contains(place)) arena->repairs.push_back(repair);
    }
  }

  const Image& image_;
  Diagnostics& diagnostics_;
  RepairedWords words_;
  Shape machine_;  // word and byte order; the alignment comes with the layout
  uint64_t heap_info_size_ = 0;
  bool accept_broken_ = false;
};

}  // namespace

std::vector<Arena> find_arenas(const Image& image, Diagnostics& diagnostics) {
  return ArenaFinder(image, diagnostics).find();
}

}  // namespace residue::glibc
