#include "analyzer/pipeline.h"

#include <algorithm>

#include "analyzer/clusters.h"
#include "analyzer/duplicates.h"
#include "analyzer/embedded_suppressions.h"
#include "analyzer/heaps.h"
#include "analyzer/holders.h"
#include "analyzer/memory.h"
#include "analyzer/memory_chunks.h"
#include "analyzer/owners.h"
#include "analyzer/references.h"
#include "analyzer/retention.h"
#include "analyzer/roots.h"
#include "analyzer/stacks.h"
#include "analyzer/suppress.h"
#include "analyzer/types.h"
#include "analyzer/usage.h"
#include "formats/base/claims.h"
#include "formats/base/text.h"
#include "symbolize/symbolizer.h"

namespace residue {
namespace {

// For how many frames of a thread local variables can be found: those of a runaway recursion cost
// memory and say nothing.
constexpr size_t kFramesWithRegisters = 1000;

SnapshotInfo describe(const Image& image, const std::string& label) {
  SnapshotInfo info;
  info.label = label;
  info.taken_at = image.taken_at;
  info.source = image.source;
  info.source_bytes = image.source_bytes;
  info.format = image.format;
  info.os = image.os;
  info.arch = to_string(image.architecture);
  info.pid = image.pid;
  info.executable = image.executable;
  info.complete = image.complete;
  info.process = image.process;
  info.dump_id = image.dump_id;
  return info;
}

// Whether a module has symbols is told by reading its files: `symbols` may be null.
std::vector<ModuleRow> module_rows(const Image& image, const SymbolTable* symbols) {
  std::vector<ModuleRow> rows;
  for (uint32_t i = 0; i < image.modules.size(); ++i) {
    const Module& m = image.modules[i];
    rows.push_back({std::string(base_name(m.path)), m.path, m.build_id, m.range.base, m.range.size,
                    symbols == nullptr ? "" : to_string(symbols->level(ModuleId(i)))});
  }
  return rows;
}

// A region that an allocator has claimed, mostly, is a heap, whatever the dump could tell.
std::vector<RegionRow> region_rows(const Image& image, const Heaps& heaps) {
  std::vector<RegionRow> rows;
  for (const Region& r : image.regions) {
    uint64_t unclaimed = 0;
    const uint64_t begin = r.range.base.value();
    for_each_unclaimed(heaps.claimed, begin, begin + r.range.size.value(),
                       [&](uint64_t from, uint64_t until) { unclaimed += until - from; });
    const bool heap = r.kind == RegionKind::kAnonymous && unclaimed < r.range.size.value() / 2;
    rows.push_back({r.range.base, r.range.size, to_string(r.permissions),
                    to_string(heap ? RegionKind::kHeap : r.kind), r.name,
                    ByteCount(r.bytes.size())});
  }
  return rows;
}

// What makes every leak verdict of this dump doubtful, as a sentence; empty if nothing does. A
// reference that was not dumped cannot be seen.
std::string find_caveat(const Image& image, Diagnostics& diagnostics) {
  uint64_t missing = 0;
  for (const Region& r : image.regions) {
    const bool may_refer = r.permissions.write || r.kind == RegionKind::kModuleData;
    if (r.backing == Backing::kAbsent && may_refer) missing += r.range.size.value();
  }
  std::string caveat;
  if (missing > 0) {
    caveat = std::to_string(missing) + " bytes of writable memory are not in the dump";
  }
  if (image.threads.empty()) {
    caveat += (caveat.empty() ? "" : " and ") + std::string("no thread's registers are known");
  }
  if (caveat.empty()) return caveat;
  caveat += ": references from there are unseen, and leaks may be none";
  diagnostics.add(Severity::kWarning, "reach", "roots", missing, caveat);
  return caveat;
}

// Owners beyond the first `count` only share chunks with others, and `retainers` has told them: the
// table of owners is the same whether what they retain was asked for or not.
void drop_sharers(size_t count, Snapshot* s) {
  for (const uint32_t dominator : s->chunks.dominator) {
    if (dominator < ChunkTable::kDominatedByOwner || dominator == ChunkTable::kNoDominator)
      continue;
    count = std::max<size_t>(count, (dominator & ~ChunkTable::kDominatedByOwner) + size_t{1});
  }
  if (count < s->owners.size()) s->owners.resize(count);
}

std::vector<ThreadRow> thread_rows(const Image& image) {
  std::vector<ThreadRow> rows;
  for (const Thread& t : image.threads) {
    rows.push_back({t.tid, t.name, t.crashed, t.signal, t.reason, t.fault_address, {}});
  }
  return rows;
}

void tell_ends(const std::vector<UnwoundStack>& stacks, std::vector<ThreadRow>* threads,
               Diagnostics& diagnostics) {
  for (size_t i = 0; i < stacks.size(); ++i) {
    ThreadRow& row = (*threads)[i];
    row.stack_end = stacks[i].end;
    if (stacks[i].complete) continue;
    diagnostics.add(Severity::kNote, "unwind", "thread " + std::to_string(row.tid), 0,
                    "its stack ends early: " + stacks[i].end);
  }
}

// The suspects are known by their addresses; here they get the names of their types.
void name_suspects(const ChunkTable& chunks, const std::vector<TypeRow>& types,
                   std::vector<CorruptionRow>* rows) {
  for (CorruptionRow& row : *rows) {
    uint64_t start = 0;
    const ChunkId id = chunks.map.find(row.suspect.value(), &start);
    if (id == kNone<ChunkId> || start != row.suspect.value()) continue;
    const uint32_t type = chunks.type[id.value()];
    if (type < types.size()) row.suspect_type = types[type].name;
    const std::string size = std::to_string(chunks.map.usable(id).value());
    row.message.append(" (the chunk ").append(hex(start)).append(" of ").append(size);
    row.message.append(" usable bytes");
    if (!row.suspect_type.empty()) row.message.append(", ").append(row.suspect_type);
    row.message += ")";
  }
}

// Where the process's memory went. Without the leaks (wanted.memory brings them) the sums by kind
// are right all the same, and the rows that tell live from leaked are left out.
void count_memory(const Image& image, const std::vector<AddressRange>& claimed,
                  const std::vector<Address>& ended, unsigned jobs, const Wanted& wanted,
                  Snapshot* s) {
  const std::vector<HeapSums> sums = sum_chunks(image, *s, jobs);
  MemoryAccount account = account_memory(image, *s, claimed, ended, sums);
  if (wanted.memory) s->memory = std::move(account.memory);
  s->account = std::move(account.account);
  for (size_t i = 0; i < s->heaps.size(); ++i) {
    s->heaps[i].largest_free = sums[i].largest_free;
    s->heaps[i].free_pages = sums[i].free_pages;
  }
}

// Outside of the analysis nobody knows the spare parts: their references are told by the chunk in
// which the part lies.
void name_sources(const ChunkMap& map, const std::vector<SparePart>& spare,
                  std::vector<DeadReference>* references) {
  for (DeadReference& reference : *references) {
    uint64_t start = 0;
    reference.source = map.find(spare[reference.source].begin.value(), &start).value();
  }
}

}  // namespace

Snapshot analyze(const Image& image, Diagnostics diagnostics, const PipelineOptions& options) {
  const auto stage = [&options](const char* name) {
    if (options.progress) options.progress(name);
  };
  const Wanted wanted = options.wanted.completed();
  Snapshot s;
  s.info = describe(image, options.label);
  std::optional<Symbolizer> own;
  if (options.symbolizer == nullptr) own.emplace(image, FileSearch(), options.jobs);
  Symbolizer& symbolizer = own ? *own : *options.symbolizer;
  const SymbolTable& symbols = symbolizer.symbols();

  // What every thread was doing.
  s.threads = thread_rows(image);
  std::vector<UnwoundStack> stacks;
  if (wanted.frames || wanted.references) {
    stage("unwinding threads");
    stacks = unwind_threads(image, &symbolizer, {options.jobs, kFramesWithRegisters}, diagnostics);
    tell_ends(stacks, &s.threads, diagnostics);
  }
  if (wanted.frames) {
    FrameTable table = name_frames(image, stacks, &symbolizer);
    s.places = std::move(table.places);
    s.frames = std::move(table.frames);
  }

  // Where every chunk is, and whether it is in use.
  Heaps heaps;
  if (wanted.heaps) {
    stage("walking heaps");
    heaps = walk_heaps(image, diagnostics);
    s.heaps = heaps.rows;
  }
  std::vector<Address> ended;
  if (wanted.references || wanted.account) ended = find_ended_threads(image, heaps.claimed);

  // Where references may come from; which parts of chunks their containers do not use.
  Roots roots;
  std::vector<SparePart> spare;
  if (wanted.references) {
    stage("finding roots");
    roots = find_roots(image, heaps.claimed, ended);
    spare = find_spare_parts(image, heaps.chunks, roots, stacks, &symbolizer);
  }

  // Who points to whom; types on the way, because the chunk's first bytes are in the cache then.
  TypeFinder types(image, &symbols);
  ReferenceGraph graph;
  if (wanted.references) {
    stage("reading references");
    graph = build_references(image, heaps, spare, &types, &heaps.chunks.type);
    if (drop_shared_parts(image, heaps.chunks.map, graph, roots, &types, &spare)) {
      graph = {};  // first: it is large
      graph = build_references(image, heaps, spare, &types, &heaps.chunks.type);
    }
  }

  // What is alive, and through whom.
  ChunkTable chunks = std::move(heaps.chunks);
  EdgeFinder finder(image, chunks.map, &types);
  OwnerTable owners(image, stacks, &symbolizer);
  ReachTrace trace;
  std::vector<StaleSource> stale;
  FoundHolders holders;
  size_t owner_count = 0;
  if (wanted.reach) {
    stage("marking what is reachable");
    const LoaderChunks loader = find_loader_chunks(image, chunks.map, roots, ended);
    const ReachInput input = {image, heaps, graph, roots, spare, &finder, &owners, loader};
    stale = mark_reach(input, &chunks, options.evidence != nullptr ? &trace : nullptr);
    owner_count = owners.size();
    if (wanted.retained) holders = find_holders(input, chunks);
  }
  s.types = types.take_rows();
  s.owners = owners.take_rows();

  // What leaked, in groups.
  s.modules = module_rows(image, wanted.symbols ? &symbols : nullptr);
  if (wanted.leaks) {
    stage("grouping leaks");
    SuppressionList rules = options.suppressions;
    if (options.embedded_suppressions) {
      add_embedded_suppressions(image, symbols, &rules, &diagnostics);
    }
    const SuppressedChunks suppressed =
        suppress({graph, s.types, s.owners, s.modules, rules.rules}, chunks, &s.suppressions);
    s.clusters =
        find_clusters(graph, s.types, suppressed, find_caveat(image, diagnostics), &chunks);
    explain_stale_clusters(image, chunks, spare, stale, &s.clusters);
  }
  s.chunks = std::move(chunks);
  s.corruption = std::move(heaps.corruption);
  if (wanted.references) name_suspects(s.chunks, s.types, &s.corruption);

  // What would become free with what.
  if (wanted.retained) {
    stage("finding who keeps what");
    find_retention(graph, std::move(holders), &s, diagnostics);
    drop_sharers(owner_count, &s);
  } else {
    diagnostics.add(Severity::kNote, "retention", "chunks", 0,
                    "retained sizes were not asked for: chunk.retained is NULL");
  }

  stage("counting");
  s.regions = region_rows(image, heaps);
  if (wanted.usage) s.usage = count_usage(s);
  if (wanted.account) count_memory(image, heaps.claimed, ended, options.jobs, wanted, &s);
  if (wanted.duplicates) {
    uint64_t dropped = 0;
    s.duplicates = find_duplicates(s, options.jobs, &dropped);
    if (dropped != 0) {
      diagnostics.add(Severity::kNote, "duplicates", "chunks", 0,
                      std::to_string(dropped) + " chunks with texts were not compared: there are " +
                          "too many different ones");
    }
  }
  name_sources(s.chunks.map, spare, &graph.from_spare);
  s.references = std::move(graph);
  if (options.evidence != nullptr) {
    *options.evidence = {std::move(heaps),  std::move(roots), std::move(trace),
                         std::move(stacks), std::move(spare), std::move(stale)};
  }
  diagnostics.append(symbolizer.diagnostics());
  s.diagnostics = std::move(diagnostics);
  return s;
}

}  // namespace residue
