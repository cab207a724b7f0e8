// Diagnostics: what was lost or doubted on the way, kept as data.
//
// A stage that can go on after damage reports it here and goes on. The rows end in the table
// `diagnostic`; --strict turns damage (kDamage) into a failure. A file that is broken everywhere
// must not produce a report larger than itself, so equal (stage, message) pairs are counted after
// the first kMaxEach.
//
// Not thread-safe: a parallel stage gives each worker its own and appends them in order.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace residue {

enum class Severity : uint8_t {
  kNote,     // worth knowing; nothing is wrong
  kWarning,  // an answer is less certain than it could be
  kDamage,   // the input contradicts itself, or part of it is missing
};

const char* to_string(Severity severity);

struct Diagnostic {
  Severity severity = Severity::kNote;
  std::string stage;    // "elf-core", "glibc", …
  std::string place;    // a file offset, an address or a name
  uint64_t bytes = 0;   // how much of the image is affected; 0 if that cannot be said
  std::string message;  // without the place
};

class Diagnostics {
 public:
  static constexpr size_t kMaxEach = 20;

  void add(Severity severity, std::string stage, std::string place, uint64_t bytes,
           std::string message);
  void append(const Diagnostics& other);

  const std::vector<Diagnostic>& items() const { return items_; }
  bool has_damage() const { return damage_; }
  // How many more were like one of the items but not kept.
  uint64_t dropped() const { return dropped_; }

 private:
  std::vector<Diagnostic> items_;
  std::map<std::pair<std::string, std::string>, size_t> seen_;
  uint64_t dropped_ = 0;
  bool damage_ = false;
};

}  // namespace residue
