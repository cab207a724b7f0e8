#include "db/gate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace residue {
namespace {

constexpr size_t kMaxConditions = 64;
constexpr size_t kMaxDigits = 18;  // as many as fit an int64_t, before and behind the point

struct ByteUnit {
  std::string_view name;
  double bytes;
};
constexpr std::array kByteUnits = {ByteUnit{"B", 1},         ByteUnit{"kB", 1e3},
                                   ByteUnit{"KB", 1e3},      ByteUnit{"MB", 1e6},
                                   ByteUnit{"GB", 1e9},      ByteUnit{"TB", 1e12},
                                   ByteUnit{"KiB", 1024},    ByteUnit{"MiB", 1 << 20},
                                   ByteUnit{"GiB", 1 << 30}, ByteUnit{"TiB", 1024.0 * (1 << 30)}};

// How many of the period an hour has.
constexpr std::array kPeriods = {ByteUnit{"s", 3600}, ByteUnit{"min", 60}, ByteUnit{"h", 1},
                                 ByteUnit{"d", 1.0 / 24}};

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

template <typename List, typename Name>
std::string joined(const List& list, Name&& name) {
  std::string text;
  for (const auto& item : list) text.append(text.empty() ? "" : ", ").append(name(item));
  return text;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<GateRule> rule() {
    GateRule rule;
    rule.text = std::string(text_);
    rule.any_of.emplace_back();
    for (size_t count = 1;; ++count) {
      RESIDUE_ASSIGN(GateCondition condition, this->condition());
      rule.any_of.back().push_back(std::move(condition));
      const size_t here = skip_blanks();
      if (at_ == text_.size()) return rule;
      const std::string_view joint = word();
      if (joint == "or") rule.any_of.emplace_back();
      if (joint != "or" && joint != "and") {
        return wrong(here, "expected 'and', 'or' or the end of the rule");
      }
      if (count == kMaxConditions) return wrong(here, "too many conditions");
    }
  }

 private:
  Result<GateCondition> condition();
  Result<void> dimension(GateCondition* condition);
  Result<std::string> key();
  Result<GateOperator> comparison();
  Result<void> value(GateCondition* condition);
  Result<double> number(bool may_be_negative);
  Result<void> unit(GateCondition* condition);

  size_t skip_blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    return at_;
  }
  bool accept(std::string_view what) {
    skip_blanks();
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  std::string_view word() {
    const size_t from = skip_blanks();
    while (at_ < text_.size() &&
           (is_letter(text_[at_]) || text_[at_] == '_' || (at_ > from && is_digit(text_[at_])))) {
      ++at_;
    }
    return text_.substr(from, at_ - from);
  }
  // What follows a number without a digit in it: "MB", "%".
  std::string_view letters() {
    const size_t from = skip_blanks();
    while (at_ < text_.size() && is_letter(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }
  Error wrong(size_t position, const std::string& what) const {
    std::string message = "--fail-on '";
    message.append(text_).append("': at character ").append(std::to_string(position + 1));
    return {ErrorCode::kUsage, message.append(": ").append(what), {}};
  }

  std::string_view text_;
  size_t at_ = 0;
};

Result<GateCondition> Parser::condition() {
  GateCondition condition;
  condition.position = skip_blanks();
  const std::string name(word());
  condition.metric = find_gate_metric(name);
  if (condition.metric == nullptr) {
    const std::string known = joined(gate_metrics(), [](const GateMetric& m) { return m.name; });
    return wrong(condition.position, name.empty()
                                         ? "expected a metric: one of " + known
                                         : "unknown metric '" + name + "'; there are " + known);
  }
  RESIDUE_TRY(dimension(&condition));
  RESIDUE_ASSIGN(condition.op, comparison());
  RESIDUE_TRY(value(&condition));
  return condition;
}

Result<void> Parser::dimension(GateCondition* condition) {
  const GateMetric& metric = *condition->metric;
  const std::string name = metric.name;
  const size_t open = skip_blanks();
  if (!accept("(")) return {};
  if (metric.dimensions == GateDimensions::kNone) return wrong(open, name + " has no dimensions");
  const size_t here = skip_blanks();
  condition->dimension = std::string(word());
  const auto known = gate_dimensions();
  if (std::find(known.begin(), known.end(), condition->dimension) == known.end()) {
    return wrong(here, "unknown dimension '" + condition->dimension + "'; there are " +
                           joined(known, [](const char* d) { return d; }));
  }
  if (metric.dimensions == GateDimensions::kHeapOnly && condition->dimension != "heap") {
    return wrong(here, name + " has no dimension but heap");
  }
  if (accept("=") || accept(",")) {
    RESIDUE_ASSIGN(condition->key, key());
  }
  const size_t close = skip_blanks();
  if (!accept(")")) return wrong(close, "expected ')', or '=' and a key in quotation marks");
  return {};
}

Result<std::string> Parser::key() {
  const size_t from = skip_blanks();
  if (from == text_.size() || (text_[from] != '\'' && text_[from] != '"')) {
    return wrong(from, "expected a key in quotation marks");
  }
  const char quote = text_[at_++];
  std::string key;
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c != quote) {
      key += c;
    } else if (at_ < text_.size() && text_[at_] == quote) {
      key += text_[at_++];
    } else {
      return key;
    }
  }
  return wrong(from, "the quotation mark is never closed");
}

Result<GateOperator> Parser::comparison() {
  using enum GateOperator;
  constexpr std::array<std::pair<const char*, GateOperator>, 6> kOperators = {{{">=", kAtLeast},
                                                                               {"<=", kAtMost},
                                                                               {"!=", kNotEqual},
                                                                               {">", kGreater},
                                                                               {"<", kLess},
                                                                               {"=", kEqual}}};
  const size_t here = skip_blanks();
  for (const auto& [text, op] : kOperators) {
    if (accept(text)) return op;
  }
  return wrong(here, "expected one of > >= < <= = !=");
}

Result<double> Parser::number(bool may_be_negative) {
  const size_t from = skip_blanks();
  const bool negative = accept("-");
  if (negative && !may_be_negative) return wrong(from, "it is never negative");
  const size_t first = at_;
  const auto digits = [this] {
    const size_t begin = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ - begin;
  };
  size_t most = digits();
  bool valid = most > 0;
  if (valid && at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    const size_t fraction = digits();
    valid = fraction > 0;
    most = std::max(most, fraction);
  }
  if (!valid) return wrong(from, "expected a number");
  if (most > kMaxDigits) return wrong(from, "the number is too long");
  double value = 0;
  std::from_chars(text_.data() + first, text_.data() + at_, value);
  return negative ? -value : value;
}

Result<void> Parser::value(GateCondition* condition) {
  const GateKind kind = condition->metric->kind;
  RESIDUE_ASSIGN(condition->value, number(kind == GateKind::kGrowth || kind == GateKind::kSlope));
  return unit(condition);
}

Result<void> Parser::unit(GateCondition* condition) {
  const GateMetric& metric = *condition->metric;
  const std::string name = metric.name;
  const size_t here = skip_blanks();
  if (accept("%")) {
    condition->percent = true;
    if (metric.kind == GateKind::kGrowth) return {};
    return wrong(here, name + " is no growth: it has no %");
  }
  const size_t before = at_;
  const std::string unit(letters());
  if (unit == "and" || unit == "or") {
    at_ = before;
  } else if (!unit.empty()) {
    const auto it = std::find_if(kByteUnits.begin(), kByteUnits.end(),
                                 [&unit](const ByteUnit& u) { return u.name == unit; });
    if (it == kByteUnits.end()) {
      return wrong(here, "unknown unit '" + unit + "'; there are " +
                             joined(kByteUnits, [](const ByteUnit& u) { return u.name; }) +
                             ", and % of growth");
    }
    if (metric.unit == GateUnit::kCount) return wrong(here, name + " counts: it has no unit");
    condition->value *= it->bytes;
  }
  const size_t slash = skip_blanks();
  const bool per = accept("/");
  if (metric.unit != GateUnit::kBytesPerHour) {
    return per ? wrong(slash, name + " is no slope: it has no '/'") : Result<void>();
  }
  if (!per && condition->value == 0) return {};  // zero is zero in every unit
  const size_t period_at = skip_blanks();
  const std::string period(letters());
  const auto it = std::find_if(kPeriods.begin(), kPeriods.end(),
                               [&period](const ByteUnit& p) { return p.name == period; });
  if (!per || it == kPeriods.end()) {
    return wrong(per ? period_at : slash, "expected a time: /s, /min, /h or /d");
  }
  condition->value *= it->bytes;
  return {};
}

template <typename Test>
bool any_condition(const GateRule& rule, Test&& test) {
  for (const auto& all_of : rule.any_of) {
    if (std::any_of(all_of.begin(), all_of.end(), test)) return true;
  }
  return false;
}

}  // namespace

bool GateRule::has(GateKind kind) const {
  return any_condition(*this, [kind](const GateCondition& c) { return c.metric->kind == kind; });
}

bool GateRule::has(GateTopic topic) const {
  return any_condition(*this, [topic](const GateCondition& c) { return c.metric->topic == topic; });
}

bool GateRule::has_other_than(GateKind kind) const {
  return any_condition(*this, [kind](const GateCondition& c) { return c.metric->kind != kind; });
}

bool GateRule::names(std::string_view metric) const {
  return any_condition(*this,
                       [metric](const GateCondition& c) { return metric == c.metric->name; });
}

Result<GateRule> parse_gate_rule(std::string_view text) { return Parser(text).rule(); }

}  // namespace residue
