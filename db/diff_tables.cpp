#include "db/diff_tables.h"

#include "db/diff_by_name.h"
#include "db/diff_chunks.h"
#include "db/diff_growth.h"
#include "db/stable_name.h"

namespace residue {

Result<void> register_diff_tables(sqlite3* db, const LiveSnapshots* live) {
  RESIDUE_TRY(register_chunk_diff(db, live));
  RESIDUE_TRY(register_growth(db, live));
  RESIDUE_TRY(register_diff_by_name(db, live));
  return register_stable_key(db);
}

}  // namespace residue
