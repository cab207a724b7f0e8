#include "symbolize/dwarf/entry_cursor.h"

namespace residue::dwarf {

EntryCursor::EntryCursor(const Unit& unit, const Entry& parent)
    : unit_(unit),
      cursor_(unit.bytes(), parent.attributes, unit.format().order),
      current_(parent) {}

// Runs the abbreviation's skip program, which leaves the cursor behind the entry's values.
void EntryCursor::pass_values() {
  pending_ = false;
  sibling_ = 0;
  for (const SkipStep& step : unit_.abbreviations().steps(*current_.abbreviation)) {
    switch (step.kind) {
      case SkipStep::kBytes:
        cursor_.skip(step.bytes);
        break;
      case SkipStep::kLeb:
        cursor_.skip_leb();
        break;
      case SkipStep::kString:
        (void)cursor_.c_string();
        break;
      case SkipStep::kBlock1:
        cursor_.skip(cursor_.u8());
        break;
      case SkipStep::kBlock2:
        cursor_.skip(cursor_.u16());
        break;
      case SkipStep::kBlock4:
        cursor_.skip(cursor_.u32());
        break;
      case SkipStep::kBlockLeb:
        cursor_.skip(cursor_.uleb());
        break;
      case SkipStep::kIndirect:
        (void)read_value(cursor_, step.form, unit_.format());
        break;
      case SkipStep::kSibling: {
        const Value value = read_value(cursor_, step.form, unit_.format());
        const bool absolute = value.form == kFormRefAddr;
        if (value.is_reference()) {
          sibling_ = (absolute ? 0 : unit_.header().offset) + value.number;
        }
        break;
      }
    }
  }
  if (!cursor_.ok()) {
    damaged_ = true;
    descend_ = false;
    level_ = 0;
  }
  if (sibling_ <= cursor_.position() || sibling_ > unit_.bytes().size()) sibling_ = 0;
}

// Makes the next code's entry current_; false where the walk ends. An end of a list leaves no
// abbreviation.
bool EntryCursor::read_code() {
  current_.offset = cursor_.position();
  const uint64_t code = cursor_.uleb();
  current_.attributes = cursor_.position();
  current_.abbreviation = nullptr;
  // Units whose last lists are not closed are common (old assemblers) and harmless.
  if (cursor_.ok() && code == 0) return true;
  if (cursor_.ok()) current_.abbreviation = unit_.abbreviations().find(code);
  if (current_.abbreviation != nullptr) return true;
  damaged_ = damaged_ || cursor_.ok();
  level_ = 0;
  return false;
}

bool EntryCursor::next(Entry& entry) {
  if (pending_) pass_values();
  if (descend_ && current_.has_children()) ++level_;
  descend_ = false;
  while (level_ != 0 && read_code()) {
    if (current_.abbreviation == nullptr) {
      --level_;
      continue;
    }
    depth_ = level_;
    pending_ = true;
    descend_ = true;
    entry = current_;
    return true;
  }
  return false;
}

uint64_t EntryCursor::sibling() {
  if (pending_) pass_values();
  return sibling_;
}

// To the sibling, if current_ names one.
bool EntryCursor::jump() {
  if (sibling_ == 0) return false;
  cursor_.skip(sibling_ - cursor_.position());
  return true;
}

void EntryCursor::skip_children() {
  if (pending_) pass_values();
  if (!descend_) return;
  descend_ = false;
  if (!current_.has_children() || jump()) return;
  for (unsigned open = 1; open != 0 && read_code();) {
    if (current_.abbreviation == nullptr) {
      --open;
      continue;
    }
    pass_values();
    if (level_ == 0) return;
    if (current_.has_children() && !jump()) ++open;
  }
}

}  // namespace residue::dwarf
