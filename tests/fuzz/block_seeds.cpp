#include "tests/fuzz/block_seeds.h"

#include <span>

#include "db/block_format.h"
#include "db/chunk_encoder.h"
#include "db/reference_encoder.h"
#include "tests/db/synthetic_references.h"
#include "tests/fuzz/frames_of.h"

namespace residue::testing {
namespace {

using Bytes = std::vector<std::byte>;

// Both ways in which the targets read a block.
void add(std::vector<BlockSeed>* seeds, const std::string& target, const std::string& name,
         const Bytes& before, std::span<const std::byte> block, size_t columns) {
  Bytes whole = before;
  whole.push_back(std::byte{0});
  whole.insert(whole.end(), block.begin(), block.end());
  seeds->push_back({target, name, whole});
  Bytes parts = before;
  parts.push_back(std::byte{1});
  const Bytes content = content_of(block, columns);
  parts.insert(parts.end(), content.begin(), content.end());
  seeds->push_back({target, name + "_parts", parts});
}

void add_chunks(std::vector<BlockSeed>* seeds, const Snapshot& snapshot, const std::string& name) {
  ChunkEncoder encoder(snapshot);
  snapshot.chunks.map.for_each([&](ChunkId, Address address, ByteCount usable, const Run& run) {
    if (encoder.pending() < kBlockChunks) encoder.add(address, usable, run);
  });
  const auto block = encoder.finish();
  if (block) add(seeds, "fuzz_chunk_block", name, {}, block->data, block_format::kColumns);
}

void add_references(std::vector<BlockSeed>* seeds, const Snapshot& snapshot,
                    const std::string& name) {
  const uint32_t chunks = snapshot.chunks.map.size();
  Bytes before;
  for (unsigned i = 0; i < 4; ++i) before.push_back(static_cast<std::byte>(chunks >> (8 * i)));
  for (const ReferenceRange& range : divide_references(snapshot)) {
    ReferenceBlock block;
    gather_references(snapshot, range, block);
    const auto encoded = ReferenceEncoder().encode(block);
    if (!encoded) continue;
    add(seeds, "fuzz_reference_block", name + std::to_string(range.skip), before, encoded->data,
        reference_format::kColumns);
  }
}

}  // namespace

std::vector<BlockSeed> block_seeds() {
  std::vector<BlockSeed> seeds;
  for (const uint32_t chunks : {1U, 60U, 2000U}) {
    SyntheticHeap heap = make_varied_heap(chunks);
    set_references(heap.snapshot, make_references(heap, chunks / 4));
    add_chunks(&seeds, heap.snapshot, "chunks_" + std::to_string(chunks));
    heap.snapshot.chunks.slack.assign(heap.expected.size(), 7);
    add_chunks(&seeds, heap.snapshot, "slack_" + std::to_string(chunks));
    add_references(&seeds, heap.snapshot, "references_" + std::to_string(chunks) + "_");
  }
  return seeds;
}

}  // namespace residue::testing
