// A snapshot made by hand together with the chunks that it must show: ChunkMap is built from
// starts, the expected rows are written down beside it, so that neither is derived from the other.
#pragma once

#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "analyzer/snapshot.h"

namespace residue::testing {

inline constexpr uint32_t kNoId = ~uint32_t{0};

struct ExpectedChunk {
  uint64_t address = 0, size = 0;
  uint32_t heap = 0;
  ChunkState state = ChunkState::kUsed;
  Reach reach = Reach::kNone;
  uint32_t type = kNoId, owner = kNoId, cluster = kNoId;
  uint64_t retained = 0;   // of a used chunk; 0: not known
  uint64_t dominator = 0;  // address; 0: none
};

class SyntheticHeap {
 public:
  // What a chunk is, apart from where.
  struct Facts {
    ChunkState state = ChunkState::kUsed;
    Reach reach = Reach::kReachable;
    uint32_t type = kNoId, owner = kNoId, cluster = kNoId;
  };

  // Runs must be begun in address order.
  void begin_run(uint64_t base, uint32_t heap, uint32_t gap) {
    run_ = Run{};
    run_.begin = Address(base);
    run_.heap = HeapId(heap);
    run_.gap = gap;
    at_ = base;
    starts_.clear();
  }
  // A chunk whose user memory, with what lies up to the next one, takes `granules` * 16 bytes.
  void add(uint64_t granules, const Facts& facts) {
    const uint64_t granule = (at_ - run_.begin.value()) / 16;
    starts_.resize((granule + granules + 63) / 64);
    starts_[granule / 64] |= uint64_t{1} << (granule % 64);
    expected.push_back({at_, granules * 16 - run_.gap, run_.heap.value(), facts.state, facts.reach,
                        facts.type, facts.owner, facts.cluster, 0, 0});
    at_ += granules * 16;
  }
  // `cut`: bytes by which the run ends before a whole granule.
  void end_run(uint64_t cut = 0) {
    run_.end = Address(at_ - cut);
    expected.back().size -= cut;
    snapshot.chunks.map.add_run(run_, starts_);
  }
  // Fills the columns from the expectations.
  void finish() {
    ChunkTable& chunks = snapshot.chunks;
    chunks.map.finish();
    for (const ExpectedChunk& chunk : expected) {
      chunks.state.push_back(chunk.state);
      chunks.reach.push_back(chunk.reach);
      chunks.type.push_back(chunk.type);
      chunks.owner.push_back(chunk.owner);
      chunks.cluster.push_back(chunk.cluster);
    }
  }

  // What is dominated by whom, and what is retained, at random: small and large numbers, near and
  // far dominators, and owners. REQUIRES: finish().
  void retain(std::mt19937* random) {
    ChunkTable& chunks = snapshot.chunks;
    const auto count = static_cast<uint32_t>(expected.size());
    chunks.retained = SizeColumn(count);
    chunks.dominator.assign(count, ChunkTable::kNoDominator);
    for (uint32_t i = 0; i < count; ++i) {
      if (expected[i].state != ChunkState::kUsed) continue;
      const uint64_t more[] = {0, 0, 4, 24, 4 * 0xfffe, 4 * 0xffff, 7, 1 << 30, uint64_t{5} << 32};
      expected[i].retained = expected[i].size + more[(*random)() % std::size(more)];
      chunks.retained.set(i, expected[i].retained);
      const uint32_t near = i >= 5 ? i - 5 : i + 5;
      const uint32_t candidates[] = {near, static_cast<uint32_t>((*random)() % count), kNoId,
                                     ChunkTable::kDominatedByOwner | (i % 7)};
      const uint32_t dominator = candidates[(*random)() % 4];
      if (dominator == i || (dominator >= count && dominator < ChunkTable::kDominatedByOwner)) {
        continue;
      }
      chunks.dominator[i] = dominator;
      if (dominator < count) expected[i].dominator = expected[dominator].address;
    }
    chunks.retained.finish();
  }

  Snapshot snapshot;
  std::vector<ExpectedChunk> expected;

 private:
  Run run_;
  uint64_t at_ = 0;
  std::vector<uint64_t> starts_;
};

inline void add_tables(Snapshot& s, size_t types, size_t owners, size_t clusters) {
  s.info.taken_at = "2024-05-06T07:08:09Z";
  s.info.source = "dumps/core.1";
  s.info.source_bytes = 4096;
  s.info.format = "elf-core";
  s.info.os = "linux";
  s.info.arch = "x86_64";
  s.info.pid = 4711;
  s.info.executable = "/usr/bin/server";
  s.modules.push_back(
      {"server", "/usr/bin/server", "0a0b", Address(0x400000), ByteCount(0x2000), "full"});
  s.regions.push_back(
      {Address(0x10000000), ByteCount(0x21000), "rw-", "heap", "", ByteCount(0x20000)});
  s.threads.push_back({4711, "main", true, 11, "SIGSEGV / SEGV_MAPERR", Address(0xffffffffffffff00),
                       "outermost frame"});
  s.threads.push_back({4712, "worker", false, 0, "", std::nullopt, ""});
  HeapRow heap;
  heap.allocator = "glibc";
  heap.name = "main_arena";
  heap.address = Address(0x7f0000001000);
  heap.used_count = 12;
  heap.cached_bytes = 34;
  heap.uordblks = 56;
  heap.verified = true;
  s.heaps.push_back(heap);
  heap.name = "mmapped";
  heap.verified = false;
  heap.problem = "3 bytes too many";
  s.heaps.push_back(heap);
  for (size_t i = 0; i < types; ++i) {
    s.types.push_back({"Type" + std::to_string(i), "server", "vtable", "exact"});
  }
  for (size_t i = 0; i < owners; ++i)
    s.owners.push_back({"global", "g" + std::to_string(i), "", 0, "", 0});
  for (size_t i = 0; i < clusters; ++i) {
    ClusterRow cluster;
    cluster.head = Address(0x10000010 + i);
    cluster.count = 2;
    cluster.chunks = 4;
    cluster.bytes = 100 + i;
    cluster.shape = "Type0 + (40 bytes)";
    cluster.verdict = "leaked";
    s.clusters.push_back(cluster);
  }
  s.account.push_back({"used", 1000, 900});
  s.diagnostics.add(Severity::kDamage, "glibc", "0x10", 8, "a chunk reaches beyond its arena");
}

// Every case that the stored form treats differently: several runs, gaps, an unaligned end, spans
// around the limit of the short form and far beyond, few and many types in a block, more than one
// block, all states, the upper half of the address space.
inline SyntheticHeap make_varied_heap(uint32_t main_chunks = 150000) {
  constexpr uint32_t kTypes = 3000;
  SyntheticHeap heap;
  add_tables(heap.snapshot, kTypes, 300, 40);
  std::mt19937 random(1);
  const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  const auto facts = [&](uint32_t types) {
    SyntheticHeap::Facts f;
    f.state = static_cast<ChunkState>(below(3));
    f.reach = f.state == ChunkState::kUsed ? static_cast<Reach>(1 + below(6)) : Reach::kNone;
    if (f.state == ChunkState::kUsed) {
      f.type = below(4) == 0 ? kNoId : below(types);
      f.owner = below(2) == 0 ? kNoId : below(300);
      f.cluster = is_leak(f.reach) ? below(40) : kNoId;
    }
    return f;
  };
  heap.begin_run(0x10000010, 0, 8);
  // First types that fit in a byte, then ones that do not.
  for (uint32_t i = 0; i < main_chunks; ++i) {
    heap.add(2 + below(300), facts(i < main_chunks / 2 ? 100 : kTypes));
  }
  for (const uint64_t granules : {0xfffeU, 0xffffU, 0x10000U, 0x4000000U, 2U}) {
    heap.add(granules, facts(kTypes));
  }
  heap.end_run();
  for (uint64_t i = 0; i < 500; ++i) {  // mmapped chunks: a run each
    heap.begin_run(0x7f0000000010 + i * 0x100000, 1, 0);
    heap.add(1 + i * 7, facts(kTypes));
    heap.end_run(i % 2 == 0 ? 8 : 0);
  }
  heap.begin_run(0x8000000000001000, kNoId, 16);
  for (uint32_t i = 0; i < 10; ++i) heap.add(3, facts(kTypes));
  heap.end_run();
  heap.finish();
  heap.retain(&random);
  return heap;
}

}  // namespace residue::testing
