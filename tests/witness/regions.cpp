#include "regions.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "elf_symbols.h"

namespace witness {

namespace {

constexpr std::uint64_t kHeapMax = std::uint64_t{64} * 1024 * 1024;  // HEAP_MAX_SIZE, LP64
constexpr std::uint64_t kRedZone = 128;                              // System V x86-64 ABI
constexpr std::uint64_t kReadAtOnce = std::uint64_t{4} * 1024 * 1024;
// struct pthread of x86-64: alignment, where the thread's id is (behind 704 bytes of tcbhead_t and
// a list), size (glibc 2.36; 2.31 to 2.41 differ by less than 100 bytes).
constexpr std::uint64_t kDescriptorAlignment = 64;
constexpr std::uint64_t kThreadId = 720;
constexpr std::uint64_t kDescriptorSize = 2304;
constexpr std::uint64_t kMmappedBit = 2;
constexpr std::uint64_t kSizeFlags = 7;

// A set of ranges that can be taken out of others.
class Exclusions {
 public:
  void add(Range range) { ranges_.push_back(range); }

  void sort() {
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
  }

  [[nodiscard]] std::vector<Range> subtract_from(Range whole) const {
    std::vector<Range> left;
    for (const Range& hole : ranges_) {
      if (hole.end <= whole.begin || whole.end <= hole.begin) continue;
      if (whole.begin < hole.begin) left.push_back({whole.begin, hole.begin});
      whole.begin = std::min(std::max(whole.begin, hole.end), whole.end);
    }
    if (whole.begin < whole.end) left.push_back(whole);
    return left;
  }

  [[nodiscard]] bool contain(std::uint64_t address) const {
    return std::any_of(ranges_.begin(), ranges_.end(), [address](const Range& range) {
      return range.begin <= address && address < range.end;
    });
  }

 private:
  std::vector<Range> ranges_;
};

// The extent of the thread heap at `base`, if there is one. heap_info of glibc 2.12 to 2.42:
// ar_ptr, prev, size, mprotect_size. The first heap of an arena holds the arena right behind
// heap_info (32 bytes up to 2.34, 48 since); later heaps name an older one in prev.
std::optional<Range> thread_heap_at(const Process& process, std::uint64_t base) {
  const auto info = process.read_words(base, base + 32);
  if (info.size() != 4) return std::nullopt;
  const std::uint64_t arena = info[0];
  const std::uint64_t previous = info[1];
  const auto page_mask = static_cast<std::uint64_t>(getpagesize()) - 1;
  const bool first = previous == 0 && (arena == base + 32 || arena == base + 48);
  const bool later = previous != 0 && previous % kHeapMax == 0 && arena != 0 &&
                     process.read_words(previous, previous + 8) == std::vector{arena};
  const bool sized = info[2] != 0 && (info[2] & page_mask) == 0 && (info[3] & page_mask) == 0 &&
                     info[2] <= info[3] && info[3] <= kHeapMax;
  if ((!first && !later) || !sized) return std::nullopt;
  return Range{base, base + info[3]};
}

void exclude_heaps(const Process& process, Exclusions& exclusions) {
  for (const Mapping& mapping : process.mappings()) {
    if (mapping.name == "[heap]") exclusions.add({mapping.begin, mapping.end});
    if (!mapping.writable || mapping.shared || mapping.is_file()) continue;
    const std::uint64_t first = (mapping.begin + kHeapMax - 1) / kHeapMax * kHeapMax;
    for (std::uint64_t base = first; base < mapping.end; base += kHeapMax) {
      if (const auto heap = thread_heap_at(process, base)) exclusions.add(*heap);
    }
  }
}

// The pages of an mmapped chunk: prev_size is the lead that an aligned allocation skipped.
std::optional<Range> mmapped_chunk(const Process& process, std::uint64_t block) {
  const auto header = process.read_words(block - 16, block);
  if (header.size() != 2 || (header[1] & kMmappedBit) == 0) return std::nullopt;
  const std::uint64_t chunk = block - 16;
  return Range{chunk - header[0], chunk + (header[1] & ~kSizeFlags)};
}

// Blocks in no heap known so far are mmapped chunks, or lie in a piece by which main_arena grew
// when brk failed; nothing but its blocks marks such a piece, so all of its mapping is taken.
void exclude_blocks_elsewhere(const Process& process, const Truth& truth, Exclusions& exclusions,
                              std::vector<std::string>& notes) {
  std::size_t strays = 0;
  for (const Block& block : truth.blocks) {
    if (exclusions.contain(block.address)) continue;
    if (const auto chunk = mmapped_chunk(process, block.address)) {
      exclusions.add(*chunk);
    } else if (const Mapping* mapping = process.mapping_of(block.address)) {
      exclusions.add({mapping->begin, mapping->end});
      ++strays;
    }
  }
  if (strays == 0) return;
  notes.push_back(std::to_string(strays) +
                  " mapping(s) hold blocks but are no known kind of heap; not used as roots");
}

bool is_libc(const std::string& path) {
  const std::string file = path.substr(path.rfind('/') + 1);
  return file == "libc.so.6" || file.rfind("libc-2.", 0) == 0;
}

// malloc's own variables, or all of libc's writable data when its symbols are not to be had.
void exclude_malloc_state(const Process& process, Exclusions& exclusions,
                          std::vector<std::string>& notes) {
  std::string path;
  std::uint64_t base = 0;  // libc is linked at 0, so the mapping of offset 0 is the load bias
  for (const Mapping& mapping : process.mappings()) {
    if (!path.empty() || !is_libc(mapping.name) || mapping.file_offset != 0) continue;
    path = mapping.name;
    base = mapping.begin;
  }
  if (path.empty()) {
    notes.emplace_back("no libc.so.6 is mapped; malloc's own variables count as roots");
    return;
  }
  const auto arena = find_object(path, "main_arena");
  const auto parameters = find_object(path, "mp_");
  if (arena && parameters) {
    exclusions.add({base + arena->value, base + arena->value + arena->size});
    exclusions.add({base + parameters->value, base + parameters->value + parameters->size});
    return;
  }
  for (const Mapping& mapping : process.mappings()) {
    if (mapping.name == path && mapping.writable) exclusions.add({mapping.begin, mapping.end});
  }
  notes.emplace_back("no symbols for libc (install libc6-dbg); none of its data is a root");
}

// Dead stack: what lies below the lowest stack pointer (less the red zone) in a mapping. A thread
// whose stack pointer is inside a heap block (a coroutine) has no mapping to cut.
void exclude_dead_stacks(const Process& process, Exclusions& exclusions) {
  for (const Mapping& mapping : process.mappings()) {
    std::uint64_t lowest = mapping.end;
    for (const Thread& thread : process.threads()) {
      if (mapping.contains(thread.stack_pointer)) lowest = std::min(lowest, thread.stack_pointer);
    }
    if (lowest == mapping.end || exclusions.contain(lowest)) continue;
    if (lowest - mapping.begin > kRedZone) exclusions.add({mapping.begin, lowest - kRedZone});
  }
}

// Where the thread that owns this memory has ended: glibc keeps its stack for the next thread. Its
// descriptor begins with two pointers to itself (words 0 and 2), as every living thread's does, but
// no thread's registers (fs_base is among them) hold its address.
std::vector<std::uint64_t> descriptors_of_ended(const Process& process, Range range) {
  std::vector<std::uint64_t> found;
  const std::uint64_t first =
      (range.begin + kDescriptorAlignment - 1) / kDescriptorAlignment * kDescriptorAlignment;
  for (std::uint64_t from = first; from < range.end; from += kReadAtOnce) {
    const auto words = process.read_words(from, std::min(range.end, from + kReadAtOnce));
    for (std::size_t i = 0; i + 2 < words.size(); i += kDescriptorAlignment / 8) {
      const std::uint64_t address = from + i * 8;
      if (words[i] != address || words[i + 2] != address) continue;
      const auto& threads = process.threads();
      const bool lives = std::any_of(threads.begin(), threads.end(), [&](const Thread& thread) {
        return std::find(thread.words.begin(), thread.words.end(), address) != thread.words.end();
      });
      if (!lives) found.push_back(address);
    }
  }
  return found;
}

// What such a thread returned, pthread_join fetches from its descriptor, and leaves -1 there as the
// thread's id: until then the descriptor counts as alive. Below its stack is a guard page, so the
// stack begins where the mapping does.
void exclude_ended_threads(const Process& process, Exclusions& exclusions) {
  exclusions.sort();
  std::vector<Range> dead;
  for (const Mapping& mapping : process.mappings()) {
    if (!mapping.readable || !mapping.writable || mapping.shared || !mapping.name.empty()) continue;
    for (const Range& range : exclusions.subtract_from({mapping.begin, mapping.end})) {
      for (const std::uint64_t descriptor : descriptors_of_ended(process, range)) {
        const auto id = process.read_words(descriptor + kThreadId, descriptor + kThreadId + 8);
        const bool joined = id.size() == 1 && (id[0] & 0xffffffff) == 0xffffffff;
        dead.push_back({mapping.begin, descriptor + (joined ? kDescriptorSize : 0)});
      }
    }
  }
  for (const Range& range : dead) exclusions.add(range);
}

// RELRO: data that was written during relocation and then made read-only; ld.so keeps pointers to
// its own early allocations there. It is the read-only mapping right below a module's data.
bool is_relro(const std::vector<Mapping>& mappings, std::size_t i) {
  if (i + 1 >= mappings.size() || !mappings[i].is_file() || !mappings[i].readable) return false;
  const Mapping& next = mappings[i + 1];
  return next.writable && next.begin == mappings[i].end && next.name == mappings[i].name;
}

std::string describe(const Mapping& mapping) {
  return mapping.name.empty() ? std::string("anonymous") : mapping.name;
}

}  // namespace

Regions find_roots(const Process& process, const Truth& truth) {
  Regions regions;
  Exclusions exclusions;
  exclude_heaps(process, exclusions);
  exclude_blocks_elsewhere(process, truth, exclusions, regions.notes);
  exclude_malloc_state(process, exclusions, regions.notes);
  exclude_dead_stacks(process, exclusions);
  exclude_ended_threads(process, exclusions);
  exclusions.add(truth.table);
  exclusions.sort();
  const auto& mappings = process.mappings();
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const bool kernels = mappings[i].name.rfind("[v", 0) == 0;  // [vdso], [vvar], [vsyscall]
    const bool holds_data = mappings[i].readable && mappings[i].writable;
    if (kernels || (!holds_data && !is_relro(mappings, i))) continue;
    for (const Range& range : exclusions.subtract_from({mappings[i].begin, mappings[i].end})) {
      regions.roots.push_back({range, describe(mappings[i])});
    }
  }
  return regions;
}

}  // namespace witness
