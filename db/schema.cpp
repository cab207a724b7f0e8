#include "db/schema.h"

namespace residue {

// Keys: rows that carry an id are addressed as (snapshot, id), ids being the indexes of one
// analysis; tables whose rows have no id of their own (region, thread, …) get one all the same, so
// that a damaged dump with two equal rows can be stored. WITHOUT ROWID makes the key the table: the
// rows of one snapshot lie together, and a diff reads two adjacent stretches of `usage_row`.
//
// usage: thousands of snapshots of one program have the same few thousand keys, and a C++ type can
// take hundreds of bytes to name. Each name is kept once, in `usage_key`, and `usage` is a view.
// Its index begins with the name: one that began with the dimension would lure the planner, which
// has no statistics, into walking all keys of all processes to find those of one snapshot. In the
// view `snapshot` stands before `usage_row` (CROSS JOIN keeps it there) while usage_key may stand
// where it likes: of one snapshot the rows are walked, of one key the snapshots are, with a look
// into usage_row for each. Neither reads the rows of all others. NOT INDEXED (which leaves the id)
// makes that walk follow the file, where an index would lead it to and fro.
//
// diff: one row for every key that either snapshot has. The first half walks the keys of the
// earlier snapshot and looks each up in the later one, by number; the second half adds the keys
// that only the later one has. Two halves rather than FULL JOIN (SQLite 3.39), which would not let
// "from_snapshot = 1" reach both sides' keys. `f.id <> t.id` leaves out the pairs of a snapshot
// with itself.
const char* const kSchemaSql = R"sql(
CREATE TABLE snapshot (
  id INTEGER PRIMARY KEY, label TEXT UNIQUE, taken_at TEXT, source TEXT, source_bytes INTEGER,
  format TEXT, os TEXT, arch TEXT, pid INTEGER, executable TEXT, complete INTEGER,
  tool_version TEXT, imported_at TEXT, chunk_count INTEGER NOT NULL, process TEXT, dump_id TEXT,
  reference_count INTEGER,
  snapshot INTEGER GENERATED ALWAYS AS (id) VIRTUAL);
CREATE INDEX snapshot_by_source ON snapshot (source);
CREATE INDEX snapshot_by_dump ON snapshot (dump_id);
CREATE INDEX snapshot_by_process ON snapshot (process, taken_at);

CREATE TABLE module (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT, path TEXT, build_id TEXT,
  base INTEGER, size INTEGER, symbols TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE region (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, start INTEGER, size INTEGER, perms TEXT,
  kind TEXT, name TEXT, in_dump INTEGER, rss INTEGER, pss INTEGER, private_dirty INTEGER,
  swap INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE thread (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, tid INTEGER, name TEXT, crashed INTEGER,
  signal INTEGER, reason TEXT, fault_address INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE frame (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, tid INTEGER, depth INTEGER, pc INTEGER,
  module TEXT, function TEXT, file TEXT, line INTEGER, inlined INTEGER, trust TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE heap (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, allocator TEXT, version TEXT, name TEXT,
  address INTEGER, used_count INTEGER, used_bytes INTEGER, free_count INTEGER,
  free_bytes INTEGER, cached_count INTEGER, cached_bytes INTEGER, mapped_bytes INTEGER,
  overhead_bytes INTEGER, uordblks INTEGER, fordblks INTEGER, verified INTEGER, problem TEXT,
  largest_free INTEGER, free_pages INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE type (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT, module TEXT, origin TEXT,
  confidence TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE site (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, function TEXT, file TEXT, line INTEGER,
  module TEXT, stack TEXT, origin TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE site_candidate (
  snapshot INTEGER NOT NULL, site_group INTEGER NOT NULL, rank INTEGER NOT NULL, site INTEGER,
  label TEXT, reason TEXT,
  PRIMARY KEY (snapshot, site_group, rank)) WITHOUT ROWID;

CREATE TABLE owner (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, kind TEXT, name TEXT, module TEXT, file TEXT,
  line INTEGER, thread INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE cluster (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, head INTEGER, count INTEGER, chunks INTEGER,
  bytes INTEGER, shape TEXT, type TEXT, module TEXT, verdict TEXT, evidence TEXT,
  bytes_each INTEGER, shared INTEGER, suppressed INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE suppression (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, file TEXT, line INTEGER, kind TEXT,
  pattern TEXT, count INTEGER, bytes INTEGER, suppressed_count INTEGER, suppressed_bytes INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE usage_key (
  id INTEGER PRIMARY KEY, dimension TEXT NOT NULL, key TEXT NOT NULL, UNIQUE (key, dimension));

CREATE TABLE usage_row (
  snapshot INTEGER NOT NULL, key INTEGER NOT NULL,
  used_count INTEGER NOT NULL, used_bytes INTEGER NOT NULL,
  leaked_count INTEGER NOT NULL, leaked_bytes INTEGER NOT NULL,
  PRIMARY KEY (snapshot, key)) WITHOUT ROWID;

CREATE TABLE retainers (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, kind TEXT, name TEXT, module TEXT, file TEXT,
  line INTEGER, thread INTEGER, address INTEGER, retained_count INTEGER, retained_bytes INTEGER,
  direct_count INTEGER, held_by TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE suspect (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, kind TEXT, name TEXT, module TEXT,
  address INTEGER, count INTEGER, retained_count INTEGER, retained_bytes INTEGER, share REAL,
  accumulation INTEGER, accumulation_name TEXT, children INTEGER, evidence TEXT, confidence TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE account (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, category TEXT, bytes INTEGER,
  in_dump INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE memory (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, category TEXT, name TEXT, module TEXT,
  heap INTEGER, thread INTEGER, count INTEGER, bytes INTEGER, in_dump INTEGER, rss INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE duplicate (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, text TEXT, length INTEGER, count INTEGER,
  bytes INTEGER, wasted INTEGER, example INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE corruption (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, address INTEGER, kind TEXT, expected TEXT,
  found TEXT, suspect INTEGER, suspect_type TEXT, confidence TEXT, message TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE process (
  snapshot INTEGER NOT NULL, pid INTEGER NOT NULL, ppid INTEGER, name TEXT, state TEXT,
  uid INTEGER, rss INTEGER, pss INTEGER, uss INTEGER, swap INTEGER, vsize INTEGER,
  threads INTEGER, oom_score INTEGER, oom_score_adj INTEGER, cmdline TEXT,
  PRIMARY KEY (snapshot, pid)) WITHOUT ROWID;

CREATE TABLE oom_event (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, at TEXT, kernel TEXT, asked_by TEXT,
  "constraint" TEXT, cgroup TEXT, victim_pid INTEGER, victim TEXT, victim_rss INTEGER,
  outcome TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE oom_task (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, event INTEGER, pid INTEGER, tgid INTEGER,
  uid INTEGER, name TEXT, vsize INTEGER, rss INTEGER, swap INTEGER, oom_score_adj INTEGER,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE diagnostic (
  snapshot INTEGER NOT NULL, id INTEGER NOT NULL, severity TEXT, stage TEXT, place TEXT,
  bytes INTEGER, message TEXT,
  PRIMARY KEY (snapshot, id)) WITHOUT ROWID;

CREATE TABLE chunk_block (
  snapshot INTEGER NOT NULL, block INTEGER NOT NULL, first_id INTEGER NOT NULL,
  chunk_count INTEGER NOT NULL, first_address INTEGER NOT NULL, last_address INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (snapshot, block));

CREATE VIEW usage AS SELECT s.id AS snapshot, k.dimension AS dimension, k.key AS key,
  r.used_count AS used_count, r.used_bytes AS used_bytes,
  r.leaked_count AS leaked_count, r.leaked_bytes AS leaked_bytes
FROM snapshot s NOT INDEXED CROSS JOIN usage_row r ON r.snapshot = s.id JOIN usage_key k ON k.id = r.key;

CREATE TABLE reference_block (
  snapshot INTEGER NOT NULL, block INTEGER NOT NULL, first_id INTEGER NOT NULL,
  chunk_count INTEGER NOT NULL, reference_count INTEGER NOT NULL,
  lowest_target INTEGER NOT NULL, highest_target INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (snapshot, block));

CREATE VIEW usage_by_type AS SELECT snapshot, key, used_count, used_bytes, leaked_count,
  leaked_bytes FROM usage WHERE dimension = 'type';
CREATE VIEW usage_by_owner AS SELECT snapshot, key, used_count, used_bytes, leaked_count,
  leaked_bytes FROM usage WHERE dimension = 'owner';
CREATE VIEW usage_by_site AS SELECT snapshot, key, used_count, used_bytes, leaked_count,
  leaked_bytes FROM usage WHERE dimension = 'site';
CREATE VIEW usage_by_module AS SELECT snapshot, key, used_count, used_bytes, leaked_count,
  leaked_bytes FROM usage WHERE dimension = 'module';
CREATE VIEW usage_by_size AS SELECT snapshot, key, used_count, used_bytes, leaked_count,
  leaked_bytes FROM usage WHERE dimension = 'size';
CREATE VIEW usage_by_heap AS SELECT snapshot, key, used_count, used_bytes, leaked_count,
  leaked_bytes FROM usage WHERE dimension = 'heap';

CREATE VIEW diff AS
SELECT f.id AS from_snapshot, t.id AS to_snapshot, k.dimension AS dimension, k.key AS key,
  a.used_count AS count_before, a.used_bytes AS bytes_before,
  coalesce(b.used_count, 0) AS count_after, coalesce(b.used_bytes, 0) AS bytes_after,
  coalesce(b.used_count, 0) - a.used_count AS count_delta,
  coalesce(b.used_bytes, 0) - a.used_bytes AS bytes_delta,
  coalesce(b.leaked_bytes, 0) - a.leaked_bytes AS leaked_bytes_delta
FROM snapshot f CROSS JOIN snapshot t CROSS JOIN usage_row a ON a.snapshot = f.id
CROSS JOIN usage_key k ON k.id = a.key
LEFT JOIN usage_row b ON b.snapshot = t.id AND b.key = a.key
WHERE f.id <> t.id
UNION ALL
SELECT f.id, t.id, k.dimension, k.key, 0, 0, b.used_count, b.used_bytes, b.used_count,
  b.used_bytes, b.leaked_bytes
FROM snapshot f CROSS JOIN snapshot t CROSS JOIN usage_row b ON b.snapshot = t.id
CROSS JOIN usage_key k ON k.id = b.key
WHERE f.id <> t.id AND NOT EXISTS (SELECT 1 FROM usage_row a
  WHERE a.snapshot = f.id AND a.key = b.key);
)sql";

}  // namespace residue
