#include "analyzer/usage.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace residue {
namespace {

// Sizes up to this have a counter of their own in an array; glibc's mmap threshold starts at 128
// KiB.
constexpr uint64_t kSmallSizes = 1 << 17;
// Usable sizes are odd multiples of a header word, which has 4 or 8 bytes.
constexpr uint64_t kSizeStep = 4;
// Mapped files that have a key of their own; programs that map one file a record share the rest.
constexpr size_t kMappedFiles = 1000;

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
    if (counter.used_count > 0 || counter.used_bytes > 0) rows_[key].add(counter);
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

  std::vector<std::string> names_ = {kUnknownKey};
  std::unordered_map<std::string, uint32_t> ids_;
  std::vector<uint32_t> of_type_, of_cluster_, of_owner_;
  std::vector<Counter> counters_;
};

// Chunks by the kind of mapping they lie in: a mapped file by its name (shared memory, a persistent
// heap), all else by the heap. Not by the mapping's own address, which says nothing in another run;
// and the kernel makes one mapping of neighbours of different heaps.
class RegionCharge {
 public:
  explicit RegionCharge(const Snapshot& s) {
    for (const RegionRow& row : s.regions) {
      if (!row.name.empty()) files_.push_back({&row, {}});
    }
    std::sort(files_.begin(), files_.end(),
              [](const File& a, const File& b) { return a.row->start < b.row->start; });
  }

  // The counter of the file; nullptr if the chunk is in none. Addresses must ascend.
  Counter* of(Address address) {
    while (next_ < files_.size() && end_of(*files_[next_].row) <= address.value()) ++next_;
    const bool inside = next_ < files_.size() && files_[next_].row->start <= address;
    return inside ? &files_[next_].counter : nullptr;
  }

  void add_to(Dimension* dimension) const {
    for (const File& file : files_) dimension->add(file.row->name, file.counter);
  }

 private:
  struct File {
    const RegionRow* row = nullptr;
    Counter counter;
  };
  static uint64_t end_of(const RegionRow& row) { return row.start.value() + row.size.value(); }

  std::vector<File> files_;
  size_t next_ = 0;
};

// Leaked chunks by the shape of their cluster.
class ShapeCharge {
 public:
  explicit ShapeCharge(const Snapshot& s) : clusters_(s.clusters), counters_(s.clusters.size()) {}

  void add(uint32_t cluster, uint64_t bytes) {
    if (cluster < counters_.size()) counters_[cluster].add(bytes, true);
  }
  void add_to(Dimension* dimension) const {
    for (size_t i = 0; i < counters_.size(); ++i) dimension->add(clusters_[i].shape, counters_[i]);
  }

 private:
  const std::vector<ClusterRow>& clusters_;
  std::vector<Counter> counters_;
};

// What the allocators hold that the program does not use.
Dimension count_allocators(const Snapshot& s) {
  Dimension dimension("allocator");
  for (const HeapRow& heap : s.heaps) {
    const auto add = [&](const char* what, uint64_t count, uint64_t bytes) {
      std::string key = heap.allocator;
      key.append(" ").append(what).append(", ").append(heap_region_key(heap.name));
      dimension.add(key, {count, bytes, 0, 0});
    };
    add("free", heap.free_count, heap.free_bytes);
    add("cached", heap.cached_count, heap.cached_bytes);
    add("overhead", 1, heap.overhead_bytes);
  }
  return dimension;
}

// Key of a mapping that is no file and, as far as the heaps leave any of it, no heap.
const char* mapping_key(const RegionRow& row) {
  if (row.kind == "stack") return "stacks";
  if (row.kind == "vdso") return "vdso";
  const bool writable = row.perms.find('w') != std::string::npos;
  return writable ? "anonymous" : "anonymous, not writable";
}

// All that is mapped. Heaps are taken off the anonymous memory that they are made of.
Dimension count_mappings(const Snapshot& s) {
  Dimension dimension("mapping");
  std::map<std::string, Counter> files;
  Counter anonymous;
  for (const RegionRow& row : s.regions) {
    const Counter one = {1, row.size.value(), 0, 0};
    const bool is_file = !row.name.empty() && row.name[0] != '[';
    const std::string key = mapping_key(row);
    if (is_file) {
      files[row.name].add(one);
    } else if (key == "anonymous") {
      anonymous.add(one);
    } else {
      dimension.add(key, one);
    }
  }
  for (const HeapRow& heap : s.heaps) {
    const uint64_t bytes = std::min(heap.mapped_bytes, anonymous.used_bytes);
    anonymous.used_bytes -= bytes;
    dimension.add(heap_region_key(heap.name), {1, bytes, 0, 0});
  }
  if (anonymous.used_bytes > 0) dimension.add("anonymous", anonymous);
  std::vector<std::pair<std::string, Counter>> largest(files.begin(), files.end());
  std::stable_sort(largest.begin(), largest.end(), [](const auto& a, const auto& b) {
    return a.second.used_bytes > b.second.used_bytes;
  });
  for (size_t i = 0; i < largest.size(); ++i) {
    dimension.add(i < kMappedFiles ? largest[i].first : "(other files)", largest[i].second);
  }
  return dimension;
}

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
  RegionCharge regions(s);
  ShapeCharge shapes(s);
  std::vector<Counter> outside_files(s.heaps.size());
  const SuppressedClusters hidden(s.clusters);
  chunks.map.for_each([&](ChunkId id, Address address, ByteCount usable, const Run& run) {
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
    Counter* file = regions.of(address);
    (file != nullptr ? *file : outside_files[run.heap.value()]).add(bytes, leaked);
    if (leaked) shapes.add(chunks.cluster[i], bytes);
  });

  Dimension by_type("type");
  for (size_t i = 0; i < types.size(); ++i) {
    by_type.add(i < s.types.size() ? s.types[i].name : kUnknownKey, types[i]);
  }
  Dimension by_owner("owner");
  for (size_t i = 0; i < owners.size(); ++i) {
    by_owner.add(i < s.owners.size() ? s.owners[i].name : kNobodyKey, owners[i]);
  }
  Dimension by_module("module");
  modules.add_to(&by_module);
  Dimension by_size("size");
  for (size_t i = 0; i < small.size(); ++i) by_size.add(std::to_string(i * kSizeStep), small[i]);
  for (const auto& [bytes, counter] : large) by_size.add(std::to_string(bytes), counter);
  Dimension by_heap("heap");
  for (size_t i = 0; i < heaps.size(); ++i) by_heap.add(s.heaps[i].name, heaps[i]);
  Dimension by_region("region");
  regions.add_to(&by_region);
  for (size_t i = 0; i < heaps.size(); ++i) {
    by_region.add(heap_region_key(s.heaps[i].name), outside_files[i]);
  }
  Dimension by_shape("shape");
  shapes.add_to(&by_shape);
  Dimension by_allocator = count_allocators(s);
  Dimension by_mapping = count_mappings(s);

  std::vector<UsageRow> rows;
  for (const Dimension* d : {&by_type, &by_owner, &by_module, &by_size, &by_heap, &by_region,
                             &by_shape, &by_allocator, &by_mapping}) {
    d->append_to(&rows);
  }
  return rows;
}

}  // namespace residue
