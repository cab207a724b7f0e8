#include "tests/analyzer/glibc_release.h"

#include <stdexcept>

namespace residue::test {
namespace {

// Lays out the fields of a C struct one after the other.
class Declaration {
 public:
  explicit Declaration(uint64_t word) : word_(word) {}
  uint64_t ints(uint64_t count = 1) { return place(4, count); }
  uint64_t words(uint64_t count = 1) { return place(word_, count); }
  uint64_t size() { return place(word_, 0); }

 private:
  uint64_t place(uint64_t width, uint64_t count) {
    at_ = (at_ + width - 1) / width * width;
    const uint64_t offset = at_;
    at_ += width * count;
    return offset;
  }
  uint64_t word_;
  uint64_t at_ = 0;
};

MallocStateOffsets state_of(const GlibcRelease& release, bool arenas_per_thread) {
  Declaration d(release.word());
  MallocStateOffsets at{};
  d.ints(2);  // mutex, flags
  const bool has_flag = release.minor >= 27 && release.minor < 43;
  at.have_fastchunks = has_flag ? d.ints() : kAbsent;
  at.fastbins = release.minor < 43 ? d.words(release.fastbin_count) : kAbsent;
  at.top = d.words();
  at.last_remainder = d.words();
  at.bins = d.words(254);
  at.binmap = d.ints(4);
  at.next = d.words();
  at.next_free = arenas_per_thread ? d.words() : kAbsent;
  at.attached_threads = release.minor >= 23 ? d.words() : kAbsent;
  at.system_mem = d.words();
  at.max_system_mem = d.words();
  at.size = d.size();
  return at;
}

MallocParOffsets par_of(const GlibcRelease& release, bool arenas_per_thread) {
  Declaration d(release.word());
  MallocParOffsets at{};
  d.words(3);  // trim_threshold, top_pad, mmap_threshold
  at.arena_test = arenas_per_thread ? d.words(2) : kAbsent;
  if (release.minor >= 43) d.ints();  // thp_mode
  if (release.minor >= 35) {
    d.words(2);  // thp_pagesize, hp_pagesize
    d.ints();    // hp_flags
  }
  at.n_mmaps = d.ints();
  at.n_mmaps_max = d.ints();
  at.max_n_mmaps = d.ints();
  d.ints();  // no_dyn_threshold
  at.pagesize = release.minor < 15 ? d.ints() : kAbsent;
  at.mmapped_mem = d.words();
  at.max_mmapped_mem = d.words();
  if (release.minor < 24) d.words();  // max_total_mem
  at.sbrk_base = d.words();
  at.tcache = release.minor >= 26 ? d.words(4) : kAbsent;
  at.size = d.size();
  return at;
}

TcacheKey key_of(unsigned minor) {
  if (minor < 29) return TcacheKey::kNone;
  return minor < 34 ? TcacheKey::kStruct : TcacheKey::kRandom;
}

TcacheShape tcache_of(const GlibcRelease& release) {
  const unsigned minor = release.minor;
  TcacheShape shape{TcacheCounts::kNone, key_of(minor), 0, 0, 0, 0, 0};
  if (minor < 26) return shape;
  shape.counts = minor < 30   ? TcacheCounts::kBytes
                 : minor < 42 ? TcacheCounts::kWords
                              : TcacheCounts::kSlotsLeft;
  shape.bins = minor < 42 ? 64 : 76;
  shape.entries = shape.bins * (minor < 30 ? 1 : 2);
  shape.struct_size = shape.entries + shape.bins * release.word();
  shape.fill = minor < 43 ? 7 : 16;
  const uint64_t largest = 63 * release.alignment + release.min_size();
  shape.max_bytes = minor < 43 ? largest - release.word() : largest + 1;
  return shape;
}

// char pad[-6 * SIZE_SZ & MALLOC_ALIGN_MASK] behind four words; from 2.35 on -3 behind five.
uint64_t heap_info_of(const GlibcRelease& release) {
  const uint64_t fields = release.minor < 35 ? 4 : 5, short_by = release.minor < 35 ? 6 : 3;
  const uint64_t pad = (uint64_t{0} - short_by * release.word()) & (release.alignment - 1);
  return fields * release.word() + pad;
}

}  // namespace

uint64_t GlibcRelease::chunk_size(uint64_t request) const {
  const uint64_t size = round_up(request + word());
  return size < min_size() ? min_size() : size;
}

std::string GlibcRelease::banner() const {
  const std::string version = minor < 43 ? "2." + std::to_string(minor) : "2.42.9000";
  const std::string kind = minor < 43 ? "stable" : "development";
  return "GNU C Library (GNU libc) " + kind + " release version " + version + ".";
}

GlibcRelease glibc_release(unsigned minor, const Machine& machine, bool arenas_per_thread) {
  if (minor < machine.first_release || minor > 43) throw std::logic_error("no such glibc");
  if (!arenas_per_thread && minor > 14) throw std::logic_error("no such configuration");
  GlibcRelease release{};
  release.minor = minor;
  release.machine = machine;
  release.alignment = machine.word == 8 || minor >= machine.aligned_from ? 16 : 2 * machine.word;
  // NFASTBINS: fastbin_index(request2size(80 * SIZE_SZ / 4)) + 1.
  release.fastbin_count = release.chunk_size(20 * machine.word) / release.header() - 1;
  release.state = state_of(release, arenas_per_thread);
  release.par = par_of(release, arenas_per_thread);
  release.tcache = tcache_of(release);
  release.heap_info_size = heap_info_of(release);
  release.safe_linking = minor >= 32;
  release.mmapped_size_is_net = minor >= 43;
  return release;
}

}  // namespace residue::test
