// One pass over the characters, without a regular expression: keys come from dumps and may be long.
#include "db/stable_name.h"

#include "db/statement.h"
#include "formats/base/text.h"

namespace residue {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

size_t count_while(std::string_view text, bool (*test)(char)) {
  size_t n = 0;
  while (n < text.size() && test(text[n])) ++n;
  return n;
}

// "1.2.3": digits and dots from a digit on.
size_t version_length(std::string_view text) {
  if (text.empty() || !is_digit(text[0])) return 0;
  const size_t n = count_while(text, [](char c) { return is_digit(c) || c == '.'; });
  return text[n - 1] == '.' ? n - 1 : n;
}

// A shared object without its versions: behind ".so", and behind a "-" before it. Other names of
// files keep theirs: 'python3.11' is not 'python3.12'.
std::string stable_module(std::string_view name) {
  const size_t so = name.rfind(".so");
  if (so == std::string_view::npos) return std::string(name);
  const std::string_view after = name.substr(so + 3);
  const bool versioned =
      after.size() > 1 && after[0] == '.' && version_length(after.substr(1)) == after.size() - 1;
  if (!after.empty() && !versioned) return std::string(name);
  std::string_view stem = name.substr(0, so);
  const size_t dash = stem.rfind('-');
  if (dash != std::string_view::npos && dash > 0 &&
      version_length(stem.substr(dash + 1)) == stem.size() - dash - 1 && dash + 1 < stem.size()) {
    stem = stem.substr(0, dash);
  }
  return std::string(stem).append(".so");
}

std::string stable_file(std::string_view name) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
  return stable_module(name.find('/') == std::string_view::npos ? name : base_name(name));
}

// Where the word (a file's name, as far as it may go) that ends `text` begins.
size_t module_begin(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0 && (is_word(text[begin - 1]) || text[begin - 1] == '.' ||
                       text[begin - 1] == '-' || text[begin - 1] == '+')) {
    --begin;
  }
  return begin;
}

class Rewriter {
 public:
  Rewriter(std::string_view text, bool is_site, const SameBuild& same_build)
      : text_(text), is_site_(is_site), same_build_(same_build) {}

  std::string run() {
    while (at_ < text_.size()) {
      if (!take_hash() && !take_hex() && !take_thread() && !take_line()) out_ += text_[at_++];
    }
    while (out_.ends_with(' ')) out_.pop_back();
    return std::move(out_);
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  bool at_word_begin() const { return at_ == 0 || !is_word(text_[at_ - 1]); }

  // "::h0123456789abcdef", where the name ends.
  bool take_hash() {
    constexpr size_t kLength = 3 + 16;
    if (!rest().starts_with("::h") || rest().size() < kLength) return false;
    if (count_while(rest().substr(3), is_hex) != 16) return false;
    if (rest().size() > kLength && is_word(rest()[kLength])) return false;
    at_ += kLength;
    return true;
  }

  bool take_hex() {
    if (!rest().starts_with("0x") || !at_word_begin()) return false;
    const size_t digits = count_while(rest().substr(2), is_hex);
    if (digits == 0 || (rest().size() > 2 + digits && is_word(rest()[2 + digits]))) return false;
    const bool is_offset = out_.ends_with('+');
    if (is_offset && take_offset(rest().substr(0, 2 + digits))) return true;
    at_ += 2 + digits;
    for (const std::string_view before : {" at ", " "}) {
      if (!out_.ends_with(before)) continue;
      out_.resize(out_.size() - before.size());
      break;
    }
    return true;
  }

  // What stands behind "MODULE+", which is written already. False: there is no module.
  bool take_offset(std::string_view offset) {
    out_.pop_back();
    const size_t begin = module_begin(out_);
    const std::string module = out_.substr(begin);
    if (module.empty()) {
      out_ += '+';
      return false;
    }
    out_.resize(begin);
    out_ += stable_module(module);
    if (same_build_ && same_build_(module)) out_.append("+").append(offset);
    at_ += offset.size();
    return true;
  }

  // "thread 4711": the kernel's number.
  bool take_thread() {
    constexpr std::string_view kThread = "thread ";
    if (!rest().starts_with(kThread) || !at_word_begin()) return false;
    const size_t digits = count_while(rest().substr(kThread.size()), is_digit);
    const size_t end = kThread.size() + digits;
    if (digits == 0 || (rest().size() > end && is_word(rest()[end]))) return false;
    out_ += "thread";
    at_ += end;
    return true;
  }

  // ":123" of a file's line.
  bool take_line() {
    if (!is_site_ || rest()[0] != ':') return false;
    const size_t digits = count_while(rest().substr(1), is_digit);
    if (digits == 0 || (rest().size() > 1 + digits && is_word(rest()[1 + digits]))) return false;
    at_ += 1 + digits;
    return true;
  }

  std::string_view text_;
  bool is_site_;
  const SameBuild& same_build_;
  size_t at_ = 0;
  std::string out_;
};

void stable_key(sqlite3_context* context, int, sqlite3_value** values) {
  std::string_view texts[2];
  for (int i = 0; i < 2; ++i) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[i]));
    if (text == nullptr) return;  // NULL, or out of memory
    texts[i] = {text, static_cast<size_t>(sqlite3_value_bytes(values[i]))};
  }
  const std::string name = stable_name(texts[0], texts[1]);
  sqlite3_result_text64(context, name.data(), name.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

}  // namespace

std::string stable_name(std::string_view dimension, std::string_view key,
                        const SameBuild& same_build) {
  if (dimension == "module") return stable_module(key);
  if (dimension == "region" || dimension == "mapping") return stable_file(key);
  const bool is_site = dimension == "site";
  const bool has_names = is_site || dimension == "type" || dimension == "owner" ||
                         dimension == "shape" || dimension == "heap" || dimension == "allocator";
  if (!has_names) return std::string(key);
  return Rewriter(key, is_site, same_build).run();
}

Result<void> register_stable_key(sqlite3* db) {
  constexpr int kFlags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
  const int rc = sqlite3_create_function_v2(db, "stable_key", 2, kFlags, nullptr, stable_key,
                                            nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return sqlite_error(db, rc);
  return {};
}

}  // namespace residue
