// Forgetting: snapshots leave the database, and the file becomes smaller.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "db/database.h"
#include "formats/base/result.h"

namespace residue {

// Which snapshots. A snapshot goes if it is named, or if every rule that is given lets it go.
struct ForgetRules {
  std::vector<int64_t> named;
  int64_t older_than_seconds =
      -1;                  // taken (imported, if that is not known) longer ago; -1: any age
  int64_t keep_last = -1;  // not among the newest N of its executable; -1: no such rule
};

struct Forgotten {
  int64_t id = 0;
  std::string label, taken_at, source;  // empty if unknown
  int64_t chunks = 0;
};

struct ForgetOutcome {
  std::vector<Forgotten> snapshots;            // by id
  int64_t keys = 0;                            // names in `usage_key` that nobody uses any more
  uint64_t bytes_before = 0, bytes_after = 0;  // of the file
};

// The snapshots that `rules` mean, without a change.
Result<std::vector<Forgotten>> find_forgettable(Database& database, const ForgetRules& rules);

// Deletes them: all or nothing, in one transaction; then, in another, names that nobody uses any
// more, which wait for the next time if the lock is not to be had. What the file then has too much
// is given back to the file system as far as no reader holds it; of a file of an older residue,
// which cannot give back single pages, by writing it anew if there is room. Errors name the
// database.
Result<ForgetOutcome> forget(Database& database, const ForgetRules& rules);

}  // namespace residue
