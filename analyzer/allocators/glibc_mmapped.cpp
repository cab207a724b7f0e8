// Requests over the mmap threshold get a mapping of their own: header at its first byte (or so far
// behind it that the user's memory is aligned), prev_size the distance from the start, size what is
// left of a multiple of the page, with only IS_MMAPPED set. The kernel merges neighbouring
// mappings, so every page is tried, and a hit jumps over its own extent. Nothing lists these
// chunks; mp_.n_mmaps and mp_.mmapped_mem say how many and how much there must be, and that decides
// `verified`.
//
// memalign moves the header up to the aligned place and leaves the first one as it was. The real
// one says in prev_size how far it was moved, so both are told apart by looking where an alignment
// can have put it: eight words up to half a page behind the start, or before a page boundary.
#include "analyzer/allocators/glibc_mmapped.h"

#include <algorithm>

#include "formats/base/claims.h"

namespace residue::glibc {
namespace {

// MMAP_HP, in prev_size.
constexpr uint64_t kHugePages = 1;

struct Header {
  uint64_t prev_size = 0;
  uint64_t size = 0;
};

// One unclaimed stretch of memory, read in place.
class Memory {
 public:
  // `extent`: how far the memory reaches, dumped or not. `trailer`: what a mapping has behind its
  // chunk.
  Memory(const Shape& shape, uint64_t base, std::span<const std::byte> bytes, const Holes& holes,
         uint64_t extent, uint64_t page, uint64_t trailer)
      : shape_(shape),
        base_(base),
        bytes_(bytes),
        holes_(holes),
        extent_(extent),
        page_(page),
        trailer_(trailer) {}

  void scan(std::vector<MmappedChunk>* chunks) const {
    const uint64_t first = ((base_ + page_ - 1) & ~(page_ - 1)) - base_;
    for (uint64_t at = first; at + lead() + shape_.header() <= bytes_.size();) {
      const uint64_t mapping = chunk_at(at);
      if (mapping == 0) {
        at = next_page(first, at + page_);
        continue;
      }
      chunks->push_back(describe(at, mapping));
      at += mapping;
    }
  }

 private:
  // From the start of a mapping to its chunk, unless memalign moved that.
  uint64_t lead() const { return shape_.next_chunk(0); }

  // Since chunks of mappings have a trailer, prev_size has a bit for huge pages too.
  bool is_distance(uint64_t prev_size, uint64_t distance) const {
    return prev_size == distance || (trailer_ != 0 && prev_size == (distance | kHugePages));
  }

  Header header(uint64_t at) const {
    return {shape_.load_word(bytes_.subspan(at)),
            shape_.load_word(bytes_.subspan(at + shape_.word))};
  }

  // `at`, or where that lies in a hole of the file, which has no header, the last of the places a
  // page apart from `first` that does not lie behind the hole.
  uint64_t next_page(uint64_t first, uint64_t at) const {
    const uint64_t data = holes_.skip(bytes_, at / Holes::kGrain * Holes::kGrain);
    return data <= at ? at : first + (data - first) / page_ * page_;
  }

  // The length of the mapping that begins with a chunk at `at`, or 0 if there is none.
  uint64_t chunk_at(uint64_t at) const {
    const Header h = header(at + lead());
    const uint64_t mapping = lead() + (h.size & ~kSizeFlags) + trailer_;
    const bool good = is_distance(h.prev_size, lead()) && (h.size & kSizeFlags) == kIsMmapped &&
                      mapping >= page_ && mapping % page_ == 0 && mapping <= extent_ - at;
    return good ? mapping : 0;
  }

  // How many of the two words at `start` + `lead` are those of a header that was moved there.
  // Either is no accident alone, but for a small `lead`: one word may have been overwritten.
  unsigned fit_moved_header(uint64_t start, uint64_t mapping, uint64_t lead) const {
    if (lead + shape_.min_size() > mapping || start + lead + shape_.header() > bytes_.size()) {
      return 0;
    }
    const Header h = header(start + lead);
    const bool size_fits = h.size == moved_size(mapping, lead);
    if (!is_distance(h.prev_size, lead)) return size_fits ? 1 : 0;
    if (size_fits) return 2;
    return lead + shape_.header() >= page_ ? 1 : 0;
  }

  uint64_t moved_size(uint64_t mapping, uint64_t lead) const {
    return (mapping - trailer_ - lead) | kIsMmapped;
  }

  MmappedChunk describe(uint64_t at, uint64_t mapping) const {
    uint64_t lead = this->lead();
    unsigned best = 0;
    const auto consider = [&](uint64_t candidate) {
      const unsigned fit = candidate == this->lead() ? 0 : fit_moved_header(at, mapping, candidate);
      if (fit > best) best = fit, lead = candidate;
    };
    // The user address is the first multiple of the alignment behind the first header, one further
    // if less than a smallest chunk would be left before it.
    for (uint64_t alignment = 8 * shape_.word; alignment < page_ && best < 2; alignment *= 2) {
      consider(alignment - shape_.header());
    }
    const uint64_t seen = std::min<uint64_t>(mapping, bytes_.size() - at);
    const uint64_t first = at + page_ - shape_.header();
    for (uint64_t header = first; header + shape_.header() < at + seen && best < 2;
         header = next_page(first, header + page_)) {
      consider(header - at);
    }
    MmappedChunk chunk;
    chunk.mapping = {Address(base_ + at), ByteCount(mapping)};
    chunk.user = Address(base_ + at + lead + shape_.header());
    chunk.usable = mapping - lead - shape_.header() - (trailer_ == 0 ? 0 : shape_.word);
    if (best != 1) return chunk;
    const bool size_is_wrong = is_distance(header(at + lead).prev_size, lead);
    chunk.damaged = Address(base_ + at + lead + (size_is_wrong ? shape_.word : 0));
    chunk.expected = size_is_wrong ? moved_size(mapping, lead) : lead;
    return chunk;
  }

  const Shape& shape_;
  uint64_t base_;
  std::span<const std::byte> bytes_;
  const Holes& holes_;
  uint64_t extent_;
  uint64_t page_;
  uint64_t trailer_;
};

}  // namespace

std::optional<Parameters> find_parameters(const Image& image, const Arena& main) {
  // How far malloc_par may begin before the words that it is known by.
  constexpr uint64_t kReach = 4 * Holes::kGrain;
  const Shape& shape = main.shape;
  const Address heap_start =
      main.stretches.empty() ? Address(0) : main.stretches.front().memory.base;
  std::optional<Parameters> fallback;
  for (const Region& region : image.regions) {
    const bool module = region.kind == RegionKind::kModuleData && main.module != kNone<ModuleId> &&
                        region.module == main.module;
    if (!module && !region.range.contains(main.address)) continue;
    for (const ParametersLayout& layout : parameters_layouts(shape)) {
      for (uint64_t at = 0; at + layout.size <= region.bytes.size(); at += shape.word) {
        if (at % MappedFile::kMinHole == 0) {
          const uint64_t data = image.holes.skip(region.bytes, at);
          at = std::max(at, data - std::min<uint64_t>(data, kReach));
        }
        if (at + layout.size > region.bytes.size()) break;
        const auto bytes = region.bytes.subspan(at);
        const auto word = [&](uint32_t offset) { return shape.load_word(bytes.subspan(offset)); };
        const auto number = [&](uint32_t offset) {
          return load<uint32_t>(bytes.subspan(offset), shape.order);
        };
        // sbrk_base is where the heap starts.
        const bool test = layout.arena_test != 0 && word(layout.arena_test) == arena_test(shape);
        const bool base = heap_start.value() != 0 && word(layout.sbrk_base) == heap_start.value();
        const bool max = number(layout.n_mmaps + 4) == kMmapsMax;
        if (base + test + max < 2) continue;
        const Parameters found{region.range.base + ByteCount(at), &layout, number(layout.n_mmaps),
                               word(layout.mmapped_mem)};
        if (base && max) return found;
        if (!fallback) fallback = found;
      }
    }
  }
  return fallback;
}

std::vector<MmappedChunk> find_mmapped(const Image& image, const Shape& shape,
                                       const std::vector<AddressRange>& claimed, uint64_t trailer) {
  const auto may_hold = [](const Region& region) {
    const bool anonymous =
        region.kind == RegionKind::kAnonymous || region.kind == RegionKind::kStack;
    return anonymous && region.permissions.write;
  };
  std::vector<MmappedChunk> chunks;
  for (size_t i = 0; i < image.regions.size(); ++i) {
    const Region& region = image.regions[i];
    if (!may_hold(region) || region.bytes.empty()) continue;
    const uint64_t region_begin = region.range.base.value();
    const uint64_t region_end = region_begin + region.range.size.value();
    // The mapping may go on where the dump does not.
    uint64_t mapped_end = region_end;
    for (size_t next = i + 1; next < image.regions.size() && may_hold(image.regions[next]) &&
                              image.regions[next].range.base.value() == mapped_end;
         ++next) {
      mapped_end = image.regions[next].range.end().value();
    }
    for_each_unclaimed(claimed, region_begin, region_end, [&](uint64_t begin, uint64_t end) {
      const uint64_t extent = (end == region_end ? mapped_end : end) - begin;
      const auto bytes = image.view(Address(begin), end - begin);
      Memory(shape, begin, bytes, image.holes, extent, image.page_size, trailer).scan(&chunks);
    });
  }
  return chunks;
}

}  // namespace residue::glibc
