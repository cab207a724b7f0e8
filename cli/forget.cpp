// residue forget: snapshots that nobody needs any more leave the database.
#include "db/forget.h"

#include <filesystem>

#include "cli/commands.h"
#include "cli/source.h"
#include "cli/table.h"
#include "cli/units.h"
#include "db/query.h"
#include "formats/base/text.h"

namespace residue {
namespace {

void print_snapshots(const std::vector<Forgotten>& snapshots, OutputFormat format,
                     std::ostream& out) {
  TextTable table({"snapshot", "label", "taken_at", "source", "chunks"});
  const auto known = [](const std::string& text) {
    return text.empty() ? TextTable::Value() : TextTable::Value(text);
  };
  for (const Forgotten& one : snapshots) {
    table.add({one.id, known(one.label), known(one.taken_at), known(one.source), one.chunks});
  }
  Renderer renderer(out, format);
  table.print(renderer);
}

std::string snapshots_text(size_t count) {
  return count_text(count) + (count == 1 ? " snapshot" : " snapshots");
}

void print_outcome(const ForgetOutcome& outcome, const std::string& path, std::ostream& out) {
  const uint64_t before = outcome.bytes_before;
  const uint64_t after = outcome.bytes_after;
  out << "\nForgot " << snapshots_text(outcome.snapshots.size()) << " of " << printable(path);
  if (after < before) {
    out << ", which is " << bytes_text(before - after) << " smaller: " << bytes_text(after);
  } else {
    out << ", which keeps its size: what is free in it is for later snapshots";
  }
  out << "\n";
}

Result<Database> open_to_forget(const std::string& path, bool writing) {
  std::error_code ignored;
  if (!writing) return open_database_to_read(path);
  // Opened for writing, a file that is not there would be made.
  if (!std::filesystem::exists(path, ignored)) {
    return Error{ErrorCode::kIo, path + ": no such file", {}};
  }
  return Database::open(path, Database::Mode::kWrite);
}

}  // namespace

Result<int> run_forget(const Options& options, Streams streams) {
  const std::string& path = options.arguments[0];
  ForgetRules rules;
  rules.older_than_seconds = options.older_than;
  rules.keep_last = options.keep_last;
  if (options.arguments.size() == 1 && rules.older_than_seconds < 0 && rules.keep_last < 0) {
    return Error{
        ErrorCode::kUsage, "which snapshots? name them, or say --older-than or --keep-last", {}};
  }
  RESIDUE_ASSIGN(Database database, open_to_forget(path, !options.dry_run));
  for (size_t i = 1; i < options.arguments.size(); ++i) {
    RESIDUE_ASSIGN(const int64_t id, resolve_snapshot(database, options.arguments[i]));
    rules.named.push_back(id);
  }
  ForgetOutcome outcome;
  if (options.dry_run) {
    RESIDUE_ASSIGN(outcome.snapshots, find_forgettable(database, rules));
  } else {
    auto done = forget(database, rules);
    if (!done) {
      Error error = std::move(done).error();
      // As everywhere: what cannot be written is no fault of the input's.
      if (error.code == ErrorCode::kIo) error.code = ErrorCode::kInternal;
      return error;
    }
    outcome = std::move(*done);
  }
  if (options.format != OutputFormat::kTable) {
    print_snapshots(outcome.snapshots, options.format, streams.out);
  } else if (!options.quiet) {
    if (outcome.snapshots.empty()) {
      streams.out << "Nothing to forget in " << printable(path) << "\n";
      return kExitDone;
    }
    print_snapshots(outcome.snapshots, options.format, streams.out);
    if (options.dry_run) {
      streams.out << "\nWould forget " << snapshots_text(outcome.snapshots.size()) << "\n";
    } else {
      print_outcome(outcome, path, streams.out);
    }
  }
  return kExitDone;
}

}  // namespace residue
