#include "analyzer/allocators/glibc_lists.h"

#include <algorithm>
#include <map>
#include <optional>

#include "analyzer/thread_layout.h"
#include "formats/base/text.h"

namespace residue::glibc {
namespace {

// Static TLS at the thread pointer that is searched for the tcache pointer. glibc's static TLS
// surplus is 1664 bytes and libraries loaded at start-up come before it.
constexpr uint64_t kTlsWindow = 16384;
constexpr uint64_t kMaxListLength = 1 << 24;
constexpr unsigned kFilledWeight = 8;   // of a filled cache against an empty one
constexpr unsigned kDamagedWeight = 4;  // of a filled one with a word overwritten
constexpr uint32_t kManyFilledBins = 3;
constexpr uint32_t kMaxOddTcacheBins = 1;      // a thread may have been stopped inside malloc
constexpr uint32_t kMaxDamagedTcacheBins = 9;  // a word of eight counters, and one bin more

uint64_t word(const Image& image, Address a) { return image.word(a).value_or(0); }

uint64_t chunk_size(const Image& image, const Shape& shape, Address user) {
  return word(image, user - ByteCount(shape.word)) & ~kSizeFlags;
}

uint64_t reveal(uint64_t stored, Address field, bool safe_linking) {
  return safe_linking ? stored ^ (field.value() >> kSafeLinkShift) : stored;
}

uint64_t tcache_counter(const Image& image, const Tcache& tcache, uint32_t bin) {
  const Address at = tcache.user + ByteCount(uint64_t{bin} * tcache.layout->count_width);
  if (tcache.layout->count_width == 1) return image.value<uint8_t>(at).value_or(0);
  return image.value<uint16_t>(at).value_or(0);
}

uint64_t tcache_head(const Image& image, const Tcache& tcache, uint32_t bin) {
  return word(image, tcache.user + ByteCount(tcache.layout->entries() + bin * tcache.shape.word));
}

// Layouts that count free slots start every counter at tcache_count; the slots of an empty bin tell
// what that is. The most frequent counter of an empty bin is taken.
uint64_t tcache_capacity(const Image& image, const Tcache& tcache) {
  std::map<uint64_t, unsigned> votes;
  for (uint32_t bin = 0; bin < tcache.layout->bins; ++bin) {
    if (tcache_head(image, tcache, bin) == 0) ++votes[tcache_counter(image, tcache, bin)];
  }
  uint64_t best = 7;  // TCACHE_FILL_COUNT of 2.26–2.42
  unsigned most = 0;
  for (const auto& [value, count] : votes) {
    if (count > most) best = value, most = count;
  }
  return best;
}

uint64_t tcache_length(const Image& image, const Tcache& tcache, uint32_t bin, uint64_t capacity) {
  const uint64_t counter = tcache_counter(image, tcache, bin);
  if (!tcache.layout->counts_free_slots) return counter;
  return counter > capacity ? 0 : capacity - counter;
}

// How much of the struct at `user` looks like a tcache: heads are null exactly where counters are
// zero, and are aligned pointers to mapped memory otherwise.
struct TcacheFit {
  uint32_t filled = 0, odd = 0;  // bins that hold chunks; that contradict themselves
};
std::optional<TcacheFit> fit_tcache(const Image& image, const Tcache& tcache) {
  const uint64_t size = tcache.layout->size(tcache.shape.word);
  if (image.view(tcache.user, size).size() < size) return std::nullopt;
  const uint64_t capacity = tcache.layout->counts_free_slots ? tcache_capacity(image, tcache) : 0;
  TcacheFit fit;
  for (uint32_t bin = 0; bin < tcache.layout->bins; ++bin) {
    const uint64_t head = tcache_head(image, tcache, bin);
    const bool empty = tcache_length(image, tcache, bin, capacity) == 0;
    const bool good = empty == (head == 0) &&
                      (head == 0 || (tcache.shape.is_user(head) &&
                                     !image.view(Address(head), tcache.shape.word).empty()));
    if (good && !empty) ++fit.filled;
    if (!good) ++fit.odd;
  }
  return fit;
}

bool plausible_tcache(const Image& image, const Tcache& tcache) {
  const auto fit = fit_tcache(image, tcache);
  return fit && fit->odd <= kMaxOddTcacheBins;
}

// How sure it is that a word of TLS points to a tcache of this layout, 0 if it does not. A zeroed
// block of the right size looks like an empty cache: a filled one weighs more. One word of a struct
// that was overwritten, four counters or the size of its chunk, costs weight and not the cache.
unsigned tcache_weight(const Image& image, const Tcache& tcache) {
  const bool sized =
      chunk_size(image, tcache.shape, tcache.user) == tcache.layout->chunk_size(tcache.shape);
  const auto fit = fit_tcache(image, tcache);
  if (!fit || (!sized && fit->filled < kManyFilledBins)) return 0;
  if (fit->odd > kMaxOddTcacheBins) {
    return sized && fit->odd <= kMaxDamagedTcacheBins && fit->filled > 0 ? kDamagedWeight : 0;
  }
  if (!sized) return kDamagedWeight;
  return fit->filled > 0 ? kFilledWeight : 1;
}

struct ChainResult {
  std::vector<Address> users;
  bool ended = false;   // by a null link rather than by an error or the limit
  bool cyclic = false;  // the last link leads back to one of `users`
};

// Leaves each chunk of a list that comes back to itself once.
void cut_cycle(ChainResult* chain) {
  std::vector<std::pair<Address, size_t>> seen;
  for (size_t i = 0; i < chain->users.size(); ++i) seen.emplace_back(chain->users[i], i);
  std::sort(seen.begin(), seen.end());
  size_t first = chain->users.size();
  for (size_t i = 1; i < seen.size(); ++i) {
    if (seen[i].first == seen[i - 1].first) first = std::min(first, seen[i].second);
  }
  chain->cyclic = first < chain->users.size();
  if (chain->cyclic) chain->users.resize(first);
}

// Follows a singly linked list. `link_to_user`: distance from the link's value to the user address.
ChainResult follow(const Image& image, const Shape& shape, uint64_t head, uint64_t link_to_user,
                   uint64_t expected_size, uint64_t limit, bool safe_linking) {
  ChainResult result;
  uint64_t at = head;
  // Brent's cycle detection: a mark that moves on at powers of two.
  uint64_t mark = 0;
  uint64_t move_at = 1;
  while (at != 0) {
    if (result.users.size() == move_at) {
      mark = at;
      move_at *= 2;
    } else if (at == mark) {
      result.users.push_back(Address(at + link_to_user));
      return result;
    }
    const Address user(at + link_to_user);
    if (result.users.size() >= limit || !shape.is_user(user.value())) return result;
    const uint64_t size = chunk_size(image, shape, user);
    if (size < shape.min_size() || (expected_size != 0 && size != expected_size)) return result;
    result.users.push_back(user);
    const auto stored = image.word(user);
    if (!stored) return result;
    at = reveal(*stored, user, safe_linking);
  }
  result.ended = true;
  return result;
}

ChainResult follow_tcache_bin(const Image& image, const Tcache& tcache, uint32_t bin,
                              uint64_t limit, bool safe_linking) {
  const Shape& shape = tcache.shape;
  const uint64_t size = bin < kTcacheSmallBins ? shape.min_size() + bin * shape.alignment : 0;
  return follow(image, shape, tcache_head(image, tcache, bin), 0, size, limit, safe_linking);
}

ChainResult follow_fastbin(const Image& image, const Arena& arena, uint32_t bin,
                           bool safe_linking) {
  const Shape& shape = arena.shape;
  const uint64_t head =
      word(image, arena.address + ByteCount(arena.layout->fastbins + bin * shape.word));
  // Heads and links are chunk addresses here, not user addresses.
  return follow(image, shape, head, shape.header(), shape.fastbin_size(bin), kMaxListLength,
                safe_linking);
}

}  // namespace

std::vector<Tcache> find_tcaches(const Image& image, const Shape& shape) {
  struct Candidate {
    size_t thread;
    uint64_t distance;  // in words
    Tcache tcache;
  };
  std::vector<Candidate> candidates;
  std::map<uint64_t, unsigned> votes;
  const ThreadLayout& layout_of_threads = thread_layout(image);
  for (size_t t = 0; t < image.threads.size(); ++t) {
    const Thread& thread = image.threads[t];
    for (uint64_t distance = 0; distance < kTlsWindow / shape.word; ++distance) {
      const auto value =
          image.word(static_tls_word(layout_of_threads, thread.thread_pointer, distance));
      if (!value) break;
      if (*value == 0 || !shape.is_user(*value)) continue;
      for (const TcacheLayout& layout : kTcacheLayouts) {
        const Tcache tcache{Address(*value), thread.tid, &layout, shape};
        const unsigned weight = tcache_weight(image, tcache);
        if (weight == 0) continue;
        candidates.push_back({t, distance, tcache});
        votes[distance] += weight;
        break;
      }
    }
  }
  uint64_t best = 0;
  unsigned most = 0;
  for (const auto& [distance, count] : votes) {
    if (count > most) best = distance, most = count;
  }
  std::vector<Tcache> tcaches;
  for (const Candidate& candidate : candidates) {
    const bool known = std::any_of(tcaches.begin(), tcaches.end(), [&](const Tcache& t) {
      return t.user == candidate.tcache.user;
    });
    if (candidate.distance == best && !known) tcaches.push_back(candidate.tcache);
  }
  return tcaches;
}

bool is_filled_tcache(const Image& image, const Shape& shape, Address user,
                      const TcacheLayout& layout, bool safe_linking) {
  const Tcache tcache{user, 0, &layout, shape};
  if (!plausible_tcache(image, tcache)) return false;
  const ListResult lists = read_tcache(image, tcache, safe_linking);
  return lists.problems.empty() && !lists.users.empty();
}

namespace {

// What is wrong with a list that did not end. `head`: the word that leads to its first chunk.
void note_break(ChainResult* chain, Address head, const char* what, ListResult* result) {
  cut_cycle(chain);
  const Address last = chain->users.empty() ? Address(0) : chain->users.back();
  BadLink bad{last, last.value() == 0 ? head : last, what, chain->cyclic};
  result->bad_links.push_back(bad);
}

}  // namespace

ListResult read_tcache(const Image& image, const Tcache& tcache, bool safe_linking) {
  ListResult result;
  const uint64_t capacity = tcache.layout->counts_free_slots ? tcache_capacity(image, tcache) : 0;
  for (uint32_t bin = 0; bin < tcache.layout->bins; ++bin) {
    const uint64_t length = tcache_length(image, tcache, bin, capacity);
    // One more than counted: a longer list must be seen to be longer.
    ChainResult chain = follow_tcache_bin(image, tcache, bin, length + 1, safe_linking);
    if (!chain.ended || chain.users.size() != length) {
      result.problems.push_back("tcache " + hex(tcache.user.value()) + " bin " +
                                std::to_string(bin) + ": " + std::to_string(length) +
                                " chunks counted, " + std::to_string(chain.users.size()) +
                                " found");
      // A counter that is wrong makes no link wrong: without it the list may well end.
      ChainResult whole = follow_tcache_bin(image, tcache, bin, kMaxListLength, safe_linking);
      if (!whole.ended) {
        const Address head =
            tcache.user + ByteCount(tcache.layout->entries() + bin * tcache.shape.word);
        note_break(&whole, head, "the link of a thread cache's list", &result);
      }
      if (bin < kTcacheSmallBins && whole.users.size() < length) {
        result.missing.push_back(
            {tcache.shape.min_size() + bin * tcache.shape.alignment, length - whole.users.size()});
      }
      chain = std::move(whole);
    }
    result.users.insert(result.users.end(), chain.users.begin(), chain.users.end());
  }
  return result;
}

ListResult read_fastbins(const Image& image, const Arena& arena, bool safe_linking) {
  ListResult result;
  for (uint32_t bin = 0; bin < arena.layout->fastbin_count; ++bin) {
    ChainResult chain = follow_fastbin(image, arena, bin, safe_linking);
    if (!chain.ended) {
      result.problems.push_back("fastbin " + std::to_string(bin) + " breaks off after " +
                                std::to_string(chain.users.size()) + " chunks");
      note_break(&chain, arena.address + ByteCount(arena.layout->fastbins + bin * arena.shape.word),
                 "the link of a fastbin's list", &result);
    }
    result.users.insert(result.users.end(), chain.users.begin(), chain.users.end());
  }
  return result;
}

bool uses_safe_linking(const Image& image, const std::vector<Tcache>& tcaches,
                       const std::vector<Arena>& arenas) {
  unsigned plain = 0;
  unsigned mangled = 0;
  const auto vote = [&](auto&& chain) {
    const ChainResult as_plain = chain(false);
    const ChainResult as_mangled = chain(true);
    // A list that both readings break off at the first link says nothing; a cyclic one goes on
    // longer when read rightly.
    if (as_plain.ended != as_mangled.ended) {
      ++(as_plain.ended ? plain : mangled);
    } else if (as_plain.users.size() != as_mangled.users.size()) {
      ++(as_plain.users.size() > as_mangled.users.size() ? plain : mangled);
    }
  };
  for (const Tcache& tcache : tcaches) {
    for (uint32_t bin = 0; bin < kTcacheSmallBins; ++bin) {
      vote([&](bool safe) { return follow_tcache_bin(image, tcache, bin, kMaxListLength, safe); });
    }
  }
  for (const Arena& arena : arenas) {
    for (uint32_t bin = 0; bin < arena.layout->fastbin_count; ++bin) {
      vote([&](bool safe) { return follow_fastbin(image, arena, bin, safe); });
    }
  }
  return mangled > plain;
}

namespace {

// One doubly linked bin, from either end.
class BinReader {
 public:
  BinReader(const Image& image, const Arena& arena, BinTotals* totals, bool want_users)
      : image_(image),
        shape_(arena.shape),
        limit_(arena.system_mem / arena.shape.min_size() + 1),
        totals_(*totals),
        want_users_(want_users) {}

  // `header`: where the bin's links would be a chunk's.
  void read(uint64_t header, unsigned bin) {
    const uint64_t stop = follow(header, 0, header);
    if (stop == header) return;
    note(bad_link(header, stop));
    totals_.problems.push_back("bin " + std::to_string(bin) + " is inconsistent at " + hex(stop));
    follow(header, 1, last_);
  }

 private:
  uint64_t link(uint64_t chunk, unsigned direction) const {
    return word(image_, Address(chunk + (2 + direction) * shape_.word));
  }
  uint64_t size(uint64_t chunk) const {
    return word(image_, Address(chunk + shape_.word)) & ~kSizeFlags;
  }
  bool is_chunk(uint64_t at) const { return shape_.is_chunk(at) && size(at) >= shape_.min_size(); }

  // Counts chunks from the header on until `until`; where it could not go on, or `until`.
  uint64_t follow(uint64_t header, unsigned direction, uint64_t until) {
    last_ = header;
    for (uint64_t at = link(header, direction); at != until; at = link(at, direction)) {
      const bool good = is_chunk(at) && link(at, 1 - direction) == last_;
      if (!good || at == header || totals_.chunks >= limit_) return at;
      ++totals_.chunks;
      totals_.bytes += size(at);
      if (want_users_) totals_.users.push_back(Address(at + shape_.header()));
      last_ = at;
    }
    return until;
  }

  // Whether `next` does not lead back to `last_`, or `last_` does not lead to `next`: the chunk
  // that is still part of the list behind it is not to blame.
  BadLink bad_link(uint64_t header, uint64_t next) const {
    if (is_chunk(next) && next != last_) {
      const uint64_t behind = link(next, 0);
      const bool linked = behind == header || is_chunk(behind);
      if (linked && link(behind, 1) == next) {
        return {Address(next + shape_.header()), Address(next + 3 * shape_.word),
                "the backward link of a free list"};
      }
    }
    const Address user(last_ == header ? 0 : last_ + shape_.header());
    return {user, Address(last_ + 2 * shape_.word), "the forward link of a free list"};
  }

  void note(const BadLink& bad) { totals_.bad_links.push_back(bad); }

  const Image& image_;
  const Shape& shape_;
  uint64_t limit_;
  BinTotals& totals_;
  bool want_users_;
  uint64_t last_ = 0;
};

}  // namespace

BinTotals read_bins(const Image& image, const Arena& arena, bool want_users) {
  BinTotals totals;
  BinReader reader(image, arena, &totals, want_users);
  for (unsigned i = 0; i < kBinCount; ++i) {
    const uint64_t links =
        arena.address.value() + arena.layout->bins + uint64_t{i} * 2 * arena.shape.word;
    reader.read(links - arena.shape.header(), i + 1);
  }
  return totals;
}

}  // namespace residue::glibc
