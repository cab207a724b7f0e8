#include "db/diff_process.h"

#include "db/statement.h"

namespace residue {
namespace {

struct Counts {
  int64_t common = 0;  // modules of both, by path
  int64_t moved = 0;   // of these, at another base
};

// A file that is mapped twice counts with its lowest base.
Result<Counts> compare_modules(sqlite3* db, int64_t from, int64_t to) {
  RESIDUE_ASSIGN(
      Statement statement,
      Statement::prepare(
          db,
          "SELECT count(*), coalesce(sum(a.base <> b.base), 0) FROM "
          "(SELECT path, min(base) AS base FROM module WHERE snapshot = ?1 GROUP BY path) a JOIN "
          "(SELECT path, min(base) AS base FROM module WHERE snapshot = ?2 GROUP BY path) b "
          "ON b.path = a.path"));
  RESIDUE_TRY(statement.bind(from, to));
  RESIDUE_TRY(statement.step());
  return Counts{statement.integer(0), statement.integer(1)};
}

Result<void> infer(sqlite3* db, int64_t from, int64_t to, bool same_pid, bool same_executable,
                   Kinship& kinship) {
  kinship.inferred = true;
  if (!same_executable) {
    kinship.reason = "their executables differ";
    return {};
  }
  if (!same_pid) {
    kinship.reason = "their process ids differ";
    return {};
  }
  RESIDUE_ASSIGN(const Counts modules, compare_modules(db, from, to));
  kinship.same_process = modules.moved == 0;
  if (modules.moved > 0) {
    kinship.reason = std::to_string(modules.moved) + " of " + std::to_string(modules.common) +
                     " modules lie at other addresses";
    return {};
  }
  kinship.reason = "inferred: process id and executable are equal";
  if (modules.common > 0) {
    kinship.reason += ", and the addresses of " + std::to_string(modules.common) + " modules";
  }
  return {};
}

}  // namespace

Result<Kinship> compare_processes(sqlite3* db, int64_t from, int64_t to) {
  Kinship kinship;
  RESIDUE_ASSIGN(Statement statement,
                 Statement::prepare(db,
                                    "SELECT a.process IS NOT NULL AND b.process IS NOT NULL, "
                                    "a.process = b.process, a.pid = b.pid AND a.pid <> 0, "
                                    "a.executable IS b.executable FROM snapshot a, snapshot b "
                                    "WHERE a.id = ?1 AND b.id = ?2"));
  RESIDUE_TRY(statement.bind(from, to));
  RESIDUE_ASSIGN(kinship.exists, statement.step());
  if (!kinship.exists) return kinship;
  if (from == to) {
    kinship.same_process = true;
    kinship.reason = "one snapshot";
  } else if (statement.integer(0) != 0) {
    kinship.same_process = statement.integer(1) != 0;
    kinship.reason = kinship.same_process ? "their process identities are equal"
                                          : "their process identities differ";
  } else {
    RESIDUE_TRY(infer(db, from, to, statement.integer(2) != 0, statement.integer(3) != 0, kinship));
  }
  return kinship;
}

Result<Kinship> need_same_process(sqlite3* db, int64_t from, int64_t to) {
  RESIDUE_ASSIGN(Kinship kinship, compare_processes(db, from, to));
  if (!kinship.exists || kinship.same_process) return kinship;
  return Error{ErrorCode::kUsage,
               "snapshots " + std::to_string(from) + " and " + std::to_string(to) +
                   " are of different processes (" + kinship.reason +
                   "), where addresses mean nothing: compare them with diff_by_name",
               {}};
}

}  // namespace residue
