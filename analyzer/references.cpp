// Extraction of references.
//
// Every aligned word of every used chunk is looked up; most fail one comparison against the extent
// of all heaps. What remains is resolved through the chunk map at once and appended as a 32-bit
// edge, so that everything later (reach, clusters, paths) works on the graph in memory and never
// reads the dump again. The dump's pages are given back behind the scan: the resident set stays
// small however large the core is.
//
// Interior pointers are the rule in some programs. Three kinds are as good as a pointer to the
// start: to a base class (the word there is a vtable pointer), behind an array cookie (Itanium
// ABI 2.7), and behind an allocation wrapper's length word (SQLite does that); Valgrind's memcheck
// knows the same three.
#include "analyzer/references.h"

#include <algorithm>
#include <bit>

#include "formats/base/mapped_file.h"

namespace residue {
namespace {

constexpr uint64_t kReleaseEvery = 16 << 20;
// Rounding slack of an allocator between what was asked for and what is usable, in words (glibc:
// MINSIZE and alignment, 24 bytes at most with words of 8, 15 with words of 4).
constexpr uint64_t kMaxSlack = 3, kMaxSlack32 = 4;
// Links that the allocator itself keeps in free chunks, in words: fd, bk, and in large ones
// fd_nextsize, bk_nextsize (glibc: chunks from 1024 bytes; with 32-bit words from 512 or 1008).
constexpr uint64_t kFreeLinks = 2, kLargeFreeLinks = 4;
constexpr uint64_t kLargeFree = 1000, kLargeFree32 = 500;
// Arrays whose elements need more alignment than a word have a cookie of that alignment, with the
// count in its last word (Itanium C++ ABI 2.7); malloc aligns to no more than this.
constexpr uint64_t kMaxCookie = 16;
// Exception objects lie behind a header that nobody points to the start of (Itanium C++ ABI,
// "Exception Handling" 2.2; libstdc++ since 4.4: __cxa_refcounted_exception; libc++abi). A pointer
// may be one to the object, to the _Unwind_Exception of 32 bytes before it, whose first 8 bytes are
// the exception class, or to the __cxa_exception in which that stands. ARM's EHABI has other ones.
constexpr uint64_t kUnwindHeader = 32, kUnwindAt = 80, kUnwindAt32 = 48;
constexpr uint64_t kMaxExceptionHeader = 128;
constexpr uint64_t kGnuException = 0x474e5543432b2b00;  // "GNUCC++" and 0, or 1 for a dependent one
constexpr uint64_t kClangException = 0x434c4e47432b2b00;  // "CLNGC++"

}  // namespace

EdgeFinder::EdgeFinder(const Image& image, const ChunkMap& map, TypeFinder* types)
    : map_(map),
      types_(types),
      words_(image),
      arm_cookies_(image.architecture == Architecture::kArm),
      address_bits_(~image.address_tag_mask) {
  if (map.runs().empty()) return;
  low_ = map.runs().front().begin.value();
  span_ = map.runs().back().end.value() - low_;
}

bool EdgeFinder::resolve(uint64_t word, Edge* edge) {
  uint64_t start = 0;
  const ChunkId id = map_.find(word, &start);
  if (id == kNone<ChunkId>) return false;
  bool interior = word != start;
  if (interior) {
    const Run& run = map_.runs()[static_cast<size_t>(map_.find_run(word))];
    // What malloc keeps between blocks belongs to none of them: a checking one several words, the
    // others a header, whose first byte is where the user's end.
    const bool may_be_between = run.gap > words_.size || word % words_.size != 0;
    if (may_be_between && word - start > map_.usable(id).value()) return false;
    interior = !is_proper_interior(word, start, run, id);
  }
  *edge = Edge(id, interior);
  return true;
}

bool EdgeFinder::is_proper_interior(uint64_t word, uint64_t start, const Run& run, ChunkId id) {
  if (word % words_.size != 0) return false;
  const uint64_t at = word - run.begin.value();
  if (at + words_.size > run.bytes.size()) return false;
  const uint64_t pointed_to = words_.at(run.bytes, at);
  if (types_->vtable_type(pointed_to, word - start) != kNone<TypeId>) return true;
  const uint64_t offset = word - start;
  if (offset > kMaxExceptionHeader) return false;
  const uint64_t begin = at - offset;
  const uint64_t usable = map_.usable(id).value();
  const auto bytes = run.bytes.subspan(begin, std::min(usable, run.bytes.size() - begin));
  return (offset <= kMaxCookie && is_behind_count(bytes, offset)) || is_exception(bytes, offset);
}

// A thrown object, its _Unwind_Exception, or its __cxa_exception: the runtime's header before the
// object is as large with and without a reference count (dependent exceptions too).
bool EdgeFinder::is_exception(std::span<const std::byte> bytes, uint64_t offset) const {
  const bool wide = words_.size == 8;
  for (const uint64_t header : {uint64_t{0}, kUnwindHeader, wide ? kUnwindAt : kUnwindAt32}) {
    // The class is an integer made of the characters from the highest byte down.
    const uint64_t at = header == kUnwindHeader ? offset - header : offset + header;
    if (at > bytes.size() || bytes.size() - at < sizeof(uint64_t)) continue;
    const auto name = load<uint64_t>(bytes.subspan(at), words_.order) & ~uint64_t{0xff};
    if (name == kGnuException || name == kClangException) return true;
  }
  return false;
}

// n elements behind a count, or n bytes behind a length: the rest must hold them, give or take the
// allocator's rounding.
bool EdgeFinder::is_behind_count(std::span<const std::byte> bytes, uint64_t offset) const {
  if (!std::has_single_bit(offset) || offset < words_.size || offset > bytes.size()) return false;
  const uint64_t rest = bytes.size() - offset;
  const uint64_t n = words_.at(bytes, offset - words_.size);
  if (n == 0 || n > rest) return false;
  const uint64_t slack = words_.size * (words_.size == 4 ? kMaxSlack32 : kMaxSlack);
  // The C++ ABI for ARM 3.2.2: the element's size before the count, always 8 bytes together.
  if (arm_cookies_ && offset == 8) {
    const uint64_t size = words_.at(bytes, 0);
    if (size != 0 && size <= rest / n && rest - n * size < slack) return true;
  }
  // Elements of a size that is a multiple of the cookie's, which is their alignment.
  const uint64_t alignment = offset == words_.size ? 1 : offset;
  const uint64_t size = rest / n & ~(alignment - 1);
  return size != 0 && rest - n * size < slack;
}

namespace {

template <typename W>
class Extractor {
 public:
  Extractor(const Image& image, const Heaps& heaps, const std::vector<SparePart>& spare,
            TypeFinder* types, std::vector<uint32_t>* type_column)
      : heaps_(heaps),
        spare_(spare),
        holes_(image.holes),
        types_(types),
        type_column_(type_column),
        finder_(image, heaps.chunks.map, types) {}

  ReferenceGraph run() {
    const ChunkMap& map = heaps_.chunks.map;
    uint64_t words = 0;
    for (const Run& run : map.runs()) words += run.bytes.size() / W::kSize + 1;
    graph_.targets = Column<Edge>(words);
    graph_.offset.reserve(size_t{map.size()} + 1);
    advise_huge_pages(graph_.offset.data(), graph_.offset.capacity() * sizeof(uint32_t));
    type_column_->assign(map.size(), kNone<TypeId>.value());
    map.for_each([this](ChunkId id, Address start, ByteCount usable, const Run& run) {
      begin_row(id.value());
      chunk(id, start.value(), usable.value(), run);
    });
    begin_row(map.size());
    return std::move(graph_);
  }

 private:
  void begin_row(uint32_t i) {
    if (i % ReferenceGraph::kBlock == 0) graph_.base.push_back(graph_.targets.size());
    graph_.offset.push_back(static_cast<uint32_t>(graph_.targets.size() - graph_.base.back()));
  }

  void chunk(ChunkId id, uint64_t start, uint64_t usable, const Run& run) {
    const uint64_t at = start - run.begin.value();
    if (at >= run.bytes.size()) return;
    if (heaps_.slack_is_behind) {
      const uint32_t slack = heaps_.chunks.slack[id.value()];
      if (slack != ChunkTable::kUnknownSlack) usable -= std::min<uint64_t>(usable, slack);
    }
    const auto bytes = run.bytes.subspan(at, std::min<uint64_t>(usable, run.bytes.size() - at));
    if (heaps_.chunks.state[id.value()] == ChunkState::kUsed) {
      (*type_column_)[id.value()] = types_->type_of(bytes).value();
      if (next_part_ < spare_.size() && spare_[next_part_].begin.value() < start + usable) {
        used_in_part(id, start, bytes);
      } else {
        used(id, bytes, 0, bytes.size());
      }
    } else {
      freed(id, bytes);
    }
    release_behind(run, at);
  }

  void used(ChunkId id, std::span<const std::byte> bytes, uint64_t begin, uint64_t end) {
    for_each_data(bytes, begin, end, [&](uint64_t at, uint64_t until) {
      Edge edge;
      for (; at + W::kSize <= until; at += W::kSize) {
        if (finder_.find(W::at(bytes, at), &edge) && edge.target() != id) {
          graph_.targets.push_back(edge);
        }
      }
    });
  }

  // A chunk in which spare parts lie.
  void used_in_part(ChunkId id, uint64_t start, std::span<const std::byte> bytes) {
    uint64_t at = 0;
    for (; next_part_ < spare_.size(); ++next_part_) {
      const SparePart& part = spare_[next_part_];
      if (part.begin.value() >= start + bytes.size()) break;
      const uint64_t begin = std::max(part.begin.value(), start + at) - start;
      const uint64_t end = std::min<uint64_t>(part.end.value() - start, bytes.size());
      used(id, bytes, at, begin);
      dead(bytes, begin, end, {&graph_.from_spare, static_cast<uint32_t>(next_part_)});
      at = std::max(at, end);
    }
    used(id, bytes, at, bytes.size());
  }

  void freed(ChunkId id, std::span<const std::byte> bytes) {
    const bool large = bytes.size() >= (W::kSize == 4 ? kLargeFree32 : kLargeFree);
    const uint64_t links = W::kSize * (large ? kLargeFreeLinks : kFreeLinks);
    // The last word is the next header's prev_size.
    const uint64_t end = bytes.size() - std::min<uint64_t>(bytes.size(), W::kSize);
    dead(bytes, links, end, {&graph_.from_free, id.value()});
  }

  struct DeadSource {
    std::vector<DeadReference>* references;
    uint32_t source;
  };
  void dead(std::span<const std::byte> bytes, uint64_t begin, uint64_t end, DeadSource from) {
    for_each_data(bytes, begin, end, [&](uint64_t at, uint64_t until) {
      Edge edge;
      for (; at + W::kSize <= until; at += W::kSize) {
        if (!finder_.find(W::at(bytes, at), &edge)) continue;
        if (heaps_.chunks.state[edge.target().value()] == ChunkState::kUsed) {
          from.references->push_back({edge, from.source});
        }
      }
    });
  }

  // Calls f(from, until) for the parts of bytes[begin, end) that are no holes of the file. Chunks
  // are many and mostly small: only large ones are worth looking for holes in.
  template <typename F>
  void for_each_data(std::span<const std::byte> bytes, uint64_t begin, uint64_t end, F&& f) {
    if (bytes.size() < MappedFile::kMinHole) return f(begin, end);
    holes_.for_each_data(bytes, [&](uint64_t from, uint64_t until) {
      f(std::max(from, begin), std::min(until, end));
    });
  }

  void release_behind(const Run& run, uint64_t at) {
    if (run.first_word != released_run_) {
      released_run_ = run.first_word;
      released_ = 0;
    }
    if (at < released_ + kReleaseEvery) return;
    release_pages(run.bytes.subspan(released_, at - released_));
    released_ = at;
  }

  const Heaps& heaps_;
  const std::vector<SparePart>& spare_;
  size_t next_part_ = 0;
  const Holes& holes_;
  TypeFinder* types_;
  std::vector<uint32_t>* type_column_;
  EdgeFinder finder_;
  ReferenceGraph graph_;
  uint64_t released_run_ = ~uint64_t{0};
  uint64_t released_ = 0;
};

}  // namespace

ReferenceGraph build_references(const Image& image, const Heaps& heaps,
                                const std::vector<SparePart>& spare, TypeFinder* types,
                                std::vector<uint32_t>* type_column) {
  return with_words(image, [&]<typename W>(W) {
    return Extractor<W>(image, heaps, spare, types, type_column).run();
  });
}

}  // namespace residue
