#include "analyzer/stale.h"

#include <array>

#include "formats/base/text.h"

namespace residue {
namespace {

constexpr size_t kKinds = static_cast<size_t>(DeadKind::kCached) + 1;
constexpr std::array<const char*, kKinds> kPlural = {
    "",
    "stack below the stack pointer",
    "stacks of ended threads",
    "spare capacity",
    "freed chunks",
    "freed chunks in a thread's cache",
};

struct Sources {
  const StaleSource* of_head = nullptr;
  const StaleSource* any = nullptr;
  std::array<uint64_t, kKinds> counts{};
};

// "; in all 3 from freed chunks, 1 from stacks of ended threads"
std::string totals(const Sources& sources) {
  uint64_t all = 0;
  for (const uint64_t count : sources.counts) all += count;
  if (all < 2) return {};
  std::string text;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (sources.counts[kind] == 0) continue;
    text.append(text.empty() ? "; in all " : ", ").append(std::to_string(sources.counts[kind]));
    text.append(" chunks from ").append(kPlural[kind]);
  }
  return text;
}

}  // namespace

std::string describe_stale(const Image& image, const std::vector<SparePart>& spare,
                           const StaleSource& source) {
  const std::string at = hex(source.location.value());
  switch (source.kind) {
    case DeadKind::kNone:
      break;
    case DeadKind::kBelowStackPointer: {
      const uint32_t tid =
          source.index < image.threads.size() ? image.threads[source.index].tid : 0;
      return "the stack of thread " + std::to_string(tid) + " below its stack pointer, at " + at;
    }
    case DeadKind::kEndedThread:
      return "the stack of a thread that has ended, at " + at;
    case DeadKind::kSpareCapacity: {
      const std::string holder =
          source.index < spare.size() ? spare[source.index].holder : "a container";
      return "the spare capacity of " + holder + ", in its buffer at " + at;
    }
    case DeadKind::kFreed:
      return "a freed chunk at " + at;
    case DeadKind::kCached:
      return "a freed chunk in a thread's cache at " + at;
  }
  return "dead memory at " + at;
}

void explain_stale_clusters(const Image& image, const ChunkTable& chunks,
                            const std::vector<SparePart>& spare,
                            const std::vector<StaleSource>& sources,
                            std::vector<ClusterRow>* clusters) {
  std::vector<Sources> of_cluster(clusters->size());
  std::vector<uint32_t> head(clusters->size(), ~uint32_t{0});
  for (size_t i = 0; i < clusters->size(); ++i) {
    uint64_t start = 0;
    const ChunkId id = chunks.map.find((*clusters)[i].head.value(), &start);
    if (id != kNone<ChunkId>) head[i] = id.value();
  }
  for (const StaleSource& source : sources) {
    const uint32_t cluster = chunks.cluster[source.target];
    if (cluster >= clusters->size()) continue;
    Sources& s = of_cluster[cluster];
    ++s.counts[static_cast<size_t>(source.kind)];
    if (s.any == nullptr) s.any = &source;
    if (source.target == head[cluster]) s.of_head = &source;
  }
  for (size_t i = 0; i < clusters->size(); ++i) {
    ClusterRow& row = (*clusters)[i];
    const Sources& s = of_cluster[i];
    if (row.verdict != "stale" || s.any == nullptr) continue;
    const StaleSource& shown = s.of_head != nullptr ? *s.of_head : *s.any;
    std::string text = "referenced only from dead memory: ";
    if (s.of_head == nullptr) {
      text.append("a member at ");
      text.append(hex(chunks.map.address(ChunkId(shown.target)).value())).append(" from ");
    }
    text.append(describe_stale(image, spare, shown)).append(totals(s));
    // What find_clusters() put behind its own words: the dump's caveat.
    const size_t rest = row.evidence.find("; ");
    if (rest != std::string::npos) text.append(row.evidence.substr(rest));
    row.evidence = std::move(text);
  }
}

}  // namespace residue
