// Problem: of ten million texts, which occur more than once, in a fraction of a second and without
// a table of ten million entries?
//
// Model: four steps.
//   1. Every text's hash, in the order of memory, because reading the texts is what costs; threads
//      take pieces of the heap. 16 bytes a text.
//   2. A filter: a two-bit counter for every hash, eight times as many counters as texts. Most
//      texts of most programs are alone, and end here.
//   3. A table of the hashes whose counter has seen two or more, with exact counts and bytes.
//   4. The rows that waste most: the bytes of their chunks are compared, so that a count is exact
//      even if somebody built two texts of one hash. What occurs most often was compared in step 1
//      already, with one before it that the cache still held; that is not read again.
// Steps 2 and 3 are done for an eighth of all hashes at a time: the filter fits a cache then, and
// the parts are independent. Rejected: sorting the hashes (a second for ten million), and a table
// of all of them (400 MB).
#include "analyzer/duplicates.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>
#include <unordered_map>

#include "analyzer/big_array.h"
#include "analyzer/column.h"
#include "formats/base/mapped_file.h"
#include "formats/base/parallel.h"

namespace residue {
namespace {

// Bytes of a text that a row shows.
constexpr size_t kShown = 200;
// What an allocator's rounding may leave behind a text that fits exactly.
constexpr uint64_t kRounding = 32;
// A buffer that grew by doubling is at least half full.
constexpr uint64_t kGrowth = 2;
constexpr uint64_t kReleaseEvery = 16 << 20;
constexpr uint32_t kMinPiece = 1 << 16;  // chunks that are worth a thread's while
constexpr size_t kPiecesPerJob = 4;
constexpr unsigned kPartBits = 3;
constexpr uint64_t kCountersPerText = 8;
// Different texts of one part that are counted: beyond, 24 bytes each would be too much memory.
constexpr size_t kMaxTexts = 1 << 20;

struct Text {
  static constexpr uint32_t kMaxUsable = ~uint32_t{0} >> 1;

  uint64_t hash;
  uint32_t chunk;
  uint32_t usable : 31;  // at most kMaxUsable
  uint32_t is_same : 1;  // the bytes are those of the text that RecentTexts had for its hash
};
static_assert(sizeof(Text) == 16);

// For each hash that came up lately, one text. What it holds depends on nothing but the texts in
// their order, so that step 4 can go through step 1's again.
template <typename Value>
class RecentTexts {
 public:
  struct Place {
    uint64_t hash = 0;
    Value value{};
  };
  RecentTexts() : places_(kPlaces) {}

  Place& of(uint64_t hash) { return places_[hash % kPlaces]; }

 private:
  static constexpr size_t kPlaces = 4096;

  std::vector<Place> places_;
};

// Of the first bytes of a chunk; empty if no text fills it.
std::span<const std::byte> text_in(std::span<const std::byte> chunk, uint64_t usable) {
  const void* nul = chunk.empty() ? nullptr : std::memchr(chunk.data(), 0, chunk.size());
  if (nul == nullptr) return {};
  const auto length = static_cast<size_t>(static_cast<const std::byte*>(nul) - chunk.data());
  if (usable - length > kRounding && usable / kGrowth > length) return {};
  return chunk.first(length);
}

// Gives the dump's pages back behind a scan in the order of memory.
class Releaser {
 public:
  void at(const Run& run, uint64_t offset) {
    if (run.first_word != run_) {
      run_ = run.first_word;
      released_ = offset;
    }
    if (offset < released_ + kReleaseEvery) return;
    release_pages(run.bytes.subspan(released_, offset - released_));
    released_ = offset;
  }

 private:
  uint64_t run_ = ~uint64_t{0};
  uint64_t released_ = 0;
};

// A chunk that may hold a text.
struct Candidate {
  ChunkId id;
  uint64_t usable = 0;
  const Run* run = nullptr;
  uint64_t offset = 0;               // in the run's bytes
  std::span<const std::byte> bytes;  // as far as they are in the dump
};

// Texts lie a cache miss apart, too irregularly for the hardware: each is asked for some chunks
// before it is read. Without this two thirds of the time is waiting.
template <typename F>
class ReadAhead {
 public:
  explicit ReadAhead(F read) : read_(std::move(read)) {}

  void add(const Candidate& candidate) {
    __builtin_prefetch(candidate.bytes.data());
    Candidate& place = ring_[count_++ % kAhead];
    if (count_ > kAhead) read_(place);
    place = candidate;
  }
  void finish() {
    for (size_t i = count_ - std::min(count_, kAhead); i < count_; ++i) read_(ring_[i % kAhead]);
  }

 private:
  static constexpr size_t kAhead = 16;

  F read_;
  std::array<Candidate, kAhead> ring_;
  size_t count_ = 0;
};

// A piece of the heap, and the texts in it in the order of memory.
struct Piece {
  uint32_t first = 0, last = 0;  // chunk ids
  Column<Text> texts;
};

// A text that occurs more than once.
struct Repeated {
  uint64_t hash = 0;
  uint64_t bytes = 0;
  uint32_t count = 0;  // 0: a free place of the table
  uint32_t first = 0;  // chunk
  uint32_t first_usable = 0;

  uint64_t wasted() const { return bytes - first_usable; }
};

class RepeatedTable {
 public:
  RepeatedTable() : places_(1024) {}

  // False if the table is full and the text is not in it.
  bool add(const Text& text) {
    Repeated* place = find(text.hash);
    if (place->count == 0) {
      if (count_ >= kMaxTexts) return false;
      if (++count_ * 2 > places_.size()) {
        grow();
        place = find(text.hash);
      }
      *place = {text.hash, 0, 0, text.chunk, text.usable};
    }
    ++place->count;
    place->bytes += text.usable;
    return true;
  }

  // Those that occur twice or more and waste most, in no order.
  std::vector<Repeated> worst() const {
    std::vector<Repeated> found;
    for (const Repeated& r : places_) {
      if (r.count > 1) found.push_back(r);
    }
    keep_worst(&found);
    return found;
  }

  static void keep_worst(std::vector<Repeated>* rows) {
    if (rows->size() <= kMaxDuplicates) return;
    const auto order = [](const Repeated& a, const Repeated& b) {
      return a.wasted() != b.wasted() ? a.wasted() > b.wasted() : a.first < b.first;
    };
    std::nth_element(rows->begin(), rows->begin() + kMaxDuplicates, rows->end(), order);
    rows->resize(kMaxDuplicates);
  }

 private:
  Repeated* find(uint64_t hash) {
    const size_t mask = places_.size() - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
      if (places_[i].count == 0 || places_[i].hash == hash) return &places_[i];
    }
  }

  void grow() {
    std::vector<Repeated> old(places_.size() * 2);
    old.swap(places_);
    for (const Repeated& r : old) {
      if (r.count != 0) *find(r.hash) = r;
    }
  }

  std::vector<Repeated> places_;  // a power of two
  size_t count_ = 0;
};

// Two bits for each hash of one part: seen never, once, or more often.
class SeenTwice {
 public:
  explicit SeenTwice(uint64_t texts) {
    const uint64_t counters = std::bit_ceil(std::max<uint64_t>(texts * kCountersPerText, 1024));
    words_ = BigArray<uint64_t>(counters / kPerWord);
    mask_ = counters - 1;
  }
  void add(uint64_t hash) {
    const uint64_t i = place(hash);
    const unsigned shift = 2 * (i % kPerWord);
    uint64_t& word = words_[i / kPerWord];
    word |= (word >> shift & 1) != 0 ? uint64_t{2} << shift : uint64_t{1} << shift;
  }
  bool contains(uint64_t hash) const {
    const uint64_t i = place(hash);
    return (words_[i / kPerWord] >> (2 * (i % kPerWord)) & 2) != 0;
  }

 private:
  static constexpr uint64_t kPerWord = 32;
  // The table uses the lowest bits, the parts the highest.
  uint64_t place(uint64_t hash) const { return hash >> 20 & mask_; }

  BigArray<uint64_t> words_;
  uint64_t mask_ = 0;
};

class DuplicateFinder {
 public:
  DuplicateFinder(const Snapshot& s, unsigned jobs) : s_(s), jobs_(jobs) {
    for (const TypeRow& type : s.types) is_text_.push_back(type.origin == "string");
  }

  std::vector<DuplicateRow> find(uint64_t* dropped) {
    if (std::find(is_text_.begin(), is_text_.end(), true) == is_text_.end()) return {};
    read_texts();
    std::vector<Repeated> worst = find_repeated(dropped);
    RepeatedTable::keep_worst(&worst);
    return compare(worst);
  }

 private:
  bool is_candidate(uint32_t i) const {
    const uint32_t type = s_.chunks.type[i];
    return type < is_text_.size() && is_text_[type] && s_.chunks.state[i] == ChunkState::kUsed;
  }

  static Candidate candidate(ChunkId id, Address start, ByteCount usable, const Run& run) {
    Candidate c{id, usable.value(), &run, (start - run.begin).value(), {}};
    if (c.offset < run.bytes.size()) {
      c.bytes = run.bytes.subspan(c.offset, std::min(c.usable, run.bytes.size() - c.offset));
    }
    return c;
  }

  void read_texts() {
    const uint32_t count = s_.chunks.map.size();
    pieces_.resize(std::min<size_t>(worker_count(jobs_) * kPiecesPerJob, count / kMinPiece + 1));
    parallel_for(pieces_.size(), jobs_, [&](size_t i) {
      Piece& piece = pieces_[i];
      piece.first = static_cast<uint32_t>(uint64_t{count} * i / pieces_.size());
      piece.last = static_cast<uint32_t>(uint64_t{count} * (i + 1) / pieces_.size());
      piece.texts = Column<Text>(piece.last - piece.first);
      Releaser releaser;
      RecentTexts<std::span<const std::byte>> recent;
      ReadAhead texts([&](const Candidate& c) {
        const auto text = text_in(c.bytes, c.usable);
        if (text.empty()) return;
        Text found = {text_hash(text), c.id.value(), 0, 0};
        found.usable = std::min<uint64_t>(c.usable, Text::kMaxUsable) & Text::kMaxUsable;
        auto& place = recent.of(found.hash);
        found.is_same = place.hash == found.hash && is_equal(place.value, text) ? 1 : 0;
        if (found.is_same == 0) place = {found.hash, text};
        piece.texts.push_back(found);
        releaser.at(*c.run, c.offset);
      });
      s_.chunks.map.for_each(piece.first, piece.last,
                             [&](ChunkId id, Address start, ByteCount usable, const Run& run) {
                               if (is_candidate(id.value())) {
                                 texts.add(candidate(id, start, usable, run));
                               }
                             });
      texts.finish();
    });
  }

  template <typename F>
  void for_each_text(uint64_t part, F&& f) const {
    for (const Piece& piece : pieces_) {
      for (const Text& text : piece.texts.span(0, piece.texts.size())) {
        if (text.hash >> (64 - kPartBits) == part) f(text);
      }
    }
  }

  std::vector<Repeated> find_repeated(uint64_t* dropped) const {
    constexpr size_t kParts = size_t{1} << kPartBits;
    uint64_t texts = 0;
    for (const Piece& piece : pieces_) texts += piece.texts.size();
    std::array<std::vector<Repeated>, kParts> worst;
    std::array<uint64_t, kParts> lost{};
    parallel_for(kParts, jobs_, [&](size_t part) {
      SeenTwice seen(texts / kParts);
      for_each_text(part, [&](const Text& text) { seen.add(text.hash); });
      RepeatedTable table;
      for_each_text(part, [&](const Text& text) {
        if (seen.contains(text.hash) && !table.add(text)) ++lost[part];
      });
      worst[part] = table.worst();
    });
    std::vector<Repeated> all;
    *dropped = 0;
    for (size_t part = 0; part < kParts; ++part) {
      all.insert(all.end(), worst[part].begin(), worst[part].end());
      *dropped += lost[part];
    }
    return all;
  }

  static constexpr size_t kNoRow = ~size_t{0};
  struct Verified {
    uint64_t count = 0, bytes = 0;
  };

  // REQUIRES: there is one in this chunk.
  std::span<const std::byte> text_of(uint32_t chunk) const {
    const ChunkId id(chunk);
    const Candidate c = candidate(id, s_.chunks.map.address(id), s_.chunks.map.usable(id),
                                  s_.chunks.map.run_of(id));
    return text_in(c.bytes, c.usable);
  }

  static bool is_equal(std::span<const std::byte> a, std::span<const std::byte> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
  }

  // Compares the texts of each row with that of its first chunk.
  std::vector<DuplicateRow> compare(const std::vector<Repeated>& rows) const {
    std::unordered_map<uint64_t, size_t> by_hash;
    std::vector<std::span<const std::byte>> texts;
    SeenTwice some(rows.size());
    for (const Repeated& r : rows) {
      by_hash.emplace(r.hash, texts.size());
      some.add(r.hash);
      some.add(r.hash);
      texts.push_back(text_of(r.first));
    }
    std::vector<std::vector<Verified>> sums(pieces_.size());
    parallel_for(pieces_.size(), jobs_, [&](size_t i) {
      sums[i].resize(rows.size());
      RecentTexts<size_t> recent;  // rows, or kNoRow for texts that are none's
      for (const Text& text : pieces_[i].texts.span(0, pieces_[i].texts.size())) {
        auto& place = recent.of(text.hash);
        if (text.is_same == 0) {
          place = {text.hash, kNoRow};
          const auto row = some.contains(text.hash) ? by_hash.find(text.hash) : by_hash.end();
          if (row != by_hash.end() && is_equal(text_of(text.chunk), texts[row->second])) {
            place.value = row->second;
          }
        }
        if (place.value == kNoRow) continue;
        ++sums[i][place.value].count;
        sums[i][place.value].bytes += usable_of(text);
      }
    });
    return make_rows(rows, texts, sums);
  }

  uint64_t usable_of(const Text& text) const {
    if (text.usable < Text::kMaxUsable) return text.usable;
    return s_.chunks.map.usable(ChunkId(text.chunk)).value();
  }

  std::vector<DuplicateRow> make_rows(const std::vector<Repeated>& repeated,
                                      const std::vector<std::span<const std::byte>>& texts,
                                      const std::vector<std::vector<Verified>>& sums) const {
    std::vector<DuplicateRow> rows;
    for (size_t r = 0; r < repeated.size(); ++r) {
      DuplicateRow row;
      for (const std::vector<Verified>& piece : sums) {
        row.count += piece[r].count;
        row.bytes += piece[r].bytes;
      }
      if (row.count < 2) continue;
      const ChunkId id(repeated[r].first);
      row.example = s_.chunks.map.address(id);
      row.wasted = row.bytes - s_.chunks.map.usable(id).value();
      row.length = texts[r].size();
      const auto shown = texts[r].first(std::min(texts[r].size(), kShown));
      row.text.assign(reinterpret_cast<const char*>(shown.data()), shown.size());
      rows.push_back(std::move(row));
    }
    std::sort(rows.begin(), rows.end(), [](const DuplicateRow& a, const DuplicateRow& b) {
      return a.wasted != b.wasted ? a.wasted > b.wasted : a.example < b.example;
    });
    return rows;
  }

  const Snapshot& s_;
  const unsigned jobs_;
  std::vector<bool> is_text_;
  std::vector<Piece> pieces_;
};

}  // namespace

// Little-endian and big-endian machines get different ones.
uint64_t text_hash(std::span<const std::byte> text) {
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15;
  uint64_t h = text.size() * kFactor;
  uint64_t word = 0;
  size_t at = 0;
  for (; at + sizeof(word) <= text.size(); at += sizeof(word)) {
    std::memcpy(&word, text.data() + at, sizeof(word));
    h = (h ^ word) * kFactor;
    h ^= h >> 29;
  }
  word = 0;
  if (at < text.size()) std::memcpy(&word, text.data() + at, text.size() - at);
  h = (h ^ word) * kFactor;
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
  return h ^ (h >> 33);
}

std::vector<DuplicateRow> find_duplicates(const Snapshot& snapshot, unsigned jobs,
                                          uint64_t* dropped) {
  *dropped = 0;
  return DuplicateFinder(snapshot, jobs).find(dropped);
}

}  // namespace residue
