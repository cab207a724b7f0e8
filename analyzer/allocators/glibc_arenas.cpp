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
      : image_(image), diagnostics_(diagnostics) {}

  std::vector<Arena> find() {
    std::vector<Arena> found;
    // A ring that does not close is believed only when there is no better one: with a wrong layout
    // rings break too.
    for (const bool broken : {false, true}) {
      accept_broken_ = broken;
      for (const Region& region : image_.regions) {
        if (region.kind == RegionKind::kModuleData) scan(region, &found);
      }
      if (!found.empty() && !broken) return found;
    }
    const bool no_main = found.empty();
    find_orphans(&found);
    if (no_main && !found.empty()) {
      diagnostics_.add(Severity::kDamage, kStage, "main_arena", 0,
                       "not in the dump: only thread arenas are walked");
    }
    return found;
  }

 private:
  uint64_t word(Address a) const { return image_.word(a).value_or(0); }
  uint64_t field(Address arena, uint32_t offset) const { return word(arena + ByteCount(offset)); }

  void scan(const Region& region, std::vector<Arena>* found) {
    for (const ArenaLayout& layout : kArenaLayouts) {
      if (region.bytes.size() < layout.size) continue;
      // What can be the word `next` of an arena; in a hole it would be zero.
      const auto nexts =
          region.bytes.subspan(layout.next, region.bytes.size() - layout.size + sizeof(uint64_t));
      image_.holes.for_each_data(nexts, [&](uint64_t from, uint64_t until) {
        for (uint64_t at = from; at + kWord <= until; at += kWord) {
          try_arena(region, at, load<uint64_t>(nexts.subspan(at)), layout, found);
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
    if (next != address && low != kHeapInfoSizes[0] && low != kHeapInfoSizes[1]) return;
    if (already(*found, address) || !is_arena(Address(address), layout, true)) return;
    if (auto arenas = ring(Address(address), layout)) {
      arenas->front().module = region.module;
      for (Arena& arena : *arenas) found->push_back(std::move(arena));
    }
  }

  // Without a main arena (its pages are not in the dump) thread arenas still stand for themselves:
  // at the start of a heap, which names the arena behind it.
  void find_orphans(std::vector<Arena>* found) {
    for (const Region& region : image_.regions) {
      if (region.kind != RegionKind::kAnonymous || !region.permissions.write) continue;
      const uint64_t begin = region.range.base.value();
      const uint64_t end = begin + region.bytes.size();
      uint64_t at = (begin + kDefaultHeapMax - 1) & ~(kDefaultHeapMax - 1);
      // `at` wraps at the end of the address space.
      for (; at >= begin && at < end; at += kDefaultHeapMax) add_orphan(Address(at), found);
    }
  }

  void add_orphan(Address heap, std::vector<Arena>* found) {
    for (const uint32_t size : kHeapInfoSizes) {
      const Address arena = heap + ByteCount(size);
      if (word(heap) != arena.value() || already(*found, arena.value())) continue;
      for (const ArenaLayout& layout : kArenaLayouts) {
        if (!is_arena(arena, layout, false)) continue;
        found->push_back(describe(arena, layout, false));
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
    const uint64_t max_system_mem = field(a, layout.system_mem + kWord);
    if (system_mem < image_.page_size || system_mem > max_system_mem ||
        max_system_mem > kMaxSystemMem) {
      return false;
    }
    const uint64_t top = field(a, layout.top);
    if (top % kAlignment != 0 || top < image_.page_size) return false;
    const auto top_head = image_.word(Address(top + kWord));
    // A truncated core may lack the top chunk; the bins and the ring still tell.
    if (top_head) {
      const uint64_t top_size = *top_head & ~kSizeFlags;
      if ((*top_head & kPrevInUse) == 0 || (top + top_size) % image_.page_size != 0) return false;
      if (is_main && top_size > system_mem) return false;
    }
    return bins_are_consistent(a, layout);
  }

  bool bins_are_consistent(Address a, const ArenaLayout& layout) const {
    unsigned empty = 0;
    unsigned odd = 0;
    for (unsigned i = 0; i < kBinCount; ++i) {
      const Address links = a + ByteCount(layout.bins + uint64_t{i} * 2 * kWord);
      const uint64_t header = links.value() - 2 * kWord;
      const uint64_t fd = word(links);
      const uint64_t bk = word(links + ByteCount(kWord));
      if (fd == header && bk == header) {
        ++empty;
      } else if (fd == header || bk == header || fd == 0 || bk == 0 || fd % kAlignment != 0 ||
                 bk % kAlignment != 0) {
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
  bool is_named_by_heap(Address arena) const {
    return std::any_of(kHeapInfoSizes.begin(), kHeapInfoSizes.end(), [&](uint32_t size) {
      return word(arena - ByteCount(size)) == arena.value();
    });
  }

  // Follows `next` from the main arena. Nullopt if it does not lead back.
  std::optional<std::vector<Arena>> ring(Address main, const ArenaLayout& layout) {
    std::vector<Arena> arenas;
    Address at = main;
    do {
      if (arenas.size() >= kMaxArenas || (at != main && !is_arena(at, layout, false))) {
        // A damaged ring after a believable main arena: use what there is.
        const bool believable = arenas.size() >= 2 || is_named_by_heap(at);
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
    arena.is_main = is_main;
    arena.busy = (field(a, 0) & 0xffffffff) != 0;
    arena.contiguous = (field(a, 0) >> 32 & kNonContiguous) == 0;
    arena.top = Address(field(a, layout.top));
    arena.top_size = word(arena.top + ByteCount(kWord)) & ~kSizeFlags;
    arena.system_mem = field(a, layout.system_mem);
    arena.claimed.push_back({a, ByteCount(layout.size)});
    if (is_main) {
      add_main_stretch(&arena);
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
    const uint64_t first = (start + kAlignment - 1) & ~(kAlignment - 1);
    arena->stretches.push_back({{Address(start), ByteCount(end - start)}, Address(first), true});
    arena->claimed.push_back({Address(start), ByteCount(end - start)});
    if (!arena->contiguous) {
      arena->problems.push_back(
          "the main arena has grown by mmap: pieces outside the brk heap are not walked");
    }
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
      const uint64_t size = field(heap, kHeapSize);
      const uint64_t committed = std::max(size, field(heap, kHeapMprotectSize));
      const Address prev(field(heap, kHeapPrev));
      const AddressRange inside{heap, ByteCount(size)};
      const bool is_first = inside.contains(arena->address);
      Stretch stretch;
      stretch.memory = inside;
      stretch.ends_in_top = inside.contains(arena->top);
      const uint64_t after =
          is_first ? arena->address.value() + arena->layout->size : heap.value() + heap_info_size_;
      // User memory is aligned, headers need not be (chunk2mem in _int_new_arena).
      stretch.first_chunk = Address((after + kAlignment - 1) & ~(kAlignment - 1));
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
    for (const uint32_t size : kHeapInfoSizes) {
      const Address first = arena.address - ByteCount(size);
      if (word(first) == arena.address.value() && field(first, kHeapPrev) == 0) {
        heap_info_size_ = size;
      }
    }
    std::vector<uint64_t> sizes = {kDefaultHeapMax};
    for (uint64_t size = 1 << 20; size <= uint64_t{4} << 30; size *= 2) sizes.push_back(size);
    for (const uint64_t size : sizes) {
      const Address heap(arena.top.value() & ~(size - 1));
      if (word(heap) != arena.address.value()) continue;
      const uint64_t heap_size = field(heap, kHeapSize);
      if (heap_size % image_.page_size == 0 && heap_size <= size && heap_size > 0 &&
          AddressRange{heap, ByteCount(heap_size)}.contains(arena.top)) {
        return heap;
      }
    }
    return std::nullopt;
  }

  const Image& image_;
  Diagnostics& diagnostics_;
  uint32_t heap_info_size_ = kHeapInfoSizes[0];
  bool accept_broken_ = false;
};

}  // namespace

std::vector<Arena> find_arenas(const Image& image, Diagnostics& diagnostics) {
  return ArenaFinder(image, diagnostics).find();
}

}  // namespace residue::glibc
