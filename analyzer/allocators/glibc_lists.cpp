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
constexpr unsigned kFilledWeight = 8;      // of a filled cache against an empty one
constexpr uint32_t kMaxOddTcacheBins = 1;  // a thread may have been stopped inside malloc

uint64_t word(const Image& image, Address a) { return image.word(a).value_or(0); }

uint64_t chunk_size(const Image& image, Address user) {
  return word(image, user - ByteCount(kWord)) & ~kSizeFlags;
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
  return word(image, tcache.user + ByteCount(tcache.layout->entries + uint64_t{bin} * kWord));
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

// The struct at `user` looks like a tcache: heads are null exactly where counters are zero, and
// are aligned pointers to mapped memory otherwise.
bool plausible_tcache(const Image& image, Address user, const TcacheLayout& layout) {
  const Tcache tcache{user, 0, &layout};
  if (image.view(user, layout.entries + layout.bins * kWord).size() <
      layout.entries + layout.bins * kWord) {
    return false;
  }
  const uint64_t capacity = layout.counts_free_slots ? tcache_capacity(image, tcache) : 0;
  uint32_t odd = 0;
  for (uint32_t bin = 0; bin < layout.bins; ++bin) {
    const uint64_t head = tcache_head(image, tcache, bin);
    const bool empty = tcache_length(image, tcache, bin, capacity) == 0;
    const bool good =
        empty == (head == 0) &&
        (head == 0 || (head % kAlignment == 0 && !image.view(Address(head), 8).empty()));
    if (!good && ++odd > kMaxOddTcacheBins) return false;
  }
  return true;
}

bool has_entries(const Image& image, const Tcache& tcache) {
  for (uint32_t bin = 0; bin < tcache.layout->bins; ++bin) {
    if (tcache_head(image, tcache, bin) != 0) return true;
  }
  return false;
}

// The tcache layout whose struct a word of TLS may point to.
const TcacheLayout* tcache_at(const Image& image, uint64_t user) {
  if (user == 0 || user % kAlignment != 0) return nullptr;
  const uint64_t size = chunk_size(image, Address(user));
  for (const TcacheLayout& layout : kTcacheLayouts) {
    if (size == layout.chunk_size && plausible_tcache(image, Address(user), layout)) {
      return &layout;
    }
  }
  return nullptr;
}

struct ChainResult {
  std::vector<Address> users;
  bool ended = false;  // by a null link rather than by an error or the limit
};

// Follows a singly linked list. `user_of_link`: distance from the link's value to the user address.
ChainResult follow(const Image& image, uint64_t head, uint64_t link_to_user, uint64_t expected_size,
                   uint64_t limit, bool safe_linking) {
  ChainResult result;
  uint64_t at = head;
  // Brent's cycle detection: a mark that moves on at powers of two.
  uint64_t mark = 0;
  uint64_t move_at = 1;
  while (at != 0) {
    if (at == mark) return result;
    if (result.users.size() == move_at) {
      mark = at;
      move_at *= 2;
    }
    const Address user(at + link_to_user);
    if (result.users.size() >= limit || user.value() % kAlignment != 0) return result;
    const uint64_t size = chunk_size(image, user);
    if (size < kMinSize || (expected_size != 0 && size != expected_size)) return result;
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
  const uint64_t size = bin < kTcacheSmallBins ? kMinSize + uint64_t{bin} * kAlignment : 0;
  return follow(image, tcache_head(image, tcache, bin), 0, size, limit, safe_linking);
}

ChainResult follow_fastbin(const Image& image, const Arena& arena, uint32_t bin,
                           bool safe_linking) {
  const uint64_t head =
      word(image, arena.address + ByteCount(arena.layout->fastbins + uint64_t{bin} * kWord));
  // Heads and links are chunk addresses here, not user addresses.
  return follow(image, head, kHeaderSize, kMinSize + uint64_t{bin} * kAlignment, kMaxListLength,
                safe_linking);
}

}  // namespace

std::vector<Tcache> find_tcaches(const Image& image) {
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
    for (uint64_t distance = 0; distance < kTlsWindow / kWord; ++distance) {
      const auto value =
          image.word(static_tls_word(layout_of_threads, thread.thread_pointer, distance));
      if (!value) break;
      const TcacheLayout* layout = tcache_at(image, *value);
      if (layout == nullptr) continue;
      candidates.push_back({t, distance, {Address(*value), thread.tid, layout}});
      // A zeroed block of the right size looks like an empty cache: a filled one weighs more.
      votes[distance] += has_entries(image, candidates.back().tcache) ? kFilledWeight : 1;
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

bool is_filled_tcache(const Image& image, Address user, const TcacheLayout& layout,
                      bool safe_linking) {
  if (!plausible_tcache(image, user, layout)) return false;
  const Tcache tcache{user, 0, &layout};
  const ListResult lists = read_tcache(image, tcache, safe_linking);
  return lists.problems.empty() && !lists.users.empty();
}

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

BinTotals read_bins(const Image& image, const Arena& arena) {
  BinTotals totals;
  const uint64_t limit = arena.system_mem / kMinSize + 1;
  for (unsigned i = 0; i < kBinCount; ++i) {
    const uint64_t header =
        arena.address.value() + arena.layout->bins + uint64_t{i} * 2 * kWord - 2 * kWord;
    uint64_t previous = header;
    uint64_t at = word(image, Address(header + 2 * kWord));
    while (at != header) {
      const uint64_t size = word(image, Address(at + kWord)) & ~kSizeFlags;
      const uint64_t back = word(image, Address(at + 3 * kWord));
      if (at % kAlignment != 0 || size < kMinSize || back != previous || totals.chunks >= limit) {
        totals.problems.push_back("bin " + std::to_string(i + 1) + " is inconsistent at " +
                                  hex(at));
        break;
      }
      ++totals.chunks;
      totals.bytes += size;
      previous = at;
      at = word(image, Address(at + 2 * kWord));
    }
  }
  return totals;
}

}  // namespace residue::glibc
