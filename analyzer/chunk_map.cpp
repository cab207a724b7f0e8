#include "analyzer/chunk_map.h"

#include <algorithm>
#include <numeric>

namespace residue {

uint64_t ChunkMap::words_for(const Run& run) const {
  const uint64_t granules = (run.end.value() - run.begin.value()) >> shift_;
  return (granules + 63) / 64;
}

void ChunkMap::add_run(const Run& run, std::vector<uint64_t> starts) {
  if (run.begin == run.end) return;
  while (starts.size() > 1 && starts.back() == 0) starts.pop_back();
  runs_.push_back(run);
  runs_.back().words = starts.size();
  parts_.push_back(std::move(starts));
}

void ChunkMap::finish() {
  std::vector<size_t> order(runs_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [this](size_t a, size_t b) { return runs_[a].begin < runs_[b].begin; });
  std::vector<Run> sorted;
  sorted.reserve(runs_.size());
  uint64_t words = 0;
  for (const Run& run : runs_) words += run.words;
  bits_.reserve(words);
  for (const size_t i : order) {
    Run run = runs_[i];
    run.first_word = bits_.size();
    sorted.push_back(run);
    bits_.insert(bits_.end(), parts_[i].begin(), parts_[i].end());
    parts_[i] = {};
  }
  runs_ = std::move(sorted);
  parts_ = {};

  rank_.resize(bits_.size());
  summary1_.assign((bits_.size() + 63) / 64, 0);
  summary2_.assign((summary1_.size() + 63) / 64, 0);
  uint32_t count = 0;
  for (size_t w = 0; w < bits_.size(); ++w) {
    rank_[w] = count;
    count += static_cast<uint32_t>(std::popcount(bits_[w]));
    while (select_.size() * uint64_t{kSelectStep} < count) select_.push_back(w);
    if (bits_[w] == 0) continue;
    summary1_[w / 64] |= uint64_t{1} << (w % 64);
    summary2_[w / 4096] |= uint64_t{1} << (w / 64 % 64);
  }
  count_ = count;
  bases_.clear();
  for (Run& run : runs_) {
    run.first_chunk = rank_[run.first_word];
    bases_.push_back(run.begin.value());
  }
}

int64_t ChunkMap::find_run(uint64_t a) const {
  if (bases_.empty() || a < bases_.front() || a >= runs_.back().end.value()) return -1;
  // Branch-free binary search: the comparisons are unpredictable.
  const uint64_t* base = bases_.data();
  for (size_t n = bases_.size(); n > 1;) {
    const size_t half = n / 2;
    base += base[half] <= a ? half : 0;
    n -= half;
  }
  const int64_t i = base - bases_.data();
  return a < runs_[static_cast<size_t>(i)].end.value() ? i : -1;
}

ChunkId ChunkMap::find(uint64_t a, uint64_t* start) const {
  const int64_t r = find_run(a);
  if (r < 0) return kNone<ChunkId>;
  const Run& run = runs_[static_cast<size_t>(r)];
  const uint64_t g = (a - run.begin.value()) >> shift_;
  // Behind the last word everything belongs to the last chunk.
  const bool behind = g / 64 >= run.words;
  uint64_t word = run.first_word + (behind ? run.words - 1 : g / 64);
  uint64_t bits = bits_[word] & (behind ? ~uint64_t{0} : ~uint64_t{0} >> (63 - g % 64));
  if (bits == 0) {
    // Up the summaries to the last word before this one that has a start. The run's first granule
    // is a start, so the search ends inside the run.
    const uint64_t below = (uint64_t{1} << (word % 64)) - 1;
    uint64_t s1 = word / 64;
    uint64_t found = summary1_[s1] & below;
    if (found == 0) {
      uint64_t s2 = s1 / 64;
      uint64_t upper = summary2_[s2] & ((uint64_t{1} << (s1 % 64)) - 1);
      while (upper == 0) upper = summary2_[--s2];
      s1 = s2 * 64 + 63 - static_cast<unsigned>(std::countl_zero(upper));
      found = summary1_[s1];
    }
    word = s1 * 64 + 63 - static_cast<unsigned>(std::countl_zero(found));
    bits = bits_[word];
  }
  const auto bit = 63 - static_cast<unsigned>(std::countl_zero(bits));
  *start = run.begin.value() + ((((word - run.first_word) << 6) + bit) << shift_);
  const uint64_t before = bits_[word] & ((uint64_t{1} << bit) - 1);
  return ChunkId(rank_[word] + static_cast<uint32_t>(std::popcount(before)));
}

size_t ChunkMap::run_index_of(ChunkId id) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), id.value(),
                       [](uint32_t value, const Run& run) { return value < run.first_chunk; });
  return static_cast<size_t>(after - runs_.begin()) - 1;
}

const Run& ChunkMap::run_of(ChunkId id) const { return runs_[run_index_of(id)]; }

void ChunkMap::locate(ChunkId id, uint64_t* word, unsigned* bit) const {
  const size_t step = id.value() / kSelectStep;
  const auto first = rank_.begin() + static_cast<int64_t>(select_[step]);
  const auto last = step + 1 < select_.size()
                        ? rank_.begin() + static_cast<int64_t>(select_[step + 1]) + 1
                        : rank_.end();
  const auto after = std::upper_bound(first, last, id.value());
  *word = static_cast<uint64_t>(after - rank_.begin()) - 1;
  uint64_t bits = bits_[*word];
  for (uint32_t skip = id.value() - rank_[*word]; skip > 0; --skip) bits &= bits - 1;
  *bit = static_cast<unsigned>(std::countr_zero(bits));
}

Address ChunkMap::address(ChunkId id) const {
  const Run& run = run_of(id);
  uint64_t word = 0;
  unsigned bit = 0;
  locate(id, &word, &bit);
  return Address(run.begin.value() + ((((word - run.first_word) << 6) + bit) << shift_));
}

uint64_t ChunkMap::next_start(const Run& run, uint64_t g) const {
  const uint64_t end_word = run.first_word + run.words;
  uint64_t word = run.first_word + g / 64;
  uint64_t bits = g % 64 == 63 ? 0 : bits_[word] & (~uint64_t{0} << (g % 64 + 1));
  while (bits == 0) {
    // Words without a start are skipped 64 at a time: a huge chunk spans thousands of them.
    if (++word >= end_word) return run.end.value();
    if (word % 64 == 0 && summary1_[word / 64] == 0) {
      word += 63;
      continue;
    }
    bits = bits_[word];
  }
  const auto bit = static_cast<unsigned>(std::countr_zero(bits));
  return run.begin.value() + ((((word - run.first_word) << 6) + bit) << shift_);
}

ByteCount ChunkMap::usable(ChunkId id) const {
  const Run& run = run_of(id);
  const uint64_t start = address(id).value();
  const uint64_t next = next_start(run, (start - run.begin.value()) >> shift_);
  return ByteCount(next - start - run.gap);
}

}  // namespace residue
