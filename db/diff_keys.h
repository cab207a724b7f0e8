// DiffKeys: what the ids in the chunks of two snapshots mean, in numbers that can be compared.
//
// Types, owners, clusters and heaps are numbered within one snapshot. Here each of their names gets
// one number, the same for both sides, so that a chunk's key before and after are two array reads
// and a comparison. Names are those of the table `usage`.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/base/result.h"

namespace residue {

inline constexpr uint32_t kNoKey = ~uint32_t{0};

// Names and their numbers, from 0.
class NameTable {
 public:
  uint32_t intern(std::string_view name);
  const std::string& name(uint32_t key) const { return *names_[key]; }
  uint32_t size() const { return static_cast<uint32_t>(names_.size()); }

 private:
  std::unordered_map<std::string, uint32_t> keys_;
  std::vector<const std::string*> names_;  // keys of keys_, which do not move
};

// Columns by id of one snapshot; the last element of types, owners and heaps is for "none" and ids
// beyond the table.
struct SideKeys {
  struct NamedRegion {
    uint64_t begin = 0, end = 0;
    uint32_t key = kNoKey;
  };

  std::vector<uint32_t> type, type_module;
  std::vector<uint32_t> owner, owner_module;
  std::vector<uint32_t> heap, heap_region;
  // Without an element for "none". kNoKey as shape: suppressed, no leak.
  std::vector<uint32_t> shape, cluster_module;
  std::vector<NamedRegion> regions;  // mapped files, by address; others go by their heap

  template <typename T>
  static T at(const std::vector<T>& column, uint32_t id) {
    return id < column.size() ? column[id] : column.back();
  }
  bool is_hidden(uint32_t cluster) const {
    return cluster < shape.size() && shape[cluster] == kNoKey;
  }
  // As analyzer/usage.cpp charges chunks to modules.
  uint32_t module(uint32_t type_id, uint32_t cluster, uint32_t owner_id) const {
    uint32_t key = at(type_module, type_id);
    if (key == 0 && cluster < cluster_module.size()) key = cluster_module[cluster];
    return key != 0 ? key : at(owner_module, owner_id);
  }
};

struct DiffKeys {
  NameTable types, owners, modules, heaps, regions, shapes;  // module 0 is the unknown one
  SideKeys before, after;

  // Reads the tables of both snapshots. Fails with kCorrupt where ids have gaps.
  Result<void> load(sqlite3* db, int64_t from, int64_t to);
};

}  // namespace residue
