#include "db/virtual_tables.h"

#include "db/chunk_vtab.h"
#include "db/diff_by_name.h"
#include "db/diff_chunks.h"
#include "db/diff_growth.h"
#include "db/reference_vtab.h"
#include "db/stable_name.h"
#include "db/trend_vtab.h"

namespace residue {

Result<void> register_virtual_tables(sqlite3* db, const LiveSnapshots* live) {
  RESIDUE_TRY(register_chunk_table(db, live));
  RESIDUE_TRY(register_reference_table(db, live));
  RESIDUE_TRY(register_chunk_diff(db, live));
  RESIDUE_TRY(register_growth(db, live));
  RESIDUE_TRY(register_diff_by_name(db, live));
  RESIDUE_TRY(register_trend_table(db, live));
  return register_stable_key(db);
}

}  // namespace residue
