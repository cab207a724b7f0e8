#include "symbolize/dwarf/entry_cursor.h"

namespace residue::dwarf {

EntryCursor::EntryCursor(const Unit& unit, const Entry& parent)
    : unit_(unit), cursor_(unit.bytes(), parent.attributes, unit.format().order), current_(parent) {
  pending_ = true;
  level_ = parent.has_children() ? 1 : 0;
}

void EntryCursor::pass_value(uint16_t form) { (void)read_value(cursor_, form, unit_.format()); }

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
        pass_value(step.form);
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
}

bool EntryCursor::read_code(Entry& entry) {
  entry.offset = cursor_.position();
  const uint64_t code = cursor_.uleb();
  if (!cursor_.ok()) {
    // Units whose last lists are not closed are common (old assemblers) and harmless.
    level_ = 0;
    return false;
  }
  if (code == 0) {
    entry.abbreviation = nullptr;
    return true;
  }
  entry.abbreviation = unit_.abbreviations().find(code);
  if (entry.abbreviation == nullptr) {
    damaged_ = true;
    level_ = 0;
    return false;
  }
  entry.attributes = cursor_.position();
  return true;
}

bool EntryCursor::next(Entry& entry) {
  if (pending_) {
    const bool descends = depth_ != 0 && current_.has_children();
    pass_values();
    if (!cursor_.ok()) {
      damaged_ = true;
      level_ = 0;
    }
    if (descends) ++level_;
  }
  while (level_ != 0) {
    if (!read_code(current_)) return false;
    if (current_.abbreviation == nullptr) {
      --level_;
      continue;
    }
    depth_ = level_;
    pending_ = true;
    entry = current_;
    return true;
  }
  return false;
}

uint64_t EntryCursor::end_of_entry() {
  Cursor saved = cursor_;
  const bool pending = pending_;
  if (pending) pass_values();
  const uint64_t end = cursor_.position();
  cursor_ = saved;
  pending_ = pending;
  return end;
}

void EntryCursor::skip_children() {
  if (!pending_) return;
  pass_values();
  if (!cursor_.ok() || !current_.has_children()) return;
  // A sibling that points backwards, or out of the unit, is not believed.
  if (sibling_ > cursor_.position() && sibling_ <= unit_.bytes().size()) {
    cursor_.skip(sibling_ - cursor_.position());
    return;
  }
  const unsigned own = level_;
  ++level_;
  while (level_ > own) {
    if (!read_code(current_)) return;
    if (current_.abbreviation == nullptr) {
      --level_;
      continue;
    }
    pass_values();
    if (!cursor_.ok()) {
      damaged_ = true;
      level_ = 0;
      return;
    }
    if (!current_.has_children()) continue;
    if (sibling_ > cursor_.position() && sibling_ <= unit_.bytes().size()) {
      cursor_.skip(sibling_ - cursor_.position());
    } else {
      ++level_;
    }
  }
}

}  // namespace residue::dwarf
