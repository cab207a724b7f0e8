// Makes a database of many snapshots of a few services, as a pipeline stores them in a month.
//
//   many_snapshots FILE [--snapshots N] [--chunks N] [--keys N] [--processes N] [--reopen]
//
// The processes take turns. Each begins with the same kind of heap and drifts: every snapshot has
// one chunk in a hundred other than the one before, and a few new ones at the end. Every hundredth
// key of `usage` grows steadily, every hundredth has a saw-tooth, the others wander; every fifty
// snapshots of a process one key is not used any more and a new one is. `--reopen` opens and closes
// the file for each snapshot, as an import by a process of its own does. What it took is printed as
// key=value.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "db/store.h"

namespace {

using namespace residue;
using Clock = std::chrono::steady_clock;

struct Settings {
  std::string path;
  uint64_t snapshots = 10000, chunks = 50000, keys = 2000, processes = 20;
  bool reopen = false;
};

constexpr uint32_t kTypes = 1200, kOwners = 400, kModules = 30, kRegions = 150, kThreads = 16,
                   kFrames = 12, kPlaces = 120, kClusters = 40;
constexpr uint64_t kSecondsBetween = 86;  // ten thousand of one process take ten days

// A C++ name of 10 to 300 characters.
std::string type_name(uint64_t i) {
  std::string name = "service::detail::Entry" + std::to_string(i);
  if (i % 3 == 0) name = "std::vector<" + name + ", std::allocator<" + name + "> >";
  if (i % 10 == 0)
    name = "std::map<std::string, " + name + ", std::less<std::string>, arena<" + name + "> >";
  return name;
}

struct Chunk {
  uint16_t granules = 2;
  uint16_t type = 0, owner = 0;
  ChunkState state = ChunkState::kUsed;
  Reach reach = Reach::kReachable;
};

class Process {
 public:
  Process(uint64_t number, const Settings& settings)
      : number_(number), keys_(settings.keys), random_(static_cast<uint32_t>(number + 1)) {
    for (uint64_t i = 0; i < settings.chunks; ++i) heap_.push_back(any_chunk());
    for (uint64_t i = 0; i < keys_; ++i) values_.push_back(1000 + random_() % 1000000);
  }

  Snapshot next(uint64_t overall) {
    Snapshot s;
    describe(overall, &s.info);
    add_rows(&s);
    add_heap(&s);
    add_usage(&s);
    ++round_;
    for (size_t i = 0; i < heap_.size() / 100; ++i) heap_[random_() % heap_.size()] = any_chunk();
    for (size_t i = 0; i < 5; ++i) heap_.push_back(any_chunk());
    return s;
  }

 private:
  Chunk any_chunk() {
    Chunk c;
    const auto size = static_cast<uint32_t>(random_() % 100);
    c.granules = static_cast<uint16_t>(size < 60   ? 2 + random_() % 4
                                       : size < 95 ? 2 + random_() % 40
                                                   : random_() % 2000 + 2);
    const auto kind = static_cast<uint32_t>(random_() % 100);
    if (kind < 12) {
      c.state = kind < 9 ? ChunkState::kFree : ChunkState::kCached;
      c.reach = Reach::kNone;
    } else {
      c.reach = kind < 14 ? Reach::kLeaked : kind < 17 ? Reach::kIndirect : Reach::kReachable;
      c.type = static_cast<uint16_t>(c.granules < 6 ? random_() % 40 : random_() % kTypes);
      c.owner = static_cast<uint16_t>(random_() % kOwners);
    }
    return c;
  }

  void describe(uint64_t overall, SnapshotInfo* info) const {
    const auto at = static_cast<std::time_t>(1704067200 + overall * kSecondsBetween);
    std::tm utc{};
    gmtime_r(&at, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    info->taken_at = text;
    info->source =
        "/var/crash/service-" + std::to_string(number_ % 4) + "/core." + std::to_string(overall);
    info->source_bytes = 30000000 + overall;
    info->format = "elf-core";
    info->os = "linux";
    info->arch = "x86_64";
    info->pid = static_cast<uint32_t>(1000 + number_);
    info->executable = "/usr/bin/service-" + std::to_string(number_ % 4);
    info->process = "00000000000000" + std::to_string(10 + number_);
    char id[32];
    std::snprintf(id, sizeof id, "%016llx",
                  static_cast<unsigned long long>(overall * 0x9e3779b97f4a7c15));
    info->dump_id = id;
  }

  void add_rows(Snapshot* s) const {
    const uint64_t slide = (number_ + 1) << 24;  // another place for each process
    for (uint32_t i = 0; i < kModules; ++i) {
      const std::string name = "libpart" + std::to_string(i) + ".so.1";
      s->modules.push_back({name, "/usr/lib/x86_64-linux-gnu/" + name,
                            "0123456789abcdef0123456789abcdef012345" + std::to_string(10 + i),
                            Address(0x7f0000000000 + slide + i * 0x400000), ByteCount(0x3f0000),
                            "full"});
    }
    for (uint32_t i = 0; i < kRegions; ++i) {
      const auto& module = s->modules[i % kModules];
      s->regions.push_back({Address(0x7f0000000000 + slide + i * 0x80000), ByteCount(0x7f000),
                            i % 3 == 0 ? "r-x" : "rw-", "module-data",
                            i % 4 == 0 ? "" : module.path, ByteCount(0x1000)});
    }
    for (uint32_t i = 0; i < kPlaces; ++i) {
      PlaceRow place;
      place.module = "libpart" + std::to_string(i % kModules) + ".so.1";
      place.function = "service::detail::run_part_" + std::to_string(i) + "(std::string const&)";
      place.file = "/build/service/src/part_" + std::to_string(i % 40) + ".cpp";
      place.line = 10 + i;
      s->places.push_back(place);
    }
    for (uint32_t t = 0; t < kThreads; ++t) {
      s->threads.push_back(
          {static_cast<uint32_t>(1000 + number_ + t), "worker", false, 0, "", {}, ""});
      for (uint32_t d = 0; d < kFrames; ++d) {
        s->frames.push_back({t, d, (t * 7 + d) % kPlaces, d > 0, 0x7f0000000000 + slide + d * 4096,
                             0x7ffc00000000 + uint64_t{d} * 64, "cfi"});
      }
    }
    for (uint32_t i = 0; i < kTypes; ++i) {
      s->types.push_back(
          {type_name(i), "libpart" + std::to_string(i % kModules) + ".so.1", "vtable", "exact"});
    }
    for (uint32_t i = 0; i < kOwners; ++i) {
      s->owners.push_back({"global", "service::detail::table_" + std::to_string(i),
                           "libpart" + std::to_string(i % kModules) + ".so.1", 0, "", 0});
    }
    for (uint32_t i = 0; i < kClusters; ++i) {
      ClusterRow c;
      c.head = Address(0x10000010 + i * 4096);
      c.count = 3;
      c.chunks = 9;
      c.bytes = 900 + i;
      c.bytes_each = 300;
      c.shape = "{" + type_name(i) + ", 120 bytes, 2 x " + type_name(i + 1) + "}";
      c.type = type_name(i);
      c.verdict = "leaked";
      c.evidence = "no reference from anywhere";
      s->clusters.push_back(c);
    }
  }

  void add_heap(Snapshot* s) const {
    HeapRow heap;
    heap.allocator = "glibc";
    heap.version = "malloc_state of 2.27-2.42, tcache of 2.30-2.41";
    heap.name = "main_arena";
    heap.verified = true;
    Run run;
    run.begin = Address(0x10000010);
    run.heap = HeapId(0);
    run.gap = 8;
    ChunkTable& chunks = s->chunks;
    uint64_t granule = 0;
    std::vector<uint64_t> starts;
    for (const Chunk& c : heap_) {
      starts.resize((granule + c.granules + 63) / 64);
      starts[granule / 64] |= uint64_t{1} << (granule % 64);
      granule += c.granules;
      const bool used = c.state == ChunkState::kUsed;
      (used ? heap.used_count : heap.free_count) += 1;
      (used ? heap.used_bytes : heap.free_bytes) += c.granules * 16u - 8u;
      chunks.state.push_back(c.state);
      chunks.reach.push_back(c.reach);
      chunks.type.push_back(used ? c.type : kNone<TypeId>.value());
      chunks.owner.push_back(used ? c.owner : kNone<OwnerId>.value());
      chunks.cluster.push_back(is_leak(c.reach) ? c.owner % kClusters : ChunkTable::kNoCluster);
    }
    run.end = Address(0x10000010 + granule * 16);
    chunks.map.add_run(run, starts);
    chunks.map.finish();
    s->heaps.push_back(heap);
  }

  void add_usage(Snapshot* s) {
    for (uint64_t i = 0; i < keys_; ++i) {
      uint64_t& value = values_[i];
      if (i % 100 == 0) {
        value += 10000;
      } else if (i % 100 == 50) {
        value = round_ % 20 == 0 ? 1000 : value + 5000;
      } else if (random_() % 4 == 0) {
        value = value - value / 50 + random_() % (value / 25 + 1);
      }
      const char* dimension = i % 10 < 6   ? "type"
                              : i % 10 < 8 ? "owner"
                              : i % 10 < 9 ? "size"
                                           : "site";
      // One after the other gives way to a new name.
      const uint64_t name = i + (i < round_ / 50 ? keys_ : 0);
      std::string key = dimension[0] == 't'   ? type_name(name)
                        : dimension[1] == 'w' ? "service::detail::table_" + std::to_string(name)
                        : dimension[1] == 'i' && dimension[2] == 'z'
                            ? std::to_string(16 * name)
                            : "service::detail::make_" + std::to_string(name);
      s->usage.push_back({dimension, std::move(key), value / 64 + 1, value,
                          i % 40 == 0 ? value / 640 : 0, i % 40 == 0 ? value / 10 : 0});
    }
  }

  uint64_t number_, keys_, round_ = 0;
  std::mt19937 random_;
  std::vector<Chunk> heap_;
  std::vector<uint64_t> values_;
};

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

int fail(const Error& error) {
  std::fprintf(stderr, "many_snapshots: %s\n", to_string(error).c_str());
  return 1;
}

int run(const Settings& settings) {
  auto database = Database::open(settings.path, Database::Mode::kWrite);
  if (!database) return fail(database.error());
  std::vector<Process> processes;
  for (uint64_t i = 0; i < settings.processes; ++i) processes.emplace_back(i, settings);
  std::vector<double> times;
  for (uint64_t i = 0; i < settings.snapshots; ++i) {
    const Snapshot snapshot = processes[i % settings.processes].next(i);
    const auto start = Clock::now();
    if (settings.reopen) {
      // The old one is closed, and its log written back, by the end of the assignment.
      { const Database closed = std::move(*database); }
      database = Database::open(settings.path, Database::Mode::kWrite);
      if (!database) return fail(database.error());
    }
    const auto stored = store(*database, snapshot, {"bench"});
    if (!stored) return fail(stored.error());
    times.push_back(milliseconds(Clock::now() - start));
    if ((i + 1) % 1000 == 0)
      std::fprintf(stderr, "many_snapshots: %llu\n", static_cast<unsigned long long>(i + 1));
  }
  std::sort(times.begin(), times.end());
  if (times.empty()) return 0;
  std::printf("store_ms_median=%.2f\nstore_ms_p99=%.2f\nstore_ms_max=%.2f\n",
              times[times.size() / 2], times[times.size() * 99 / 100], times.back());
  return 0;
}

bool parse(int argc, char** argv, Settings* settings) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--reopen") {
      settings->reopen = true;
      continue;
    }
    if (word.rfind("--", 0) != 0) {
      settings->path = word;
      continue;
    }
    uint64_t* value = word == "--snapshots"   ? &settings->snapshots
                      : word == "--chunks"    ? &settings->chunks
                      : word == "--keys"      ? &settings->keys
                      : word == "--processes" ? &settings->processes
                                              : nullptr;
    if (value == nullptr || ++i == argc) return false;
    *value = std::strtoull(argv[i], nullptr, 10);
    if (*value == 0) return false;
  }
  return !settings->path.empty();
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  if (!parse(argc, argv, &settings)) {
    std::fprintf(
        stderr,
        "usage: many_snapshots FILE [--snapshots N] [--chunks N] [--keys N] [--processes N] "
        "[--reopen]\n");
    return 2;
  }
  return run(settings);
}
