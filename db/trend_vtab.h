// The virtual table `trend`: one row for each key of each dimension of each process that has two
// snapshots or more.
//
//   CREATE TABLE trend(process, pid, executable, dimension, key, measure, snapshots,
//                      first_snapshot, last_snapshot, first_at, last_at, first_value, last_value,
//                      lowest, highest, slope, unit, slope_least_squares, r2, monotonic, steps_up,
//                      warm_up, verdict, confidence, evidence, series, grouping)
//
// Eponymous, as `chunk` is. Equality with process, pid, executable, dimension, key, measure or
// grouping is used to read less. `measure` and `grouping` are parameters as well: a statement that
// has no condition on them sees 'used_bytes' and 'process' only, not all of them.
#pragma once

#include <sqlite3.h>

#include "db/chunk_source.h"
#include "formats/base/result.h"

namespace residue {

// `live` may change later and must outlive the connection.
Result<void> register_trend_table(sqlite3* db, const LiveSnapshots* live);

}  // namespace residue
