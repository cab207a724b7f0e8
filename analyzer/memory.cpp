// The image's regions are painted from the lowest to the highest: where an area of a heap or a
// thread lies, with that; elsewhere with what the region is. Each byte is painted once, so that the
// sums hold whatever the dump says. What falls to a heap is divided by what its chunks add up to:
// chunks as such are not looked at again.
//
// Anonymous mappings have no name and may be hundreds of thousands: they are grouped by size. Names
// that are addresses would say little more than the table `region` does, and would differ from one
// run of a program to the next.
#include "analyzer/memory.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "analyzer/memory_areas.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr uint32_t kNothing = ~uint32_t{0};

const char* account_category(const Region& region) {
  switch (region.kind) {
    case RegionKind::kStack:
      return "stacks";
    case RegionKind::kModuleText:
      return "module text";
    case RegionKind::kModuleRodata:
      return "module read-only data";
    case RegionKind::kModuleData:
      return "module data";
    case RegionKind::kFile:
      return "file mappings";
    case RegionKind::kVdso:
      return "vdso";
    case RegionKind::kHeap:
    case RegionKind::kAnonymous:
    case RegionKind::kUnknown:
      break;
  }
  // Mostly address space that thread arenas hold in reserve: malloc's PROT_NONE tails, guard pages.
  if (!region.permissions.write) return "anonymous, not writable";
  return "anonymous memory";
}

const char* anonymous_category(Permissions p) {
  if (p.execute) return "anonymous, executable";
  if (p.write) return "anonymous";
  return p.read ? "anonymous, read-only" : "inaccessible";
}

const char* size_class(uint64_t bytes) {
  if (bytes < uint64_t{64} << 10) return "under 64 KiB";
  if (bytes < uint64_t{1} << 20) return "64 KiB to 1 MiB";
  if (bytes < uint64_t{16} << 20) return "1 to 16 MiB";
  if (bytes < uint64_t{256} << 20) return "16 to 256 MiB";
  return "256 MiB and more";
}

// How much of a row's memory there is.
struct Amount {
  uint64_t bytes = 0;
  uint64_t in_dump = 0;
  uint64_t holes = 0;  // of in_dump: never written in the dump's file

  void add(const Amount& other) {
    bytes += other.bytes;
    in_dump += other.in_dump;
    holes += other.holes;
  }
  // Takes up to `wanted` bytes out of this.
  Amount take(const Amount& wanted) {
    Amount taken;
    taken.bytes = std::min(wanted.bytes, bytes);
    // Nothing is missing if nothing is missing of the whole; else as much as the whole allows for.
    const uint64_t least = in_dump - std::min(in_dump, bytes - taken.bytes);
    taken.in_dump =
        std::clamp(std::min(wanted.in_dump, taken.bytes), least, std::min(in_dump, taken.bytes));
    taken.holes = std::min({wanted.holes, taken.in_dump, holes});
    bytes -= taken.bytes;
    in_dump -= taken.in_dump;
    holes -= taken.holes;
    return taken;
  }
};

class MemoryCounter {
 public:
  MemoryCounter(const Image& image, const Snapshot& s, const std::vector<HeapSums>& sums)
      : image_(image), s_(s), sums_(sums), heaps_(s.heaps.size() + 1) {}

  MemoryAccount count(const std::vector<Area>& areas) {
    auto area = areas.begin();
    for (const Region& region : image_.regions) {
      const uint64_t begin = region.range.base.value();
      uint64_t end = region.range.end().value();
      if (end < begin) end = ~uint64_t{0};  // the very last byte is added below
      uint64_t at = begin;
      while (area != areas.end() && area->end <= begin) ++area;
      for (auto next = area; at < end; ++next) {
        const uint64_t from = next == areas.end() ? end : std::clamp(next->begin, at, end);
        if (at < from) paint(region, at, from, nullptr);
        at = from;
        if (at == end) break;
        const uint64_t until = std::min(next->end, end);
        if (at < until) paint(region, at, until, &*next);
        at = std::max(at, until);
      }
      if (end == ~uint64_t{0} && region.range.end().value() == 0) last_byte(region);
    }
    for (uint32_t h = 0; h < heaps_.size(); ++h) divide_heap(h);
    return {take_rows(), take_account()};
  }

 private:
  // Rows are known by what they are of, not by names: two files may share one.
  struct Key {
    const char* category = "";  // literals: compared as text
    std::string name;
    uint32_t module = kNothing, heap = kNothing, thread = kNothing;

    friend bool operator<(const Key& a, const Key& b) {
      return std::tuple(std::string_view(a.category), a.module, a.heap, a.thread,
                        std::string_view(a.name)) < std::tuple(std::string_view(b.category),
                                                               b.module, b.heap, b.thread,
                                                               std::string_view(b.name));
    }
  };
  struct Sum {
    Amount amount;
    uint64_t count = 0;
    uint64_t end = 0;  // of the last mapping that was added
    // Nothing but private memory of the process's own, whose pages come with the first write.
    bool is_private = true;
  };

  Amount amount_of(const Region& region, uint64_t from, uint64_t until) const {
    Amount amount{until - from, 0, 0};
    if (region.backing == Backing::kAbsent) return amount;
    amount.in_dump = amount.bytes;
    if (image_.holes.empty()) return amount;
    const uint64_t at = from - region.range.base.value();
    if (at >= region.bytes.size()) return amount;
    const auto bytes =
        region.bytes.subspan(at, std::min<uint64_t>(amount.bytes, region.bytes.size() - at));
    uint64_t data = 0;
    image_.holes.for_each_data(bytes, [&](size_t begin, size_t end) { data += end - begin; });
    amount.holes = bytes.size() - data;
    return amount;
  }

  void paint(const Region& region, uint64_t from, uint64_t until, const Area* area) {
    const Amount amount = amount_of(region, from, until);
    if (area != nullptr && area->kind == AreaKind::kHeap) {
      heaps_[std::min<size_t>(area->owner, s_.heaps.size())].add(amount);
      return;
    }
    account_[account_category(region)].add(amount);
    const Key key = area != nullptr ? key_of(region, *area) : key_of(region);
    Sum& sum = rows_[key];
    if (sum.count == 0 || sum.end != from) ++sum.count;
    sum.end = until;
    sum.amount.add(amount);
    if (region.kind == RegionKind::kFile || region.kind == RegionKind::kVdso ||
        region.module != kNone<ModuleId>) {
      sum.is_private = false;
    }
  }

  // A range that ends with the address space has one byte more than can be said in [from, until).
  void last_byte(const Region& region) {
    Sum& sum = rows_[key_of(region)];
    const uint64_t there = region.backing == Backing::kAbsent ? 0 : 1;
    const Amount amount{1, there, 0};
    if (sum.count == 0) sum.count = 1;
    sum.amount.add(amount);
    account_[account_category(region)].add(amount);
  }

  Key key_of(const Region& region, const Area& area) const {
    Key key;
    switch (area.kind) {
      case AreaKind::kHeap:
      case AreaKind::kReserve:
        key.category = "arena reserve";
        key.heap = area.owner;
        return key;
      case AreaKind::kEndedStack:
        key.category = "stack of ended threads";
        return key;
      case AreaKind::kTls:
        key.category = "thread-local storage";
        break;
      case AreaKind::kStack:
        key.category = "stack";
        break;
      case AreaKind::kUnusedStack:
        key.category = "unused stack";
        break;
    }
    if (!region.permissions.write) key.category = "stack guard";
    key.thread = area.owner;
    return key;
  }

  Key key_of(const Region& region) const {
    Key key;
    key.name = region.name;
    switch (region.kind) {
      case RegionKind::kStack:
        key.category = "stack";
        return key;
      case RegionKind::kModuleText:
      case RegionKind::kModuleRodata:
      case RegionKind::kModuleData:
        key.category = account_category(region);
        key.module = region.module.value();
        key.name.clear();
        if (key.module >= image_.modules.size()) key.name = base_name(region.name);
        return key;
      case RegionKind::kFile:
        key.category = "file mapping";
        return key;
      case RegionKind::kVdso:
        key.category = "vdso";
        return key;
      case RegionKind::kHeap:
        key.category = anonymous_category(region.permissions);
        key.name = "brk heap";
        return key;
      case RegionKind::kAnonymous:
        key.category = anonymous_category(region.permissions);
        break;
      case RegionKind::kUnknown:
        key.category = "unknown";
        break;
    }
    if (key.name.empty()) key.name = size_class(region.range.size.value());
    return key;
  }

  // A heap's memory, divided by what its chunks say. What no chunk holds is the allocator's: as
  // much as malloc counts as taken from the system; beyond that, reserve that was once in use.
  void divide_heap(uint32_t h) {
    Amount rest = heaps_[h];
    const bool is_known = h < s_.heaps.size();
    const auto give = [&](const char* category, const char* account, const Amount& wanted,
                          uint64_t count) {
      const Amount part = rest.take(wanted);
      account_[account].add(part);
      if (part.bytes == 0 && count == 0) return;
      Key key;
      key.category = category;
      if (is_known) key.heap = h;
      Sum& sum = rows_[key];
      sum.count += count;
      sum.amount.add(part);
    };
    if (is_known) {
      const auto give_share = [&](const char* category, const char* account, ChunkShare share) {
        const HeapSums::Share& sum = sums_[h][share];
        give(category, account, {sum.bytes, sum.in_dump, sum.holes}, sum.count);
      };
      give_share("live chunks", "used chunks", ChunkShare::kLive);
      give_share("leaked chunks", "used chunks", ChunkShare::kLeaked);
      give_share("free chunks", "free chunks", ChunkShare::kFree);
      give_share("cached chunks", "cached chunks", ChunkShare::kCached);
      const uint64_t overhead = s_.heaps[h].overhead_bytes;
      if (s_.heaps[h].name.starts_with("arena ") && overhead < rest.bytes) {
        give("allocator overhead", "allocator overhead", {overhead, overhead, 0}, 0);
        give("arena reserve", "allocator overhead", rest, 0);
      }
    }
    give("allocator overhead", "allocator overhead", rest, 0);
  }

  MemoryRow make_row(const Key& key, const Sum& sum) const {
    MemoryRow row;
    row.category = key.category;
    row.name = key.name;
    if (key.module < image_.modules.size()) {
      row.name = row.module = std::string(base_name(image_.modules[key.module].path));
    }
    if (key.heap < s_.heaps.size()) {
      row.name = s_.heaps[key.heap].name;
      row.heap = key.heap;
    }
    if (key.thread < image_.threads.size()) {
      row.name = image_.threads[key.thread].name;
      row.thread = image_.threads[key.thread].tid;
    }
    row.count = sum.count;
    row.bytes = sum.amount.bytes;
    row.in_dump = sum.amount.in_dump;
    // A hole of the dump's file was never written by the process, or is zeros; the rest is there.
    if (!image_.holes.empty() && sum.is_private && row.in_dump == row.bytes) {
      row.rss = row.in_dump - sum.amount.holes;
    }
    return row;
  }

  std::vector<MemoryRow> take_rows() {
    std::vector<std::pair<const Key*, const Sum*>> sorted;
    for (const auto& [key, sum] : rows_) sorted.emplace_back(&key, &sum);
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return a.second->amount.bytes > b.second->amount.bytes;
    });
    std::vector<MemoryRow> rows;
    std::map<std::string_view, size_t> kept;
    std::map<std::string_view, Sum> others;
    for (const auto& [key, sum] : sorted) {
      if (++kept[key->category] < MemoryAccount::kMaxRowsEach) {
        rows.push_back(make_row(*key, *sum));
        continue;
      }
      Sum& rest = others[key->category];
      rest.amount.add(sum->amount);
      rest.count += sum->count;
      rest.is_private = rest.is_private && sum->is_private;
    }
    for (const auto& [category, sum] : others) {
      Key key;
      key.name = "(others)";
      rows.push_back(make_row(key, sum));
      rows.back().category = category;
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const MemoryRow& a, const MemoryRow& b) { return a.bytes > b.bytes; });
    return rows;
  }

  std::vector<AccountRow> take_account() const {
    std::vector<AccountRow> rows;
    for (const auto& [category, amount] : account_) {
      if (amount.bytes > 0) {
        rows.push_back({std::string(category), amount.bytes, amount.in_dump});
      }
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const AccountRow& a, const AccountRow& b) { return a.bytes > b.bytes; });
    return rows;
  }

  const Image& image_;
  const Snapshot& s_;
  const std::vector<HeapSums>& sums_;
  std::vector<Amount> heaps_;  // the last: memory of an allocator that is no known heap's
  std::map<Key, Sum> rows_;
  std::map<std::string_view, Amount> account_;
};

}  // namespace

MemoryAccount account_memory(const Image& image, const Snapshot& snapshot,
                             const std::vector<AddressRange>& claimed,
                             const std::vector<Address>& ended, const std::vector<HeapSums>& sums) {
  const std::vector<Area> areas = find_areas(image, snapshot, claimed, ended);
  return MemoryCounter(image, snapshot, sums).count(areas);
}

}  // namespace residue
