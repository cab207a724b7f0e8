#include "analyzer/usage.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace residue {
namespace {

constexpr const char* kUnknown = "(unknown)";
constexpr const char* kNobody = "(nobody)";
// Sizes up to this have a counter of their own in an array; glibc's mmap threshold starts at 128
// KiB.
constexpr uint64_t kSmallSizes = 1 << 17;
// Usable sizes are odd multiples of a header word, which has 4 or 8 bytes.
constexpr uint64_t kSizeStep = 4;

struct Counter {
  uint64_t used_count = 0, used_bytes = 0, leaked_count = 0, leaked_bytes = 0;

  void add(uint64_t bytes, bool leaked) {
    ++used_count;
    used_bytes += bytes;
    if (!leaked) return;
    ++leaked_count;
    leaked_bytes += bytes;
  }
  void add(const Counter& other) {
    used_count += other.used_count;
    used_bytes += other.used_bytes;
    leaked_count += other.leaked_count;
    leaked_bytes += other.leaked_bytes;
  }
};

// Suppressed leaks are used chunks, and count as no leaks.
class SuppressedClusters {
 public:
  explicit SuppressedClusters(const std::vector<ClusterRow>& clusters) {
    for (const ClusterRow& row : clusters) {
      suppressed_.push_back(row.suppression != ClusterRow::kNotSuppressed);
    }
  }
  bool contains(uint32_t cluster) const {
    return cluster < suppressed_.size() && suppressed_[cluster];
  }

 private:
  std::vector<bool> suppressed_;
};

// Rows of one dimension; equal keys are joined (two types of one name in different modules).
class Dimension {
 public:
  explicit Dimension(std::string name) : name_(std::move(name)) {}

  void add(const std::string& key, const Counter& counter) {
    if (counter.used_count > 0) rows_[key].add(counter);
  }

  void append_to(std::vector<UsageRow>* out) const {
    const size_t first = out->size();
    for (const auto& [key, c] : rows_) {
      out->push_back({name_, key, c.used_count, c.used_bytes, c.leaked_count, c.leaked_bytes});
    }
    std::stable_sort(
        out->begin() + static_cast<int64_t>(first), out->end(),
        [](const UsageRow& a, const UsageRow& b) { return a.used_bytes > b.used_bytes; });
  }

 private:
  std::string name_;
  std::map<std::string, Counter> rows_;
};

// The module that each chunk is charged to: the one that implements its class; else, of a leaked
// chunk, the one whose object leads its cluster; else the one whose global owns it.
class ModuleCharge {
 public:
  explicit ModuleCharge(const Snapshot& s) {
    for (const TypeRow& row : s.types) of_type_.push_back(intern(row.module));
    for (const ClusterRow& row : s.clusters) of_cluster_.push_back(intern(row.module));
    for (const OwnerRow& row : s.owners) of_owner_.push_back(intern(row.module));
    counters_.resize(names_.size());
  }

  // Ids that are out of range stand for "none".
  Counter& of(uint32_t type, uint32_t cluster, uint32_t owner) {
    uint32_t module = type < of_type_.size() ? of_type_[type] : 0;
    if (module == 0 && cluster < of_cluster_.size()) module = of_cluster_[cluster];
    if (module == 0 && owner < of_owner_.size()) module = of_owner_[owner];
    return counters_[module];
  }

  void add_to(Dimension* dimension) const {
    for (size_t i = 0; i < names_.size(); ++i) dimension->add(names_[i], counters_[i]);
  }

 private:
  uint32_t intern(const std::string& name) {
    if (name.empty()) return 0;
    const auto [it, is_new] = ids_.try_emplace(name, static_cast<uint32_t>(names_.size()));
    if (is_new) names_.push_back(name);
    return it->second;
  }

  std::vector<std::string> names_ = {kUnknown};
  std::unordered_map<std::string, uint32_t> ids_;
  std::vector<uint32_t> of_type_, of_cluster_, of_owner_;
  std::vector<Counter> counters_;
};

}  // namespace

std::vector<UsageRow> count_usage(const Snapshot& s) {
  const ChunkTable& chunks = s.chunks;
  // The last counter of types and owners is for chunks without one.
  std::vector<Counter> types(s.types.size() + 1);
  std::vector<Counter> owners(s.owners.size() + 1);
  std::vector<Counter> heaps(s.heaps.size());
  std::vector<Counter> small(kSmallSizes / kSizeStep + 1);
  std::unordered_map<uint64_t, Counter> large;
  ModuleCharge modules(s);
  const SuppressedClusters hidden(s.clusters);
  chunks.map.for_each([&](ChunkId id, Address, ByteCount usable, const Run& run) {
    const uint32_t i = id.value();
    if (chunks.state[i] != ChunkState::kUsed) return;
    const uint64_t bytes = usable.value();
    const bool leaked = is_leak(chunks.reach[i]) && !hidden.contains(chunks.cluster[i]);
    const uint32_t type = std::min(chunks.type[i], static_cast<uint32_t>(s.types.size()));
    const uint32_t owner = std::min(chunks.owner[i], static_cast<uint32_t>(s.owners.size()));
    types[type].add(bytes, leaked);
    owners[owner].add(bytes, leaked);
    heaps[run.heap.value()].add(bytes, leaked);
    const bool is_small = bytes < kSmallSizes && bytes % kSizeStep == 0;
    (is_small ? small[bytes / kSizeStep] : large[bytes]).add(bytes, leaked);
    modules.of(type, chunks.cluster[i], owner).add(bytes, leaked);
  });

  Dimension by_type("type");
  for (size_t i = 0; i < types.size(); ++i) {
    by_type.add(i < s.types.size() ? s.types[i].name : kUnknown, types[i]);
  }
  Dimension by_owner("owner");
  for (size_t i = 0; i < owners.size(); ++i) {
    by_owner.add(i < s.owners.size() ? s.owners[i].name : kNobody, owners[i]);
  }
  Dimension by_module("module");
  modules.add_to(&by_module);
  Dimension by_size("size");
  for (size_t i = 0; i < small.size(); ++i) by_size.add(std::to_string(i * kSizeStep), small[i]);
  for (const auto& [bytes, counter] : large) by_size.add(std::to_string(bytes), counter);
  Dimension by_heap("heap");
  for (size_t i = 0; i < heaps.size(); ++i) by_heap.add(s.heaps[i].name, heaps[i]);

  std::vector<UsageRow> rows;
  for (const Dimension* d : {&by_type, &by_owner, &by_module, &by_size, &by_heap}) {
    d->append_to(&rows);
  }
  return rows;
}

}  // namespace residue
