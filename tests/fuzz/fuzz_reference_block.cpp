// Any bytes as a stored block of references.
//
// The first four bytes are the number of chunks of the snapshot (little-endian, at most 2^20). The
// frames' checksums let no mutation through, so the input's frames are given without: after the
// number follows one byte that says how to read the rest. 0: the rest is the block as it is; else
// it is a header and columns before compression (frames_of.h), of which the block is put together,
// so that the checks behind the checksums are reached. Laws: a block that is accepted keeps the
// limits and refers to existing chunks; encoded again, and decoded, it is the same.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "db/reference_decoder.h"
#include "db/reference_encoder.h"
#include "tests/fuzz/frames_of.h"

namespace residue {
namespace {

constexpr size_t kMaxInput = size_t{256} << 10;
constexpr uint32_t kMaxChunks = 1 << 20;

void require(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "broken law: %s\n", law);
  std::abort();
}

void check_again(const ReferenceBlock& block, uint32_t chunks) {
  auto encoded = ReferenceEncoder().encode(block);
  require(static_cast<bool>(encoded), "what was decoded can be encoded");
  ReferenceBlock again;
  require(static_cast<bool>(ReferenceDecoder().decode(encoded->data, chunks, again)),
          "what was encoded can be decoded");
  require(again.first_id == block.first_id && again.begin == block.begin &&
              again.target == block.target && again.flags == block.flags,
          "it is the same");
}

void check(std::span<const std::byte> input) {
  if (input.size() < 5) return;
  uint32_t chunks = 0;
  std::memcpy(&chunks, input.data(), 4);
  chunks %= kMaxChunks + 1;
  const std::vector<std::byte> data =
      input[4] == std::byte{0} ? std::vector<std::byte>(input.begin() + 5, input.end())
                               : testing::block_of(reference_format::kPrefix,
                                                   reference_format::kColumns, input.subspan(5));
  ReferenceBlock block;
  if (!ReferenceDecoder().decode(data, chunks, block)) return;
  require(block.sources() >= 1 && block.sources() <= kBlockSources, "sources are bounded");
  require(block.references() <= kBlockReferences, "references are bounded");
  require(block.first_id < chunks && block.sources() <= chunks - block.first_id, "sources exist");
  require(block.begin.front() == 0 && block.begin.back() == block.references() &&
              std::is_sorted(block.begin.begin(), block.begin.end()),
          "degrees add up");
  require(block.flags.size() == block.target.size(), "each reference has its flags");
  for (uint32_t i = 0; i < block.references(); ++i) {
    require(block.target[i] < chunks, "targets exist");
    require(static_cast<size_t>(block.kind(i)) < kReferenceKindNames.size(), "kinds have names");
  }
  check_again(block, chunks);
}

}  // namespace
}  // namespace residue

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= residue::kMaxInput) residue::check(std::as_bytes(std::span(data, size)));
  return 0;
}
