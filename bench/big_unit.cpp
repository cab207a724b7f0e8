// One translation unit of `big`, the program with 120 MB of .debug_info: run_symbols.sh compiles
// this file once for every UNIT, with its own types in each.
//
// KINDS kinds of record are put through the standard library's containers and algorithms, so that
// nearly all of the unit is templates: hundreds of thousands of entries of debug information in a
// unit, most of them inlined calls with parameters and locations, as a large C++ program has them.
// All of it is called at run time, so the linker keeps it.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "big_program.h"

#ifndef UNIT
#define UNIT 0
#endif
#ifndef KINDS
#define KINDS 60
#endif

namespace big {

template <unsigned Unit, unsigned Kind>
struct Record {
  std::uint64_t id = Kind;
  std::string name;
  std::vector<std::uint32_t> samples;
  std::optional<double> weight;

  friend bool operator<(const Record& a, const Record& b) {
    return a.id != b.id ? a.id < b.id : a.name < b.name;
  }
};

template <unsigned Unit, unsigned Kind>
class Ledger {
 public:
  using Entry = Record<Unit, Kind>;
  using Rule = std::function<std::optional<Entry>(const Entry&)>;
  using Outcome = std::variant<std::monostate, Entry, std::shared_ptr<Entry>, std::string>;

  void add_rule(Rule rule) { rules_.push_back(std::move(rule)); }

  void add(std::uint64_t id) {
    Entry entry;
    entry.id = id;
    entry.name = "record-" + std::to_string(id % 97);
    entry.samples.assign(id % 7 + 1, static_cast<std::uint32_t>(id));
    if (id % 3 == 0) entry.weight = static_cast<double>(id) / 3;
    by_name_[entry.name].push_back(entry);
    shared_.emplace(id, std::make_shared<Entry>(entry));
    sorted_.insert({std::move(entry), id});
  }

  Outcome judge(std::uint64_t id) const {
    const auto found = shared_.find(id);
    if (found == shared_.end()) return std::string("no record ") + std::to_string(id);
    for (const Rule& rule : rules_) {
      if (auto changed = rule(*found->second)) return *std::move(changed);
    }
    return found->second;
  }

  std::uint64_t total() {
    std::uint64_t sum = 0;
    for (auto& [name, entries] : by_name_) {
      std::sort(entries.begin(), entries.end());
      std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return a.samples.size() < b.samples.size();
      });
      entries.erase(std::unique(entries.begin(), entries.end(),
                                [](const Entry& a, const Entry& b) { return a.id == b.id; }),
                    entries.end());
      for (const Entry& entry : entries) {
        sum = std::accumulate(entry.samples.begin(), entry.samples.end(), sum);
      }
    }
    for (const auto& [entry, id] : sorted_) sum += entry.id ^ id;
    return sum;
  }

 private:
  std::vector<Rule> rules_;
  std::map<std::string, std::vector<Entry>> by_name_;
  std::map<Entry, std::uint64_t> sorted_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Entry>> shared_;
};

template <unsigned Unit, unsigned Kind>
[[gnu::noinline]] std::uint64_t exercise(std::uint64_t seed) {
  Ledger<Unit, Kind> ledger;
  using Entry = typename Ledger<Unit, Kind>::Entry;
  ledger.add_rule([seed](const Entry& entry) -> std::optional<Entry> {
    if (entry.id % 5 != seed % 5) return std::nullopt;
    Entry changed = entry;
    std::reverse(changed.samples.begin(), changed.samples.end());
    changed.samples.push_back(static_cast<std::uint32_t>(seed));
    return changed;
  });
  ledger.add_rule([](const Entry& entry) -> std::optional<Entry> {
    if (entry.weight.value_or(0) < 100) return std::nullopt;
    return entry;
  });
  for (std::uint64_t id = 0; id < 20; ++id) ledger.add(id * seed % 31 + Kind);
  std::uint64_t sum = ledger.total();
  for (std::uint64_t id = 0; id < 20; ++id) sum += ledger.judge(id + Kind).index();
  return sum;
}

template <unsigned... Kinds>
std::uint64_t exercise_all(std::uint64_t seed, std::integer_sequence<unsigned, Kinds...>) {
  return (exercise<UNIT, Kinds>(seed) + ...);
}

namespace {
const bool g_registered =
    (register_unit([](std::uint64_t seed) {
       return exercise_all(seed, std::make_integer_sequence<unsigned, KINDS>());
     }),
     true);
}

}  // namespace big
