#include "analyzer/holders.h"

#include <algorithm>

namespace residue {
namespace {

// Who refers to a chunk, in one word: nobody, an owner, several; and whether only borrowers do.
constexpr uint32_t kNobody = ~uint32_t{0};
constexpr uint32_t kBorrowed = uint32_t{1} << 31;
constexpr uint32_t kSeveral = kBorrowed - 1;
constexpr size_t kFirstSort = size_t{1} << 16;

class HolderFinder {
 public:
  HolderFinder(const ReachInput& input, const ChunkTable& chunks)
      : in_(input), chunks_(chunks), holder_(chunks.reach.size(), kNobody) {}

  FoundHolders find() {
    for (const RootRange& range : in_.roots.live) scan(range);
    for (const RootWord& word : in_.roots.registers) {
      Edge edge;
      if (in_.finder->find(word.value, &edge)) {
        add(edge.target().value(), in_.owners->of_register(word.thread).value());
      }
    }
    // A stack that lies in a chunk.
    for (uint32_t t = 0; t < in_.image.threads.size(); ++t) {
      Edge edge;
      if (in_.finder->find(in_.image.threads[t].sp, &edge)) {
        add(edge.target().value(), in_.owners->of_stack(t).value());
      }
    }
    count_direct();
    found_.holders.phases.resize(2);
    group(0, &found_.holders.phases[0]);
    add_loader(&found_.holders.phases[0]);
    group(kBorrowed, &found_.holders.phases[1]);
    return std::move(found_);
  }

 private:
  void scan(const RootRange& range) {
    with_words(in_.image, [&]<typename W>(W) {
      in_.image.holes.for_each_data(
          range.bytes, [&](uint64_t from, uint64_t until) { scan_part<W>(range, from, until); });
    });
  }

  template <typename W>
  void scan_part(const RootRange& range, uint64_t from, uint64_t until) {
    // The answer for the last place, and how far it holds.
    OwnerId owner = kNone<OwnerId>;
    AddressRange extent;
    bool nameless = false;
    for (uint64_t at = from; at + W::kSize <= until; at += W::kSize) {
      Edge edge;
      const bool refers = in_.finder->find(W::at(range.bytes, at), &edge);
      if (!refers || !is_alive(edge.target().value())) {
        nameless = false;
        continue;
      }
      const Address location = range.base + ByteCount(at);
      if (!nameless && (owner == kNone<OwnerId> || !extent.contains(location))) {
        owner = in_.owners->of_range(range, location, &extent);
      }
      nameless = extent.size.value() == 0;
      add(edge.target().value(), owner.value());
    }
  }

  bool is_alive(uint32_t chunk) const {
    return chunks_.reach[chunk] == Reach::kReachable || chunks_.reach[chunk] == Reach::kInterior;
  }

  bool is_borrower(uint32_t owner) {
    for (auto id = static_cast<uint32_t>(borrower_.size()); id <= owner; ++id) {
      const std::string& kind = in_.owners->row(OwnerId(id)).kind;
      borrower_.push_back(kind == "register" || kind == "thread");
    }
    return borrower_[owner];
  }

  void add(uint32_t chunk, uint32_t owner) {
    if (owner == kNone<OwnerId>.value() || !is_alive(chunk)) return;
    const uint32_t borrowed = is_borrower(owner) ? kBorrowed : 0;
    uint32_t& holder = holder_[chunk];
    if (holder == (owner | borrowed)) return;
    if (holder == kNobody) {
      holder = owner | borrowed;
      return;
    }
    // From the second holder on, all are noted.
    const uint32_t first = holder & ~kBorrowed;
    if (first != kSeveral) note_shared(chunk, first);
    note_shared(chunk, owner);
    if (borrowed == (holder & kBorrowed)) {
      holder = kSeveral | borrowed;
    } else if (borrowed == 0) {
      holder = owner;
    }
  }

  void note_shared(uint32_t chunk, uint32_t owner) {
    if (found_.shared_cut) return;
    found_.shared.push_back(uint64_t{chunk} << 32 | owner);
    if (found_.shared.size() < sort_at_) return;
    sort_shared();
    found_.shared_cut = found_.shared.size() > FoundHolders::kMaxShared;
    sort_at_ = 2 * std::max(kFirstSort, found_.shared.size());
  }

  void sort_shared() {
    std::sort(found_.shared.begin(), found_.shared.end());
    found_.shared.erase(std::unique(found_.shared.begin(), found_.shared.end()),
                        found_.shared.end());
  }

  void count_direct() {
    sort_shared();
    found_.direct.assign(borrower_.size(), 0);
    auto pair = found_.shared.begin();
    for (uint32_t chunk = 0; chunk < holder_.size(); ++chunk) {
      if (holder_[chunk] == kNobody) continue;
      const bool noted = pair != found_.shared.end() && *pair >> 32 == chunk;
      for (; pair != found_.shared.end() && *pair >> 32 == chunk; ++pair) {
        ++found_.direct[static_cast<uint32_t>(*pair)];
      }
      const uint32_t owner = holder_[chunk] & ~kBorrowed;
      if (!noted && owner != kSeveral) ++found_.direct[owner];
    }
  }

  // The chunks whose holder has this flag, by owner: a counting sort.
  void group(uint32_t flag, Holders::Phase* phase) const {
    std::vector<uint32_t> count(found_.direct.size());
    for (uint32_t chunk = 0; chunk < holder_.size(); ++chunk) {
      if (holder_[chunk] == kNobody || (holder_[chunk] & kBorrowed) != flag) continue;
      const uint32_t owner = holder_[chunk] & ~kBorrowed;
      if (owner == kSeveral) {
        phase->shared.push_back(chunk);
      } else {
        ++count[owner];
      }
    }
    std::vector<uint32_t> place(count.size());
    for (uint32_t owner = 0; owner < count.size(); ++owner) {
      if (count[owner] == 0) continue;
      place[owner] = phase->begin.back();
      phase->owner.push_back(owner);
      phase->begin.push_back(phase->begin.back() + count[owner]);
    }
    phase->chunk.resize(phase->begin.back());
    for (uint32_t chunk = 0; chunk < holder_.size(); ++chunk) {
      if (holder_[chunk] == kNobody || (holder_[chunk] & kBorrowed) != flag) continue;
      const uint32_t owner = holder_[chunk] & ~kBorrowed;
      if (owner != kSeveral) phase->chunk[place[owner]++] = chunk;
    }
  }

  // ld.so's own chunks, all of them as children of the loader: mark_reach() has found which.
  void add_loader(Holders::Phase* phase) {
    const uint32_t nobody = kNone<OwnerId>.value();
    uint32_t owner = nobody;
    for (uint32_t chunk = 0; chunk < chunks_.reach.size(); ++chunk) {
      if (chunks_.reach[chunk] != Reach::kSystem || chunks_.owner[chunk] == nobody) continue;
      owner = chunks_.owner[chunk];
      phase->chunk.push_back(chunk);
    }
    if (owner == nobody) return;
    const auto end = static_cast<uint32_t>(phase->chunk.size());
    if (owner >= found_.direct.size()) found_.direct.resize(size_t{owner} + 1);
    found_.direct[owner] += end - phase->begin.back();
    phase->owner.push_back(owner);
    phase->begin.push_back(end);
  }

  const ReachInput& in_;
  const ChunkTable& chunks_;
  std::vector<uint32_t> holder_;  // per chunk
  std::vector<bool> borrower_;    // per owner
  size_t sort_at_ = kFirstSort;
  FoundHolders found_;
};

}  // namespace

FoundHolders find_holders(const ReachInput& input, const ChunkTable& chunks) {
  return HolderFinder(input, chunks).find();
}

}  // namespace residue
