// Whether two snapshots are of one process, so that an address means the same in both.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <string>

#include "formats/base/result.h"

namespace residue {

struct Kinship {
  bool exists = false;        // both snapshots do
  bool same_process = false;  // addresses can be compared
  bool inferred = false;      // at least one of them does not say which process it is of
  std::string reason;         // in words
};

// From snapshot.process where both have it. Else pid, executable and the bases of all modules that
// both have must be equal: what a restart changes, unless address space layout randomization is
// off and the pid came around again.
Result<Kinship> compare_processes(sqlite3* db, int64_t from, int64_t to);

// kUsage, with the reason, if the snapshots are of different processes.
Result<Kinship> need_same_process(sqlite3* db, int64_t from, int64_t to);

}  // namespace residue
