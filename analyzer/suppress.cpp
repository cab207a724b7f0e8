// What LeakSanitizer does (lsan_common.cpp of LLVM 19): every leaked block whose allocation stack
// matches a rule is ignored, whether or not something else that leaked refers to it, and an ignored
// block is a root: what can be reached from it is no leak either, even if another leak refers to it
// too. It counts for a rule only the blocks that match it themselves; so do we, and beside that all
// that the rule hid.
//
// The first matching rule counts, in the order of the files and lines. What several suppressed
// blocks lead to is hidden by the first of their rules: rules are followed in their order, each
// from all of its blocks, so that addresses do not matter.
//
// Patterns are matched once for each type and owner, not for each chunk; when chunks have sites,
// theirs join here. Cost otherwise: one look at each leaked chunk and its references.
#include "analyzer/suppress.h"

#include <algorithm>
#include <unordered_map>

namespace residue {
namespace {

constexpr uint32_t kNoRule = SuppressedChunks::kNotSuppressed;
static_assert(SuppressionList::kMaxRules < kNoRule, "rules fit the column");

class Suppressor {
 public:
  Suppressor(const SuppressInput& input, const ChunkTable& chunks) : in_(input), chunks_(chunks) {
    for (const ModuleRow& m : input.modules) path_of_.try_emplace(m.name, m.path);
    for (const TypeRow& t : input.types) of_type_.push_back(rule_of_type(t));
    of_type_.push_back(rule_of_type(TypeRow()));  // of chunks without a type
    for (const OwnerRow& o : input.owners) of_owner_.push_back(rule_of_owner(o));
    for (uint32_t r = 0; r < input.rules.size(); ++r) {
      if (input.rules[r].kind == SuppressionKind::kSize) sizes_.push_back(r);
    }
  }

  SuppressedChunks run(std::vector<SuppressionRow>* rows) {
    find_matches(rows);
    if (matched_.empty()) return {};
    // By rule; within one, the order has no influence.
    std::stable_sort(matched_.begin(), matched_.end(),
                     [this](uint32_t a, uint32_t b) { return result_.rule[a] < result_.rule[b]; });
    for (size_t i = 0; i < matched_.size();) {
      const uint16_t rule = result_.rule[matched_[i]];
      queue_.clear();
      for (; i < matched_.size() && result_.rule[matched_[i]] == rule; ++i) {
        queue_.push_back(matched_[i]);
      }
      follow(rule, &(*rows)[rule]);
    }
    return std::move(result_);
  }

 private:
  uint64_t usable(uint32_t id) const { return chunks_.map.usable(ChunkId(id)).value(); }

  template <typename Wanted>
  uint32_t first_rule(const LeakFacts& facts, Wanted&& wanted) const {
    for (uint32_t r = 0; r < in_.rules.size(); ++r) {
      if (wanted(in_.rules[r].kind) && matches(in_.rules[r], facts)) return r;
    }
    return kNoRule;
  }

  uint32_t rule_of_type(const TypeRow& type) const {
    LeakFacts facts;
    facts.type = type.name;
    facts.module = type.module;
    const auto path = path_of_.find(type.module);
    if (path != path_of_.end()) facts.module_path = path->second;
    // "(text)" is a name of ours, which LeakSanitizer's kind must not match by accident.
    const bool is_text = type.origin == "string";
    const uint32_t own = first_rule(facts, [](SuppressionKind kind) {
      return kind == SuppressionKind::kType || kind == SuppressionKind::kModule ||
             kind == SuppressionKind::kSite;
    });
    if (is_text) facts.type = {};
    const uint32_t leak =
        first_rule(facts, [](SuppressionKind kind) { return kind == SuppressionKind::kLeak; });
    return std::min(own, leak);
  }

  uint32_t rule_of_owner(const OwnerRow& owner) const {
    LeakFacts facts;
    facts.owner = owner.name;
    return first_rule(facts, [](SuppressionKind kind) { return kind == SuppressionKind::kOwner; });
  }

  uint32_t rule_of(uint32_t id) const {
    uint32_t rule = of_type_[std::min<size_t>(chunks_.type[id], of_type_.size() - 1)];
    if (chunks_.owner[id] < of_owner_.size()) rule = std::min(rule, of_owner_[chunks_.owner[id]]);
    if (sizes_.empty()) return rule;
    LeakFacts facts;
    facts.size = usable(id);
    for (const uint32_t r : sizes_) {
      if (r >= rule) break;
      if (matches(in_.rules[r], facts)) return r;
    }
    return rule;
  }

  void find_matches(std::vector<SuppressionRow>* rows) {
    for (uint32_t id = 0; id < chunks_.reach.size(); ++id) {
      if (!is_leak(chunks_.reach[id])) continue;
      const uint32_t rule = rule_of(id);
      if (rule == kNoRule) continue;
      if (matched_.empty()) result_.rule.assign(chunks_.reach.size(), kNoRule);
      result_.rule[id] = static_cast<uint16_t>(rule);
      matched_.push_back(id);
      ++(*rows)[rule].count;
      (*rows)[rule].bytes += usable(id);
    }
  }

  void follow(uint16_t rule, SuppressionRow* row) {
    for (size_t i = 0; i < queue_.size(); ++i) {
      ++row->suppressed_count;
      row->suppressed_bytes += usable(queue_[i]);
      for (const Edge edge : in_.graph.edges(ChunkId(queue_[i]))) {
        const uint32_t target = edge.target().value();
        if (!is_leak(chunks_.reach[target]) || result_.rule[target] != kNoRule) continue;
        result_.rule[target] = rule;
        queue_.push_back(target);
      }
    }
  }

  const SuppressInput& in_;
  const ChunkTable& chunks_;
  std::unordered_map<std::string_view, std::string_view> path_of_;  // of modules, by name
  std::vector<uint32_t> of_type_, of_owner_;                        // the first rule that matches
  std::vector<uint32_t> sizes_;                                     // rules about sizes
  std::vector<uint32_t> matched_, queue_;
  SuppressedChunks result_;
};

}  // namespace

SuppressedChunks suppress(const SuppressInput& input, const ChunkTable& chunks,
                          std::vector<SuppressionRow>* rows) {
  rows->clear();
  for (const SuppressionRule& rule : input.rules) {
    rows->push_back({rule.file, rule.line, to_string(rule.kind), rule.pattern});
  }
  if (input.rules.empty()) return {};
  return Suppressor(input, chunks).run(rows);
}

}  // namespace residue
