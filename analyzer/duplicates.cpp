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
//      even if somebody built two texts of one hash.
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
  uint64_t hash;
  uint32_t chunk;
  uint32_t usable;  // the largest number for what is larger
};

// Of the first bytes of a chunk; empty if no text fills it.
std::span<const std::byte> text_in(std::span<const std::byte> chunk, uint64_t usable) {
  const void* nul = chunk.empty() ? nullptr : std::memchr(chunk.data(), 0, chunk.size());
  if (nul == nullptr) return {};
  const auto length = static_cast<size_t>(static_cast<const std::byte*>(nul) - chunk.data());
  if (usable - length > kRounding && usable / kGrowth > length) return {};
  return chunk.first(length);
}

// Not to be trusted: step 4 compares. Little-endian and big-endian machines get different ones.
uint64_t hash_of(std::span<const std::byte> text) {
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

  static std::span<const std::byte> text_at(Address start, ByteCount usable, const Run& run) {
    const uint64_t at = (start - run.begin).value();
    if (at >= run.bytes.size()) return {};
    const auto there = std::min<uint64_t>(usable.value(), run.bytes.size() - at);
    return text_in(run.bytes.subspan(at, there), usable.value());
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
      s_.chunks.map.for_each(
          piece.first, piece.last,
          [&](ChunkId id, Address start, ByteCount usable, const Run& run) {
            if (!is_candidate(id.value())) return;
            const auto text = text_at(start, usable, run);
            if (text.empty()) return;
            const auto size = std::min<uint64_t>(usable.value(), ~uint32_t{0});
            piece.texts.push_back({hash_of(text), id.value(), static_cast<uint32_t>(size)});
            releaser.at(run, (start - run.begin).value());
          });
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

  struct Verified {
    uint64_t count = 0, bytes = 0;
  };

  // Compares the texts of each row with that of its first chunk.
  std::vector<DuplicateRow> compare(const std::vector<Repeated>& rows) const {
    std::unordered_map<uint64_t, size_t> by_hash;
    std::vector<std::span<const std::byte>> texts;
    for (const Repeated& r : rows) {
      by_hash.emplace(r.hash, texts.size());
      const ChunkId id(r.first);
      texts.push_back(
          text_at(s_.chunks.map.address(id), s_.chunks.map.usable(id), s_.chunks.map.run_of(id)));
    }
    SeenTwice some(rows.size());
    for (const Repeated& r : rows) {
      some.add(r.hash);
      some.add(r.hash);
    }
    std::vector<std::vector<Verified>> sums(pieces_.size());
    parallel_for(pieces_.size(), jobs_, [&](size_t i) {
      const Piece& piece = pieces_[i];
      sums[i].resize(rows.size());
      Releaser releaser;
      size_t next = 0;
      s_.chunks.map.for_each(
          piece.first, piece.last,
          [&](ChunkId id, Address start, ByteCount usable, const Run& run) {
            if (next == piece.texts.size() || piece.texts[next].chunk != id.value()) return;
            const uint64_t hash = piece.texts[next++].hash;
            if (!some.contains(hash)) return;
            const auto row = by_hash.find(hash);
            if (row == by_hash.end()) return;
            const auto text = text_at(start, usable, run);
            const auto& first = texts[row->second];
            if (!std::equal(text.begin(), text.end(), first.begin(), first.end())) return;
            ++sums[i][row->second].count;
            sums[i][row->second].bytes += usable.value();
            releaser.at(run, (start - run.begin).value());
          });
    });
    return make_rows(rows, texts, sums);
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

std::vector<DuplicateRow> find_duplicates(const Snapshot& snapshot, unsigned jobs,
                                          uint64_t* dropped) {
  *dropped = 0;
  return DuplicateFinder(snapshot, jobs).find(dropped);
}

}  // namespace residue
