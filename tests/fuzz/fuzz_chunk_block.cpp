// Any bytes as a stored block of chunks, with all columns and with only some of them.
//
// The first byte says how to read the rest, as in fuzz_reference_block: 0, a block as it is; else a
// header and columns before compression. Laws: a block that is accepted has columns of its length,
// addresses in order, states and reaches with names; the same columns alone are the same.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "analyzer/snapshot.h"
#include "db/block_format.h"
#include "db/chunk_decoder.h"
#include "tests/fuzz/frames_of.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = size_t{256} << 10;
constexpr uint32_t kAll = 255;

void require(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", law);
  std::abort();
}

void check_columns(const ChunkBlock& block) {
  const size_t count = block.count;
  const auto optional = [count](size_t size) { return size == 0 || size == count; };
  require(count >= 1 && count <= kBlockChunks, "chunks are bounded");
  require(block.address.size() == count && block.size.size() == count &&
              block.heap.size() == count && block.state.size() == count &&
              block.reach.size() == count && block.type.size() == count &&
              block.owner.size() == count && block.cluster.size() == count,
          "columns are of one length");
  require(optional(block.retained.size()) && optional(block.dominator.size()) &&
              optional(block.slack.size()),
          "a column is there or not");
  require(std::is_sorted(block.address.begin(), block.address.end()), "addresses ascend");
  for (size_t i = 0; i < count; ++i) {
    require(block.state[i] < kChunkStateNames.size(), "states have names");
    require(block.reach[i] < kReachNames.size(), "reaches have names");
  }
}

void check(std::span<const std::byte> input) {
  if (input.empty()) return;
  const std::vector<std::byte> data =
      input[0] == std::byte{0}
          ? std::vector<std::byte>(input.begin() + 1, input.end())
          : testing::block_of(block_format::kPrefix, block_format::kColumns, input.subspan(1));
  ChunkDecoder decoder;
  ChunkBlock block;
  const bool accepted = static_cast<bool>(decoder.decode(data, kAll, block));
  if (accepted) check_columns(block);
  ChunkBlock some;
  const bool places = static_cast<bool>(decoder.decode(data, kPlaceColumns, some));
  require(places || !accepted, "one column is accepted if all are");
  require(!accepted || (some.address == block.address && some.size == block.size),
          "a column alone is the same");
  ChunkBlock others;
  if (decoder.decode(data, kStateColumns | kTypeColumn | kClusterColumn, others) && accepted) {
    require(
        others.state == block.state && others.type == block.type && others.cluster == block.cluster,
        "columns without addresses are the same");
  }
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= residue::kMaxInput) residue::check(std::as_bytes(std::span(data, size)));
  return 0;
}
