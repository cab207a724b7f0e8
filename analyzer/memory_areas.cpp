#include "analyzer/memory_areas.h"

#include <algorithm>

#include "analyzer/thread_layout.h"
#include "analyzer/thread_stacks.h"
#include "formats/base/claims.h"

namespace residue {
namespace {

uint64_t end_of(const AddressRange& range) {
  const uint64_t end = range.end().value();
  return end < range.base.value() ? ~uint64_t{0} : end;
}

uint64_t align_up(uint64_t a, uint64_t alignment) {
  const uint64_t up = a + alignment - 1;
  return up < a ? ~uint64_t{0} : up / alignment * alignment;
}

// Address space that nobody may touch. gdb's cores call it readable.
bool is_inaccessible(const Region& region) {
  return !region.permissions.write && !region.permissions.execute &&
         region.kind == RegionKind::kAnonymous;
}

class AreaFinder {
 public:
  AreaFinder(const Image& image, const Snapshot& s, const std::vector<AddressRange>& claimed)
      : image_(image),
        s_(s),
        claimed_(claimed),
        layout_(thread_layout(image)),
        tls_size_(static_tls_size(image)) {}

  std::vector<Area> find(const std::vector<Address>& ended) {
    for (const AddressRange& range : claimed_) add_heaps(range);
    add_stacks(find_thread_stacks(image_, ended));
    std::sort(areas_.begin(), areas_.end(),
              [](const Area& a, const Area& b) { return a.begin < b.begin; });
    drop_overlaps();
    return std::move(areas_);
  }

 private:
  // HEAP_MAX_SIZE (malloc/arena.c, glibc 2.10-2.42): 64 MiB, or 1 MiB with 32-bit words. What the
  // tunable for huge pages makes of it ends earlier, or begins a mapping of its own.
  uint64_t heap_max() const { return image_.pointer_width == 4 ? 1ULL << 20 : 64ULL << 20; }

  // Heaps that lie side by side are one claim; their runs tell them apart, and each heap ends with
  // a page.
  void add_heaps(const AddressRange& range) {
    const uint64_t end = end_of(range);
    uint64_t at = range.base.value();
    const std::vector<Run>& runs = s_.chunks.map.runs();
    auto run = std::lower_bound(runs.begin(), runs.end(), range.base,
                                [](const Run& r, Address base) { return r.begin < base; });
    if (run == runs.end() || run->begin.value() >= end) {
      add_heap(at, end, heap_without_chunks(range));
      return;
    }
    while (at < end) {
      const uint32_t heap = run->heap.value();
      uint64_t last = run->end.value();
      const auto first = run;
      for (++run; run != runs.end() && run->begin.value() < end && run->heap == first->heap;
           ++run) {
        last = run->end.value();
      }
      const bool more = run != runs.end() && run->begin.value() < end;
      uint64_t until = end;
      // A run's end lies a header, two words, behind its last chunk.
      if (more) until = align_up(last - 2 * image_.pointer_width, page());
      if (more) until = std::clamp(until, at, std::min(end, run->begin.value()));
      add_heap(at, until, heap);
      at = until;
      if (!more) break;
    }
  }

  uint64_t page() const { return std::max<uint64_t>(image_.page_size, 1); }

  // The variable main_arena; a heap of which no chunk is in the dump.
  uint32_t heap_without_chunks(const AddressRange& range) const {
    for (uint32_t h = 0; h < s_.heaps.size(); ++h) {
      if (range.contains(s_.heaps[h].address)) return h;
    }
    return Area::kNobody;
  }

  void add_heap(uint64_t begin, uint64_t end, uint32_t heap) {
    areas_.push_back({begin, end, AreaKind::kHeap, heap});
    // Only a thread arena lies in its own memory. Behind each of its heaps address space is kept
    // for it to grow into.
    if (heap == Area::kNobody || end % heap_max() == 0 || !is_thread_arena(heap)) return;
    const Region* behind = image_.find_region(Address(end));
    if (behind == nullptr || !is_inaccessible(*behind)) return;
    const uint64_t limit = std::min(align_up(end, heap_max()), end_of(behind->range));
    areas_.push_back({end, limit, AreaKind::kReserve, heap});
  }

  bool is_thread_arena(uint32_t heap) {
    if (thread_arena_.empty()) {
      for (const HeapRow& row : s_.heaps) {
        // The header of an mmapped chunk is no arena: nothing is reserved behind it.
        const Region* region = image_.find_region(row.address);
        const bool inside = region != nullptr && region->module == kNone<ModuleId>;
        thread_arena_.push_back(inside && row.name.starts_with("arena "));
      }
    }
    return thread_arena_[heap];
  }

  // A part of a thread's memory; heaps come first, for a program may make its stacks with malloc().
  void add(uint64_t begin, uint64_t end, AreaKind kind, uint32_t owner) {
    if (begin >= end) return;
    for_each_unclaimed(claimed_, begin, end, [&](uint64_t from, uint64_t until) {
      areas_.push_back({from, until, kind, owner});
    });
  }

  void add_stacks(const std::vector<ThreadStack>& stacks) {
    std::vector<bool> has_stack(image_.threads.size());
    for (const ThreadStack& stack : stacks) {
      const uint64_t begin = stack.range.base.value();
      const uint64_t end = end_of(stack.range);
      if (stack.thread == ThreadStack::kEnded) {
        add(begin, end, AreaKind::kEndedStack, Area::kNobody);
        continue;
      }
      has_stack[stack.thread] = true;
      const Thread& thread = image_.threads[stack.thread];
      const ThreadBlock tls = tls_of(thread);
      const uint64_t top = std::clamp(tls.begin, begin, end);
      add_stack(begin, top, stack.thread);
      add(top, end, AreaKind::kTls, stack.thread);
    }
    add_other_stacks(has_stack);
  }

  // [begin, end) is a stack of this thread. Elsewhere than on its own stack, in a signal handler or
  // a coroutine, nothing says from where on it is in use.
  void add_stack(uint64_t begin, uint64_t end, uint32_t thread) {
    const uint64_t sp = image_.threads[thread].sp;
    uint64_t live = begin;
    if (sp >= begin && sp < end) live = sp - std::min(sp - begin, layout_.red_zone);
    add(begin, live, AreaKind::kUnusedStack, thread);
    // Of a libc that says nothing of the stack, thread-local storage may lie in it.
    const uint64_t middle = middle_of(image_.threads[thread]);
    ThreadBlock tls = {end, end};
    if (middle >= live && middle < end) tls = tls_of(image_.threads[thread]);
    tls = {std::clamp(tls.begin, live, end), std::clamp(tls.end, live, end)};
    add(live, tls.begin, AreaKind::kStack, thread);
    add(tls.begin, tls.end, AreaKind::kTls, thread);
    add(tls.end, end, AreaKind::kStack, thread);
  }

  // What the thread pointer stands for: the descriptor, or the TCB.
  uint64_t middle_of(const Thread& thread) const {
    return thread.thread_pointer - std::min(thread.thread_pointer, layout_.pointer_bias);
  }

  ThreadBlock tls_of(const Thread& thread) const {
    return thread_block(layout_, thread.thread_pointer, tls_size_);
  }

  // Regions that hold a stack pointer, of which libc says nothing: the first thread's stack above
  // all, and those of other C libraries. The lowest pointer tells where what is unused ends; but
  // not where a thread has left its own stack, for then anything may lie below.
  void add_other_stacks(const std::vector<bool>& has_stack) {
    std::vector<AddressRange> known;
    for (const Area& area : areas_) {
      known.push_back({Address(area.begin), ByteCount(area.end - area.begin)});
    }
    std::sort(known.begin(), known.end(),
              [](const AddressRange& a, const AddressRange& b) { return a.base < b.base; });
    std::vector<uint32_t> by_sp(image_.threads.size());
    for (uint32_t t = 0; t < by_sp.size(); ++t) by_sp[t] = t;
    std::sort(by_sp.begin(), by_sp.end(), [this](uint32_t a, uint32_t b) {
      return image_.threads[a].sp < image_.threads[b].sp;
    });
    const Region* last = nullptr;
    for (const uint32_t t : by_sp) {
      const Region* region = image_.find_region(Address(image_.threads[t].sp));
      if (region == nullptr || region == last || region->kind != RegionKind::kStack) continue;
      last = region;
      const Region* own = has_stack[t] ? nullptr : kernel_stack(t, *region);
      const bool is_own = own == region;
      for_each_unclaimed(known, region->range.base.value(), end_of(region->range),
                         [&](uint64_t from, uint64_t until) {
                           is_own ? add_stack(from, until, t)
                                  : add(from, until, AreaKind::kStack, t);
                         });
      if (own == nullptr || is_own || own->kind == RegionKind::kStack) continue;
      add(own->range.base.value(), end_of(own->range), AreaKind::kStack, t);
    }
    for (uint32_t t = 0; t < image_.threads.size(); ++t) {
      if (!has_stack[t]) add_tls(t, known);
    }
  }

  // The stack that a thread of which libc tells none was given: of the first thread the kernel's,
  // if it can be found; else where it is.
  const Region* kernel_stack(uint32_t t, const Region& here) const {
    if (image_.threads[t].tid != image_.pid || is_kernel_stack(here)) return &here;
    for (const Region& region : image_.regions) {
      if (region.kind != RegionKind::kModuleData && is_kernel_stack(region)) return &region;
    }
    return &here;
  }

  // Where the first thread's TLS is: memory that ld.so took for it.
  void add_tls(uint32_t t, const std::vector<AddressRange>& known) {
    const Thread& thread = image_.threads[t];
    const Region* region = image_.find_region(Address(middle_of(thread)));
    if (thread.thread_pointer == 0 || region == nullptr || !region->permissions.write) return;
    if (region->kind != RegionKind::kAnonymous && region->kind != RegionKind::kHeap) return;
    const ThreadBlock tls = tls_of(thread);
    const uint64_t begin = std::max(tls.begin, region->range.base.value());
    const uint64_t end = std::min(tls.end, end_of(region->range));
    if (begin >= end) return;
    for_each_unclaimed(known, begin, end,
                       [&](uint64_t from, uint64_t until) { add(from, until, AreaKind::kTls, t); });
  }

  // Damaged dumps: whatever was said twice counts once.
  void drop_overlaps() {
    uint64_t end = 0;
    for (Area& area : areas_) {
      area.begin = std::min(std::max(area.begin, end), area.end);
      end = std::max(end, area.end);
    }
    std::erase_if(areas_, [](const Area& area) { return area.begin >= area.end; });
  }

  const Image& image_;
  const Snapshot& s_;
  const std::vector<AddressRange>& claimed_;
  const ThreadLayout& layout_;
  const uint64_t tls_size_;
  std::vector<bool> thread_arena_;
  std::vector<Area> areas_;
};

}  // namespace

std::vector<Area> find_areas(const Image& image, const Snapshot& snapshot,
                             const std::vector<AddressRange>& claimed,
                             const std::vector<Address>& ended) {
  return AreaFinder(image, snapshot, claimed).find(ended);
}

}  // namespace residue
