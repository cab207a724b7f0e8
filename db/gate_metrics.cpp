// The metrics that gates know. Sums are total()s: they cannot overflow, however odd the numbers of
// a damaged dump are. Suppressed leaks count nowhere.
#include <algorithm>
#include <array>

#include "db/gate.h"

namespace residue {
namespace {

using enum GateUnit;
using enum GateKind;
using Dim = GateDimensions;
using Topic = GateTopic;

constexpr const char* kLeakedBytes =
    "SELECT total(bytes), (SELECT shape FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL "
    "ORDER BY bytes DESC, id LIMIT 1) FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL";
constexpr const char* kLeakedCount =
    "SELECT total(chunks), (SELECT shape FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL "
    "ORDER BY chunks DESC, id LIMIT 1) FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL";
constexpr const char* kLeakedClusters =
    "SELECT total(count), (SELECT shape FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL "
    "ORDER BY count DESC, id LIMIT 1) FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL";
constexpr const char* kLeakedShapes =
    "SELECT count(*), (SELECT shape FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL "
    "ORDER BY bytes DESC, id LIMIT 1) FROM cluster WHERE snapshot = ?1 AND suppressed IS NULL";
constexpr const char* kUsedBytes = "SELECT total(used_bytes), NULL FROM heap WHERE snapshot = ?1";
constexpr const char* kUsedCount = "SELECT total(used_count), NULL FROM heap WHERE snapshot = ?1";
constexpr const char* kFreeBytes =
    "SELECT total(free_bytes), (SELECT name FROM heap WHERE snapshot = ?1 ORDER BY free_bytes DESC "
    "LIMIT 1) FROM heap WHERE snapshot = ?1";
constexpr const char* kCachedBytes =
    "SELECT total(cached_bytes), (SELECT name FROM heap WHERE snapshot = ?1 ORDER BY cached_bytes "
    "DESC LIMIT 1) FROM heap WHERE snapshot = ?1";
constexpr const char* kOverheadBytes =
    "SELECT total(overhead_bytes), (SELECT name FROM heap WHERE snapshot = ?1 ORDER BY "
    "overhead_bytes DESC LIMIT 1) FROM heap WHERE snapshot = ?1";
constexpr const char* kMappedBytes =
    "SELECT total(mapped_bytes), (SELECT name FROM heap WHERE snapshot = ?1 ORDER BY mapped_bytes "
    "DESC LIMIT 1) FROM heap WHERE snapshot = ?1";
constexpr const char* kHeaps = "SELECT count(*), NULL FROM heap WHERE snapshot = ?1";
constexpr const char* kUnverified =
    "SELECT count(*), (SELECT coalesce(name, '') || coalesce(': ' || problem, '') FROM heap WHERE "
    "snapshot = ?1 AND verified IS NOT 1 ORDER BY id LIMIT 1) FROM heap WHERE snapshot = ?1 AND "
    "verified IS NOT 1";
constexpr const char* kCorruption =
    "SELECT count(*), (SELECT coalesce(kind, '') || coalesce(': ' || message, '') FROM corruption "
    "WHERE snapshot = ?1 ORDER BY id LIMIT 1) FROM corruption WHERE snapshot = ?1";
constexpr const char* kDamage =
    "SELECT count(*), (SELECT coalesce(stage, '') || coalesce(': ' || message, '') FROM diagnostic "
    "WHERE snapshot = ?1 AND severity = 'damage' ORDER BY id LIMIT 1) FROM diagnostic "
    "WHERE snapshot = ?1 AND severity = 'damage'";
constexpr const char* kSuspects =
    "SELECT count(*), (SELECT evidence FROM suspect WHERE snapshot = ?1 ORDER BY retained_bytes "
    "DESC, id LIMIT 1) FROM suspect WHERE snapshot = ?1";

constexpr std::array kMetrics = {
    GateMetric{"leaked_bytes", kBytes, kLevel, Dim::kUsage, Topic::kLeaks, "leaked_bytes",
               kLeakedBytes, "bytes of leaked chunks"},
    GateMetric{"leaked_count", kCount, kLevel, Dim::kUsage, Topic::kLeaks, "leaked_count",
               kLeakedCount, "leaked chunks"},
    GateMetric{"leaked_clusters", kCount, kLevel, Dim::kNone, Topic::kLeaks, nullptr,
               kLeakedClusters, "leaked clusters: chunks that leaked together are one"},
    GateMetric{"leaked_shapes", kCount, kLevel, Dim::kNone, Topic::kLeaks, nullptr, kLeakedShapes,
               "kinds of leaked clusters: the lines of 'residue leaks'"},
    GateMetric{"used_bytes", kBytes, kLevel, Dim::kUsage, Topic::kHeaps, "used_bytes", kUsedBytes,
               "bytes of chunks in use"},
    GateMetric{"used_count", kCount, kLevel, Dim::kUsage, Topic::kHeaps, "used_count", kUsedCount,
               "chunks in use"},
    GateMetric{"free_bytes", kBytes, kLevel, Dim::kHeapOnly, Topic::kHeaps, "free_bytes",
               kFreeBytes, "bytes of free chunks"},
    GateMetric{"cached_bytes", kBytes, kLevel, Dim::kHeapOnly, Topic::kHeaps, "cached_bytes",
               kCachedBytes, "bytes that were freed and that the allocator keeps at hand"},
    GateMetric{"overhead_bytes", kBytes, kLevel, Dim::kHeapOnly, Topic::kHeaps, "overhead_bytes",
               kOverheadBytes, "the allocator's own bytes"},
    GateMetric{"mapped_bytes", kBytes, kLevel, Dim::kHeapOnly, Topic::kHeaps, "mapped_bytes",
               kMappedBytes, "bytes of memory that belongs to heaps"},
    GateMetric{"heaps", kCount, kLevel, Dim::kNone, Topic::kHeaps, nullptr, kHeaps,
               "heaps that were found"},
    GateMetric{"unverified_heaps", kCount, kLevel, Dim::kNone, Topic::kHeaps, nullptr, kUnverified,
               "heaps whose own counters do not agree with what was found"},
    GateMetric{"corruption", kCount, kLevel, Dim::kNone, Topic::kCorruption, nullptr, kCorruption,
               "places where a heap's bookkeeping was overwritten"},
    GateMetric{"damage", kCount, kLevel, Dim::kNone, Topic::kDamage, nullptr, kDamage,
               "diagnostics that say the dump is damaged or truncated"},
    GateMetric{"suspects", kCount, kLevel, Dim::kNone, Topic::kHeaps, nullptr, kSuspects,
               "rows of the table suspect (guesses)"},
    GateMetric{"growth", kBytes, kGrowth, Dim::kUsage, Topic::kGrowth, "used_bytes", kUsedBytes,
               "used_bytes less those of the baseline"},
    GateMetric{"count_growth", kCount, kGrowth, Dim::kUsage, Topic::kGrowth, "used_count",
               kUsedCount, "used_count less that of the baseline"},
    GateMetric{"leaked_growth", kBytes, kGrowth, Dim::kUsage, Topic::kLeaks, "leaked_bytes",
               kLeakedBytes, "leaked_bytes less those of the baseline"},
    GateMetric{"new_leaks", kCount, kNew, Dim::kUsage, Topic::kLeaks, "leaked_count", nullptr,
               "kinds of leaks (with a dimension: keys that leak) that the baseline has not"},
    GateMetric{"slope", kBytesPerHour, kSlope, Dim::kUsage, Topic::kGrowth, "used_bytes", nullptr,
               "bytes that used_bytes gains in an hour, over the snapshots of the process"},
    GateMetric{"leaked_slope", kBytesPerHour, kSlope, Dim::kUsage, Topic::kLeaks, "leaked_bytes",
               nullptr, "the same of leaked_bytes"},
    GateMetric{"rows", kCount, kRows, Dim::kNone, Topic::kRows, nullptr, nullptr,
               "rows that a query returned"},
};

constexpr std::array<const char*, 10> kDimensions = {
    "type", "site", "module", "owner", "heap", "size", "region", "shape", "allocator", "mapping"};

}  // namespace

std::span<const GateMetric> gate_metrics() { return kMetrics; }

const GateMetric* find_gate_metric(std::string_view name) {
  const auto it = std::find_if(kMetrics.begin(), kMetrics.end(),
                               [name](const GateMetric& m) { return name == m.name; });
  return it == kMetrics.end() ? nullptr : &*it;
}

std::span<const char* const> gate_dimensions() { return kDimensions; }

}  // namespace residue
