// mcheck (malloc/mcheck.c of 2.12–2.33, mcheck-impl.c from 2.34 on; -lmcheck, mcheck(3)) precedes a
// block with {size, magic, prev, next, block, magic2}: words, padded to malloc's alignment.
// magic2 is the address of the chunk's memory, and magic the sum of prev and next, each with
// MAGICWORD mixed in; MAGICBYTE follows the last byte asked for. memalign moves the header up.
// mcheck's list leads through all headers: as references they would keep every leaked block, and
// to the program's pointers every block would be known by its inside only. Hence the move: it costs
// a few words, because it is the same for all chunks of a run.
//
// MALLOC_CHECK_ (malloc/hooks.c, malloc-check.c from 2.34 on; MALLOC_CHECK_=N or
// glibc.malloc.check=N, from 2.34 on with libc_malloc_debug.so.0 preloaded) writes behind the last
// byte asked for a byte made of the chunk's address, and fills the rest up to the end of the usable
// bytes with a chain: from the last byte on, each says how many bytes before it the next one lies,
// until that byte. Nothing says whether a heap has such chains but that nearly all used chunks do.
#include "analyzer/allocators/glibc_checks.h"

#include <algorithm>
#include <optional>

#include "analyzer/words.h"
#include "formats/base/text.h"

namespace residue::glibc {
namespace {

constexpr uint64_t kMagicWord = 0xfedabeeb;
constexpr std::byte kMagicByte{0xd7};
constexpr uint64_t kHeaderWords = 6;

// Used chunks that are looked at to decide whether there are headers or chains at all. One chain in
// a hundred chunks is chance.
constexpr unsigned kSamples = 256;
constexpr unsigned kMinChains = 8;
constexpr unsigned kOutOf = 10, kEnough = 9;

struct McheckHeader {
  uint64_t size = 0;
  uint64_t magic = 0, prev = 0, next = 0, block = 0, magic2 = 0;
};

std::optional<McheckHeader> read_header(const Image& image, Address at) {
  const WordFormat words(image);
  const auto bytes = image.view(at, kHeaderWords * words.size);
  if (bytes.size() < kHeaderWords * words.size) return std::nullopt;
  const auto word = [&](uint64_t i) { return words.at(bytes, i * words.size); };
  return McheckHeader{word(0), word(1), word(2), word(3), word(4), word(5)};
}

// Whether this is the header of the block in the chunk with this user address.
bool belongs(const Image& image, const McheckHeader& header, Address user) {
  const WordFormat words(image);
  return header.block == user.value() && (header.magic2 ^ header.block) == kMagicWord &&
         (header.magic ^ words.cut(header.prev + header.next)) == kMagicWord;
}

// 0 if the chunk has no header at its start. The padding is known by MAGICBYTE.
uint64_t header_size(const Image& image, const Shape& shape, Address user) {
  const auto header = read_header(image, user);
  if (!header || !belongs(image, *header, user)) return 0;
  for (const uint64_t size :
       {shape.round_up(kHeaderWords * shape.word), kHeaderWords * shape.word}) {
    const auto guard = image.view(user + ByteCount(size + header->size), 1);
    if (!guard.empty() && guard[0] == kMagicByte) return size;
  }
  return 0;
}

// What most of the sampled used chunks have before their blocks.
uint64_t sampled_header(const Image& image, const Shape& shape, const HeapParts& parts) {
  unsigned seen = 0;
  unsigned with = 0;
  uint64_t found = 0;
  for (const WalkedRun& walked : parts.runs) {
    for_each_start(walked, [&](size_t i, uint64_t granule) {
      if (walked.states[i] != ChunkState::kUsed) return true;
      const Address user = user_at(walked, granule);
      if (const uint64_t size = header_size(image, shape, user)) {
        ++with;
        found = size;
      }
      return ++seen < kSamples;
    });
    if (seen >= kSamples) break;
  }
  // Cached chunks count as used here, and the caches themselves.
  return with >= 1 && with * 2 > seen ? found : 0;
}

// Moves all starts of one run by `header` bytes. False, and nothing moved, if a chunk in use is too
// small for that: then not all of this heap is mcheck's. Chunks that are on a list (`listed`,
// sorted) only look used; those that go with the chunk before are added to `dropped`.
bool move_run(uint64_t header, const std::vector<Address>& listed, WalkedRun* walked,
              std::vector<Address>* dropped) {
  const uint64_t gap = walked->run.gap + header;
  const bool alone = walked->states.size() == 1;
  if (!alone) {
    std::vector<uint64_t> granules;
    granules.reserve(walked->states.size() + 1);
    for_each_start(*walked, [&](size_t, uint64_t granule) {
      granules.push_back(granule);
      return true;
    });
    granules.push_back((walked->run.end - walked->run.begin).value() >> walked->granule_shift);
    std::vector<size_t> small;
    for (size_t i = 0; i + 1 < granules.size(); ++i) {
      if ((granules[i + 1] - granules[i]) << walked->granule_shift > gap) continue;
      const Address user = user_at(*walked, granules[i]);
      const bool used = walked->states[i] == ChunkState::kUsed &&
                        !std::binary_search(listed.begin(), listed.end(), user);
      if (i == 0 || used) return false;
      small.push_back(i);
    }
    for (auto i = small.rbegin(); i != small.rend(); ++i) {
      dropped->push_back(user_at(*walked, granules[*i]));
      walked->starts[granules[*i] / 64] &= ~(uint64_t{1} << (granules[*i] % 64));
      walked->states.erase(walked->states.begin() + static_cast<int64_t>(*i));
    }
    walked->run.end = walked->run.end + ByteCount(header);
    walked->run.gap = static_cast<uint32_t>(gap);
  } else if ((walked->run.end - walked->run.begin).value() <= gap) {
    return false;
  }
  walked->run.begin = walked->run.begin + ByteCount(header);
  walked->run.bytes =
      walked->run.bytes.subspan(std::min<uint64_t>(header, walked->run.bytes.size()));
  return true;
}

// Moves the addresses on a list that lie in moved runs (sorted, where they were), but for those of
// chunks that were dropped (sorted), which leave it.
void move_list(uint64_t header, const std::vector<AddressRange>& moved,
               const std::vector<Address>& dropped, std::vector<Address>* list) {
  std::erase_if(*list, [&](Address user) {
    return std::binary_search(dropped.begin(), dropped.end(), user);
  });
  for (Address& user : *list) {
    const auto after =
        std::upper_bound(moved.begin(), moved.end(), user,
                         [](Address a, const AddressRange& range) { return a < range.base; });
    if (after != moved.begin() && std::prev(after)->contains(user)) user = user + ByteCount(header);
  }
}

// How many bytes of the user's were asked for, or nullopt if there is no chain.
std::optional<uint64_t> follow_chain(Address user, uint64_t header,
                                     std::span<const std::byte> bytes) {
  const uint64_t chunk = user.value() - header;
  auto magic = static_cast<uint8_t>((chunk >> 3) ^ (chunk >> 11));
  // From 2.22 on 2 takes the place of 1, which is also what steps to the byte before say. Up to
  // 2.21 a step of 1 there may have been the end already.
  const bool ambiguous = magic == 1;
  if (ambiguous) ++magic;
  if (bytes.empty()) return std::nullopt;
  uint64_t at = bytes.size() - 1;
  for (uint8_t last = 0;;) {
    const auto step = static_cast<uint8_t>(bytes[at]);
    if (step == magic) return ambiguous && last == 1 ? std::nullopt : std::optional(at);
    if (step == 0 || step > at) return std::nullopt;
    at -= step;
    last = step;
  }
}

class RequestedFinder {
 public:
  RequestedFinder(const Image& image, uint64_t block_header, ChunkTable* chunks)
      : image_(image), block_header_(block_header), chunks_(chunks), words_(image) {}

  void run(Diagnostics& diagnostics) {
    const bool chains = block_header_ == 0 && has_chains();
    if (block_header_ == 0 && !chains) return;
    chunks_->slack.assign(chunks_->map.size(), ChunkTable::kUnknownSlack);
    uint64_t broken = 0;
    chunks_->map.for_each([&](ChunkId id, Address user, ByteCount usable, const Run& run) {
      if (chunks_->state[id.value()] != ChunkState::kUsed) return;
      const auto requested =
          chains ? chain(user, usable.value(), run) : header(user, usable.value());
      if (!requested) {
        ++broken;
      } else if (usable.value() - *requested < ChunkTable::kUnknownSlack) {
        chunks_->slack[id.value()] = static_cast<uint32_t>(usable.value() - *requested);
      }
    });
    diagnostics.add(Severity::kNote, "glibc", "heaps", 0,
                    std::string(chains ? "MALLOC_CHECK_" : "mcheck") +
                        " was at work: requested sizes are known, but for " +
                        std::to_string(broken) + " chunks in use");
  }

 private:
  std::optional<uint64_t> chain(Address user, uint64_t usable, const Run& run) const {
    const uint64_t at = (user - run.begin).value();
    if (at > run.bytes.size() || run.bytes.size() - at < usable) return std::nullopt;
    return follow_chain(user, 2 * words_.size, run.bytes.subspan(at, usable));
  }

  // The header at the start of the chunk's memory, or where memalign moved it: before the first
  // multiple of an alignment that leaves room for it.
  std::optional<uint64_t> header(Address user, uint64_t usable) const {
    const Address block(user.value() - block_header_);
    for (uint64_t alignment = 1; alignment <= usable + block_header_; alignment *= 2) {
      const uint64_t lead = (block_header_ + alignment - 1) & ~(alignment - 1);
      const auto found = read_header(image_, block + ByteCount(lead - block_header_));
      if (!found || !belongs(image_, *found, block)) continue;
      if (lead - block_header_ > usable || found->size > usable - (lead - block_header_)) break;
      return found->size;
    }
    return std::nullopt;
  }

  // By the used chunks of each heap that has enough of them.
  bool has_chains() const {
    unsigned seen = 0;
    unsigned with = 0;
    chunks_->map.for_each(0, kSamples * 4,
                          [&](ChunkId id, Address user, ByteCount usable, const Run& run) {
                            if (chunks_->state[id.value()] != ChunkState::kUsed || seen >= kSamples)
                              return;
                            ++seen;
                            if (chain(user, usable.value(), run)) ++with;
                          });
    return with >= kMinChains && with * kOutOf >= seen * kEnough;
  }

  const Image& image_;
  uint64_t block_header_;
  ChunkTable* chunks_;
  WordFormat words_;
};

}  // namespace

void skip_mcheck_headers(const Image& image, const Shape& shape, HeapParts* parts) {
  const uint64_t header = sampled_header(image, shape, *parts);
  if (header == 0) return;
  parts->block_header = header;
  std::vector<Address> listed = parts->cached;
  listed.insert(listed.end(), parts->freed.begin(), parts->freed.end());
  std::sort(listed.begin(), listed.end());
  std::vector<Address> dropped;
  std::vector<AddressRange> moved;
  for (WalkedRun& walked : parts->runs) {
    const AddressRange before{walked.run.begin, walked.run.end - walked.run.begin};
    if (move_run(header, listed, &walked, &dropped)) moved.push_back(before);
  }
  std::sort(moved.begin(), moved.end(),
            [](const AddressRange& a, const AddressRange& b) { return a.base < b.base; });
  std::sort(dropped.begin(), dropped.end());
  for (auto* list : {&parts->cached, &parts->freed, &parts->system}) {
    move_list(header, moved, dropped, list);
  }
}

void find_requested(const Image& image, uint64_t block_header, ChunkTable* chunks,
                    Diagnostics& diagnostics) {
  RequestedFinder(image, block_header, chunks).run(diagnostics);
}

}  // namespace residue::glibc
