// reach_judge PID TRUTH OUT: which live blocks of a frozen process does anything point at?
//
// The second witness. malloc_witness knows what is live, this program decides from outside what
// is reachable, by the plainest conservative mark there is: every aligned word of every root and
// of every reached block that has the value of an address inside a block (or equal to its start,
// which matters for blocks of size 0) reaches that block. A word of a register counts whatever it
// holds. regions.h says what is a root.
//
// It knows no types, no interior rules, no stale memory. So `unreach` is certain as far as memory
// words go, and `reach` may be by chance; the one thing an analyser may never do is call a block
// judged `reach` a leak.
//
// It marks twice. `exact` takes of a block the bytes that were requested, as LeakSanitizer does:
// the truth. `usable` takes all that malloc_usable_size grants: what somebody can see who has only
// the heap, where the words behind the requested ones may hold anything.
//
// OUT: one line a block, `address exact VIA usable VIA`, each verdict `reach` or `unreach`. VIA is
// the word that reached it first: an address, or `reg:TID`, or `-`. Cost: n log n in blocks plus
// words; 100 MB take a second.

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "process.h"
#include "regions.h"
#include "truth_file.h"

namespace witness {
namespace {

constexpr std::uint64_t kReadAtOnce = std::uint64_t{4} * 1024 * 1024;

struct Verdict {
  bool reached = false;
  pid_t via_thread = 0;        // a register of this thread, or
  std::uint64_t via_word = 0;  // the word at this address,
  std::uint64_t offset = 0;    // which points so far into the block
};

enum class Extent { kRequested, kUsable };

class Marker {
 public:
  Marker(const Process& process, const Truth& truth, Extent extent)
      : process_(process), blocks_(truth.blocks), extent_(extent), verdicts_(truth.blocks.size()) {}

  void mark_registers() {
    for (const Thread& thread : process_.threads()) {
      for (const std::uint64_t word : thread.words) mark(word, {true, thread.tid, 0, 0});
    }
  }

  void mark_range(Range range) {
    for (std::uint64_t at = range.begin; at < range.end; at += kReadAtOnce) {
      scan(at, std::min(range.end, at + kReadAtOnce));
    }
  }

  // Follows the reached blocks until nothing new is found.
  void propagate() {
    while (!pending_.empty()) {
      const Block& block = blocks_[pending_.back()];
      pending_.pop_back();
      mark_range({block.address, block.address + size_of(block)});
    }
  }

  [[nodiscard]] const std::vector<Verdict>& verdicts() const { return verdicts_; }

 private:
  [[nodiscard]] std::uint64_t size_of(const Block& block) const {
    return extent_ == Extent::kRequested ? block.requested : block.usable;
  }

  void scan(std::uint64_t begin, std::uint64_t end) {
    std::uint64_t address = (begin + 7) & ~std::uint64_t{7};
    for (const std::uint64_t word : process_.read_words(begin, end)) {
      mark(word, {true, 0, address, 0});
      address += 8;
    }
  }

  void mark(std::uint64_t value, Verdict verdict) {
    const auto after =
        std::upper_bound(blocks_.begin(), blocks_.end(), value,
                         [](std::uint64_t v, const Block& block) { return v < block.address; });
    if (after == blocks_.begin()) return;
    const Block& block = *std::prev(after);
    const std::uint64_t past_end = extent_ == Extent::kUsable ? 1 : 0;
    if (value != block.address && value - block.address >= size_of(block) + past_end) return;
    const auto index = static_cast<std::size_t>(std::prev(after) - blocks_.begin());
    if (verdicts_[index].reached) return;
    verdict.offset = value - block.address;
    verdicts_[index] = verdict;
    pending_.push_back(index);
  }

  const Process& process_;
  const std::vector<Block>& blocks_;
  Extent extent_;
  std::vector<Verdict> verdicts_;
  std::vector<std::size_t> pending_;
};

void write_verdict(std::FILE* file, const Verdict& verdict) {
  if (!verdict.reached) {
    std::fprintf(file, " unreach -");
  } else if (verdict.via_thread != 0) {
    std::fprintf(file, " reach reg:%d+%" PRIu64, verdict.via_thread, verdict.offset);
  } else {
    std::fprintf(file, " reach 0x%" PRIx64 "+%" PRIu64, verdict.via_word, verdict.offset);
  }
}

void write_verdicts(const std::string& path, const Truth& truth, const std::vector<Verdict>& exact,
                    const std::vector<Verdict>& usable) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) throw std::runtime_error("cannot write " + path);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    std::fprintf(file, "0x%" PRIx64, truth.blocks[i].address);
    write_verdict(file, exact[i]);
    write_verdict(file, usable[i]);
    std::fprintf(file, "\n");
  }
  if (std::fclose(file) != 0) throw std::runtime_error("cannot write " + path);
}

void print_summary(const Process& process, const Truth& truth, const Regions& regions,
                   const std::vector<Verdict>& verdicts) {
  std::size_t reached = 0;
  std::size_t planted = 0;
  std::size_t planted_reached = 0;
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    reached += verdicts[i].reached ? 1 : 0;
    planted += truth.blocks[i].planted ? 1 : 0;
    planted_reached += truth.blocks[i].planted && verdicts[i].reached ? 1 : 0;
  }
  std::uint64_t root_bytes = 0;
  for (const Root& root : regions.roots) root_bytes += root.range.end - root.range.begin;
  for (const std::string& note : regions.notes) std::printf("note: %s\n", note.c_str());
  std::printf(
      "judge: blocks=%zu reach=%zu unreach=%zu planted=%zu planted_reach=%zu threads=%zu "
      "roots=%zu root_bytes=%" PRIu64 "\n",
      verdicts.size(), reached, verdicts.size() - reached, planted, planted_reached,
      process.threads().size(), regions.roots.size(), root_bytes);
}

std::vector<Verdict> mark(const Process& process, const Truth& truth, const Regions& regions,
                          Extent extent) {
  Marker marker(process, truth, extent);
  marker.mark_registers();
  for (const Root& root : regions.roots) marker.mark_range(root.range);
  marker.propagate();
  return marker.verdicts();
}

void judge(pid_t pid, const std::string& truth_path, const std::string& out_path) {
  const Truth truth = read_truth(truth_path);
  const Process process(pid);
  const Regions regions = find_roots(process, truth);
  const std::vector<Verdict> exact = mark(process, truth, regions, Extent::kRequested);
  const std::vector<Verdict> usable = mark(process, truth, regions, Extent::kUsable);
  write_verdicts(out_path, truth, exact, usable);
  print_summary(process, truth, regions, exact);
}

}  // namespace
}  // namespace witness

int main(int argc, char** argv) {
  pid_t pid = 0;
  if (argc != 4 || std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), pid).ptr[0] != '\0' ||
      pid <= 0) {
    std::fprintf(stderr, "usage: reach_judge PID TRUTH OUT\n");
    return 2;
  }
  try {
    witness::judge(pid, argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reach_judge: %s\n", error.what());
    return 1;
  }
  return 0;
}
