// Any bytes as an ELF core: reading and the whole analysis. Beyond memory errors it stops at a
// broken law: regions (tests/support/image_laws.h), the account of all bytes, ids in range.
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "analyzer/pipeline.h"
#include "formats/format.h"
#include "tests/fuzz/memory_dump.h"
#include "tests/support/image_laws.h"

namespace residue {
namespace {

// What a heap of a few chunks, a module and two threads need many times over.
constexpr size_t kMaxInput = size_t{256} * 1024;

void require(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", law);
  std::abort();
}

template <typename Row>
void require_index(uint32_t index, uint32_t none, const std::vector<Row>& rows, const char* law) {
  require(index == none || index < rows.size(), law);
}

void check_chunks(const Snapshot& snapshot) {
  const ChunkTable& chunks = snapshot.chunks;
  const size_t count = chunks.state.size();
  require(chunks.reach.size() == count && chunks.type.size() == count &&
              chunks.owner.size() == count && chunks.cluster.size() == count,
          "the columns of the chunk table have one length");
  uint64_t used = 0;
  for (size_t i = 0; i < count; ++i) {
    require_index(chunks.type[i], kNone<TypeId>.value(), snapshot.types, "types exist");
    require_index(chunks.owner[i], kNone<OwnerId>.value(), snapshot.owners, "owners exist");
    require_index(chunks.cluster[i], ChunkTable::kNoCluster, snapshot.clusters, "clusters exist");
    require((chunks.state[i] == ChunkState::kUsed) == (chunks.reach[i] != Reach::kNone),
            "used chunks have a reach, others have none");
    used += chunks.state[i] == ChunkState::kUsed ? 1 : 0;
  }
  uint64_t said = 0;
  for (const HeapRow& heap : snapshot.heaps) said += heap.used_count;
  require(used == said, "heaps count as many used chunks as the table");
}

void check_account(const Image& image, const Snapshot& snapshot) {
  uint64_t mapped = 0, in_dump = 0, accounted = 0, accounted_in_dump = 0;
  for (const Region& region : image.regions) {
    mapped += region.range.size.value();
    in_dump += region.bytes.size();
  }
  for (const AccountRow& row : snapshot.account) {
    accounted += row.bytes;
    accounted_in_dump += row.in_dump;
  }
  require(mapped == accounted, "the account adds up to the image");
  require(in_dump == accounted_in_dump, "the account adds up to the dump");
  uint64_t parts = 0, parts_in_dump = 0;
  for (const MemoryRow& row : snapshot.memory) {
    parts += row.bytes;
    parts_in_dump += row.in_dump;
    require(row.in_dump <= row.bytes && (!row.heap || *row.heap < snapshot.heaps.size()),
            "a row of memory is in range");
  }
  require(mapped == parts, "memory adds up to the image");
  require(in_dump == parts_in_dump, "memory adds up to the dump");
}

void check(const uint8_t* data, size_t size) {
  static fuzz::MemoryDump dump;
  dump.set(data, size);
  FileSearch search;
  search.sysroot = "/nonexistent/residue-fuzz";  // no file of this machine takes part
  Diagnostics diagnostics;
  const auto image = open_dump(dump.path(), search, diagnostics);
  if (!image) {
    require(!image.error().message.empty(), "an error says what is wrong");
    return;
  }
  for (const std::string& law : testing::broken_laws(*image)) require(false, law.c_str());
  const Snapshot snapshot = analyze(*image, diagnostics, {});
  check_chunks(snapshot);
  check_account(*image, snapshot);
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= residue::kMaxInput) residue::check(data, size);
  return 0;
}
