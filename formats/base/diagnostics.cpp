#include "formats/base/diagnostics.h"

namespace residue {

const char* to_string(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWarning:
      return "warning";
    case Severity::kDamage:
      return "damage";
  }
  return "note";
}

void Diagnostics::add(Severity severity, std::string stage, std::string place, uint64_t bytes,
                      std::string message) {
  damage_ = damage_ || severity == Severity::kDamage;
  size_t& count = seen_[{stage, message}];
  if (++count > kMaxEach) {
    ++dropped_;
    return;
  }
  items_.push_back({severity, std::move(stage), std::move(place), bytes, std::move(message)});
}

void Diagnostics::append(const Diagnostics& other) {
  for (const Diagnostic& d : other.items_) add(d.severity, d.stage, d.place, d.bytes, d.message);
  dropped_ += other.dropped_;
}

}  // namespace residue
