#include "db/store_rows.h"

#include <algorithm>
#include <optional>
#include <string>

#include "db/statement.h"
#include "db/usage_rows.h"

namespace residue {
namespace {

// Runs `row(statement, index, item)` for each item: the loop that all tables share.
template <typename Items, typename Row>
Result<void> each(sqlite3* db, const char* sql, const Items& items, Row&& row) {
  RESIDUE_ASSIGN(Statement statement, Statement::prepare(db, sql));
  size_t index = 0;
  for (const auto& item : items) RESIDUE_TRY(row(statement, index++, item));
  return {};
}

Result<void> store_process_image(sqlite3* db, int64_t id, const Snapshot& s) {
  RESIDUE_TRY(each(db,
                   "INSERT INTO module (snapshot, id, name, path, build_id, base, size, symbols) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   s.modules, [id](Statement& insert, size_t i, const ModuleRow& m) {
                     return insert.run(id, i, m.name, m.path, m.build_id, m.base, m.size,
                                       m.symbols);
                   }));
  RESIDUE_TRY(each(db,
                   "INSERT INTO region (snapshot, id, start, size, perms, kind, name, in_dump) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   s.regions, [id](Statement& insert, size_t i, const RegionRow& r) {
                     return insert.run(id, i, r.start, r.size, r.perms, r.kind, r.name, r.in_dump);
                   }));
  return each(
      db,
      "INSERT INTO thread (snapshot, id, tid, name, crashed, signal, reason, fault_address) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      s.threads, [id](Statement& insert, size_t i, const ThreadRow& t) {
        return insert.run(id, i, t.tid, t.name, t.crashed, t.signal, t.reason, t.fault_address);
      });
}

// A runaway recursion has hundreds of thousands of frames that say the same: of one thread the
// innermost and the outermost kStoredFrames are kept. `depth` shows the gap.
Result<void> store_frames(sqlite3* db, int64_t id, const Snapshot& s) {
  constexpr uint32_t kStoredFrames = 2000;
  std::vector<uint32_t> depths(s.threads.size());
  for (const FrameRow& f : s.frames) {
    depths[f.thread] = std::max(depths[f.thread], f.depth + 1);
  }
  return each(
      db,
      "INSERT INTO frame (snapshot, id, tid, depth, pc, module, function, file, line, inlined, "
      "trust) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      s.frames, [&](Statement& insert, size_t i, const FrameRow& f) -> Result<void> {
        if (f.depth >= kStoredFrames && f.depth + kStoredFrames < depths[f.thread]) return {};
        const PlaceRow& p = s.places[f.place];
        return insert.run(id, i, s.threads[f.thread].tid, f.depth, f.pc, p.module, p.function,
                          p.file, KnownNumber{p.line}, p.inlined, std::string_view(f.trust));
      });
}

Result<void> store_heaps(sqlite3* db, int64_t id, const Snapshot& s) {
  return each(
      db,
      "INSERT INTO heap (snapshot, id, allocator, version, name, address, used_count, used_bytes, "
      "free_count, free_bytes, cached_count, cached_bytes, mapped_bytes, overhead_bytes, uordblks, "
      "fordblks, verified, problem, largest_free, free_pages) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      s.heaps, [id](Statement& insert, size_t i, const HeapRow& h) {
        return insert.run(id, i, h.allocator, h.version, h.name, h.address, h.used_count,
                          h.used_bytes, h.free_count, h.free_bytes, h.cached_count, h.cached_bytes,
                          h.mapped_bytes, h.overhead_bytes, h.uordblks, h.fordblks, h.verified,
                          h.problem, h.largest_free, h.free_pages);
      });
}

Result<void> store_leaks(sqlite3* db, int64_t id, const Snapshot& s) {
  RESIDUE_TRY(
      each(db,
           "INSERT INTO cluster (snapshot, id, head, count, chunks, bytes, shape, type, module, "
           "verdict, evidence, bytes_each, shared, suppressed) "
           "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
           s.clusters, [id](Statement& insert, size_t i, const ClusterRow& c) {
             std::optional<uint64_t> suppressed;
             if (c.suppression != ClusterRow::kNotSuppressed) suppressed = c.suppression;
             return insert.run(id, i, c.head, c.count, c.chunks, c.bytes, c.shape, c.type, c.module,
                               c.verdict, c.evidence, c.bytes_each, c.shared, suppressed);
           }));
  return each(db,
              "INSERT INTO suppression (snapshot, id, file, line, kind, pattern, count, bytes, "
              "suppressed_count, suppressed_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
              s.suppressions, [id](Statement& insert, size_t i, const SuppressionRow& r) {
                return insert.run(id, i, r.file, r.line, r.kind, r.pattern, r.count, r.bytes,
                                  r.suppressed_count, r.suppressed_bytes);
              });
}

Result<void> store_findings(sqlite3* db, int64_t id, const Snapshot& s) {
  RESIDUE_TRY(each(db,
                   "INSERT INTO type (snapshot, id, name, module, origin, confidence) "
                   "VALUES (?, ?, ?, ?, ?, ?)",
                   s.types, [id](Statement& insert, size_t i, const TypeRow& t) {
                     return insert.run(id, i, t.name, t.module, t.origin, t.confidence);
                   }));
  RESIDUE_TRY(each(db,
                   "INSERT INTO owner (snapshot, id, kind, name, module, file, line, thread) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   s.owners, [id](Statement& insert, size_t i, const OwnerRow& o) {
                     return insert.run(id, i, o.kind, o.name, o.module, o.file, KnownNumber{o.line},
                                       KnownNumber{o.thread});
                   }));
  return store_leaks(db, id, s);
}

Result<void> store_sums(sqlite3* db, int64_t id, const Snapshot& s) {
  RESIDUE_TRY(store_usage(db, id, s.usage));
  return each(db,
              "INSERT INTO account (snapshot, id, category, bytes, in_dump) VALUES (?, ?, ?, ?, ?)",
              s.account, [id](Statement& insert, size_t i, const AccountRow& a) {
                return insert.run(id, i, a.category, a.bytes, a.in_dump);
              });
}

Result<void> store_memory(sqlite3* db, int64_t id, const Snapshot& s) {
  RESIDUE_TRY(
      each(db,
           "INSERT INTO memory (snapshot, id, category, name, module, heap, thread, count, bytes, "
           "in_dump, rss) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
           s.memory, [id](Statement& insert, size_t i, const MemoryRow& m) {
             return insert.run(id, i, m.category, m.name, m.module, m.heap, KnownNumber{m.thread},
                               m.count, m.bytes, m.in_dump, m.rss);
           }));
  return each(db,
              "INSERT INTO duplicate (snapshot, id, text, length, count, bytes, wasted, example) "
              "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
              s.duplicates, [id](Statement& insert, size_t i, const DuplicateRow& d) {
                return insert.run(id, i, KeptText{d.text}, d.length, d.count, d.bytes, d.wasted,
                                  d.example);
              });
}

Result<void> store_retention(sqlite3* db, int64_t id, const Snapshot& s) {
  RESIDUE_TRY(each(
      db,
      "INSERT INTO retainers (snapshot, id, kind, name, module, file, line, thread, address, "
      "retained_count, retained_bytes, direct_count, held_by) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      s.retainers, [id](Statement& insert, size_t i, const RetainerRow& r) {
        return insert.run(id, i, r.kind, r.name, r.module, r.file, KnownNumber{r.line},
                          KnownNumber{r.thread}, KnownNumber{r.address.value()}, r.retained_count,
                          r.retained_bytes, KnownNumber{r.direct_count}, r.held_by);
      }));
  return each(
      db,
      "INSERT INTO suspect (snapshot, id, kind, name, module, address, count, retained_count, "
      "retained_bytes, share, accumulation, accumulation_name, children, evidence, confidence) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      s.suspects, [id](Statement& insert, size_t i, const SuspectRow& r) {
        return insert.run(id, i, r.kind, r.name, r.module, KnownNumber{r.address.value()}, r.count,
                          r.retained_count, r.retained_bytes, r.share,
                          KnownNumber{r.accumulation.value()}, r.accumulation_name, r.children,
                          r.evidence, r.confidence);
      });
}

Result<void> store_diagnostics(sqlite3* db, int64_t id, const Diagnostics& diagnostics) {
  std::vector<Diagnostic> items = diagnostics.items();
  if (diagnostics.dropped() != 0) {
    items.push_back({Severity::kNote, "diagnostics", "", 0,
                     std::to_string(diagnostics.dropped()) +
                         " more messages like the ones above were not kept"});
  }
  return each(db,
              "INSERT INTO diagnostic (snapshot, id, severity, stage, place, bytes, message) "
              "VALUES (?, ?, ?, ?, ?, ?, ?)",
              items, [id](Statement& insert, size_t i, const Diagnostic& d) {
                return insert.run(id, i, std::string_view(to_string(d.severity)), d.stage, d.place,
                                  d.bytes, d.message);
              });
}

Result<void> store_corruption(sqlite3* db, int64_t id, const Snapshot& s) {
  return each(db,
              "INSERT INTO corruption (snapshot, id, address, kind, expected, found, suspect, "
              "suspect_type, confidence, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
              s.corruption, [id](Statement& insert, size_t i, const CorruptionRow& c) {
                return insert.run(id, i, KnownNumber{c.address.value()}, c.kind, c.expected,
                                  c.found, KnownNumber{c.suspect.value()}, c.suspect_type,
                                  c.confidence, c.message);
              });
}

}  // namespace

Result<void> store_rows(sqlite3* db, int64_t snapshot_id, const Snapshot& snapshot) {
  RESIDUE_TRY(store_process_image(db, snapshot_id, snapshot));
  RESIDUE_TRY(store_frames(db, snapshot_id, snapshot));
  RESIDUE_TRY(store_heaps(db, snapshot_id, snapshot));
  RESIDUE_TRY(store_findings(db, snapshot_id, snapshot));
  RESIDUE_TRY(store_sums(db, snapshot_id, snapshot));
  RESIDUE_TRY(store_memory(db, snapshot_id, snapshot));
  RESIDUE_TRY(store_corruption(db, snapshot_id, snapshot));
  RESIDUE_TRY(store_retention(db, snapshot_id, snapshot));
  return store_diagnostics(db, snapshot_id, snapshot.diagnostics);
}

}  // namespace residue
