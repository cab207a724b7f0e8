// Voting on what an arena's words should be.
//
// Every quantity has at least two witnesses that are written by different code at different times;
// where two agree against a third, the third was overwritten. Without a majority nothing is
// repaired: a guess would only hide the damage.
//
// The chain of chunks is the witness for top: from the first chunk it runs to the end of the heap,
// and the last chunk of it is top. It is followed only where top's own words do not fit, so that
// sound heaps cost nothing here.
#include "analyzer/allocators/glibc_repair.h"

#include <algorithm>

#include "analyzer/allocators/glibc_arenas.h"
#include "analyzer/allocators/glibc_mmapped.h"
#include "formats/base/text.h"

namespace residue::glibc {
namespace {

constexpr uint64_t kMaxSystemMem = uint64_t{1} << 46;
constexpr size_t kMaxHeaps = 1 << 16;  // of one arena

// A value and how many witnesses say it.
class Ballot {
 public:
  void vote(uint64_t value) { ++votes_[value]; }
  // The value that at least two agree on; of equals the first that was asked for.
  std::optional<uint64_t> winner() const {
    std::optional<uint64_t> best;
    unsigned most = 1;
    for (const auto& [value, count] : votes_) {
      if (count > most) best = value, most = count;
    }
    return best;
  }

 private:
  std::map<uint64_t, unsigned> votes_;
};

class ArenaRepair {
 public:
  ArenaRepair(const Image& image, const ArenaPlace& arena, RepairedWords* words)
      : image_(image), arena_(arena), layout_(*arena.layout), shape_(arena.shape), words_(*words) {}

  bool thread(std::vector<Address> heaps) {
    const uint64_t heap = arena_.heap.value();
    add_unnamed_heaps(&heaps);
    for (const Address each : heaps) {
      words_.put(each, arena_.address.value(), name("heap_info.ar_ptr"));
    }
    if (heaps.size() > 1) return several(heaps);
    words_.put(heap_word(heap, kHeapPrev), 0, name("heap_info.prev"));
    const auto size = heap_size(heap, system_mem());
    if (!size) return false;
    settle_heap(heap, *size);
    settle_system_mem(*size);
    const uint64_t first = shape_.next_chunk(arena_.address.value() + layout_.size);
    return settle_top(first, heap + *size, heap);
  }

  bool main() {
    const auto start = main_start();
    if (!start) return false;
    const auto end = main_end(*start);
    if (!end) return false;
    settle_system_mem(*end - *start);
    return settle_top(shape_.next_chunk(*start), *end, *start);
  }

 private:
  std::string name(const char* what) const {
    return std::string(what) + " of arena " + hex(arena_.address.value());
  }
  Address field(uint32_t offset) const { return arena_.address + ByteCount(offset); }
  Address heap_word(uint64_t heap, uint32_t index) const {
    return Address(heap + index * shape_.word);
  }
  uint64_t system_mem() const { return words_.word(field(layout_.system_mem)); }
  uint64_t top() const { return words_.word(field(layout_.top)); }

  // Where the chunk ends that `top` points to, if that can be a top chunk.
  std::optional<uint64_t> top_end() const {
    if (!shape_.is_chunk(top())) return std::nullopt;
    const auto head = words_.read(Address(top() + shape_.word));
    if (!head || (*head & kSizeFlags) != kPrevInUse) return std::nullopt;
    const uint64_t end = top() + (*head & ~kSizeFlags);
    return end > top() && end % image_.page_size == 0 ? std::optional(end) : std::nullopt;
  }

  bool is_heap_size(uint64_t size) const {
    return size % image_.page_size == 0 && size >= image_.page_size && size <= shape_.heap_max();
  }

  // `rest`: what system_mem leaves for this heap.
  std::optional<uint64_t> heap_size(uint64_t heap, uint64_t rest) const {
    Ballot ballot;
    const uint64_t said = words_.word(heap_word(heap, kHeapSize));
    if (is_heap_size(said)) ballot.vote(said);
    if (is_heap_size(rest)) ballot.vote(rest);
    const auto end = top_end();
    if (end && *end > heap && is_heap_size(*end - heap)) ballot.vote(*end - heap);
    return ballot.winner();
  }

  void settle_heap(uint64_t heap, uint64_t size) {
    words_.put(heap_word(heap, kHeapSize), size, name("heap_info.size"));
    const uint64_t committed = words_.word(heap_word(heap, kHeapMprotectSize));
    if (committed < size || !is_heap_size(committed)) {
      words_.put(heap_word(heap, kHeapMprotectSize), size, name("heap_info.mprotect_size"));
    }
  }

  void settle_system_mem(uint64_t total) {
    words_.put(field(layout_.system_mem), total, name("system_mem"));
    const Address place = field(layout_.system_mem + static_cast<uint32_t>(shape_.word));
    const uint64_t most = words_.word(place);
    if (most < total || most > kMaxSystemMem) {
      words_.put(place, total, name("max_system_mem"));
    }
  }

  // The fencepost that closes a heap which is not the newest: a header of size 0 at its very end.
  bool is_closed_at(uint64_t end) const {
    const auto last = words_.read(Address(end - shape_.word));
    return last && (*last & ~kSizeFlags) == 0;
  }

  // Heaps that do not name the arena: its first, that of top, and what their `prev` leads to.
  void add_unnamed_heaps(std::vector<Address>* heaps) const {
    const auto add = [&](Address heap) {
      const uint64_t size = words_.word(heap_word(heap.value(), kHeapSize));
      const bool known = std::find(heaps->begin(), heaps->end(), heap) != heaps->end();
      if (!known && (heap == arena_.heap || is_heap_size(size))) heaps->push_back(heap);
    };
    const uint64_t mask = ~(shape_.heap_max() - 1);
    add(arena_.heap);
    if (top_end()) add(Address(top() & mask));
    for (size_t i = 0; i < heaps->size() && i < kMaxHeaps; ++i) {
      if ((*heaps)[i] == arena_.heap) continue;
      const uint64_t prev = words_.word(heap_word((*heaps)[i].value(), kHeapPrev));
      if (prev != 0 && (prev & ~mask) == 0) add(Address(prev));
    }
    std::sort(heaps->begin(), heaps->end());
  }

  // An arena with more than one heap: one of them may contradict the others.
  bool several(const std::vector<Address>& heaps) {
    const uint64_t newest = top() & ~(shape_.heap_max() - 1);
    uint64_t sum = 0;
    std::vector<Address> doubtful;
    for (const Address heap : heaps) {
      const uint64_t size = words_.word(heap_word(heap.value(), kHeapSize));
      const bool last = heap.value() == newest;
      const auto end = top_end();
      const bool good = is_heap_size(size) && (last ? end && *end == heap.value() + size
                                                    : is_closed_at(heap.value() + size));
      if (good) sum += size;
      if (!good) doubtful.push_back(heap);
    }
    if (doubtful.empty()) {
      settle_system_mem(sum);
    } else if (doubtful.size() == 1) {
      const uint64_t heap = doubtful.front().value();
      const auto size = heap_size(heap, system_mem() - sum);
      if (!size) return false;
      settle_heap(heap, *size);
      if (heap == newest && !settle_top(first_in(heap), heap + *size, heap)) return false;
    }
    if (doubtful.size() > 1) return false;
    for (const Address heap : heaps) {
      settle_heap(heap.value(), words_.word(heap_word(heap.value(), kHeapSize)));
    }
    settle_links(heaps);
    return true;
  }

  uint64_t first_in(uint64_t heap) const {
    const uint64_t after = heap == arena_.heap.value() ? arena_.address.value() + layout_.size
                                                       : heap + arena_.heap_info_size;
    return shape_.next_chunk(after);
  }

  // `prev` leads from heap to heap: one that leads nowhere must lead to the one nobody leads to.
  void settle_links(const std::vector<Address>& heaps) {
    const uint64_t newest = top() & ~(shape_.heap_max() - 1);
    std::vector<Address> unled = heaps;
    std::erase(unled, Address(newest));
    std::vector<Address> broken;
    for (const Address heap : heaps) {
      const Address prev(words_.word(heap_word(heap.value(), kHeapPrev)));
      const auto it = std::find(unled.begin(), unled.end(), prev);
      if (heap == arena_.heap) {
        words_.put(heap_word(heap.value(), kHeapPrev), 0, name("heap_info.prev"));
      } else if (it == unled.end()) {
        broken.push_back(heap);
      } else {
        unled.erase(it);
      }
    }
    if (broken.size() != 1 || unled.size() != 1) return;
    words_.put(heap_word(broken.front().value(), kHeapPrev), unled.front().value(),
               name("heap_info.prev"));
  }

  // Top must reach from where it is to `end`; `floor`: where the heap begins.
  bool settle_top(uint64_t first, uint64_t end, uint64_t floor) {
    if (top_end() == end && top() >= first) return true;
    const bool placed = shape_.is_chunk(top()) && top() >= first && end > top() && top() > floor;
    uint64_t before = 0;
    uint64_t last = 0;
    uint64_t at = first;
    while (at < end && !(placed && at == top())) {
      const auto head = words_.read(Address(at + shape_.word));
      const uint64_t size = head.value_or(0) & ~kSizeFlags;
      // Top alone may end where no chunk can begin.
      const bool aligned = size % shape_.alignment == 0 || size == end - at;
      if (!head || size < shape_.min_size() || !aligned || (*head & kIsMmapped) != 0 ||
          size > end - at) {
        break;
      }
      before = last;
      last = at;
      at += size;
    }
    if (at == end && last != 0) {  // the chain itself ends as a heap does: its last chunk is top
      words_.put(field(layout_.top), last, name("top"));
      return true;
    }
    if (!placed) return false;
    before = at == top() ? last : 0;
    words_.put_top(Address(top() + shape_.word), (end - top()) | kPrevInUse,
                   Address(before == 0 ? 0 : before + shape_.header()));
    return true;
  }

  // Where the brk heap begins.
  std::optional<uint64_t> main_start() const {
    Ballot ballot;
    std::optional<uint64_t> base;
    if (const Region* heap = brk_region()) {
      base = heap->range.base.value();
      ballot.vote(*base);
    }
    Arena arena;
    arena.shape = shape_;
    arena.module = arena_.module;
    if (const auto parameters = find_parameters(image_, arena)) {
      const uint64_t said =
          words_.word(parameters->address + ByteCount(parameters->layout->sbrk_base));
      if (image_.find_region(Address(said)) != nullptr) ballot.vote(said);
    }
    if (const auto end = top_end(); end && *end > system_mem()) ballot.vote(*end - system_mem());
    if (const auto start = ballot.winner()) return start;
    return base;
  }

  std::optional<uint64_t> main_end(uint64_t start) const {
    Ballot ballot;
    const uint64_t said = start + system_mem();
    if (said > start && said % image_.page_size == 0) ballot.vote(said);
    if (const auto end = top_end(); end && *end > start) ballot.vote(*end);
    if (const Region* heap = brk_region(); heap && heap->range.contains(Address(start))) {
      ballot.vote(heap->range.end().value());
    }
    return ballot.winner();
  }

  const Region* brk_region() const {
    const auto it = std::find_if(image_.regions.begin(), image_.regions.end(),
                                 [](const Region& r) { return r.kind == RegionKind::kHeap; });
    return it == image_.regions.end() ? nullptr : &*it;
  }

  const Image& image_;
  const ArenaPlace& arena_;
  const ArenaLayout& layout_;
  const Shape& shape_;
  RepairedWords& words_;
};

}  // namespace

bool RepairedWords::put(Address place, uint64_t expected, std::string what) {
  const auto found = read(place);
  if (!found || *found == expected) return false;  // what is not in the dump is no damage
  repairs_[place] = {place, expected, std::move(what), false, Address(0)};
  return true;
}

void RepairedWords::put_top(Address place, uint64_t expected, Address before) {
  if (put(place, expected, "the size of the top chunk")) {
    repairs_[place].is_top = true;
    repairs_[place].before = before;
  }
}

bool repair_thread_arena(const Image& image, const ArenaPlace& arena,
                         const std::vector<Address>& heaps, RepairedWords* words) {
  return ArenaRepair(image, arena, words).thread(heaps);
}

bool repair_main_arena(const Image& image, const ArenaPlace& arena, RepairedWords* words) {
  return ArenaRepair(image, arena, words).main();
}

}  // namespace residue::glibc
