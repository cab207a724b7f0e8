#include "db/store_references.h"

#include <algorithm>
#include <future>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "db/reference_block.h"
#include "db/reference_encoder.h"
#include "db/statement.h"

namespace residue {
namespace {

// More threads than that wait for the one that writes.
constexpr unsigned kMostThreads = 8;
constexpr size_t kBlocksPerThread = 4;  // that one encodes before they are written

using Encoded = std::vector<EncodedReferences>;

Result<uint64_t> budget_of(sqlite3* db, int64_t id, const Snapshot& snapshot) {
  RESIDUE_ASSIGN(
      Statement sum,
      Statement::prepare(
          db, "SELECT coalesce(sum(length(data)), 0) FROM chunk_block WHERE snapshot = ?"));
  RESIDUE_TRY(sum.bind(id));
  RESIDUE_ASSIGN(const bool row, sum.step());
  const auto chunks = static_cast<uint64_t>(row ? sum.integer(0) : 0);
  const uint64_t both = kStoredBytesPerChunk * snapshot.chunks.map.size();
  return std::max(both - std::min(both, chunks), kFreeReferenceBytes);
}

// Encodes ranges[begin, end), each thread some of them.
Result<Encoded> encode_some(const Snapshot& snapshot, const std::vector<ReferenceRange>& ranges,
                            size_t begin, size_t end, std::vector<ReferenceEncoder>& encoders) {
  Encoded encoded(end - begin);
  const auto work = [&](size_t thread) -> Result<void> {
    ReferenceBlock block;
    for (size_t i = begin + thread; i < end; i += encoders.size()) {
      gather_references(snapshot, ranges[i], block);
      RESIDUE_ASSIGN(encoded[i - begin], encoders[thread].encode(block));
    }
    return {};
  };
  std::vector<std::future<Result<void>>> others;
  for (size_t thread = 1; thread < std::min(encoders.size(), end - begin); ++thread) {
    others.push_back(std::async(std::launch::async, work, thread));
  }
  Result<void> done = work(0);
  for (auto& other : others) {
    Result<void> result = other.get();
    if (done) done = std::move(result);
  }
  if (!done) return std::move(done).error();
  return encoded;
}

Result<void> insert_blocks(sqlite3* db, int64_t id, const std::vector<ReferenceRange>& ranges,
                           size_t first, const Encoded& blocks) {
  RESIDUE_ASSIGN(
      Statement insert,
      Statement::prepare(db,
                         "INSERT INTO reference_block (snapshot, block, first_id, chunk_count, "
                         "reference_count, lowest_target, highest_target, data) "
                         "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  for (size_t i = 0; i < blocks.size(); ++i) {
    const ReferenceRange& range = ranges[first + i];
    RESIDUE_TRY(insert.run(id, first + i, range.first_id, range.count, range.references,
                           blocks[i].lowest_target, blocks[i].highest_target,
                           std::span<const std::byte>(blocks[i].data)));
  }
  return {};
}

std::string megabytes(uint64_t bytes) { return std::to_string((bytes + 500000) / 1000000) + " MB"; }

Result<void> note_omission(sqlite3* db, int64_t id, uint64_t bytes, const std::string& why) {
  RESIDUE_ASSIGN(Statement insert,
                 Statement::prepare(db,
                                    "INSERT INTO diagnostic (snapshot, id, severity, stage, place, "
                                    "bytes, message) SELECT ?1, coalesce(max(id) + 1, 0), 'note', "
                                    "'store', 'references', ?2, ?3 FROM diagnostic "
                                    "WHERE snapshot = ?1"));
  return insert.run(id, bytes, "references are not stored: " + why);
}

// Stores nothing before it is sure that all of it fits: what is written has to go through the
// journal, even if it is taken back.
Result<void> store_blocks(sqlite3* db, int64_t id, const Snapshot& snapshot, uint64_t budget,
                          unsigned threads, bool* stored) {
  const std::vector<ReferenceRange> ranges = divide_references(snapshot);
  std::vector<ReferenceEncoder> encoders(threads);
  std::vector<Encoded> waiting;
  std::vector<size_t> firsts;
  uint64_t bytes = 0;
  uint64_t references = 0;
  const bool wait = budget != std::numeric_limits<uint64_t>::max();
  for (size_t begin = 0; begin < ranges.size();) {
    const size_t end = std::min(ranges.size(), begin + kBlocksPerThread * threads);
    RESIDUE_ASSIGN(Encoded blocks, encode_some(snapshot, ranges, begin, end, encoders));
    for (size_t i = begin; i < end; ++i) {
      bytes += blocks[i - begin].data.size();
      references += ranges[i].references;
    }
    if (bytes > budget) {
      // From what is done to all of it.
      const double share = static_cast<double>(references) /
                           static_cast<double>(std::max<uint64_t>(count_references(snapshot), 1));
      const auto all = static_cast<uint64_t>(static_cast<double>(bytes) / std::max(share, 1e-9));
      *stored = false;
      return note_omission(db, id, all,
                           "they would take about " + megabytes(all) + ", and " +
                               megabytes(budget) + " are left for them (--references always)");
    }
    if (!wait) {
      RESIDUE_TRY(insert_blocks(db, id, ranges, begin, blocks));
    } else {
      firsts.push_back(begin);
      waiting.push_back(std::move(blocks));
    }
    begin = end;
  }
  for (size_t i = 0; i < waiting.size(); ++i) {
    RESIDUE_TRY(insert_blocks(db, id, ranges, firsts[i], waiting[i]));
  }
  *stored = true;
  return {};
}

}  // namespace

Result<void> note_references(sqlite3* db, int64_t id, const Snapshot& snapshot) {
  if (!has_references(snapshot)) return {};
  RESIDUE_ASSIGN(Statement update,
                 Statement::prepare(db, "UPDATE snapshot SET reference_count = ? WHERE id = ?"));
  return update.run(count_references(snapshot), id);
}

Result<void> store_references(sqlite3* db, int64_t id, const Snapshot& snapshot,
                              StoreReferences which, unsigned jobs) {
  if (!has_references(snapshot)) return {};
  if (which == StoreReferences::kNever) return note_omission(db, id, 0, "not wanted");
  RESIDUE_TRY(check_references(snapshot));
  uint64_t budget = std::numeric_limits<uint64_t>::max();
  if (which == StoreReferences::kWithinBudget) {
    RESIDUE_ASSIGN(budget, budget_of(db, id, snapshot));
  }
  const unsigned processors = std::max(std::thread::hardware_concurrency(), 1U);
  const unsigned threads = std::clamp(jobs == 0 ? processors : jobs, 1U, kMostThreads);
  bool stored = false;
  RESIDUE_TRY(store_blocks(db, id, snapshot, budget, threads, &stored));
  return stored ? note_references(db, id, snapshot) : Result<void>();
}

}  // namespace residue
